"""Weights from files: what is read, what is refused and in which words."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from darkroom.errors import ArtifactError
from darkroom.models.unet import UNet
from darkroom.models.weights import put_body, put_weights, read_weights

HEAD = "outc"


def small(outputs: int = 1, width: int = 2, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(outputs=outputs, width=width, depth=1)


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
def test_damage_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not weights at all")
    with pytest.raises(ArtifactError, match="these weights cannot be read"):
        read_weights(tmp_path / name)


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
    with pytest.raises(ArtifactError, match=r"no table of weights[\s\S]*found: list"):
        read_weights(tmp_path / "w.pth")


def test_what_does_not_fit_is_listed() -> None:
    net, weights = small(), small().state_dict()
    del weights["inc.double_conv.0.weight"]
    weights["outc.conv.bias"] = torch.zeros(9)
    weights["extra"] = torch.zeros(1)
    with pytest.raises(ArtifactError) as caught:
        put_weights(net, weights, file=Path("w.pth"))
    for words in (
        "w.pth: these weights are another network's",
        "inc.double_conv.0.weight: absent, should be (2, 3, 3, 3)",
        "outc.conv.bias: (9,), should be (1,)",
        "extra: unknown to the network",
        "3 of",
    ):
        assert words in str(caught.value)


def test_only_the_first_few_are_listed() -> None:
    with pytest.raises(ArtifactError) as caught:
        put_weights(small(), small(width=4).state_dict(), file=Path("w"))
    assert str(caught.value).count("should be") == 5
    assert "more" in str(caught.value)


def test_counters_may_be_absent() -> None:
    net, other = small(), small(seed=1)
    weights = {n: t for n, t in other.state_dict().items() if "num_batches" not in n}
    put_weights(net, weights, file=Path("w"))
    assert torch.equal(net.outc.conv.weight, other.outc.conv.weight)


def test_a_head_of_another_shape_stays_new() -> None:
    net, other = small(outputs=3), small(seed=1)
    own = net.outc.conv.weight.clone()
    put_body(net, other.state_dict(), head=HEAD, file=Path("w"))
    assert torch.equal(net.outc.conv.weight, own)
    body = "inc.double_conv.0.weight"
    assert torch.equal(net.state_dict()[body], other.state_dict()[body])


def test_a_head_of_the_same_shape_is_taken() -> None:
    net, other = small(), small(seed=1)
    put_body(net, other.state_dict(), head=HEAD, file=Path("w"))
    assert torch.equal(net.outc.conv.weight, other.outc.conv.weight)
