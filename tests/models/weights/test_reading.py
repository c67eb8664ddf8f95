"""Weights from files: what is read, what is refused and in which words."""

from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from darkroom.errors import ArtifactError
from darkroom.models.masks.unet import UNet
from darkroom.models.weights.reading import read_weights


def small() -> UNet:
    torch.manual_seed(0)
    return UNet(outputs=1, width=2, depth=1)


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("executed",)


def test_every_form_gives_the_same(tmp_path: Path) -> None:
    state = small().state_dict()
    save_file(state, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "nested.pth")
    torch.save(state | {"mask_values": [0, 1]}, tmp_path / "beside.pth")
    for file in (*sorted(tmp_path.iterdir()), tmp_path):
        read = read_weights(file)
        assert read.keys() == state.keys()
        assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"not weights at all", b"", b"a,b\n1,2\n", b"PK\x03\x04"])
def test_damage_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError, match="these weights cannot be read") as caught:
        read_weights(tmp_path / name)
    assert "weights_only" not in str(caught.value)


def test_a_table_of_something_else_is_told(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "optimizer": {}}, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match=r"no weights in this file[\s\S]*epoch, optimizer"):
        read_weights(tmp_path / "w.pth")


def test_a_pickle_that_would_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"a": Trap()}, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match="that holds tensors only"):
        read_weights(tmp_path / "w.pth")
    assert "executed" not in capsys.readouterr().out


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"none\.pth: there are no weights here"):
        read_weights(tmp_path / "none.pth")


def test_a_list_is_no_table(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match=r"not a table of weights[\s\S]*found: list"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_numbers_of_another_kind_are_refused(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    tensors = {"w": torch.ones(3).to(dtype)}
    if name == "w.pth":
        torch.save(tensors, tmp_path / name)
    else:
        try:
            save_file(tensors, tmp_path / name)
        except KeyError:
            pytest.skip(f"safetensors {version('safetensors')} has no {dtype}")
    with pytest.raises(ArtifactError, match=r"another kind|more than weights"):
        read_weights(tmp_path / name)


def test_a_message_is_short_whatever_the_file_holds(tmp_path: Path) -> None:
    torch.save({"n" * 10_000: 1, "m" * 10_000: 2}, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match="no weights in this file") as caught:
        read_weights(tmp_path / "w.pth")
    assert len(str(caught.value)) < 1000
