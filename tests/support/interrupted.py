"""A small training with all kinds of random numbers in it, and callbacks that interrupt it."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from darkroom.params.train import FitConfig
from darkroom.store.loader import Augment
from darkroom.tasks.metrics.epochs import EpochMetric
from darkroom.tasks.metrics.specs import get_metric
from darkroom.training.augment.mixup import Mixup
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, Objective, fit
from tests.support.drawn import batches, colours
from tests.support.noise import noisy

# Of all validation images at once: a part of them has another.
WHOLE = EpochMetric(get_metric("roc_auc", "multiclass"), "multiclass")
IMAGES, TRAIN_IMAGES, EPOCHS = 30, 22, 3
BATCHES, STEPS = 6, 3  # an epoch: five of four images and one of two; two batches a step


class Killed(BaseException):
    """In place of SIGKILL: a BaseException that nothing catches, so that nothing is saved."""


class Interrupt(Callback):
    """At one call of a hook, sends this process the signal of this number, or raises Killed."""

    def __init__(self, hook: str = "nothing", call: int = 99, number: int | None = None) -> None:
        self.calls, self.call, self.number = 0, call, number
        setattr(self, hook, self._act)

    def _act(self, *_: object, **__: object) -> None:
        self.calls += 1
        if self.calls != self.call:
            return
        if self.number is None:
            raise Killed
        os.kill(os.getpid(), self.number)


def network(seed: int, *, normed: bool = True, dropout: float = 0.3) -> nn.Sequential:
    """Return a classifier of three classes."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.BatchNorm2d(8) if normed else nn.Identity(),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(32, 3),
    )


def train(
    folder: Path,
    *,
    net: nn.Module | None = None,
    workers: int = 0,
    seed: int = 1,
    augment: Augment | None = noisy,
    callbacks: Sequence[Callback] = (),
    config: Mapping[str, Any] | None = None,
    images: int = TRAIN_IMAGES,
    mixup: Mixup | None = Mixup(0.4, 0.4, 3),  # noqa: B008  (frozen)
    metric: EpochMetric | None = WHOLE,
    validated: range = range(TRAIN_IMAGES, IMAGES),
    side: int = 16,
) -> FitResult:
    """Train in a folder, from its checkpoint if there is one."""
    store = colours(folder / "shards", IMAGES, side=side)
    targets = np.arange(IMAGES) % 3
    options = {"rows": range(images), "seed": seed, "augment": augment, "workers": workers}
    defaults: dict[str, Any] = {"epochs": EPOCHS, "patience": 9, "lr": 0.02, "accumulate": 2}
    defaults |= {"ema": 0.9, "clip": 5.0, "accelerator": "cpu", "checkpoint_steps": 2}
    return fit(
        network(seed) if net is None else net,
        batches(store, targets, **options),
        batches(store, targets, rows=validated),
        FitConfig(**(defaults | dict(config or {}))),
        objective=Objective("multiclass", metric=metric),
        seed=seed,
        work_dir=folder / "work",
        mixup=mixup,
        callbacks=callbacks,
    )


def outcome(result: FitResult) -> dict[str, Any]:
    """Return what equal trainings have in common: a hash of the weights, the history, the best."""
    weights = b"".join(t.numpy().tobytes() for t in result.net.state_dict().values())
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "history": [
            {name: float(value).hex() for name, value in row.items()} for row in result.history
        ],
        "best": float(result.selected["epoch"]),
    }
