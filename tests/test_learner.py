"""Figures that do not depend on how images were batched, and losses that run off."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from darkroom.dataset import Batch
from darkroom.errors import DataError, ParamsError
from darkroom.learner import Learner, Totals, not_finite
from darkroom.models import build
from darkroom.tasks import TASKS
from tests.drawn import batches, colours


def batch(ids: list[str], targets: torch.Tensor | None) -> Batch:
    images = torch.zeros(len(ids), 3, 8, 8, dtype=torch.uint8)
    return Batch(ids, images, targets, torch.full((len(ids), 2), 8))


def learner(task: str = "segmentation") -> Learner:
    net = build("unet", outputs=1, seed=1, width=2, depth=1)
    return Learner(net, task=task, lr=0.1, weight_decay=0.0, total_steps=4)


def test_uneven_batches_are_summed_and_divided_once() -> None:
    task = TASKS["regression"]
    found, truth = torch.tensor([[1.0], [2.0], [7.0]]), torch.zeros(3, 1)
    totals = Totals(task.metrics)
    for part in (slice(0, 2), slice(2, 3)):
        loss = task.loss(found[part], truth[part])
        assert totals.add(loss, found[part], truth[part]) == pytest.approx(float(loss))
    assert totals.row("val") == pytest.approx(
        {"loss/val": 18.0, "rmse/val": math.sqrt(18), "mae/val": 10 / 3}
    )


def test_learner_takes_pixels() -> None:
    net = learner().eval()
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (net.mean, net.std))
    assert torch.allclose(net(images), net.net((images / 255 - mean) / std), atol=1e-5)


def test_the_rate_rises_to_its_peak_and_falls() -> None:
    (optimizer,), (cycle,) = learner().configure_optimizers()
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cycle["scheduler"].step()
    assert max(rates) == pytest.approx(0.1, rel=0.2)
    assert rates.index(max(rates)) == 1
    assert rates[-1] < rates[0]


def test_only_what_may_learn_is_optimised() -> None:
    net = build("resnet18", outputs=2, seed=1, freeze="backbone")
    frozen = Learner(net, task="multiclass", lr=0.1, weight_decay=0.0, total_steps=4)
    (optimizer,), _ = frozen.configure_optimizers()
    assert [p.shape for p in optimizer.param_groups[0]["params"]] == [(2, 512), (2,)]


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
