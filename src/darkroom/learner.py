"""How a network learns: the steps of an epoch, the optimiser, and the figures that result."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from darkroom.dataset import Batch
from darkroom.errors import DarkroomError, DataError, ParamsError
from darkroom.models import MEAN, STD, normalise
from darkroom.tasks import TASKS, Metric

Row = dict[str, float]


class Totals:
    """Sums and counts of the loss and the metrics of a task, divided once at the end."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self.sums = [0.0] * (1 + len(metrics))
        self.counts = [0] * (1 + len(metrics))

    def add(self, loss: Tensor, probabilities: Tensor, targets: Tensor) -> float:
        """Add a batch, given its mean loss; return that loss as a number."""
        parts = [metric.sum_and_count(probabilities, targets) for metric in self.metrics]
        # One transfer from the device for all the numbers of a batch.
        mean, *sums = torch.stack([loss.detach(), *(part.float() for part, _ in parts)]).tolist()
        for i, (value, count) in enumerate(
            [
                (mean * len(targets), len(targets)),
                *zip(sums, (count for _, count in parts), strict=True),
            ]
        ):
            self.sums[i] += value
            self.counts[i] += count
        return float(mean)

    def row(self, part: str) -> Row:
        """Return `loss/<part>` and `<metric>/<part>`."""
        means = [total / max(1, count) for total, count in zip(self.sums, self.counts, strict=True)]
        figures = [
            metric.finish(mean) for metric, mean in zip(self.metrics, means[1:], strict=True)
        ]
        names = ["loss", *(metric.name for metric in self.metrics)]
        return {
            f"{name}/{part}": float(value)
            for name, value in zip(names, [means[0], *figures], strict=True)
        }


class Learner(LightningModule):
    """How a network learns a task: batches in, AdamW with one cycle, figures an epoch.

    AdamW: Loshchilov and Hutter 2019. One cycle: Smith and Topin 2018; the rate rises to its
    peak over 30 % of the steps, then falls as a cosine.

    Args:
        net: Takes normalised images (N, 3, H, W), returns logits.
        task: A name of `darkroom.tasks.TASKS`.
        lr: The peak learning rate.
        weight_decay: AdamW's decoupled decay.
        total_steps: Batches of the whole training: the length of the cycle.
        mean: Of the normalisation, one a channel, in units of 255.
        std: Likewise.

    Attributes:
        history: One row an epoch: epoch (from 1), loss and every metric as `<name>/train` and
            `<name>/val`, learning rate (at the epoch's end). Nothing in it depends on the clock.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        task: str,
        lr: float,
        weight_decay: float,
        total_steps: int,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
    ) -> None:
        super().__init__()
        self.net, self.task = net, TASKS[task]
        self.lr, self.weight_decay, self.total_steps = lr, weight_decay, total_steps
        self.mean, self.std = tuple(mean), tuple(std)
        self.history: list[Row] = []
        self.totals = {part: Totals(self.task.metrics) for part in ("train", "val")}

    def forward(self, images: Tensor) -> Tensor:
        """Return logits for images (N, 3, H, W), uint8."""
        logits: Tensor = self.net(normalise(images, self.mean, self.std))
        return logits

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of a batch.

        Raises:
            DarkroomError: It is not finite; see `not_finite`.
            DataError: The images have no masks.
        """
        loss, _ = self._step(batch, "train")
        return loss

    def validation_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the probabilities of a batch, for the pictures."""
        _, probabilities = self._step(batch, "val")
        return probabilities

    def _step(self, batch: Batch, part: str) -> tuple[Tensor, Tensor]:
        if batch.targets is None:
            raise DataError("images to learn from have no masks", details=batch.ids)
        logits = self(batch.images)
        loss = self.task.loss(logits, batch.targets)
        with torch.no_grad():
            probabilities = self.task.activate(logits)
        if not math.isfinite(self.totals[part].add(loss, probabilities, batch.targets)):
            raise not_finite(batch, epoch=self.current_epoch + 1, lr=self.lr)
        return loss, probabilities

    def on_train_epoch_start(self) -> None:
        """Start counting anew."""
        self.totals = {part: Totals(self.task.metrics) for part in self.totals}

    def on_validation_epoch_end(self) -> None:
        """Add a row to the history and to the charts; validation is the end of an epoch."""
        row: Row = {"epoch": self.current_epoch + 1}
        row |= self.totals["train"].row("train") | self.totals["val"].row("val")
        row["learning rate"] = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        self.history.append(row)
        if self.logger:
            charts = {name: value for name, value in row.items() if name != "epoch"}
            self.logger.log_metrics(charts, step=self.current_epoch + 1)

    def configure_optimizers(self) -> Any:
        """Return AdamW over what may learn, and the rate of every step."""
        learning = [p for p in self.net.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(learning, self.lr, weight_decay=self.weight_decay, fused=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.lr, total_steps=max(2, self.total_steps)
        )
        return [optimizer], [{"scheduler": cycle, "interval": "step"}]


def not_finite(batch: Batch, *, epoch: int, lr: float) -> DarkroomError:
    """Return the error for a batch whose loss is infinite or not a number.

    Pixels are integers, so only targets or the weights can be at fault. Unknown targets are
    the data's (DataError); weights that have run off are a rate too high (ParamsError).
    """
    assert batch.targets is not None
    finite = torch.isfinite(batch.targets).reshape(len(batch.ids), -1).all(dim=1).tolist()
    unknown = [name for name, known in zip(batch.ids, finite, strict=True) if not known]
    if unknown:
        return DataError(
            "images to learn from have no target", details=unknown, fix="fill in their cells"
        )
    return ParamsError(
        f"the loss is not a finite number in epoch {epoch}",
        found=f"a batch of {', '.join(batch.ids[:8])}{', …' if len(batch.ids) > 8 else ''}",
        fix=f"a lower learning rate than {lr:g}",
    )
