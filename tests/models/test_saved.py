"""Saved models: there and back to the bit; and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from darkroom.errors import ArtifactError
from darkroom.models import saved
from darkroom.models.build import build_network
from darkroom.project.checked_json import write_json

INFO: dict[str, Any] = {
    "model": {"name": "unet", "outputs": 1, "width": 2, "depth": 1},
    "task": "segmentation",
    "mean": [0.5, 0.5, 0.5],
}


def save(folder: Path, info: dict[str, Any] = INFO) -> None:
    saved.save_model(folder, build_network("unet", outputs=1, seed=1, width=2, depth=1), info)


def test_there_and_back(tmp_path: Path) -> None:
    net = build_network("unet", outputs=1, seed=1, width=2, depth=1)
    saved.save_model(tmp_path / "a" / "fold0", net.to(memory_format=torch.channels_last), INFO)
    loaded, info = saved.load_model(tmp_path / "a" / "fold0")
    assert all(torch.equal(t, loaded.state_dict()[n]) for n, t in net.state_dict().items())
    assert not loaded.training
    assert {key: info[key] for key in INFO} == INFO
    images = torch.randn(1, 3, 16, 16)
    assert torch.allclose(loaded(images), net.eval()(images), atol=1e-6)
    assert sorted(p.name for p in (tmp_path / "a").rglob("*")) == [
        "fold0",
        "model.json",
        "model.safetensors",
    ]


def test_units_of_values_come_back(tmp_path: Path) -> None:
    model = {"name": "small_cnn", "outputs": 1, "width": 2, "depth": 1, "output": "softplus"}
    model |= {"shift": [0.1], "scale": [0.3]}
    net = build_network(**model, seed=1)  # type: ignore[arg-type]
    saved.save_model(tmp_path / "m", net, {"model": model})
    loaded, _ = saved.load_model(tmp_path / "m")
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(loaded(images), net.eval()(images))


def test_same_bytes_for_the_same_net(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / name)
    for file in (saved.WEIGHTS, saved.INFO):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_origin_of_initial_weights_is_stored_but_not_needed(tmp_path: Path) -> None:
    model = {
        "name": "resnet18",
        "outputs": 2,
        "weights": "gone.pth",
        "freeze": "backbone",
        "seed": 4,
    }
    net = build_network("resnet18", outputs=2, seed=4)
    saved.save_model(tmp_path / "m", net, {"model": model})
    loaded, info = saved.load_model(tmp_path / "m")
    assert info["model"] == model
    assert torch.equal(loaded.state_dict()["fc.weight"], net.state_dict()["fc.weight"])


def test_a_failed_save_leaves_what_stood_there(tmp_path: Path) -> None:
    save(tmp_path / "m")
    before = (tmp_path / "m" / saved.INFO).read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        save(tmp_path / "m", INFO | {"score": float("nan")})
    assert (tmp_path / "m" / saved.INFO).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="there is no model here"):
        saved.load_model(tmp_path)


def test_weights_of_another_run_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "m")
    other = build_network("unet", outputs=1, seed=2, width=2, depth=1)
    saved.save_model(tmp_path / "n", other, INFO)
    (tmp_path / "n" / saved.WEIGHTS).replace(tmp_path / "m" / saved.WEIGHTS)
    with pytest.raises(ArtifactError, match="these weights are not the ones"):
        saved.load_model(tmp_path / "m")


def test_truncated_weights_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "m")
    file = tmp_path / "m" / saved.WEIGHTS
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(ArtifactError, match="these weights are not the ones"):
        saved.load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 9}, "found: version: 9"),
        ({"model": {"name": "unet", "outputs": 1, "width": 3, "depth": 1}}, "should be"),
        ({"model": {"name": "vnet", "outputs": 1}}, "no network can be built from its arguments"),
        ({"model": {"outputs": 1}}, "found: model: "),
        ({"model": None}, "found: model: null"),
        ({"mean": [0.5, 0.5]}, r"found: mean: \[0.5, 0.5\]"),
        ({"mean": [0.5, 0.5, "0.5"]}, "found: mean: "),
        ({"mean": [0.5, 0.5, True]}, "found: mean: "),
        ({"std": [0.2, 0.2, 0]}, "found: std: "),
        ({"std": [0.2, 0.2, -0.2]}, "found: std: "),
        ({"task": "art"}, 'found: task: "art"'),
        ({"classes": "ab"}, "found: classes: "),
        ({"height": 0}, "found: height: 0"),
        ({"width": 8.5}, "found: width: 8.5"),
        ({"fit": "squeeze"}, "found: fit: "),
        ({"fold": -1}, "found: fold: -1"),
        ({"fold": True}, "found: fold: true"),
        ({"fold": "every"}, 'found: fold: "every"'),
        ({"split_sha256": "0"}, "found: split_sha256: "),
        ({"precision": "int8"}, "found: precision: "),
        ({"precision": ["bf16"]}, "found: precision: "),
        ({"fit": {}, "task": []}, r"found: task: \[\], fit: \{\}"),
        ({"metrics": {"epoch": None}}, "found: metrics: "),
        ({"weights": 5}, "found: weights: 5"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    save(tmp_path / "m")
    file = tmp_path / "m" / saved.INFO
    values = json.loads(file.read_text())
    del values["checksum"]
    write_json(file, values | change)
    with pytest.raises(ArtifactError, match=words):
        saved.load_model(tmp_path / "m")


@pytest.mark.parametrize("change", [{"std": [0.2, 0.2, 0.0]}, {"task": "art"}, {"mean": None}])
def test_a_description_is_checked_when_written_as_when_read(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        save(tmp_path / "m", INFO | change)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("old", "new"), [("0.5", "0.4"), ("segmentation", "binary"), ("1", "2")])
def test_an_edited_description_is_refused(tmp_path: Path, old: str, new: str) -> None:
    save(tmp_path / "m")
    file = tmp_path / "m" / saved.INFO
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ArtifactError, match="it is damaged or was edited"):
        saved.load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "this is not JSON"), ("{}", "found: no checksum"), ("null", "NoneType instead of")],
)
def test_damaged_info_is_refused(tmp_path: Path, text: str, words: str) -> None:
    save(tmp_path / "m")
    (tmp_path / "m" / saved.INFO).write_text(text)
    with pytest.raises(ArtifactError, match=words):
        saved.load_model(tmp_path / "m")
