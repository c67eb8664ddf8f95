"""darkroom.load: the same probabilities as the pipeline's own, for pictures in memory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import darkroom
from darkroom.cli.main import main
from darkroom.errors import ArtifactError, DarkroomError, DataError
from darkroom.images.geometry import restore
from darkroom.index.table import read_card
from darkroom.models.saved import INFO
from darkroom.prediction.decision import (
    Decision,
    averaged_as_decided,
    read_decision,
    write_decision,
)
from darkroom.prediction.predictions import Predictions
from darkroom.project.checked_json import write_json
from tests.deploy.conftest import KINDS, Trained, pictures_of
from tests.support import tiny

Floats = np.ndarray[Any, np.dtype[np.float32]]


def pipeline(root: Path, *folds: int) -> dict[str, Floats]:
    """Return the mean of what `predict` kept of the folds, as the submission takes it, by id."""
    card = read_card(root / "data/index/tiny.json")
    decision = read_decision(root / "reports/tiny/decision.json", "tiny", card.task)
    files = [Predictions(root / f"data/predictions/tiny/test/fold{fold}.arrow") for fold in folds]
    result: dict[str, Floats] = {}
    for ids, probabilities, originals in averaged_as_decided(files, card.task, decision):
        for name, each, (height, width) in zip(ids, probabilities, originals, strict=True):
            fit = files[0].header.fit
            planes = each if each.ndim == 3 else []
            restored = [restore(plane, int(height), int(width), fit) for plane in planes]
            result[name] = np.stack(restored) if restored else each
    return result


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_of_the_pipeline(trained: Trained, kind: str) -> None:
    root = trained(kind)
    pictures = pictures_of(root)
    expected = pipeline(root, 1, 0)  # in the order of params.yaml, which decides on rounding
    predictor = darkroom.load("models/tiny")
    values = predictor([*pictures.values()])
    assert [*expected] == [*pictures]
    for name, value in zip(pictures, values, strict=True):
        np.testing.assert_array_equal(value, expected[name], strict=True)
    if kind == "masks":
        assert [planes.shape for planes in values] == [
            (1, *picture.shape[:2]) for picture in pictures.values()
        ]


def test_one_fold_alone_and_a_list_of_two(trained: Trained) -> None:
    root = trained("binary")
    pictures = [*pictures_of(root).values()]
    for folds, models in (((0,), "models/tiny/fold0"), ((1,), Path("models/tiny/fold1"))):
        expected = np.stack([*pipeline(root, *folds).values()])
        np.testing.assert_array_equal(darkroom.load(models)(pictures), expected)
    both = darkroom.load(["models/tiny/fold1", root / "models/tiny/fold0"])(pictures)
    np.testing.assert_array_equal(both, np.stack([*pipeline(root, 1, 0).values()]))


def test_the_decision_makes_classes_surer_or_less_sure(trained: Trained) -> None:
    root = trained("multiclass")
    pictures = [*pictures_of(root).values()]
    file = root / "reports/tiny/decision.json"
    decision = read_decision(file, "tiny", "multiclass")
    plain = darkroom.load("models/tiny/fold0")
    (root / "reports/tiny/decision.json").unlink()
    assert darkroom.load("models/tiny/fold0").decision == Decision(threshold=None)
    write_decision(file, Decision(threshold=None, temperature=2.0, networks=decision.networks))
    probabilities = np.asarray(darkroom.load("models/tiny/fold0")(pictures), np.float64)
    before = np.asarray(plain(pictures), np.float64) ** (decision.temperature / 2)
    expected = before / before.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    assert plain.task == "multiclass"
    assert plain.names == ("10", "a, b", "pear")


def test_a_model_elsewhere_works_without_its_project(trained: Trained, tmp_path: Path) -> None:
    root = trained("multiclass")  # whose shards hold JPEGs
    picture = pictures_of(root)["t4"]
    inside = darkroom.load("models/tiny/fold0")([picture])
    elsewhere = tmp_path / "given/away"
    shutil.copytree(root / "models/tiny/fold0", elsewhere)
    np.testing.assert_array_equal(darkroom.load(elsewhere)([picture]), inside)
    # Of a model that does not say how its images were stored: not through a JPEG of quality 60.
    info = json.loads((elsewhere / INFO).read_text())
    write_json(elsewhere / INFO, {k: v for k, v in info.items() if k not in ("stored", "checksum")})
    outside = np.asarray(darkroom.load(elsewhere)([picture]))
    assert outside.shape == (1, 3)
    assert 0 < np.abs(outside - inside).max() < 0.1


def test_grey_is_repeated_and_sizes_may_differ(trained: Trained) -> None:
    trained("regression")
    predictor = darkroom.load("models/tiny", accelerator="cpu")
    grey = np.full((50, 20), 77, np.uint8)
    colour = np.full((50, 20, 3), 77, np.uint8)
    values = np.asarray(predictor([grey, colour, grey[..., None], colour[:31]]))
    assert values.shape == (4, 2)
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[0], values[2])
    assert np.asarray(predictor([])).shape == (0, 2)


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (np.zeros((4, 4, 4), np.uint8), "uint8 (4, 4, 4)"),
        (np.zeros((4, 4, 3), np.float32), "float32 (4, 4, 3)"),
        (np.zeros((3, 0, 3), np.uint8), "uint8 (3, 0, 3)"),
        (np.zeros(5, np.uint8), "uint8 (5,)"),
    ],
)
def test_what_is_no_picture_is_refused(trained: Trained, picture: Any, found: str) -> None:
    trained("binary")
    predictor = darkroom.load("models/tiny/fold0")
    with pytest.raises(DataError) as caught:
        predictor([np.zeros((4, 4, 3), np.uint8), picture])
    message = str(caught.value)
    assert "picture 1: not a picture that this network takes" in message
    assert f"found: {found}" in message
    assert "expected: uint8 (height, width, 3)" in message


@pytest.mark.parametrize(
    ("pictures", "found"),
    [
        (np.zeros((30, 40, 3), np.uint8), "found: (30, 40, 3)\n  expected: a list of them"),
        (None, "found: NoneType\n  expected: a list of them"),
        ("a.png", "found: str\n  expected: a list of them"),
        (["a.png"], "a.png: no such file\n  expected: the path of a picture\n  to do: correct"),
        ([f"{300 * 'a'}.png"], "a.png: no such file\n"),
        (["source"], "source: a folder, not a picture\n"),
        ([""], "copy: a folder, not a picture\n  expected: the path of a picture\n  to do: list"),
        (["source/test.zip/t0.png"], "no such file\n  expected: the path of a picture\n  to do: u"),
        (["pipe"], "pipe: a device, not a picture\n"),
        ([[[1, 2, 3]]], "found: list\n  expected: an array of numpy"),
    ],
)
def test_a_picture_alone_or_none_at_all_is_refused(
    trained: Trained, pictures: Any, found: str
) -> None:
    os.mkfifo(trained("binary") / "pipe")
    with pytest.raises(DataError) as caught:
        darkroom.load("models/tiny/fold0")(pictures)
    assert found in str(caught.value)


def test_paths_are_read_as_the_pipeline_reads_them(trained: Trained, tmp_path: Path) -> None:
    """A JPEG at half its size, say, which a picture in memory is not."""
    root = trained("multilabel")
    picture = np.random.default_rng(0).integers(0, 256, (140, 130, 3), np.uint8)
    paths = [tmp_path / "a/a.jpg", tmp_path / "b/b.png", tmp_path / "a/c.png"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(path)
    (tmp_path / "b/odd\n.png").touch()
    tiny.put(root / "list.csv", "\n".join(["path", *map(str, paths)]))
    assert main(["predict", "tiny", "--images", "list.csv", "--out", "a.csv"]) == 0
    lines = (root / "a.csv").read_text().splitlines()[1:]
    expected = np.array([line.split(",")[2:] for line in lines], np.float32)
    predictor = darkroom.load("models/tiny")
    values = np.asarray(predictor([str(paths[0]), paths[1], picture]))
    np.testing.assert_array_equal(values, expected)
    full = np.asarray(Image.open(paths[0]))
    assert not np.array_equal(np.asarray(predictor([full]))[0], expected[0])


def test_a_picture_is_read_without_a_look_at_its_folder(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a million files, say, at each call; a new file is seen none the less."""
    trained("binary")
    predictor = darkroom.load("models/tiny/fold0")
    monkeypatch.setattr("os.scandir", None)
    for number in range(2):
        path = tmp_path / f"{number}.png"
        path.write_bytes(tiny.png(tiny.disc(number)[0]))
        expected = predictor([tiny.disc(number)[0]])
        np.testing.assert_array_equal(predictor([path]), expected)


def test_a_file_that_is_too_large_to_hold_is_refused(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("binary")
    (tmp_path / "a.png").write_bytes(tiny.png(tiny.disc(0)[0]))
    monkeypatch.setattr("darkroom.raw.limits.MAX_MEMBER_BYTES", 10)
    with pytest.raises(DataError, match="too large to be read"):
        darkroom.load("models/tiny/fold0")([tmp_path / "a.png"])


def test_models_of_another_task_than_params_has_are_refused(trained: Trained) -> None:
    root = trained("multiclass")
    tiny.edit(root, lambda params: params[tiny.NAME]["data"].update(task="multilabel"))
    with pytest.raises(ArtifactError, match="found: multiclass\n  expected: multilabel"):
        darkroom.load("models/tiny")


def test_what_does_not_belong_together_is_refused(trained: Trained) -> None:
    root = trained("binary")

    def refused(models: Any) -> str:
        with pytest.raises(DarkroomError) as caught:
            darkroom.load(models)
        return str(caught.value)

    for models, words in (([], "an empty list"), (5, "5"), (None, "None"), (["a", 7], "7")):
        assert f"these are no models\n  found: {words}\n  expected: models/NAME" in refused(models)
    assert "there is no trained model here" in refused("models/other")
    shutil.copytree(root / "models/tiny/fold0", root / "models/later/fold0")
    file = root / "reports/tiny/decision.json"
    decision = read_decision(file, "tiny", "binary")
    write_decision(file, Decision(networks=("0" * 64,)))
    message = refused("models/tiny/fold0")
    assert "chosen on the predictions of other networks than these" in message
    assert "to do: run `dvc repro evaluate@tiny`" in message
    assert darkroom.load("models/later/fold0").decision == Decision()
    write_decision(file, decision)
    for key, value in {"height": 64, "store": "jpeg", "quality": 50, "levels": "auto"}.items():
        text = (root / "params.yaml").read_text()
        tiny.edit(root, lambda params: params["tiny"]["preprocess"].update({key: value}))  # noqa: B023
        message = refused("models/tiny")
        assert "learned from images stored in another way than params.yaml has now" in message
        assert f"expected: {key} {value}\n" in message
        (root / "params.yaml").write_text(text)


def test_an_accelerator_that_is_not_there_is_refused_as_models_are_loaded(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained("binary")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, words in (("gpu", "found: gpu\n  expected: auto, cpu"), ("cuda", "has no cuda")):
        with pytest.raises(DarkroomError) as caught:
            darkroom.load("models/tiny", accelerator=name)  # type: ignore[arg-type]
        assert words in str(caught.value)


def test_models_of_two_kinds_are_not_averaged(trained: Trained, trained_projects: Trained) -> None:
    trained("binary")
    other = trained_projects("multilabel") / "models/tiny/fold0"
    with pytest.raises(ArtifactError, match="its task is another than that of"):
        darkroom.load(["models/tiny/fold0", other])


HEAVY = (
    *("albumentations", "dvc", "kaggle", "kagglehub", "kagglesdk", "matplotlib", "requests"),
    *("scipy", "segmentation_models_pytorch", "sklearn", "tensorboard", "timm", "yaml"),
)


@pytest.mark.slow  # a new interpreter
@pytest.mark.parametrize(
    "arguments", ["--raw source --out a.csv", "--images new --out m --overlay"]
)
def test_predicting_needs_few_packages(trained: Trained, arguments: str) -> None:
    root = trained("masks")
    tiny.put(root / "new/a.png", tiny.png(tiny.disc(1)[0]))
    code = f"""
import sys
sys.modules |= dict.fromkeys({HEAVY!r})  # importing one of them raises
from darkroom.cli.main import main
sys.exit(main(["predict", "tiny", *{arguments.split()!r}]))
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow  # a new interpreter
def test_importing_darkroom_is_cheap() -> None:
    code = "import sys, darkroom; print('load' in darkroom.__all__, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
    with pytest.raises(AttributeError, match="no attribute 'store_it'"):
        _ = darkroom.store_it
