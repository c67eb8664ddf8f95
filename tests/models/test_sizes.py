"""Sizes of pictures: what is refused, in which words, and what is let through."""

import copy
import warnings

import pytest
import torch
from torch import nn

from darkroom.errors import ParamsError
from darkroom.models import sizes
from darkroom.models.build import build_network
from darkroom.models.sizes import Sizes


@pytest.mark.parametrize(
    ("some", "side", "words"),
    [
        (Sizes("vit", only=(224, 224)), 225, r"takes images of one size only[\s\S]*224 x 224"),
        (Sizes("fpn", multiple=32), 33, r"both multiples of 32[\s\S]*64 x 64 or 32 x 32"),
        (Sizes("fpn", multiple=32), 7, r"both multiples of 32[\s\S]*32 x 32 or 32 x 32"),
        (Sizes("fpn", multiple=16, least=32), 20, r"32 x 32 or 32 x 32"),
        (Sizes("fpn", multiple=16, least=32), 16, r"at least 32 px each way"),
        (Sizes("vgg", least=32), 31, r"at least 32 px each way"),
    ],
)
def test_what_is_refused(some: Sizes, side: int, words: str) -> None:
    with pytest.raises(ParamsError, match=words) as caught:
        some.check(side, side)
    assert f"images {side} px high and {side} px wide" in str(caught.value)


@pytest.mark.parametrize(
    "some", [Sizes("a", only=(64, 64)), Sizes("a", multiple=32), Sizes("a", least=64), Sizes("a")]
)
def test_what_is_let_through(some: Sizes) -> None:
    some.check(64, 64)


@pytest.mark.parametrize(("height", "width"), [(64, 33), (33, 64)])
def test_each_side_counts(height: int, width: int) -> None:
    for some in (Sizes("a", multiple=32), Sizes("a", least=64), Sizes("a", only=(64, 64))):
        with pytest.raises(ParamsError, match=f"{height} px high and {width} px wide"):
            some.check(height, width)


def test_a_guarded_network_looks_first_and_its_copy_too() -> None:
    net = nn.Conv2d(3, 1, 9)
    Sizes("net", least=9).guard(net)
    for each in (net, copy.deepcopy(net)):
        assert each(torch.zeros(1, 3, 9, 9)).shape == (1, 1, 1, 1)
        with pytest.raises(ParamsError, match="at least 9 px"):
            each(torch.zeros(1, 3, 8, 9))


@pytest.mark.parametrize("name", ["unet", "small_cnn"])
def test_a_graph_can_be_drawn(name: str) -> None:
    net = build_network(name, outputs=2, seed=1, width=2, depth=2).eval()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".torch.jit")
        drawn = torch.jit.trace(net, torch.zeros(1, 3, 16, 16))  # type: ignore[no-untyped-call]
    images = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(drawn(images), net(images))


def test_a_network_is_asked_before_it_is_shown_anything() -> None:
    net = build_network("encoder_unet", outputs=1, seed=1)
    sizes.check_size(net, 3, 64, 96)
    with pytest.raises(ParamsError, match="expected: both multiples of 32"):
        sizes.check_size(net, 3, 64, 100)
    sizes.check_size(build_network("small_cnn", outputs=2, seed=1, width=2, depth=1), 3, 33, 17)
