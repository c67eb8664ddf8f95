"""Totals that do not depend on how images are batched, and losses that are not finite."""

import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from darkroom.errors import DataError, ParamsError
from darkroom.models.build import MEAN, STD, build_network, normalise
from darkroom.store.loader import Batch
from darkroom.tasks.losses.build import build_loss
from darkroom.tasks.table import TASKS
from darkroom.training.augment.mixup import Mixup
from darkroom.training.module import Totals, TrainModule, batch_seed, check_finite, reseed


def batch(ids: list[str], targets: torch.Tensor | None) -> Batch:
    images = torch.zeros(len(ids), 3, 8, 8, dtype=torch.uint8)
    return Batch(ids, images, targets, torch.full((len(ids), 2), 8))


def module(task: str = "segmentation", net: nn.Module | None = None, **options: Any) -> TrainModule:
    net = net or build_network("unet", outputs=1, seed=1, width=2, depth=1)
    return TrainModule(net, TASKS[task], build_loss(task), mean=MEAN, std=STD, **options)


def totals(task: str = "segmentation") -> Totals:
    return Totals(TASKS[task].metrics)


def test_uneven_batches_are_summed_and_divided_once() -> None:
    found, truth = torch.tensor([[1.0], [2.0], [7.0]]), torch.zeros(3, 1)
    sums = totals("regression")
    for part in (slice(0, 2), slice(2, 3)):
        loss = build_loss("regression")(found[part], truth[part])
        batch_sums = module("regression")._sums(loss, found[part], truth[part])
        assert batch_sums.numbers[0] == loss
        sums.add(batch_sums.numbers.tolist(), batch_sums.counts)
    assert sums.means("val") == pytest.approx(
        {"loss/val": 18.0, "nrmse/val": math.sqrt(18), "nmae/val": 10 / 3}
    )


def test_pixels_are_normalised() -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    labels = torch.zeros(2, 2)
    read = Batch(["a", "b"], images, labels, torch.full((2, 2), 8))
    probabilities, _ = module("multilabel", net).validate_batch(read)
    assert torch.allclose(probabilities, net((images / 255 - mean) / std).sigmoid(), atol=1e-5)


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


def test_a_mixed_image_counts_for_the_class_of_its_greatest_share() -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))
    mixup = Mixup(mixup=0.4, classes=2)
    classes = torch.tensor([0, 1, 1, 0])
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    read = Batch(list("abcd"), images, classes, torch.full((4, 2), 8))
    seen = totals("multiclass")
    loss, sums = module("multiclass", net, mixup=mixup).train_batch(read, seed=5)
    seen.add(sums.numbers.tolist(), sums.counts)
    mixed, soft = mixup(images, classes, 5)
    logits = net(normalise(mixed, MEAN, STD))
    assert sums.numbers[0].item() == loss.item()
    assert loss.item() == pytest.approx(F.cross_entropy(logits, soft).item())
    right = (logits.argmax(1) == soft.argmax(1)).float().mean()
    assert seen.means("train")["accuracy/train"] == pytest.approx(float(right))


def test_targets_that_are_not_finite_are_a_data_error() -> None:
    targets = torch.tensor([[1.0, 0.0], [float("nan"), 1.0]])
    with pytest.raises(DataError, match="have no target\n  b\n"):
        check_finite(math.nan, batch(["a", "b"], targets), epoch=2, lr=0.1)


def test_diverged_weights_are_a_params_error() -> None:
    wrong = batch([f"{i}.jpg" for i in range(10)], torch.zeros(10, 4, 4, dtype=torch.uint8))
    with pytest.raises(ParamsError, match="finite number in epoch 2") as caught:
        check_finite(math.inf, wrong, epoch=2, lr=0.1, checkpoint="a.ckpt")
    for words in ("0.jpg, 1.jpg", "7.jpg, …", "learning rate than 0.1", "weights are in a.ckpt"):
        assert words in str(caught.value)
    check_finite(3.5, wrong, epoch=2, lr=0.1)


def test_images_without_masks_are_named() -> None:
    with pytest.raises(DataError, match="no masks\n  x"):
        module().train_batch(batch(["x"], None), seed=1)
