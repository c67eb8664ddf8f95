"""How a network learns: the steps of an epoch, and the figures that result."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from darkroom.errors import DarkroomError, DataError, ParamsError
from darkroom.models import parts
from darkroom.models.build import normalise
from darkroom.store.loader import Batch
from darkroom.tasks.table import TASKS
from darkroom.training.distributed import ALONE, Team
from darkroom.training.mixup import Mixing
from darkroom.training.step import Stepper
from darkroom.training.totals import Row, Totals

__all__ = ["Learner", "Manner", "Row", "Totals", "batch_seed", "not_finite", "reseed"]


@dataclass(frozen=True)
class Manner:
    """What a learner does with the images of a batch.

    Attributes:
        task: A name of `darkroom.tasks.table.TASKS`.
        loss: Called as `loss(logits, targets)`, a mean over images.
        seed: Of what is random in the network while it trains, and of mixing.
        mean: Of the normalisation, one a channel, in units of 255.
        std: Likewise.
        mixing: Mixes training batches; or None.
        products: The type in which products are taken on the device (Micikevicius et al. 2018,
            mixed precision).
        channels_last: Show the network images whose channels lie side by side, as the loader
            makes them; else a channel after the other: convolutions follow what they are given.
    """

    task: str
    loss: nn.Module | Callable[[Tensor, Tensor], Tensor]
    seed: int
    mean: Sequence[float]
    std: Sequence[float]
    mixing: Mixing | None = None
    products: torch.dtype = torch.float32
    channels_last: bool = True


class Learner(LightningModule):
    """How a network learns a task: batches in, steps of the optimiser, figures an epoch.

    Before every training batch torch's generators are seeded by (seed, epoch, batch, rank), so
    that whoever begins in the middle draws what he would have drawn.

    Args:
        net: Takes normalised images (N, 3, H, W), returns logits; on its device.
        manner: What to do with a batch.
        stepper: What to do with its loss.
        team: The processes that share every batch.
        ask: What to call in the network's place: the same, compiled. None: the network.
        whole: A batch's number in its epoch to its images over all ranks.

    Attributes:
        history: One row an epoch: epoch (from 1), loss and every metric as `<name>/train` and
            `<name>/val`, learning rate (at the epoch's end; the greatest of any layer group).
            Nothing in it depends on the clock.
        last: Figures of the last step of the optimiser: `loss/step`, `gradient norm` and
            `learning rate/<group>`.
        seen: Training batches so far, over all epochs.
        kept: The last checkpoint, if there is one.
    """

    def __init__(
        self,
        net: nn.Module,
        manner: Manner,
        stepper: Stepper,
        *,
        team: Team = ALONE,
        ask: Callable[[Tensor], Tensor] | None = None,
        whole: Callable[[int], int] | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.manner, self.stepper = net, manner, stepper
        self.task, self.loss = TASKS[manner.task], manner.loss
        self.team, self._whole = team, whole
        # In a tuple, a compiled module is no second set of weights.
        self._ask = (net if ask is None else ask,)
        self.history: list[Row] = []
        self.last: dict[str, float] = {}
        self.seen = 0
        self.kept: Path | None = None
        self.totals = {part: Totals(self.task.metrics) for part in ("train", "val")}
        self._losses: list[float] = []
        self._averaged = ExitStack()
        self._resumed = False

    def forward(self, images: Tensor) -> Tensor:
        """Return logits for images (N, 3, H, W), uint8."""
        pixels = normalise(images, self.manner.mean, self.manner.std)
        return self._ask[0](pixels if self.manner.channels_last else pixels.contiguous())

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Learn from a batch; return its loss.

        Raises:
            DarkroomError: The loss is not finite; see `not_finite`.
            DataError: The images have no masks.
        """
        seed = batch_seed(self.manner.seed, self.current_epoch, index, self.team.rank)
        reseed(batch.images.device, seed)
        parts.keep_frozen(self.net)
        loss, _ = self._step(batch, "train", seed if self.manner.mixing else None)
        if self.team.world > 1 and self._whole is not None:
            loss = loss * (len(batch) / self._whole(index))
        self.stepper.backward(loss, index)
        self.seen += 1
        if self.stepper.ends(index):
            self.last = {"loss/step": math.fsum(self._losses) / len(self._losses)}
            self.last |= self.stepper.step()
            self._losses = []
            self._count_step()
        return loss.detach()

    def validation_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the probabilities of a batch, for the pictures."""
        _, probabilities = self._step(batch, "val")
        return probabilities

    def _step(self, batch: Batch, part: str, mix: int | None = None) -> tuple[Tensor, Tensor]:
        if batch.targets is None:
            raise DataError("images to learn from have no masks", details=batch.ids)
        images, targets, truth = batch.images, batch.targets, batch.targets
        if mix is not None and self.manner.mixing is not None:
            images, targets = self.manner.mixing(images, targets, mix)
            # Figures are of the class that an image has most of.
            truth = targets.argmax(1) if truth.ndim == 1 else targets
        with self._products(images.device):
            logits = self(images)
            loss = self.loss(logits, targets)
        with torch.no_grad():
            probabilities = self.task.activate(logits)
        mean = self.totals[part].add(loss, probabilities, truth)
        if not math.isfinite(mean):
            raise not_finite(
                batch, epoch=self.current_epoch + 1, lr=self.stepper.choice.lr, kept=self.kept
            )
        if part == "train":
            self._losses.append(mean)
        return loss, probabilities

    def _products(self, device: torch.device) -> torch.autocast:
        kind = self.manner.products
        return torch.autocast(
            device.type,
            kind if kind != torch.float32 else torch.bfloat16,
            enabled=kind != torch.float32,
        )

    def on_train_epoch_start(self) -> None:
        """Start counting anew, but in an epoch that is gone on with; freeze or thaw."""
        if not self._resumed:
            self.totals = {part: Totals(self.task.metrics) for part in self.totals}
        self._resumed = False
        self.net.train()
        if self.stepper.choice.freeze == "none":
            return
        if self.stepper.choice.frozen(self.current_epoch):
            parts.freeze(self.net)
        else:
            parts.unfreeze(self.net)

    def on_validation_start(self) -> None:
        """Put the averaged weights in."""
        self.totals["val"] = Totals(self.task.metrics)
        self._averaged.enter_context(self.stepper.averaged())

    def on_validation_end(self) -> None:
        """Take the averaged weights out, after every callback has seen them."""
        self.leave_average()

    def leave_average(self) -> None:
        """Put the network's own weights back, if the averaged ones are in their place."""
        self._averaged.close()

    def on_validation_epoch_end(self) -> None:
        """Add a row to the history and to the charts; validation is the end of an epoch."""
        row: Row = {"epoch": self.current_epoch + 1}
        for part, totals in self.totals.items():
            row |= totals.over(self.team).row(part)
        row["learning rate"] = self.stepper.learning_rate
        self.history.append(row)
        self.stepper.schedule.step_epoch(row[f"{self.task.monitor.name}/val"])

    def configure_optimizers(self) -> Optimizer:
        """Return the optimiser, which Lightning shows to callbacks."""
        return self.stepper.optimizer

    def _count_step(self) -> None:
        # Lightning counts steps in an optimiser of its own make, which knows nothing of ours.
        progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        progress.increment_ready()
        progress.increment_completed()

    def state(self) -> dict[str, Any]:
        """Return what goes into a checkpoint, between two steps; all ranks must call it."""
        train = self.totals["train"].over(self.team)
        return {
            "net": self.net.state_dict(),
            "stepper": self.stepper.state_dict(),
            "history": self.history,
            "last": self.last,
            "sums": train.sums,
            "counts": train.counts,
        }

    def load_state(self, state: Mapping[str, Any], *, seen: int, within: bool) -> None:
        """Go on from a checkpoint.

        Args:
            state: From `state`.
            seen: Training batches so far.
            within: Whether some of them are of an epoch that is not whole yet.

        Raises:
            RuntimeError: It is of another network.
        """
        table = self.net.state_dict()  # which says of what version its layers are
        if table.keys() != state["net"].keys():
            raise RuntimeError("a checkpoint of another network")
        table.update(state["net"])
        self.net.load_state_dict(table)
        self.stepper.load_state_dict(state["stepper"])
        self.history, self.last, self.seen = list(state["history"]), dict(state["last"]), seen
        if self.team.rank == 0:  # the others begin to count at 0: the sum is over all
            self.totals["train"].sums = list(state["sums"])
            self.totals["train"].counts = list(state["counts"])
        self._resumed = within


def reseed(device: torch.device, seed: int) -> None:
    """Seed the generators that a network on this device draws from.

    torch.manual_seed takes a stack trace for each kind of device that the machine lacks.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def batch_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """Return 63 random bits that depend on these four alone."""
    text = f"{seed}\n{epoch}\n{batch}\n{rank}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def not_finite(batch: Batch, *, epoch: int, lr: float, kept: Path | None = None) -> DarkroomError:
    """Return the error for a batch whose loss is infinite or not a number.

    Pixels are integers, so only targets or the weights can be at fault. Unknown targets are
    the data's (DataError); weights that have run off are a rate too high (ParamsError).

    Args:
        batch: Whose.
        epoch: Counted from 1.
        lr: The learning rate that was asked for.
        kept: The last checkpoint; its weights were finite.
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
        details=[f"the weights from before that are kept in {kept}"] if kept else (),
    )
