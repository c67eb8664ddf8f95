"""Callbacks without a training: a loop that has seen so many batches, and an open event file."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from darkroom.store.loader import Batch
from darkroom.tasks.table import TASKS
from darkroom.training.callbacks import Callback
from darkroom.training.loop import Loop
from darkroom.training.tensorboard.writer import EventWriter


def loop(
    task: str = "segmentation", *, seen: int = 7, net: nn.Module | None = None, **attributes: Any
) -> Loop:
    """Return what a callback reads of a loop."""
    module = SimpleNamespace(net=net or nn.Conv2d(3, 1, 1), task=TASKS[task], metric=None)
    config = SimpleNamespace(epochs=3)
    defaults = {
        "module": module,
        "config": config,
        "epoch": 0,
        "batches_seen": seen,
        "history": [],
        "should_stop": False,
    }
    return cast(Loop, SimpleNamespace(**(defaults | attributes)))


def writer(folder: Path) -> EventWriter:
    """Return an event file of a fresh training, open."""
    events = EventWriter(folder)
    events.on_train_start(loop(seen=0))
    return events


def read(events: EventWriter) -> EventAccumulator:
    """Close an event file, and return what TensorBoard reads of it."""
    events.on_train_end(loop())
    size = {"images": 0, "tensors": 0}
    return EventAccumulator(str(events.log_dir), size_guidance=size).Reload()


def batch(targets: Tensor, *, first: int = 0, side: int = 8) -> Batch:
    """Return grey images, numbered from `first`, each as bright as its number."""
    count = len(targets)
    numbers = torch.arange(first, first + count, dtype=torch.uint8)
    return Batch(
        ids=[f"{number:03d}" for number in numbers.tolist()],
        images=numbers[:, None, None, None].expand(count, 3, side, side).contiguous(),
        targets=targets,
        originals=torch.full((count, 2), side),
    )


def validate(callback: Callback, loop: Loop, *batches: tuple[Batch, Tensor]) -> None:
    """Call a callback's hooks for the validation of batches, given their probabilities."""
    callback.on_validation_start(loop)
    for images, probabilities in batches:
        callback.on_validation_batch(loop, images, probabilities)
    callback.on_epoch_end(loop)
