"""A competition whose images are two files each: six channels from preprocess to the submission."""

import json
from pathlib import Path

import pytest

from darkroom.cli.main import main
from darkroom.index.table import Index, read_index, write_index
from darkroom.raw.archives import joined_digest
from darkroom.store.store import Store
from tests.support import tiny

TABLE, CARD = Path("data/index/tiny.csv"), Path("data/index/tiny.json")
MODEL = Path("models/tiny/fold0/model.json")


def list_twice() -> None:
    """Let each image of the index be a list of its file, twice."""
    index = read_index(TABLE, CARD)
    rows = index.rows.copy()
    rows["image"] = [json.dumps([image, image]) for image in rows["image"]]
    rows["digest"] = [joined_digest([digest, digest]) for digest in rows["digest"]]
    write_index(Index(rows, index.card), TABLE, CARD)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tiny.project(tmp_path / "project", "multiclass")
    monkeypatch.chdir(root)
    tiny.run("fetch", "index", "split")
    return root


@pytest.mark.slow  # a whole training: no part of it alone passes channels on
def test_six_channels_are_learned_and_predicted(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny.edit(root, lambda params: params["tiny"]["train"].update(augment="strong"))
    tiny.run("preprocess")
    plain = Store(Path("data/processed/tiny"), "train").image(0)
    list_twice()
    tiny.run("preprocess", "audit", "train", "predict", "evaluate", "submission", "check")
    store = Store(Path("data/processed/tiny"), "train")
    assert store.channels == 6
    assert (store.image(0)[:, :, :3] == plain).all()
    assert (store.image(0)[:, :, 3:] == plain).all()
    model = json.loads(MODEL.read_text())
    assert (model["channels"], model["model"]["channels"]) == (6, 6)
    assert model["mean"][3:] == model["mean"][:3]

    # The model of six channels meets images of three: in evaluate, and as first weights.
    tiny.run("index", "preprocess")
    assert main(["predict", tiny.NAME]) == 6
    message = capfd.readouterr().err
    assert "trained for another channels" in message
    assert "found: 6" in message
    copy = root / "weights.safetensors"
    copy.write_bytes(MODEL.with_name("model.safetensors").read_bytes())

    def given(params: tiny.Params) -> None:
        params["transfers"] = [{"to": "tiny", "from": str(copy), "leakage": "allow"}]
        params["tiny"]["model"]["weights"] = "given"

    tiny.edit(root, given)
    tiny.run("transfer")
    assert main(["train", tiny.NAME, "--fold", "0"]) == 6
    assert "a network for images of other channels" in capfd.readouterr().err


def test_a_jpeg_store_of_six_channels_is_read_back(root: Path) -> None:
    list_twice()
    choices = {"store": "jpeg", "quality": 95, "height": 40, "width": 48}
    tiny.edit(root, lambda params: params["tiny"]["preprocess"].update(choices))
    tiny.run("preprocess")
    store = Store(Path("data/processed/tiny"), "train")
    image = store.image(0)
    assert image.shape == (40, 48, 6)
    assert (image[:, :, :3] == image[:, :, 3:]).mean() > 0.9
