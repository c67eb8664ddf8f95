"""The door to the networks: names, arguments and seeds."""

import sys
from typing import Any

import pytest
import torch

from darkroom.errors import ParamsError, ResourceError
from darkroom.models.build import MEAN, STD, build_network, normalise

SMALL: dict[str, dict[str, Any]] = {
    "unet": {"width": 4, "depth": 2},
    "encoder_unet": {"encoder": "resnet18"},
    "small_cnn": {"width": 4, "depth": 2},
    "resnet18": {},
}
LABELS = ("small_cnn", "resnet18")


@pytest.mark.parametrize("name", SMALL)
def test_shapes(name: str) -> None:
    net = build_network(name, outputs=5, seed=1, **SMALL[name]).eval()
    with torch.inference_mode():
        logits = net(torch.zeros(2, 3, 64, 96))
    assert logits.shape == ((2, 5) if name in LABELS else (2, 5, 64, 96))


def test_a_library_that_lacks_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.delitem(sys.modules, "darkroom.models.timm_networks", raising=False)
    with pytest.raises(ResourceError, match=r"pip install .*timm"):
        build_network("timm", outputs=1, seed=1, backbone="resnet10t")


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.slow
def test_weights_are_a_function_of_the_seed_alone(name: str) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (
        build_network(name, outputs=2, seed=s, **SMALL[name]).state_dict() for s in (7, 7, 8)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ParamsError, match="did you mean resnet50") as caught:
        build_network("resnet5", outputs=1, seed=1)
    assert "unet, encoder_unet" in str(caught.value)


def test_an_unknown_argument_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ParamsError, match="unet has no argument 'freeze'") as caught:
        build_network("unet", outputs=1, seed=1, freeze="backbone")
    assert "width, depth, bilinear, dropout, deep_supervision, weights" in str(caught.value)


@pytest.mark.parametrize("name", ["unet", "small_cnn"])
def test_imagenet_weights_that_are_not_published_are_refused(name: str) -> None:
    with pytest.raises(ParamsError, match=f"there are no published ImageNet weights of {name}"):
        build_network(name, outputs=1, seed=1, weights="imagenet")
    with pytest.raises(ParamsError, match=f"{name} has no argument 'imagenet'"):
        build_network(name, outputs=1, seed=1, imagenet=True)


def test_normalise_by_hand_and_keeps_channels_last() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 3, 2, 1)
    values = normalise(images, MEAN, STD)
    assert values[0, :, 0, 0].tolist() == pytest.approx(
        [-m / s for m, s in zip(MEAN, STD, strict=True)]
    )
    assert values[0, :, 1, 0].tolist() == pytest.approx(
        [(1 - m) / s for m, s in zip(MEAN, STD, strict=True)]
    )
    stacked = torch.zeros(2, 8, 6, 3, dtype=torch.uint8).permute(0, 3, 1, 2)
    assert normalise(stacked, MEAN, STD).is_contiguous(memory_format=torch.channels_last)
    assert stacked.sum() == 0
