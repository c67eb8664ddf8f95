"""How fast training goes, and how much of its time it waits for data."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from darkroom.store.loader import Batch
from darkroom.training.tensorboard import events

RATE, WAITING = "images per second", "share of time waiting for data"


class Throughput(Callback):
    """Tells `images per second` and `share of time waiting for data` of every epoch.

    Both are of the training batches alone, without validation. From the end of one batch to
    the start of the next the loop waits for the loader (and for the copy to the device). The
    images are those of all processes; the share is the first one's.
    """

    def __init__(self) -> None:
        self._images, self._waited, self._worked = 0, 0.0, 0.0
        self._since = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._images, self._waited, self._worked = 0, 0.0, 0.0
        self._since = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Count what has passed since the batch before as waiting."""
        self._waited += self._lap()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count what has passed since the batch came as work."""
        self._worked += self._lap()
        self._images += len(batch.ids)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the epoch's figures."""
        learner = events.learner(pl_module)
        whole = self._waited + self._worked
        images = sum(events.gather(learner.team, self._images))
        if whole > 0:
            rates = {RATE: images / whole, WAITING: self._waited / whole}
            events.add(trainer, events.figures(rates), learner.seen)

    def _lap(self) -> float:
        before, self._since = self._since, time.perf_counter()
        return self._since - before
