"""Transfer that is worth it: what a network learnt on one drawn set serves it on another.

Textures at any angle, in any two colours: colours tell nothing, so features have to be learnt.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darkroom.models import layer_groups, saved
from darkroom.models.build import MEAN, STD, build_network, normalise

SIDE = 32
FORMS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda u, _: np.sin(u),
    lambda u, v: np.sin(u) * np.sin(v),
    lambda u, v: np.sin(np.hypot(u, v)),
    lambda u, v: np.cos(u) + np.cos(v) - 0.7,
    lambda u, v: np.sin(u + 2 * np.abs((v / np.pi) % 2 - 1)),
    lambda u, v: np.maximum(np.sin(u), np.sin(v)) - 0.5,
    lambda u, v: np.sin(u + 1.5 * np.sin(v)),
    lambda u, v: np.cos(u) + np.cos(u / 2 + 0.866 * v) + np.cos(u / 2 - 0.866 * v),
)
# (form, period in px): eight to learn to see by, six others to tell apart by few examples.
MANY = [(form, period) for form in (0, 1, 2, 3) for period in (6, 11)]
FEW = [(4, 8), (5, 8), (6, 8), (7, 8), (0, 8), (1, 8)]
MODEL: dict[str, Any] = {"name": "small_cnn", "width": 8, "depth": 3, "dropout": 0.0}


def textures(kinds: list[tuple[int, int]], each: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return normalised images (N, 3, SIDE, SIDE) and classes (N,)."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:SIDE, :SIDE]
    images = []
    for form, period in kinds:
        for _ in range(each):
            angle, wave = rng.uniform(0, 2 * np.pi), 2 * np.pi / (period * rng.uniform(0.9, 1.1))
            x, y = xs - rng.uniform(0, SIDE), ys - rng.uniform(0, SIDE)
            u = wave * (x * np.cos(angle) + y * np.sin(angle))
            v = wave * (y * np.cos(angle) - x * np.sin(angle))
            ink = 1 / (1 + np.exp(-4 * FORMS[form](u, v)[..., None]))
            one, other = rng.uniform(0, 255, (2, 3))
            grain = rng.normal(0, 12, (SIDE, SIDE, 3))
            images.append(np.clip(one + (other - one) * ink + grain, 0, 255).astype(np.uint8))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    classes = torch.arange(len(kinds)).repeat_interleave(each)
    return normalise(pixels, MEAN, STD), classes


def learn(net: nn.Module, images: Tensor, classes: Tensor, *, steps: int, lr: float) -> None:
    generator = torch.Generator().manual_seed(0)
    learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr, weight_decay=0.01)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    for _ in range(steps):
        net.train()
        layer_groups.put_frozen_in_eval_mode(net)
        batch = torch.randperm(len(images), generator=generator)[:32]
        optimizer.zero_grad()
        F.cross_entropy(net(images[batch]), classes[batch]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        cycle.step()


def accuracy(net: nn.Module, images: Tensor, classes: Tensor) -> float:
    with torch.inference_mode():
        return float((net.eval()(images).argmax(1) == classes).float().mean())


def transferred(folder: Path) -> float:
    """Return the accuracy of a new head, learnt from 30 pictures over a run's frozen backbone."""
    net = build_network(**MODEL, outputs=len(FEW), seed=5, weights=str(folder))
    layer_groups.freeze_backbone(net)
    backbone = net.get_submodule("features").state_dict()
    before = {key: tensor.clone() for key, tensor in backbone.items()}
    learn(net, *textures(FEW, 5, seed=2), steps=150, lr=0.01)
    assert all(torch.equal(tensor, before[key]) for key, tensor in backbone.items())
    return accuracy(net, *textures(FEW, 50, seed=3))


@pytest.mark.slow
def test_learnt_features_beat_random_ones_under_the_same_head(tmp_path: Path) -> None:
    """The random ones have seen the same pictures too: their batch norm has its statistics."""
    images, classes = textures(MANY, 60, seed=1)
    model = MODEL | {"outputs": len(MANY)}
    net, random = (build_network(**model, seed=1) for _ in range(2))
    learn(net, images, classes, steps=300, lr=0.02)
    with torch.no_grad():
        for _ in range(30):
            random.train()(images)
    for folder, each in (("learnt", net), ("random", random)):
        saved.save_model(tmp_path / folder, each, {"model": model})

    learnt, chance = transferred(tmp_path / "learnt"), 1 / len(FEW)
    by_chance = transferred(tmp_path / "random")
    assert learnt > by_chance + 0.15, (learnt, by_chance)
    assert learnt > 2 * chance
