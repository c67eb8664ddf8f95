"""What happens around training: the best weights and a line an epoch."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from tqdm import tqdm

from darkroom.store.loader import Batch
from darkroom.tasks.table import Metric
from darkroom.training.module import Learner, Row


class BestWeights(Callback):
    """Keeps the weights of the best epoch, and stops when no better one comes.

    Better is a better metric, or an equal one with a lower validation loss: on a small
    validation set many epochs share one accuracy.

    Args:
        monitor: The metric that decides.
        patience: Epochs in a row that are no better, after which training stops.
        thaw: The epoch, from 1, in which what is frozen begins to learn: it has its chance.
    """

    def __init__(self, monitor: Metric, patience: int, thaw: int | None = None) -> None:
        self.monitor, self.patience, self.thaw = monitor, patience, thaw or 1
        self.row: Row = {}
        self._weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the epoch's row."""
        assert isinstance(pl_module, Learner)
        row = pl_module.history[-1]
        if not self.row or self._rank(row) > self._rank(self.row):
            self.row = row
            state = pl_module.net.state_dict()
            self._weights = {name: t.detach().to("cpu", copy=True) for name, t in state.items()}
        elif row["epoch"] - max(self.row["epoch"], self.thaw - 1) >= self.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return the best epoch so far."""
        return {"row": self.row, "weights": self._weights}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from it."""
        self.row, self._weights = dict(state_dict["row"]), dict(state_dict["weights"])

    def restore(self, net: nn.Module) -> None:
        """Put the best weights into the network."""
        # Into the network's own table, which says of what version its layers are.
        table = net.state_dict()
        table.update(self._weights)
        net.load_state_dict(table)

    def _rank(self, row: Row) -> tuple[float, float]:
        value = row[f"{self.monitor.name}/val"]
        return value if self.monitor.best == "max" else -value, -row["loss/val"]


class Progress(Callback):
    """A line an epoch on stderr; in a terminal also a bar over all the batches.

    Args:
        best: Knows whether the epoch was the best so far.
    """

    def __init__(self, best: BestWeights) -> None:
        self.best = best
        self._bar: tqdm[Any] | None = None
        self._images, self._started, self._rate = 0, 0.0, 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        if sys.stderr.isatty():
            steps = int(trainer.num_training_batches) + int(trainer.num_val_batches[0])
            total = (trainer.max_epochs or 0) * steps
            assert isinstance(pl_module, Learner)
            self._bar = tqdm(
                total=total,
                initial=pl_module.seen + len(pl_module.history) * int(trainer.num_val_batches[0]),
                unit="batch",
                dynamic_ncols=True,
                leave=False,
            )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._images, self._started = 0, time.perf_counter()
        if self._bar is not None:
            self._bar.set_description(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}")

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count its images."""
        self._images += len(batch.ids)
        if self._bar is not None:
            self._bar.update()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock: validation is not training speed."""
        self._rate = self._images / max(1e-9, time.perf_counter() - self._started)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how the epoch went."""
        assert isinstance(pl_module, Learner)
        row = pl_module.history[-1]
        line = epoch_line(row, trainer.max_epochs or 0, [m.name for m in pl_module.task.metrics])
        line += f"  {self._rate:.3g} img/s{'  best' if row is self.best.row else ''}"
        # Through tqdm, which moves an open bar out of the way.
        tqdm.write(line, file=sys.stderr)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar, also after an error."""
        if self._bar is not None:
            self._bar.close()


def epoch_line(row: Row, epochs: int, metrics: Sequence[str]) -> str:
    """Return `epoch  3/10  loss 0.4120 val 0.3980  dice 0.9210 val 0.9130`."""
    figures = [
        f"{name} {row[f'{name}/train']:.4f} val {row[f'{name}/val']:.4f}"
        for name in ("loss", *metrics)
    ]
    return "  ".join([f"epoch {row['epoch']:{len(str(epochs))}.0f}/{epochs}", *figures])
