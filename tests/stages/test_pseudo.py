"""Pseudo-labels: which test images a fold trains on as well, and that nothing leaks."""

import contextlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.cli.main import main, read_context
from darkroom.index.table import read_index
from darkroom.prediction.predictions import Prediction, Predictions, write_predictions
from darkroom.stages import pseudo, train
from darkroom.store.shard import Shard
from darkroom.store.store import Store
from tests.support import tiny
from tests.support.interrupted import Interrupt, Killed

SECOND = "second"
FOLDER = Path("data/start/second/fold0/pseudo")
SOURCE = Path("data/predictions/tiny/test/fold0.arrow")


def project(
    root: Path, kind: str, confidence: float | None, second: dict[str, Any] | None = None
) -> Path:
    """Make a project whose section `second` trains on what `tiny` says of the test images."""
    tiny.project(root, kind)

    def change(params: dict[str, Any]) -> None:
        params["folds"] = [0]
        params["competitions"] = [tiny.NAME, SECOND]
        params[SECOND] = {**params[tiny.NAME], **(second or {})}
        params["pseudo_labels"] = [entry(confidence)]

    tiny.edit(root, change)
    return root


def entry(confidence: float | None) -> dict[str, Any]:
    values = {"to": SECOND, "from": "data/predictions/tiny"}
    return values if confidence is None else values | {"confidence": confidence}


def run(name: str, *verbs: str) -> None:
    for verb in verbs:
        words = ["--part", "test"] if verb == "predict" else []
        assert main([verb, name, *words]) == 0, verb


def prepare() -> None:
    for name in (tiny.NAME, SECOND):
        run(name, "fetch", "index", "split", "fold", "preprocess")
    run(tiny.NAME, "train", "predict")


def overwrite(probabilities: Any) -> list[str]:
    """Let the kept predictions of the test images be others; return the ids."""
    stored = Predictions(SOURCE)
    shape = (stored.header.rows, *stored.header.shape)
    values = np.asarray(probabilities, np.float32).reshape(shape)
    originals = np.concatenate([batch.originals for batch in stored])
    ids = [name for batch in stored for name in batch.ids]
    batch = Prediction(ids, values, originals)
    write_predictions(SOURCE, stored.header, lambda _: iter([batch]))
    return ids


def labels() -> pd.DataFrame:
    return pd.read_csv(FOLDER / "labels.csv", dtype={"id": str}, keep_default_na=False)


def describe(name: str = SECOND) -> dict[str, Any]:
    info: dict[str, Any] = json.loads(Path(f"models/{name}/fold0/model.json").read_text())
    return info


Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = project(tmp_path_factory.mktemp("prepared") / "project", "multiclass", 0.75)
    with contextlib.chdir(root):
        prepare()
    return root


@pytest.fixture
def classes(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a project whose first section says known things of the five test images: their ids."""
    monkeypatch.chdir(shutil.copytree(prepared, tmp_path / "project"))
    rows = np.zeros((5, 3))
    for row, (number, most) in zip(
        rows, [(1, 0.75), (0, 0.5), (2, 0.75), (1, 1.0), (0, 0.74)], strict=True
    ):
        row[:] = (1 - most) / 2
        row[number] = most
    return overwrite(rows)


@pytest.mark.usefixtures("classes")
def test_a_fold_that_the_split_lacks_is_named(capsys: Capture) -> None:
    assert main(["pseudo", SECOND, "--fold", "7"]) == 2
    assert "fold 7 has no image to validate on\n  found: folds 0, 1" in capsys.readouterr().err


def test_the_classes_that_the_network_is_sure_of(classes: list[str], capsys: Capture) -> None:
    run(SECOND, "pseudo")
    table = labels()
    assert table["id"].tolist() == [classes[0], classes[2], classes[3]]
    assert table.iloc[:, 1].tolist() == [1, 2, 1]
    assert "pseudo-labels for 3 of 5 test images: a, b 2, pear 1" in capsys.readouterr().out
    before = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    run(SECOND, "pseudo")
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == before


def read_inputs(name: str) -> Any:
    return train._read_inputs(read_context(name), 0)


def test_a_fold_trains_on_them_and_validates_what_it_did(classes: list[str]) -> None:
    run(SECOND, "pseudo")
    plain, more = read_inputs(tiny.NAME), read_inputs(SECOND)
    assert more.val_rows == plain.val_rows
    assert more.train_rows == [*plain.train_rows, 16, 17, 18]
    assert more.shards.ids[16:] == [classes[0], classes[2], classes[3]]
    assert more.targets.tolist() == [*plain.targets.tolist(), 1, 2, 1]
    # Pseudo-labels are no answers: what is learned of them is no leak of a test image's.
    assert np.array_equal(more.images, plain.images)
    test = Store(Path("data/processed/second"), "test")
    for row, place in zip((16, 17, 18), (0, 2, 3), strict=True):
        assert np.array_equal(more.shards.image(row), test.image(place))


def test_where_labels_are_fewer_they_are_half_of_an_epoch(classes: list[str]) -> None:
    run(SECOND, "pseudo")
    inputs = read_inputs(SECOND)

    def sampling(rows: list[int]) -> Any:
        ready = train._prepared(read_context(SECOND), 0, replace(inputs, train_rows=rows))
        return ready.train_loader.sampler.sampling

    assert sampling(inputs.train_rows) is None  # 8 have labels, 3 have none
    few = sampling(inputs.train_rows[-5:])
    assert few.groups.tolist() == [0, 0, 1, 1, 1]
    assert few.shares.tolist() == [0.5, 0.5]


def test_the_model_says_so_and_all_else_goes_on_as_before(classes: list[str]) -> None:
    run(SECOND, "pseudo", "train")
    assert describe()["pseudo_labels"] == {"rows": 3, "images": 5}
    assert "pseudo_labels" not in describe(tiny.NAME)
    assert main(["predict", SECOND]) == 0
    run(SECOND, "evaluate", "submission", "check")
    assert len(pd.read_csv("reports/second/scores.csv")) == 8  # the training images of fold 0


def test_another_confidence_makes_what_was_learned_stale(
    classes: list[str], capsys: Capture
) -> None:
    run(SECOND, "pseudo", "train", "predict")
    tiny.edit(Path(), lambda params: params.update(pseudo_labels=[entry(0.5)]))
    assert main(["train", SECOND]) == 6
    assert "these pseudo-labels are of another entry" in capsys.readouterr().err
    assert main(["predict", SECOND]) == 6
    assert "pseudo_labels.confidence: 0.75 in the model, 0.5 in params.yaml" in (
        capsys.readouterr().err
    )
    run(SECOND, "pseudo")
    assert len(labels()) == 5


def test_what_is_left_over_is_refused_and_put_aside(classes: list[str], capsys: Capture) -> None:
    run(SECOND, "pseudo")
    tiny.edit(Path(), lambda params: params.update(pseudo_labels=[]))
    assert main(["train", SECOND]) == 6
    assert "params.yaml has no entry for them" in capsys.readouterr().err
    assert main(["params"]) == 0
    assert not FOLDER.exists()
    assert read_inputs(SECOND).train_rows == read_inputs(tiny.NAME).train_rows


@pytest.mark.parametrize("name", ["labels.csv", "pseudo_labels.json"])
def test_damage_is_noticed(classes: list[str], capsys: Capture, name: str) -> None:
    run(SECOND, "pseudo")
    file = FOLDER / name
    tiny.put(file, file.read_text().replace("1", "2"))
    assert main(["train", SECOND]) == 6
    assert "it is damaged" in capsys.readouterr().err


def test_absent_ones_are_named(classes: list[str], capsys: Capture) -> None:
    assert main(["train", SECOND]) == 6
    assert "run `darkroom pseudo second --fold 0`" in capsys.readouterr().err
    SOURCE.unlink()
    assert main(["pseudo", SECOND]) == 6
    assert "run `darkroom predict tiny --fold 0 --part test`" in capsys.readouterr().err


def test_no_confident_image_is_an_error(classes: list[str], capsys: Capture) -> None:
    overwrite(np.full((5, 3), 1 / 3))
    assert main(["pseudo", SECOND]) == 3
    words = capsys.readouterr().err
    assert "found: 0.3333 at most" in words
    assert "expected: 0.75 or more" in words
    assert not FOLDER.exists()


@pytest.mark.parametrize(
    ("key", "value"), [("split", "0" * 64), ("index", "1" * 64), ("fold", 1), ("name", "x")]
)
def test_predictions_of_other_folds_or_data_are_refused(
    classes: list[str], capsys: Capture, key: str, value: object
) -> None:
    """Networks of another split have seen images that this fold validates."""
    stored = Predictions(SOURCE)
    batches = list(stored)
    header = replace(stored.header, facts={**stored.header.facts, key: value})
    write_predictions(SOURCE, header, lambda _: iter(batches))
    assert main(["pseudo", SECOND]) == 6
    words = capsys.readouterr().err
    assert f"these predictions are of another {key}" in words
    is_data = key in ("split", "index")
    assert ("so that second and tiny have the same rows and split" in words) == is_data
    assert ("run `darkroom predict tiny --fold 0 --part test`" in words) == (not is_data)


def test_a_copy_of_a_training_image_gets_none(
    classes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer is known, and it may be one that the fold validates."""
    index = read_index(Path("data/index/second.csv"), Path("data/index/second.json"))
    rows = index.rows
    first = rows.index[rows["id"] == classes[0]]
    rows.loc[first, "digest"] = rows.loc[rows["part"] == "train", "digest"].iloc[0]
    monkeypatch.setattr(pseudo, "read_index", lambda *_: index)
    run(SECOND, "pseudo")
    assert labels()["id"].tolist() == [classes[2], classes[3]]


def test_unknown_labels_stay_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(tmp_path / "project", "multilabel", 0.875))
    prepare()
    count = Predictions(SOURCE).header.shape[0]
    rows = np.full((5, count), 0.5)
    rows[1, 0], rows[2, 1], rows[4] = 0.875, 0.125, 1
    ids = overwrite(rows)
    run(SECOND, "pseudo")
    inputs = read_inputs(SECOND)
    assert inputs.shards.ids[16:] == [ids[1], ids[2], ids[4]]
    expected = np.full((3, count), np.nan, np.float32)
    expected[0, 0], expected[1, 1], expected[2] = 1, 0, 1
    np.testing.assert_array_equal(inputs.targets[16:], expected)
    run(SECOND, "train")


def test_of_values_all_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(tmp_path / "project", "regression", None))
    prepare()
    count = Predictions(SOURCE).header.shape[0]
    values = np.arange(5 * count).reshape(5, count) / 7
    overwrite(values)
    run(SECOND, "pseudo", "train")
    np.testing.assert_array_equal(read_inputs(SECOND).targets[16:], values.astype(np.float32))


def test_masks_at_the_size_of_their_own_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halves of 32 x 32 stored pixels are halves of 48 x 48."""
    larger = {"height": 48, "width": 48, "fit": "stretch", "store": "jpeg"}
    root = project(tmp_path / "project", "masks", 0.9, {"preprocess": larger})
    tiny.edit(root, lambda params: params[tiny.NAME]["preprocess"].update(fit="stretch"))
    monkeypatch.chdir(root)
    prepare()
    masks = np.full((5, 32, 32), 0.5)
    masks[2, :16], masks[2, 16:] = 0.96, 0.04
    masks[3, :, :16], masks[3, :, 16:] = 0.92, 0.08
    ids = overwrite(masks)
    run(SECOND, "pseudo")
    inputs = read_inputs(SECOND)
    assert inputs.shards.ids[16:] == [ids[2], ids[3]]
    found = inputs.shards.masks([16, 17])
    expected = np.zeros((2, 1, 48, 48), np.uint8)
    expected[0, 0, :24], expected[1, 0, :, :24] = 1, 1
    np.testing.assert_array_equal(found, expected)
    assert Shard(FOLDER / "masks.arrow").ids == [ids[2], ids[3]]
    run(SECOND, "train")
    assert describe()["pseudo_labels"] == {"rows": 2, "images": 5}


def test_a_killed_training_goes_on_to_the_same_bits(classes: list[str]) -> None:
    tiny.edit(Path(), lambda p: p[SECOND]["train"].update(epochs=3, checkpoint_steps=2))
    run(SECOND, "pseudo", "train")
    model = Path("models/second/fold0")
    whole = {path.name: path.read_bytes() for path in model.iterdir()}
    shutil.rmtree(model)
    for steps in (3, 4):  # 8 images and 3 more: three steps an epoch
        interrupt = Interrupt("on_step_end", steps)
        with pytest.raises(Killed):
            train.run(read_context(SECOND), 0, lambda *_, by=interrupt, **__: [by])
        assert not model.exists()
    run(SECOND, "train")
    assert {path.name: path.read_bytes() for path in model.iterdir()} == whole


def test_other_labels_are_another_training(classes: list[str]) -> None:
    run(SECOND, "pseudo", "train")
    before = describe()["fingerprint"]
    overwrite(np.eye(3)[[0, 0, 0, 1, 2]])
    run(SECOND, "pseudo", "train")
    assert describe()["fingerprint"] != before


@pytest.mark.slow
def test_each_fold_takes_the_predictions_of_that_fold(
    prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(shutil.copytree(prepared, tmp_path / "project"))
    tiny.edit(Path(), lambda params: params.update(folds=[0, 1]))
    for verb in (["train"], ["predict", "--part", "test"]):
        assert main([verb[0], tiny.NAME, "--fold", "1", *verb[1:]]) == 0
    taken = []
    for fold in (0, 1):
        path = SOURCE.with_name(f"fold{fold}.arrow")
        stored = Predictions(path)
        ids = [name for batch in stored for name in batch.ids]
        originals = np.concatenate([batch.originals for batch in stored])
        sure = np.full((5, 3), 1 / 3, np.float32)
        sure[fold] = [0, 1, 0]
        batches = [Prediction(ids, sure, originals)]
        write_predictions(path, stored.header, lambda _, batches=batches: iter(batches))  # type: ignore[misc]
        assert main(["pseudo", SECOND, "--fold", str(fold)]) == 0
        folder = Path(f"data/start/second/fold{fold}/pseudo")
        table = pd.read_csv(folder / "labels.csv", dtype={"id": str})
        taken.append((table["id"].tolist(), [ids[fold]]))
    assert all(found == expected for found, expected in taken)

    # Those of the other fold come from networks that learned what this fold validates.
    shutil.copytree(folder, FOLDER, dirs_exist_ok=True)
    assert main(["train", SECOND, "--fold", "0"]) == 6
    assert "these pseudo-labels are of another fold" in capsys.readouterr().err
