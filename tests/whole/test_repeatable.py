"""What all stages promise together: the same bytes, a stream, folds kept apart, the fit undone."""

import gzip
import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.cli.main import main
from darkroom.prediction.networks import predict
from darkroom.prediction.predictions import Prediction
from darkroom.project import processes
from darkroom.project.journal import Journal
from darkroom.stages import _network
from tests.support import tiny
from tests.support.damage import Project

IDS = ["t4", "t3", "t2", "t1", "t0"]


def whole(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project and run every verb on it, from the folder itself."""
    tiny.project(root, kind)
    monkeypatch.chdir(root)
    tiny.run(*tiny.VERBS)
    return root


def test_the_same_again_gives_the_same_bytes(project: Project) -> None:
    root = project("masks")
    first = tiny.tree(root)
    assert {
        "data/processed/tiny/train-00000.arrow",
        "models/tiny/fold0/model.safetensors",
        "reports/tiny/history/fold0.csv",
        "submissions/tiny.csv.gz",
    } <= set(first)
    tiny.run(*tiny.VERBS)
    assert tiny.tree(root) == first, "over what stood there, in another folder"
    for made in ("data", "models", "reports", "runs", "submissions"):
        shutil.rmtree(root / made)
    tiny.run(*tiny.VERBS)
    assert tiny.tree(root) == first, "from nothing"


@pytest.mark.slow
@pytest.mark.parametrize("trainings", [3, pytest.param(20, marks=pytest.mark.long)])
def test_trainings_with_all_that_is_random_have_one_hash(project: Project, trainings: int) -> None:
    root = project("multiclass")
    tiny.run("preprocess")

    def all_random(params: dict[str, Any]) -> None:
        network = {"name": "small_cnn", "width": 8, "depth": 2, "dropout": 0.3}
        train = {"augment": ["random_resized", "trivial"], "erase": 0.3, "sample": "balanced"}
        train |= {"ema": 0.9, "mixup": 0.2, "cutmix": 0.5, "mix_p": 0.8, "accumulate": 2}
        params["tiny"]["model"] = network
        params["tiny"]["train"] |= train | {"epochs": 2, "batch_size": 3}

    def trained(seed: int) -> bytes:
        tiny.edit(root, lambda params: params.update(seed=seed))
        tiny.run("train")
        return (root / "models/tiny/fold0/model.safetensors").read_bytes()

    tiny.edit(root, all_random)
    hashes = {hashlib.sha256(trained(7)).hexdigest() for _ in range(trainings)}
    assert len(hashes) == 1
    assert hashlib.sha256(trained(8)).hexdigest() not in hashes


@pytest.mark.slow
def test_another_seed_gives_other_weights(project: Project) -> None:
    root = project("masks")
    first = tiny.tree(root)
    tiny.edit(root, lambda params: params.update(seed=8))
    tiny.run(*tiny.VERBS)
    other = tiny.tree(root)
    cards = [json.loads(each["models/tiny/fold0/model.json"]) for each in (first, other)]
    assert cards[0]["fingerprint"] != cards[1]["fingerprint"]
    assert cards[0]["weights"] != cards[1]["weights"]
    same = [name for name in first if name.startswith(("data/raw", "data/index", "data/proc"))]
    assert len(same) == 13
    assert [name for name in same if other[name] != first[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_labels_too_give_the_same_bytes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    first = tiny.tree(whole(tmp_path / "a", kind, monkeypatch))
    again = tiny.tree(whole(tmp_path / "b", kind, monkeypatch))
    assert [name for name in first | again if again.get(name) != first.get(name)] == []


@pytest.mark.slow
@pytest.mark.parametrize("store", ["raw", "jpeg"])
def test_shards_do_not_depend_on_the_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    made: list[tiny.Files] = []
    pooled: list[int] = []
    pool = processes.pool

    def counted(function: Any, items: Any, workers: int) -> Any:
        pooled.append(workers)
        return pool(function, items, workers)

    monkeypatch.setattr(processes, "pool", counted)
    for workers in (1, 2):
        root = tiny.project(tmp_path / str(workers), "masks", preprocess={"store": store})
        monkeypatch.chdir(root)
        monkeypatch.setattr(processes, "cores", lambda workers=workers: workers)
        tiny.run("fetch", "index", "preprocess")
        made.append(tiny.tree(root / "data/processed"))
    assert sorted(made[0]) == [
        "tiny/digests.json",
        "tiny/facts.arrow",
        "tiny/test-00000.arrow",
        "tiny/train-00000.arrow",
    ]
    assert made[0] == made[1]
    assert pooled == [2]


def test_predict_writes_each_batch_before_it_asks_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny.project(tmp_path, "runs", train={"epochs": 1}, predict={"batch_size": 2})
    monkeypatch.chdir(root)
    tiny.run(*tiny.VERBS[:6])
    events: list[object] = []
    append, original = Journal.append, predict.predict

    def append_and_log(self: Journal, part: bytes) -> None:
        events.append("part")
        append(self, part)

    def predict_and_log(*arguments: Any, **options: Any) -> Any:
        for batch in original(*arguments, **options):
            events.append(len(batch.ids))
            yield batch

    monkeypatch.setattr(Journal, "append", append_and_log)
    monkeypatch.setattr(_network, "predict", predict_and_log)
    assert main(["predict", "tiny", "--part", "test"]) == 0
    assert events == [2, "part", 2, "part", 1, "part"]
    assert tiny.leftovers(root) == []


def test_what_is_found_in_the_padding_is_not_submitted(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project("masks")

    def at_the_bottom(_: object, batches: Any, *__: object, **___: object) -> Any:
        for batch in batches:
            probabilities = np.zeros((len(batch.ids), 1, 32, 32), np.float32)
            probabilities[:, :, 29:] = 1  # below a picture that is wider than high
            yield Prediction(batch.ids, probabilities, batch.originals.numpy())

    monkeypatch.setattr(_network, "predict", at_the_bottom)
    tiny.run("predict", "submission", "check")
    rows = gzip.decompress((root / "submissions/tiny.csv.gz").read_bytes()).decode().splitlines()
    masks = dict(row.split(",") for row in rows[1:])
    wide = {name for place, name in enumerate(IDS) if tiny.SIZES[place % 3] != (48, 32)}
    assert {name for name, mask in masks.items() if not mask} == wide
    assert len(wide) == 4


@pytest.mark.slow
def test_all_folds_have_a_say_in_the_submission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny.project(tmp_path, "regression")  # its numbers show a mean, masks may not
    tiny.edit(root, partial(dict.update, folds=[0, 1]))
    monkeypatch.chdir(root)
    tiny.run(*tiny.VERBS)
    both = (root / "submissions/tiny.csv.gz").read_bytes()
    facts = json.loads((root / "submissions/tiny.json").read_text())
    assert facts["folds"] == [0, 1]
    for fold in (0, 1):
        tiny.edit(root, partial(dict.update, folds=[fold]))
        tiny.run("evaluate", "submission")
        assert (root / "submissions/tiny.csv.gz").read_bytes() != both, fold
