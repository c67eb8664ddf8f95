"""Callbacks of the training loop, and the two of every training: best weights and progress."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from tqdm import tqdm

from darkroom.store.loader import Batch
from darkroom.tasks.metrics.epochs import EpochMetric
from darkroom.tasks.metrics.sums import Metric
from darkroom.training import distributed
from darkroom.training.module import Metrics

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


class Callback:
    """The hooks that the loop calls, on every rank; override those you need.

    A callback must not draw random numbers nor change the network, so that a training has the same
    bits without it. What it holds between two epochs belongs in `state_dict`: a resumed training
    would lack it.
    """

    def on_train_start(self, loop: "Loop") -> None:
        """Before the first epoch of this run, after a checkpoint was read."""

    def on_epoch_start(self, loop: "Loop") -> None:
        """Before the first batch of an epoch, or of the rest of one."""

    def on_batch_start(self, loop: "Loop", batch: Batch) -> None:
        """A training batch is loaded, and on the device."""

    def on_batch_end(self, loop: "Loop", batch: Batch) -> None:
        """The gradient of a training batch is computed, and its step taken if one is due."""

    def on_step_end(self, loop: "Loop") -> None:
        """The optimizer has taken a step; see `loop.step_metrics`."""

    def on_validation_start(self, loop: "Loop") -> None:
        """Before validation. The network has the averaged weights, if any, until `on_epoch_end`."""

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """A validation batch has been predicted: float32 (N, K, H, W) for masks, else (N, K)."""

    def on_epoch_end(self, loop: "Loop") -> None:
        """Validation is over; `loop.history[-1]` is the epoch's row."""

    def on_checkpoint(self, loop: "Loop") -> None:
        """A checkpoint is about to be written, on rank 0; a resumed run does what follows."""

    def on_train_end(self, loop: "Loop") -> None:
        """The loop ends, possibly with an error."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint must hold: plain values and tensors."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""


class BestWeights(Callback):
    """Keeps the weights of the best epoch, and stops the loop when no better one comes.

    An epoch is better if its metric is, or if that is equal and its validation loss is lower: on a
    small validation set many epochs have the same accuracy.

    Args:
        monitor: The metric that is compared.
        patience: Epochs in a row without a better one, after which training stops.
        unfreeze_epoch: The epoch, from 1, in which a frozen backbone begins to learn; patience
            counts from there. None: it is not frozen.
    """

    def __init__(
        self, monitor: Metric | EpochMetric, patience: int, unfreeze_epoch: int | None = None
    ) -> None:
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
            loop.should_stop = True
        loop.best = self.row

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch so far."""
        return {"row": self.row, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best epoch so far."""
        self.row, self._weights = dict(state["row"]), dict(state["weights"])

    def restore(self, net: nn.Module) -> None:
        """Put the best weights into the network."""
        # Into the network's own state dict, which holds the version of each layer.
        weights = net.state_dict()
        weights.update(self._weights)
        net.load_state_dict(weights)

    def _score(self, row: Metrics) -> tuple[float, float]:
        value = row[f"{self.monitor.name}/val"]
        return value if self.monitor.best == "max" else -value, -row["loss/val"]


class Progress(Callback):
    """Prints a line an epoch to stderr, on rank 0; in a terminal also a bar over all batches."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._images, self._started, self._rate = 0, 0.0, 0.0

    def on_train_start(self, loop: "Loop") -> None:
        """Open the bar."""
        if distributed.rank() == 0 and sys.stderr.isatty():
            self._bar = tqdm(
                total=loop.config.epochs * (loop.batches + loop.val_batches),
                initial=loop.batches_seen + len(loop.history) * loop.val_batches,
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
        """Count the images of all ranks."""
        self._images += loop.train_loader.rows_in_batch(loop.batch - 1)
        if self._bar is not None:
            self._bar.update()

    def on_validation_start(self, loop: "Loop") -> None:
        """Stop the clock: the speed is that of training alone."""
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
        names = ["loss", *(metric.name for metric in loop.module.task.metrics)]
        if loop.module.metric is not None:
            names.insert(0, loop.module.metric.name)
        line = epoch_line(row, loop.config.epochs, names)
        line += f"  {self._rate:.3g} img/s{'  best' if row is loop.best else ''}"
        # By tqdm, which first clears an open bar.
        tqdm.write(line, file=sys.stderr)

    def on_train_end(self, loop: "Loop") -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


def epoch_line(row: Metrics, epochs: int, metrics: Sequence[str]) -> str:
    """Return the line of an epoch; `row` is one of `Loop.history`.

    Example:
        >>> row = {"epoch": 3, "loss/train": 0.5, "loss/val": 0.25}
        >>> epoch_line(row, 10, ["loss"])
        'epoch  3/10  loss 0.5000 val 0.2500'
    """
    parts = ((name, row.get(f"{name}/train"), row[f"{name}/val"]) for name in metrics)
    figures = [
        f"{name}{'' if train is None else f' {train:.4f}'} val {validated:.4f}"
        for name, train, validated in parts
    ]
    return "  ".join([f"epoch {row['epoch']:{len(str(epochs))}.0f}/{epochs}", *figures])
