"""Figures that do not depend on how images were batched, and losses that run off."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from darkroom.errors import DataError, ParamsError
from darkroom.models.build import MEAN, STD, build
from darkroom.store.loader import Batch
from darkroom.tasks.losses import build as losses
from darkroom.tasks.table import TASKS
from darkroom.training.mixup import Mixing
from darkroom.training.module import Learner, Manner, Totals, batch_seed, not_finite, reseed
from darkroom.training.step import Optimisation, Stepper
from tests.support.drawn import batches, colours


def batch(ids: list[str], targets: torch.Tensor | None) -> Batch:
    images = torch.zeros(len(ids), 3, 8, 8, dtype=torch.uint8)
    return Batch(ids, images, targets, torch.full((len(ids), 2), 8))


def learner(task: str = "segmentation") -> Learner:
    net = build("unet", outputs=1, seed=1, width=2, depth=1)
    manner = Manner(task, losses.build(task), 1, MEAN, STD)
    return Learner(net, manner, Stepper(net, Optimisation(lr=0.1), batches=4, epochs=1))


def test_uneven_batches_are_summed_and_divided_once() -> None:
    task = TASKS["regression"]
    found, truth = torch.tensor([[1.0], [2.0], [7.0]]), torch.zeros(3, 1)
    totals = Totals(task.metrics)
    for part in (slice(0, 2), slice(2, 3)):
        loss = losses.build("regression")(found[part], truth[part])
        assert totals.add(loss, found[part], truth[part]) == pytest.approx(float(loss))
    assert totals.row("val") == pytest.approx(
        {"loss/val": 18.0, "rmse/val": math.sqrt(18), "mae/val": 10 / 3}
    )


def test_learner_takes_pixels() -> None:
    net = learner().eval()
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    assert torch.allclose(net(images), net.net((images / 255 - mean) / std), atol=1e-5)


def test_the_seed_of_a_batch_depends_on_all_four_alone() -> None:
    places = list(itertools.product(range(3), repeat=4))
    seeds = [batch_seed(*place) for place in places]
    assert len(set(seeds)) == len(places)
    assert all(0 <= seed < 1 << 63 for seed in seeds)
    # printf '1\\n2\\n3\\n0' | b2sum -l 64: read from its low byte up, without the lowest bit.
    assert batch_seed(1, 2, 3, 0) == 8784133911023713163


def test_reseeding_is_what_torch_does() -> None:
    reseed(torch.device("cpu"), 7)
    found = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(found, torch.rand(3))


def test_mixed_classes_count_for_what_they_most_are() -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    mixing = Mixing(mixup=0.4, classes=2)
    manner = Manner("multiclass", losses.build("multiclass"), 1, MEAN, STD, mixing)
    one = Learner(net, manner, Stepper(net, Optimisation(lr=0.1), batches=4, epochs=1))
    classes = torch.tensor([0, 1, 1, 0])
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    batch = Batch(list("abcd"), images, classes, torch.full((4, 2), 8))
    loss, probabilities = one._step(batch, "train", 5)
    mixed, soft = mixing(images, classes, 5)
    assert loss.item() == pytest.approx(F.cross_entropy(one(mixed), soft).item())
    right = (probabilities.argmax(1) == soft.argmax(1)).float().mean()
    assert one.totals["train"].row("train")["accuracy/train"] == pytest.approx(float(right))


def test_unknown_targets_are_the_datas_fault() -> None:
    targets = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])
    error = not_finite(batch(["a", "b"], targets), epoch=2, lr=0.1)
    assert isinstance(error, DataError)
    assert "have no target\n  b\n" in str(error)


def test_weights_that_ran_off_are_the_params_fault() -> None:
    ids = [f"{i}.jpg" for i in range(10)]
    error = not_finite(batch(ids, torch.zeros(10, 4, 4, dtype=torch.uint8)), epoch=2, lr=0.1)
    assert isinstance(error, ParamsError)
    for words in ("finite number in epoch 2", "0.jpg, 1.jpg", "7.jpg, …", "learning rate than 0.1"):
        assert words in str(error)


def test_images_without_masks_are_named() -> None:
    with pytest.raises(DataError, match="no masks\n  x"):
        learner()._step(batch(["x"], None), "train")


def test_a_batch_travels_whole_through_lightning(tmp_path: Path) -> None:
    loader = batches(colours(tmp_path, 3), np.zeros(3, np.int64))
    read = next(iter(loader))
    moved = learner().transfer_batch_to_device(read, torch.device("cpu"), 0)
    assert isinstance(moved, Batch)
    assert moved.ids == ["000", "001", "002"]
