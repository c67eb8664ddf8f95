"""One small training with everything random in it, and ways to break it off."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback
from torch import nn

from darkroom.store.loader import Augment
from darkroom.training.fit import FitResult, Optimisation, Running, fit
from darkroom.training.mixup import Mixing
from tests.support.drawn import batches, colours
from tests.support.noise import noisy

IMAGES, LEARNT, EPOCHS = 30, 22, 3
BATCHES, STEPS = 6, 3  # an epoch: five of four images and one of two; two batches a step


class Killed(BaseException):
    """As good as SIGKILL: the training hears of it too late to save anything."""


class Interrupt(Callback):
    """At the n-th call of a hook, sends this process a signal, or raises Killed."""

    def __init__(self, hook: str = "setup", call: int = 99, how: int | None = None) -> None:
        self.calls, self.call, self.how = 0, call, how
        setattr(self, hook, self._act)

    def _act(self, *_: object, **__: object) -> None:
        self.calls += 1
        if self.calls != self.call:
            return
        if self.how is None:
            raise Killed
        os.kill(os.getpid(), self.how)


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
    augment: Augment = noisy,
    callbacks: Sequence[Callback] = (),
    optimisation: Mapping[str, Any] | None = None,
    running: Mapping[str, Any] | None = None,
    mixing: Mixing | None = Mixing(0.4, 0.4, 3),  # noqa: B008  (frozen)
    epochs: int = EPOCHS,
    patience: int = 9,
) -> FitResult:
    """Train in a folder, from its checkpoint if there is one."""
    store = colours(folder / "shards", IMAGES, side=16)
    targets = np.arange(IMAGES) % 3
    learnt, kept = range(LEARNT), range(LEARNT, IMAGES)
    shown = {"rows": learnt, "seed": seed, "augment": augment, "workers": workers}
    steps: dict[str, Any] = {"lr": 0.02, "accumulate": 2, "ema": 0.9, "clip": 5.0}
    where: dict[str, Any] = {"accelerator": "cpu", "checkpoint_steps": 2}
    return fit(
        network(seed) if net is None else net,
        batches(store, targets, **shown),
        batches(store, targets, rows=kept),
        task="multiclass",
        optimisation=Optimisation(**(steps | dict(optimisation or {}))),
        running=Running(**(where | dict(running or {}))),
        epochs=epochs,
        patience=patience,
        seed=seed,
        log_dir=folder / "runs",
        work_dir=folder / "work",
        mixing=mixing,
        callbacks=callbacks,
    )


def told(result: FitResult) -> dict[str, Any]:
    """Return what equal trainings have in common: the hash of the weights, and the history."""
    weights = b"".join(t.numpy().tobytes() for t in result.net.state_dict().values())
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "history": [
            {name: float(value).hex() for name, value in row.items()} for row in result.history
        ],
        "best": float(result.best["epoch"]),
    }
