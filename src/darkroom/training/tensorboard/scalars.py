"""Scalars of every optimizer step and every epoch, and of how fast training goes."""

import re
import time
from typing import TYPE_CHECKING

from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import custom_scalars

from darkroom.store.loader import Batch
from darkroom.tasks.table import Task
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


# TensorBoard's first page sorts groups of charts by name: losses and metrics come before these.
STEPS = "steps"
RATE, WAITING = "speed/images per second", "speed/share of time waiting for data"
OF_STEPS = ("epoch", "learning rate")  # in a row of the history, but written step by step


# The norm of a gradient costs up to 3 % of a small step: of the first steps each has it.
NORMS_OF_ALL, NORMS_EVERY = 1000, 10


class Scalars(Callback):
    """Writes the metrics of every optimizer step, and those of every epoch.

    Of a step: `loss/step`, `steps/gradient norm` (of every tenth one after 1,000, if nothing is
    clipped), `steps/learning rate/<group>`. Of an epoch: `<name>/train` and `<name>/val`, for the
    loss and each metric.

    The tab of custom scalars gets a chart a name, with training and validation in it.
    """

    def __init__(self, events: EventWriter) -> None:
        self.events = events

    def on_train_start(self, loop: "Loop") -> None:
        """Write which curves share a chart."""
        if loop.batches_seen == 0:
            metric = loop.module.metric
            name = None if metric is None else metric.name
            self.events.add(charts(loop.module.task, name), 0)

    def logs_gradient_norm(self, loop: "Loop") -> bool:
        """Return whether the norm of the step that comes is written."""
        return loop.steps < NORMS_OF_ALL or loop.steps % NORMS_EVERY == 0

    def on_step_end(self, loop: "Loop") -> None:
        """Write the metrics of a step."""
        tags = {
            name if name.startswith("loss/") else f"{STEPS}/{name}": x
            for name, x in loop.step_metrics.items()
        }
        self.events.add_scalars(tags, loop.batches_seen)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Write the metrics of an epoch."""
        row = {name: x for name, x in loop.history[-1].items() if name not in OF_STEPS}
        self.events.add_scalars(row, loop.batches_seen)


def charts(task: Task, metric: str | None = None) -> Summary:
    """Return the layout of the tab of custom scalars; its tags are regular expressions.

    Args:
        task: For its metrics.
        metric: The name of the one that the judge counts, which comes first; None: of the task's.
    """
    names = ["loss", *(metric.name for metric in task.metrics)]
    if metric is not None:
        names.insert(0, metric)
    parts = {
        "training and validation": {name: f"^{re.escape(name)}/(train|val)$" for name in names},
        "steps": {
            "learning rate": f"^{STEPS}/learning rate/",
            "gradient norm": f"^{STEPS}/gradient norm$",
        },
        "speed": {name.removeprefix("speed/"): f"^{name}$" for name in (RATE, WAITING)},
    }
    layout = {
        title: {name: ["Multiline", [tags]] for name, tags in of.items()}
        for title, of in parts.items()
    }
    summary: Summary = custom_scalars(layout)  # type: ignore[no-untyped-call]
    return summary


class Throughput(Callback):
    """Writes `speed/images per second` and `speed/share of time waiting for data` of every epoch.

    Both are of the training batches alone, without validation. From the end of one batch to
    the start of the next the loop waits for the loader (and for the copy to the device). The
    images are those of all processes; the share is the first one's.
    """

    def __init__(self, events: EventWriter) -> None:
        self.events = events
        self._images, self._waited, self._worked = 0, 0.0, 0.0
        self._since = 0.0

    def on_epoch_start(self, loop: "Loop") -> None:
        """Start the clock."""
        self._images, self._waited, self._worked = 0, 0.0, 0.0
        self._since = time.perf_counter()

    def on_batch_start(self, loop: "Loop", batch: Batch) -> None:
        """Count what has passed since the batch before as waiting."""
        self._waited += self._lap()

    def on_batch_end(self, loop: "Loop", batch: Batch) -> None:
        """Count what has passed since the batch came as work."""
        self._worked += self._lap()
        self._images += len(batch.ids)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Write the epoch's values."""
        whole = self._waited + self._worked
        images = sum(distributed.gather(self._images))
        if whole > 0:
            rates = {RATE: images / whole, WAITING: self._waited / whole}
            self.events.add_scalars(rates, loop.batches_seen)

    def _lap(self) -> float:
        before, self._since = self._since, time.perf_counter()
        return self._since - before
