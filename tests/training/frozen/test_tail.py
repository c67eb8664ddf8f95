"""What follows a frozen backbone: found where it is a chain, and nowhere else."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.models.build import build_network
from darkroom.models.layer_groups import freeze_backbone, put_frozen_in_eval_mode
from darkroom.training.frozen.tail import Tail, find_tail


def frozen(net: nn.Module) -> nn.Module:
    """Return a network as the loop trains it with a frozen backbone."""
    net.train()
    freeze_backbone(net)
    put_frozen_in_eval_mode(net)
    return net


def pixels(side: int = 16) -> Tensor:
    return torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(5))


class Plain(nn.Module):
    """A backbone, and what a subclass does before its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 2)

    def vectors(self, images: Tensor) -> Tensor:
        pooled: Tensor = self.body(images).mean((2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.vectors(images))
        return outputs


class RandomOutside(Plain):
    """Dropout that is no layer, as in some of timm's networks."""

    def vectors(self, images: Tensor) -> Tensor:
        return functional.dropout(super().vectors(images), 0.5, self.training)


class Squared(Plain):
    """Computes after its last layer."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).square()


class TwoHeads(Plain):
    """Its outputs are the mean of two."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(8, 2)
        self.pretrained_cfg = {"classifier": ("head", "other")}

    def forward(self, images: Tensor) -> Tensor:
        vectors = self.vectors(images)
        return torch.stack([self.head(vectors), self.other(vectors)]).mean(0)


class OfTwoModes(Plain):
    """Its features differ between training and eval mode, without a random number."""

    def vectors(self, images: Tensor) -> Tensor:
        return super().vectors(images) * (2 if self.training else 1)


def maps() -> nn.Module:
    """Return a network whose last layer takes a feature map."""
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 2, 1), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten())


def small(**options: Any) -> nn.Module:
    return build_network("small_cnn", outputs=2, seed=0, width=4, depth=2, **options)


def test_dropout_and_units_belong_to_the_tail() -> None:
    net = frozen(small(dropout=0.5, shift=[1.0, 2.0], scale=[3.0, 4.0]))
    tail = find_tail(net, pixels())
    assert tail is not None
    assert list(tail) == [net.dropout, net.head, net.values]
    assert (tail.width, tail.dtype) == (8, torch.float32)
    assert tail.features(net, pixels()).shape == (4, 8)


def test_layers_within_layers() -> None:
    net = frozen(build_network("mobilenet_v3_small", outputs=3, seed=0))
    tail = find_tail(net, pixels(32))
    assert tail is not None
    assert [type(layer) for layer in tail] == [nn.Dropout, nn.Linear]
    assert tail.width == 1024


def test_half_precision_keeps_its_features() -> None:
    layers = [nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8)]
    net = frozen(nn.Sequential(*layers, nn.Linear(8, 2)))
    with torch.autocast("cpu", torch.bfloat16):
        tail = find_tail(net, pixels())
    assert tail is not None
    assert tail.dtype == torch.bfloat16


@pytest.mark.parametrize("make", [RandomOutside, Squared, TwoHeads, OfTwoModes, maps])
def test_what_is_no_chain_has_no_tail(make: Callable[[], nn.Module]) -> None:
    assert find_tail(frozen(Plain()), pixels()) is not None
    assert find_tail(frozen(make()), pixels()) is None


def test_a_network_of_masks_has_none() -> None:
    net = frozen(build_network("unet", outputs=1, seed=0, width=4, depth=1))
    assert find_tail(net, pixels()) is None


def test_the_network_and_the_generator_stay_as_they_were() -> None:
    net = small(dropout=0.5)
    # It learns nothing, but it would count the images that it sees.
    net.dropout = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(8, affine=False))
    frozen(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [layer.training for layer in net.modules()]
    state = torch.get_rng_state()
    assert find_tail(net, pixels()) is not None
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [layer.training for layer in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    layers = list(net.modules())[1:]
    assert not any(layer._forward_hooks or layer._forward_pre_hooks for layer in layers)


def test_the_layers_are_the_networks_own() -> None:
    net = frozen(small(dropout=0.0))
    tail = find_tail(net, pixels())
    assert isinstance(tail, Tail)
    features = tail.features(net, pixels())
    for outputs, others in pairwise([net(pixels()), tail(features)]):
        assert torch.equal(outputs, others)
    with torch.no_grad():
        next(iter(tail.parameters())).fill_(0.0)
    assert torch.equal(net(pixels()), tail(features))
