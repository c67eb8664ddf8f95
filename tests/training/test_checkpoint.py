"""Checkpoints: whole or not at all, and told when they are of no use."""

from pathlib import Path

import pytest
import torch

from darkroom.training import checkpoint

IDENTITY = {"lr": 0.1, "shape": (2, 3), "rates": {"head": 1.0}}


def put(file: Path, identity: dict[str, object] | None = None) -> None:
    state = {"net": {"w": torch.arange(6.0)}, "history": [{"loss/val": 0.1}], "epoch": 2}
    checkpoint.save(file, identity or IDENTITY, state)


def test_what_is_saved_is_loaded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = checkpoint.checkpoint_path(tmp_path / "work")
    put(file)
    found = checkpoint.load(file, IDENTITY)
    assert found is not None
    assert sorted(found) == ["epoch", "history", "net"]
    assert found["history"] == [{"loss/val": 0.1}]
    assert torch.equal(found["net"]["w"], torch.arange(6.0))
    assert [p.name for p in file.parent.iterdir()] == [file.name], "nothing half-written"
    assert capfd.readouterr().err == ""


def test_none_is_no_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert checkpoint.load(tmp_path / "none", IDENTITY) is None
    assert capfd.readouterr().err == ""


def test_every_changed_bit_is_seen(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a"
    put(file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1
        file.write_bytes(spoilt)
        assert checkpoint.load(file, IDENTITY) is None, place
    assert "a: the checkpoint is damaged: training starts afresh\n" in capfd.readouterr().err


@pytest.mark.parametrize("length", [0, 1, 31, 32, 500])
def test_a_cut_file(tmp_path: Path, capfd: pytest.CaptureFixture[str], length: int) -> None:
    file = tmp_path / "a"
    put(file)
    file.write_bytes(file.read_bytes()[:length])
    assert checkpoint.load(file, IDENTITY) is None
    assert "is damaged" in capfd.readouterr().err


def test_of_another_training(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a"
    put(file, IDENTITY | {"lr": 0.2})
    assert checkpoint.load(file, IDENTITY) is None
    assert "a: the checkpoint is of another training: training starts" in capfd.readouterr().err


def test_of_another_make(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a"
    foreign = {"state_dict": {}, "epoch": 3}
    with file.open("wb") as stream:
        torch.save(foreign, stream)
    data = file.read_bytes()
    file.write_bytes(data + checkpoint.digest_of(data))
    assert checkpoint.load(file, IDENTITY) is None
    assert "has another format" in capfd.readouterr().err


def test_a_folder_in_its_place(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    assert checkpoint.load(tmp_path / "a", IDENTITY) is None
    assert "can't be read (Is a directory)" in capfd.readouterr().err
