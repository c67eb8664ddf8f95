"""The classic U-Net: names and shapes as the open version's weight files have them."""

import pytest
import torch
from torch import nn

from darkroom.errors import ParamsError
from darkroom.models.masks.unet import UNet


def norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{key}": (channels,) for key in names} | {f"{name}.num_batches_tracked": ()}


def double(name: str, inputs: int, middle: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return (
        {f"{name}.double_conv.0.weight": (middle, inputs, 3, 3)}
        | norm(f"{name}.double_conv.1", middle)
        | {f"{name}.double_conv.3.weight": (outputs, middle, 3, 3)}
        | norm(f"{name}.double_conv.4", outputs)
    )


# The layers of the open version, two classes, as its published Carvana weights are.
CLASSIC = {
    **double("inc", 3, 64, 64),
    **double("down1.maxpool_conv.1", 64, 128, 128),
    **double("down2.maxpool_conv.1", 128, 256, 256),
    **double("down3.maxpool_conv.1", 256, 512, 512),
    **double("down4.maxpool_conv.1", 512, 1024, 1024),
    "up1.up.weight": (1024, 512, 2, 2),
    "up1.up.bias": (512,),
    **double("up1.conv", 1024, 512, 512),
    "up2.up.weight": (512, 256, 2, 2),
    "up2.up.bias": (256,),
    **double("up2.conv", 512, 256, 256),
    "up3.up.weight": (256, 128, 2, 2),
    "up3.up.bias": (128,),
    **double("up3.conv", 256, 128, 128),
    "up4.up.weight": (128, 64, 2, 2),
    "up4.up.bias": (64,),
    **double("up4.conv", 128, 64, 64),
    "outc.conv.weight": (2, 64, 1, 1),
    "outc.conv.bias": (2,),
}
BILINEAR = {
    **double("inc", 3, 64, 64),
    **double("down1.maxpool_conv.1", 64, 128, 128),
    **double("down2.maxpool_conv.1", 128, 256, 256),
    **double("down3.maxpool_conv.1", 256, 512, 512),
    **double("down4.maxpool_conv.1", 512, 512, 512),
    **double("up1.conv", 1024, 512, 256),
    **double("up2.conv", 512, 256, 128),
    **double("up3.conv", 256, 128, 64),
    **double("up4.conv", 128, 64, 64),
    "outc.conv.weight": (2, 64, 1, 1),
    "outc.conv.bias": (2,),
}


def test_layers_are_those_of_the_open_version() -> None:
    for expected, bilinear in ((CLASSIC, False), (BILINEAR, True)):
        with torch.device("meta"):
            state = UNet(outputs=2, bilinear=bilinear).state_dict()
        assert list(state) == list(expected)
        assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected


@pytest.mark.parametrize(
    ("bilinear", "outputs", "count"),
    [(False, 1, 31_037_633), (False, 2, 31_037_698), (True, 1, 17_262_977)],
)
def test_count_of_parameters(bilinear: bool, outputs: int, count: int) -> None:
    with torch.device("meta"):
        net = UNet(outputs=outputs, bilinear=bilinear)
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (37, 51), (9, 64), (16, 15)])
def test_any_size_keeps_its_size(size: tuple[int, int], bilinear: bool) -> None:
    net = UNet(outputs=2, width=2, depth=3, bilinear=bilinear).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_depth_is_how_often_the_picture_is_halved(depth: int) -> None:
    net = UNet(width=2, depth=depth)
    names = {name.split(".")[0] for name in net.state_dict()}
    steps = range(1, depth + 1)
    assert names == {"inc", "outc", *(f"down{i}" for i in steps), *(f"up{i}" for i in steps)}
    assert sum(isinstance(m, nn.MaxPool2d) for m in net.modules()) == depth


def test_a_picture_too_small_tells_the_least_size() -> None:
    with pytest.raises(ParamsError, match="at least 16 px each way") as caught:
        UNet(width=2, depth=4)(torch.zeros(1, 3, 15, 64))
    assert "15 px high and 64 px wide" in str(caught.value)


def test_other_channels_are_named() -> None:
    with pytest.raises(ParamsError, match=r"expected: \(N, 3, H, W\)"):
        UNet(width=2, depth=1)(torch.zeros(1, 1, 16, 16))


def test_starts_well_conditioned() -> None:
    torch.manual_seed(0)
    net = UNet(width=8, depth=3)
    logits = net(torch.randn(4, 3, 64, 64))
    logits.square().mean().backward()
    assert logits.abs().mean() < 3
    norms = [float(p.grad.norm()) for p in net.parameters() if p.grad is not None and p.ndim == 4]
    assert min(norms) > 1e-4, "no layer is starved at the start"
    assert max(norms) < 100
