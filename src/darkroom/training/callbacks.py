"""Callbacks: what the loop calls around batches and epochs, and the two that are always there."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from tqdm import tqdm

from darkroom.store.loader import Batch
from darkroom.tasks.metrics import Metric
from darkroom.training import distributed
from darkroom.training.module import Metrics

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


class Callback:
    """What the loop calls; override what you need. Every rank calls its own.

    A callback must not draw random numbers nor change the network: a training has the same bits
    without it. What it holds between two epochs belongs into `state_dict`, or a resumed training
    lacks it.
    """

    def on_train_start(self, loop: "Loop") -> None:
        """Before the first epoch that is left to do."""

    def on_epoch_start(self, loop: "Loop") -> None:
        """Before the first batch of an epoch, or of what is left of one."""

    def on_batch_start(self, loop: "Loop", batch: Batch) -> None:
        """A training batch has come, and lies on the device."""

    def on_batch_end(self, loop: "Loop", batch: Batch) -> None:
        """The gradient of a training batch is computed, and its step taken if one follows."""

    def on_step_end(self, loop: "Loop") -> None:
        """The optimizer has taken a step; `loop.step_metrics` is of it."""

    def on_validation_start(self, loop: "Loop") -> None:
        """The averaged weights, if there are any, are in the network until `on_epoch_end`."""

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """A validation batch has been predicted: float32 (N, H, W) for masks, else (N, K)."""

    def on_epoch_end(self, loop: "Loop") -> None:
        """Validation is over; `loop.history[-1]` is the epoch's row."""

    def on_checkpoint(self, loop: "Loop") -> None:
        """A checkpoint is about to be written: what came before is not repeated on resuming."""

    def on_train_end(self, loop: "Loop") -> None:
        """The loop is left, also after an error."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must keep, plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""


class BestWeights(Callback):
    """Keeps the weights of the best epoch, and stops the loop when no better one comes.

    Better is a better metric, or an equal one with a lower validation loss: on a small
    validation set many epochs share one accuracy.

    Args:
        monitor: The metric that decides.
        patience: Epochs in a row that are no better, after which training stops.
        unfreeze_epoch: The epoch, from 1, in which a frozen backbone begins to learn, from which
            patience counts anew; None: none is frozen.
    """

    def __init__(self, monitor: Metric, patience: int, unfreeze_epoch: int | None = None) -> None:
        self.monitor, self.patience = monitor, patience
        self.first_epoch = unfreeze_epoch or 1
        self.row: Metrics = {}
        self._weights: dict[str, Tensor] = {}

    def on_epoch_end(self, loop: "Loop") -> None:
        """Compare the epoch with the best one."""
        row = loop.history[-1]
        if not self.row or self._score(row) > self._score(self.row):
            self.row = row
            state = loop.module.net.state_dict()
            self._weights = {name: t.detach().to("cpu", copy=True) for name, t in state.items()}
        elif row["epoch"] - max(self.row["epoch"], self.first_epoch - 1) >= self.patience:
            loop.stop = True
        loop.best = self.row

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch so far."""
        return {"row": self.row, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from the best epoch so far."""
        self.row, self._weights = dict(state["row"]), dict(state["weights"])

    def restore(self, net: nn.Module) -> None:
        """Put the best weights into the network."""
        # Into the network's own table, which says of what version its layers are.
        table = net.state_dict()
        table.update(self._weights)
        net.load_state_dict(table)

    def _score(self, row: Metrics) -> tuple[float, float]:
        value = row[f"{self.monitor.name}/val"]
        return value if self.monitor.best == "max" else -value, -row["loss/val"]


class Progress(Callback):
    """A line an epoch on stderr, of rank 0; in a terminal also a bar over all the batches."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._images, self._started, self._rate = 0, 0.0, 0.0

    def on_train_start(self, loop: "Loop") -> None:
        """Open the bar."""
        if distributed.rank() == 0 and sys.stderr.isatty():
            self._bar = tqdm(
                total=loop.config.epochs * (loop.batches + loop.val_batches),
                initial=loop.seen + len(loop.history) * loop.val_batches,
                unit="batch",
                dynamic_ncols=True,
                leave=False,
            )

    def on_epoch_start(self, loop: "Loop") -> None:
        """Start the clock."""
        self._images, self._started = 0, time.perf_counter()
        if self._bar is not None:
            self._bar.set_description(f"epoch {loop.epoch + 1}/{loop.config.epochs}")

    def on_batch_end(self, loop: "Loop", batch: Batch) -> None:
        """Count its images."""
        self._images += len(batch.ids)
        if self._bar is not None:
            self._bar.update()

    def on_validation_start(self, loop: "Loop") -> None:
        """Stop the clock: validation is not training speed."""
        self._rate = self._images / max(1e-9, time.perf_counter() - self._started)

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update()

    def on_epoch_end(self, loop: "Loop") -> None:
        """Print the epoch's line."""
        if distributed.rank() > 0:
            return
        row = loop.history[-1]
        names = [metric.name for metric in loop.module.task.metrics]
        line = epoch_line(row, loop.config.epochs, names)
        line += f"  {self._rate:.3g} img/s{'  best' if row is loop.best else ''}"
        # Through tqdm, which moves an open bar out of the way.
        tqdm.write(line, file=sys.stderr)

    def on_train_end(self, loop: "Loop") -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


def epoch_line(row: Metrics, epochs: int, metrics: Sequence[str]) -> str:
    """Return the line of an epoch.

    Example:
        >>> row = {"epoch": 3, "loss/train": 0.5, "loss/val": 0.25}
        >>> epoch_line(row, 10, [])
        'epoch  3/10  loss 0.5000 val 0.2500'
    """
    figures = [
        f"{name} {row[f'{name}/train']:.4f} val {row[f'{name}/val']:.4f}"
        for name in ("loss", *metrics)
    ]
    return "  ".join([f"epoch {row['epoch']:{len(str(epochs))}.0f}/{epochs}", *figures])
