"""First weights never bring validation images along, or the score says so."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from darkroom.cli.main import main
from darkroom.errors import ArtifactError
from darkroom.models import learned
from darkroom.project.checked_json import read_json, write_json
from tests.support import tiny

pytestmark = pytest.mark.usefixtures("small")
NEXT = "next"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project of two folds whose first round is trained; `next` has the same images."""
    root = tiny.project(tmp_path_factory.mktemp("leaks") / "project", "multiclass")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tiny.edit(root, lambda params: params.update(folds=[0, 1]))
        tiny.run("fetch", "index", "split", "preprocess", "train")
        for folder in ("data/raw", "data/index", "data/start", "data/processed"):
            for path in sorted((root / folder).glob(f"{tiny.NAME}*")):
                copy = path.with_name(path.name.replace(tiny.NAME, NEXT))
                (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    return root


@pytest.fixture
def begin(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what lets `next` begin from a source, all folds transferred."""
    root = tmp_path / "project"
    shutil.copytree(trained, root)
    monkeypatch.chdir(root)

    def begin(source: str, name: str = NEXT, **keys: Any) -> None:
        def change(params: dict[str, Any]) -> None:
            params["transfers"] = [{"to": name, "from": source, **keys}]
            for each in {NEXT, name}:
                params[each] = json.loads(json.dumps(params[tiny.NAME]))
                params[each]["model"]["weights"] = "given" if each == name else None
            params["competitions"] = [tiny.NAME, name]

        tiny.edit(root, change)
        for fold in ("0", "1"):
            assert main(["transfer", name, "--fold", fold]) == 0

    return begin


def split() -> pd.DataFrame:
    rows = pd.read_csv("data/index/tiny.csv", dtype=str)
    return rows[rows["part"] == "train"].merge(pd.read_csv("data/start/tiny/split.csv", dtype=str))


def test_a_model_carries_the_codes_of_what_it_learned() -> None:
    assert learned.image_codes(["00000000000000ff" + "0" * 16] * 2).tolist() == [255]


@given(st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)), st.lists(st.integers(0, 30)))
def test_leaked_is_what_sets_say(scored: list[int], before: list[int], now: list[int]) -> None:
    def digests(numbers: list[int]) -> list[str]:
        return [f"{number:016x}{number:016x}" for number in numbers]

    found = learned.leaked(digests(scored), learned.image_codes(digests(before)), digests(now))
    assert found == [n for n, each in enumerate(scored) if each in set(before) - set(now)]


def test_each_fold_begins_from_its_own_fold(begin: Callable[..., None]) -> None:
    begin("models/tiny")
    for fold in ("0", "1"):
        given_weights = Path(f"data/start/next/fold{fold}/weights/weights.safetensors")
        model = Path(f"models/tiny/fold{fold}/model.safetensors")
        assert given_weights.read_bytes() == model.read_bytes()
        assert main(["train", NEXT, "--fold", fold]) == 0
        rows = split()
        codes = learned.read_codes(Path(f"models/next/fold{fold}/model.safetensors"))
        expected = learned.image_codes(rows["digest"][rows["fold"] != fold])
        assert np.array_equal(codes, expected)
    for fold in ("0", "1"):
        assert main(["predict", NEXT, "--fold", fold]) == 0
    assert main(["evaluate", NEXT]) == 0
    assert "leaked_images" not in Path("reports/next/evaluation.json").read_text()


@pytest.mark.parametrize(
    "source", ["models/tiny/fold0", "models/tiny/fold0/model.safetensors", "copy.safetensors"]
)
def test_training_refuses_weights_that_learned_its_validation_images(
    begin: Callable[..., None], capsys: pytest.CaptureFixture[str], source: str
) -> None:
    shutil.copy("models/tiny/fold0/model.safetensors", "copy.safetensors")
    begin(source)
    assert main(["train", NEXT, "--fold", "0"]) == 0
    assert main(["train", NEXT, "--fold", "1"]) == 2
    message = capsys.readouterr().err
    rows = split()
    ids = sorted(rows["id"][rows["fold"] == "1"])
    assert "the first weights have learned images of this fold's validation" in message
    assert f"found: {len(ids)} of {len(ids)}: {', '.join(ids[:8])}" in message
    assert "`from: models/NAME`" in message
    assert not Path("models/next/fold1").exists()


def test_a_leak_that_is_allowed_is_marked(
    begin: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    begin("models/tiny/fold0", leakage="allow")
    tiny_folds = ("0", "1")
    for fold in tiny_folds:
        assert main(["train", NEXT, "--fold", fold]) == 0
        for part in ("valid", "test"):
            assert main(["predict", NEXT, "--fold", fold, "--part", part]) == 0
    assert main(["evaluate", NEXT]) == 0
    metrics = json.loads(Path("reports/next/evaluation.json").read_text())
    assert metrics["validation"]["leaked_images"] == (split()["fold"] == "1").sum() == 8
    assert main(["submission", NEXT]) == 0
    tiny.edit(Path(), lambda params: params.update(competitions=[NEXT]))
    main(["audit", NEXT])
    capsys.readouterr()
    assert main(["summary"]) == 0
    assert ", 8 of them LEAKED: its first weights have learned them" in capsys.readouterr().out


def test_what_was_learned_travels_over_two_rounds_and_predict_refuses_it(
    begin: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    begin("models/tiny/fold0", leakage="allow")
    assert main(["train", NEXT, "--fold", "1"]) == 0  # it has now learned all 16 images
    file = Path("models/next/fold1/model.safetensors")
    assert len(learned.read_codes(file)) == 16
    info = Path("models/next/fold1/model.json")
    values = read_json(info, absent="", fix="")
    write_json(info, values | {"leakage": "refuse"})
    tiny.edit(Path(), lambda params: params.update(folds=[1]))
    assert main(["predict", NEXT, "--fold", "1"]) == 6
    message = capsys.readouterr().err
    assert "this model has learned images that it would be scored on" in message
    assert "found: 8 of 8: " in message


def test_codes_that_are_damaged_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    for text in ("=", "abc", "AAAA"):
        save_file({"a": torch.zeros(1)}, file, metadata={"learned_images": text})
        with pytest.raises(ArtifactError, match="it is damaged"):
            learned.read_codes(file)
    save_file({"a": torch.zeros(1)}, file, metadata={"format": "pt"})
    assert learned.read_codes(file).tolist() == []


@pytest.mark.parametrize("name", ["weights.safetensors", "transfer.json"])
def test_changed_first_weights_are_refused(
    begin: Callable[..., None], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    begin("models/tiny")
    file = Path("data/start/next/fold0/weights", name)
    file.write_bytes(file.read_bytes()[:-2])
    assert main(["train", NEXT, "--fold", "0"]) == 6
    message = capsys.readouterr().err
    assert "data/start/next/fold0/weights/" in message
    assert "it is damaged" in message
    assert "run `darkroom transfer next --fold 0`" in message
