"""Callbacks of the training loop, and the two of every training: kept weights and progress."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from tqdm import tqdm

from darkroom.params.train import FitConfig
from darkroom.project.processes import duration
from darkroom.store.loader import Batch
from darkroom.tasks.metrics.epochs import EpochMetric
from darkroom.tasks.metrics.sums import Metric
from darkroom.training import distributed
from darkroom.training.module import Metrics

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


_SMOOTHED_EPOCHS = 5
_FIRST_LINE_S = 10.0  # of an epoch, where no bar shows that it goes on


class Callback:
    """The hooks that the loop calls, on every rank; override those you need.

    A callback must not draw random numbers nor change the network, so that a training has the same
    bits without it. What it holds between two epochs belongs in `state_dict`: a resumed training
    would lack it. While features of a frozen backbone are kept, they are a batch's `images`:
    `Batch.picture` returns a picture all the same.
    """

    def on_train_start(self, loop: "Loop") -> None:
        """Before the first epoch of this run, after a checkpoint was read."""

    def on_epoch_start(self, loop: "Loop") -> None:
        """Before the first batch of an epoch, or of the rest of one."""

    def on_batch_start(self, loop: "Loop", batch: Batch) -> None:
        """A training batch is loaded, and on the device."""

    def on_batch_end(self, loop: "Loop", batch: Batch) -> None:
        """The gradient of a training batch is computed, and its step taken if one is due."""

    def logs_gradient_norm(self, loop: "Loop") -> bool:
        """Return whether `loop.step_metrics` must have the norm of the step that comes."""
        return False

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


class SelectedWeights(Callback):
    """Keeps the weights of one epoch, and stops the loop when no better one comes.

    `select: best`: an epoch is better if its metric is, or if that is equal and its validation
    loss is lower: on a small validation set many epochs have the same accuracy. `smoothed`: the
    mean over the epoch and the four before it is compared, so that one lucky epoch of a few
    validation images does not win; until the fifth the latest epoch stays. nnU-Net (Isensee et al.
    2021) selects so, by an exponential mean. `last`: the last epoch, whatever its metric.

    Args:
        monitor: The metric that is compared.
        config: select, and the patience.
    """

    def __init__(self, monitor: Metric | EpochMetric, config: FitConfig) -> None:
        self.monitor, self.config = monitor, config
        self.row: Metrics = {}
        self._weights: dict[str, Tensor] = {}

    def on_epoch_end(self, loop: "Loop") -> None:
        """Compare the epoch with the one that is kept."""
        row, patience = loop.history[-1], self.config.most_idle_epochs
        if not self.row or self._is_better(loop.history):
            self.row = row
            if self.config.select != "last" or row["epoch"] == self.config.epochs:
                state = loop.module.net.state_dict()
                self._weights = {name: t.detach().to("cpu", copy=True) for name, t in state.items()}
        elif patience is not None:
            since = max(self.row["epoch"], self.config.epoch_of_patience - 1)
            loop.should_stop = row["epoch"] - since >= patience
        loop.selected = self.row

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch that is kept."""
        return {"row": self.row, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the epoch that is kept."""
        self.row, self._weights = dict(state["row"]), dict(state["weights"])

    def restore(self, net: nn.Module) -> None:
        """Put the weights that are kept into the network."""
        # Into the network's own state dict, which holds the version of each layer.
        weights = net.state_dict()
        weights.update(self._weights)
        net.load_state_dict(weights)

    def _is_better(self, history: list[Metrics]) -> bool:
        """Return whether the latest epoch is better than the one that is kept."""
        if self.config.select == "last":
            return True
        width = _SMOOTHED_EPOCHS if self.config.select == "smoothed" else 1
        if len(history) <= width:  # no mean of so many epochs to compare with
            return True
        return self._score(history, width) > self._score(history[: int(self.row["epoch"])], width)

    def _score(self, history: list[Metrics], width: int) -> tuple[float, float]:
        rows = history[-width:]
        value, loss = (
            sum(row[f"{name}/val"] for row in rows) / len(rows)
            for name in (self.monitor.name, "loss")
        )
        return value if self.monitor.best == "max" else -value, -loss


class Progress(Callback):
    """Prints a line an epoch to stderr, on rank 0; in a terminal also a bar over all batches.

    Elsewhere an epoch that takes long has lines of its own: after 10 seconds, 20, 40 and so on.
    """

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._silent_s = _FIRST_LINE_S
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
        self._silent_s = _FIRST_LINE_S
        if self._bar is not None:
            self._bar.set_description(f"epoch {loop.epoch + 1}/{loop.config.epochs}")

    def on_batch_end(self, loop: "Loop", batch: Batch) -> None:
        """Count the images of all ranks."""
        self._images += loop.train_loader.rows_in_batch(loop.batch - 1)
        self._advance(loop, f"batch {loop.batch} of {loop.batches}")

    def on_validation_start(self, loop: "Loop") -> None:
        """Stop the clock: the speed is that of training alone."""
        self._rate = self._images / max(1e-9, time.perf_counter() - self._started)

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """Move the bar."""
        self._advance(loop, "validation")

    def _advance(self, loop: "Loop", place: str) -> None:
        """Move the bar; where there is none, print a line if it is time."""
        if self._bar is not None:
            self._bar.update()
        elif distributed.rank() == 0:
            seconds = time.perf_counter() - self._started
            if seconds >= self._silent_s:
                self._silent_s = 2 * seconds
                line = f"epoch {loop.epoch + 1}/{loop.config.epochs}: {place}, {duration(seconds)}"
                print(line, file=sys.stderr)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Print the epoch's line."""
        if distributed.rank() > 0:
            return
        row = loop.history[-1]
        names = ["loss", *(metric.name for metric in loop.module.task.metrics)]
        if loop.module.metric is not None:
            names.insert(0, loop.module.metric.name)
        is_best = row is loop.selected and loop.config.select != "last"
        line = epoch_line(row, loop.config.epochs, names)
        seconds = time.perf_counter() - self._started
        line += f"  {duration(seconds)}  {self._rate:.3g} img/s{'  best' if is_best else ''}"
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
    figures = []
    for name in metrics:
        values = {
            word: row.get(f"{name}/{part}") for part, word in (("train", ""), ("val", "val "))
        }
        texts = [f"{word}{value:.4f}" for word, value in values.items() if value is not None]
        figures += [" ".join([name, *texts])] if texts else []
    return "  ".join([f"epoch {row['epoch']:{len(str(epochs))}.0f}/{epochs}", *figures])
