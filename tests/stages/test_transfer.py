"""First weights from a file or another run, for the competition that `transfers` names."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from darkroom.cli.main import main
from darkroom.models import saved
from darkroom.models.build import build_network
from tests.support import tiny

FILE = Path("data/start/tiny/fold0/weights/weights.safetensors")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tiny.project(tmp_path / "project", "multiclass")
    monkeypatch.chdir(root)
    return root


def _give(root: Path, source: str) -> None:
    def change(params: dict[str, Any]) -> None:
        params["transfers"] = [{"to": tiny.NAME, "from": source}]
        params[tiny.NAME]["model"]["weights"] = "given"

    tiny.edit(root, change)


def test_the_tensors_of_a_file_arrive_bit_by_bit(root: Path) -> None:
    torch.manual_seed(1)
    weights = {"b.weight": torch.randn(3, 2).t(), "a.count": torch.tensor(5)}
    weights["c.tied"] = weights["b.weight"]
    torch.save({"state_dict": weights}, root / "some.pth")
    _give(root, "some.pth")
    assert main(["transfer", tiny.NAME]) == 0
    found = load_file(FILE)
    assert sorted(found) == sorted(weights)
    assert all(torch.equal(found[key], weights[key]) for key in weights)
    before = FILE.read_bytes()
    assert main(["transfer", tiny.NAME]) == 0
    assert FILE.read_bytes() == before


def test_a_source_that_is_not_there_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _give(root, "models/other/fold0")
    assert main(["transfer", tiny.NAME]) == 2
    told = capsys.readouterr().err
    assert "transfers: there is no such file or folder" in told
    assert "models/other/fold0" in told


def test_a_file_of_something_else_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "page.pth").write_text("<html>quota</html>")
    _give(root, "page.pth")
    assert main(["transfer", tiny.NAME]) == 6
    assert "these weights cannot be read" in capsys.readouterr().err
    assert not FILE.exists()


def test_a_model_without_weights_is_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "models/other/fold0").mkdir(parents=True)
    _give(root, "models/other")
    assert main(["transfer", tiny.NAME]) == 6
    assert "fold0/model.safetensors: there are no weights here" in capsys.readouterr().err


def test_a_damaged_file_of_weights_is_refused_as_what_it_is(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "some.safetensors").write_bytes(b"\xff" * 100)
    _give(root, "some.safetensors")
    assert main(["transfer", tiny.NAME]) == 6
    message = capsys.readouterr().err
    assert "some.safetensors: these weights cannot be read" in message
    assert "train again" not in message  # it may come from elsewhere


def test_nothing_given_is_told_with_the_line_to_add(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transfer", tiny.NAME]) == 2
    assert "[{to: tiny, from: models/...}]" in capsys.readouterr().err


def test_training_with_given_weights_asks_for_the_transfer_first(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.run("fetch", "index", "split", "preprocess")
    _give(root, "models/other/fold0")
    assert main(["train", tiny.NAME]) == 6
    assert (
        "it is not there\n  to do: run `darkroom transfer tiny --fold 0`" in capsys.readouterr().err
    )


def test_spoilt_weights_are_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])}, root / "spoilt.pth")
    _give(root, "spoilt.pth")
    assert main(["transfer", tiny.NAME]) == 6
    told = capsys.readouterr().err
    assert "some of these weights are infinite or not a number" in told
    assert "found: 1 of 2 tensors, such as b" in told


def test_a_run_whose_files_do_not_belong_together_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = root / "models/other/fold0"
    for seed in (1, 2):  # the second run's description stands beside the first one's weights
        net = build_network("small_cnn", outputs=2, seed=seed, width=2, depth=1)
        told: dict[str, Any] = {"name": "small_cnn", "outputs": 2, "width": 2, "depth": 1}
        weights = (run / saved.WEIGHTS).read_bytes() if seed == 2 else None
        saved.save_model(run, net, {"model": told})
        if weights:
            (run / saved.WEIGHTS).write_bytes(weights)
    _give(root, "models/other/fold0")
    assert main(["transfer", tiny.NAME]) == 6
    assert "not the ones that model.json was written with" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["multiclass", "masks"])
def test_progressive_sizes_by_weights_of_the_same_fold(
    root: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A section of larger pictures starts from the fold of the smaller ones, and leaks nothing."""
    monkeypatch.chdir(tiny.project(tmp_path / "sizes", kind))

    def change(params: dict[str, Any]) -> None:
        small = params[tiny.NAME]
        params["folds"] = [0, 1]
        params["competitions"] = [tiny.NAME, "large"]
        params["large"] = small | {
            "preprocess": small["preprocess"] | {"height": 48, "width": 64},
            "model": small["model"] | {"weights": "given"},
        }
        params["transfers"] = [{"to": "large", "from": f"models/{tiny.NAME}"}]

    tiny.edit(Path(), change)
    for name in (tiny.NAME, "large"):
        for verb in ("fetch", "index", "split", "preprocess"):
            assert main([verb, name]) == 0
    assert main(["train", tiny.NAME, "--fold", "1"]) == 0
    assert main(["transfer", "large", "--fold", "1"]) == 0
    first = load_file("data/start/large/fold1/weights/weights.safetensors")
    small = load_file(f"models/{tiny.NAME}/fold1/model.safetensors")
    assert all(torch.equal(first[key], small[key]) for key in first)
    assert main(["train", "large", "--fold", "1"]) == 0
    info = json.loads(Path("models/large/fold1/model.json").read_text())
    assert (info["height"], info["width"], info["leakage"]) == (48, 64, "refuse")
    # Of another fold's network the images that this one validates are known.
    shutil.copytree(f"models/{tiny.NAME}/fold1", "models/other")
    tiny.edit(Path(), lambda params: params["transfers"][0].update({"from": "models/other"}))
    assert main(["transfer", "large", "--fold", "0"]) == 0
    assert main(["train", "large", "--fold", "0"]) == 2
