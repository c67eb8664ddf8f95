"""From a batch to its loss: normalisation, Mixup, mixed precision, seeds, metric totals."""

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from darkroom.errors import DataError, ParamsError
from darkroom.models.build import normalise
from darkroom.models.layer_groups import (
    freeze_backbone,
    put_frozen_in_eval_mode,
    unfreeze_all,
)
from darkroom.store.loader import Batch
from darkroom.tasks.losses.masks import deep_supervision
from darkroom.tasks.metrics.epochs import EpochMetric, Part
from darkroom.tasks.metrics.sums import Metric
from darkroom.tasks.table import Task
from darkroom.training import distributed
from darkroom.training.augment.mixup import Mixup
from darkroom.training.frozen.features import FeatureBatch
from darkroom.training.frozen.tail import Tail, find_tail

Metrics = dict[str, float]
"""Values by name, such as `loss/val`."""


@dataclass(frozen=True)
class BatchSums:
    """The loss and the metrics of a batch.

    Attributes:
        numbers: float32 (1 + metrics,), on the device: the mean loss over the images, and the sum
            of each metric. Reading them waits for all that the device has to compute.
        counts: How many images, and how many of what each metric counts.
    """

    numbers: Tensor
    counts: list[int]


class Totals:
    """Sums and counts of the loss and the metrics of a task, divided once at the end."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self.sums = [0.0] * (1 + len(metrics))
        self.counts = [0] * (1 + len(metrics))

    def add(self, numbers: Sequence[float], counts: Sequence[int]) -> None:
        """Add a batch; both are as of `BatchSums`."""
        mean, *sums = numbers
        for i, (value, count) in enumerate(zip([mean * counts[0], *sums], counts, strict=True)):
            self.sums[i] += value
            self.counts[i] += count

    def over_ranks(self) -> "Totals":
        """Return the sum of the totals of all ranks; every rank must call it."""
        totals = Totals(self.metrics)
        numbers = distributed.sum_over_ranks([*self.sums, *self.counts])
        totals.sums = numbers[: len(self.sums)]
        totals.counts = [int(number) for number in numbers[len(self.sums) :]]
        return totals

    def means(self, part: str) -> Metrics:
        """Return `loss/<part>` and `<metric>/<part>`; a part is "train" or "val"."""
        means = [total / max(1, count) for total, count in zip(self.sums, self.counts, strict=True)]
        values = [m.finish(mean) for m, mean in zip(self.metrics, means[1:], strict=True)]
        names = ["loss", *(metric.name for metric in self.metrics)]
        return {
            f"{name}/{part}": float(value)
            for name, value in zip(names, [means[0], *values], strict=True)
        }


class TrainModule:
    """A network, and how it turns a batch into a loss.

    Args:
        net: On its device. Takes normalised images (N, C, H, W), float32, and returns logits; with
            deep supervision in training mode a tuple of them, of several sizes.
        task: From `darkroom.tasks.table.get_task`.
        loss: Called as `loss(logits, targets)`; returns the mean over images, a scalar.
        mean, std: Of the normalisation, one a channel, in units of 255.
        mixup: Mixes training batches; None: they are not mixed.
        amp_dtype: Of matrix products and convolutions; float32: no mixed precision
            (Micikevicius et al. 2018, Mixed Precision Training).
        channels_last: Pass images in the channels-last memory format, as the loader returns
            them; else contiguous ones. Convolutions keep the format of their input.
        compiled: The network as torch.compile returns it; None: it is not compiled.
        metric: Of each epoch's validation predictions, by which epochs are compared; None: the
            first of the task's.
        gaps: Whether some targets are unknown, NaN: task and loss leave them out.

    Attributes:
        model: Called for a training batch: the network, or what compiles or distributes it.
        tail: The layers after a frozen backbone, to which features are given; None: not looked
            for, or there are none.
    """

    def __init__(
        self,
        net: nn.Module,
        task: Task,
        loss: nn.Module | Callable[[Tensor, Tensor], Tensor],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        mixup: Mixup | None = None,
        amp_dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        compiled: nn.Module | None = None,
        metric: EpochMetric | None = None,
        gaps: bool = False,
    ) -> None:
        self.net, self.task, self.loss, self.metric = net, task, loss, metric
        self.gaps = gaps
        self.mean, self.std, self.mixup = mean, std, mixup
        self.amp_dtype, self.channels_last = amp_dtype, channels_last
        self.device = next((p.device for p in net.parameters()), torch.device("cpu"))
        self.compiled = net if compiled is None else compiled
        self.model: nn.Module = self.compiled
        self.tail: Tail | None = None
        self._frozen: bool | None = None
        self._is_mixed = True

    @property
    def monitor(self) -> Metric | EpochMetric:
        """The metric that says which epoch was the best."""
        return self.metric or self.task.monitor

    def start_epoch(self, *, frozen: bool, mixed: bool = True) -> None:
        """Put the network in training mode, but for what is frozen; freeze or unfreeze it.

        Args:
            frozen: Whether the backbone is.
            mixed: Whether images are mixed in this epoch, if there is a `mixup`.
        """
        self.net.train()
        self._is_mixed = mixed
        if frozen:
            freeze_backbone(self.net)
        elif self._frozen:
            unfreeze_all(self.net)
        if self._frozen != frozen:
            # A new wrapper: it all-reduces only parameters that learn when it is created.
            self.model = distributed.data_parallel(self.compiled, self.device)
        self._frozen = frozen
        # Once: only validation changes modes. For 1,500 modules this takes as long as a small step.
        put_frozen_in_eval_mode(self.net)

    def to_device(self, batch: Batch) -> Batch:
        """Return the batch on the network's device; a copy to a GPU does not wait for its end."""
        return batch.to(self.device, non_blocking=self.device.type == "cuda")

    def gradients(self, *, reduce: bool) -> AbstractContextManager[None]:
        """Return a context for the forward and backward pass of a batch.

        Args:
            reduce: Average the gradients over the ranks (all-reduce). Only needed for the last
                batch of a step: until then each rank accumulates its own.
        """
        if reduce or not isinstance(self.model, DistributedDataParallel):
            return nullcontext()
        return self.model.no_sync()

    def train_batch(self, batch: Batch, *, seed: int) -> tuple[Tensor, BatchSums]:
        """Return the loss of a training batch, a scalar tensor to differentiate, and its sums.

        Args:
            batch: On the device.
            seed: Of dropout and Mixup.

        Raises:
            DataError: The images have no targets.
        """
        reseed(self.device, seed)
        images, targets = batch.images, targets_of(batch)
        truth = targets
        if self.mixup is not None and self._is_mixed:
            images, targets = self.mixup(images, targets, seed)
            # A mixed image counts for the class of which it has the greatest share.
            truth = targets.argmax(1) if truth.ndim == 1 else targets
        with distributed.batch_norm_over_ranks(self.device):
            loss, probabilities = self._forward(self._rest(self.model, batch), images, targets)
        return loss, self._sums(loss, probabilities, truth)

    @torch.no_grad()
    def validate_batch(self, batch: Batch) -> tuple[Tensor, BatchSums]:
        """Return the probabilities of a batch, (N, K, H, W) or (N, K), and its sums."""
        targets = targets_of(batch)
        model = self._rest(self.compiled, batch)
        loss, probabilities = self._forward(model, batch.images, targets)
        return probabilities, self._sums(loss, probabilities, targets)

    def epoch_scores(self, parts: Sequence[Part]) -> Metrics:
        """Return the metric of an epoch's predictions on this rank, as `<name>/val`; or nothing.

        Every rank must call it, and gets the score of all.

        Raises:
            DataError: It is not defined for these images.
        """
        if self.metric is None:
            return {}
        gathered = [part for of_rank in distributed.gather(list(parts)) for part in of_rank]
        return {f"{self.metric.name}/val": self.metric.score_parts(gathered)}

    def find_tail(self, images: Tensor) -> None:
        """Look for the tail of the network, whose backbone is frozen, with images of a batch."""
        with self._autocast():
            self.tail = find_tail(self.net, self._pixels(images))

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return what the frozen backbone makes of images (N, C, H, W), uint8: (N, D)."""
        assert self.tail is not None
        self.net.eval()  # the next epoch puts it in training mode
        with self._autocast():
            return self.tail.features(self.net, self._pixels(images))

    def _rest(self, model: nn.Module, batch: Batch) -> nn.Module:
        """Return what the images of a batch have not been through: the network, or its tail."""
        if not isinstance(batch, FeatureBatch):
            return model
        assert self.tail is not None
        return self.tail

    def _pixels(self, images: Tensor) -> Tensor:
        pixels = normalise(images, self.mean, self.std)
        return pixels if self.channels_last else pixels.contiguous()

    def _autocast(self) -> AbstractContextManager[object]:
        is_mixed = self.amp_dtype != torch.float32
        return torch.autocast(self.device.type, self.amp_dtype, enabled=is_mixed)

    def _sums(self, loss: Tensor, probabilities: Tensor, targets: Tensor) -> BatchSums:
        pairs = [metric.sum_and_count(probabilities, targets) for metric in self.task.metrics]
        numbers = torch.stack([loss.detach(), *(total.float() for total, _ in pairs)])
        return BatchSums(numbers, [len(targets), *(count for _, count in pairs)])

    def _forward(self, model: nn.Module, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        inputs = images if model is self.tail else self._pixels(images)
        with self._autocast():
            logits = model(inputs)
            if isinstance(logits, tuple):  # of deep supervision, the finest first
                loss = deep_supervision(self.loss, logits, targets)
                logits = logits[0]
            else:
                loss = self.loss(logits, targets)
        with torch.no_grad():
            return loss, self.task.activate(logits)


def targets_of(batch: Batch) -> Tensor:
    """Return the targets of a batch, or raise DataError if it has none."""
    if batch.targets is None:
        raise DataError("training images have no masks", details=batch.ids)
    return batch.targets


def reseed(device: torch.device, seed: int) -> None:
    """Seed the generators that a network on this device draws from.

    torch.manual_seed is slow: it takes a stack trace for each kind of device not present.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def batch_seed(seed: int, epoch: int, batch: int, rank: int) -> int:
    """Return 63 random bits that depend on these four numbers only.

    A resumed run draws the same random numbers, and no state of a generator need be saved.

    Example:
        >>> batch_seed(1, 2, 3, 0)
        8784133911023713163
    """
    text = f"{seed}\n{epoch}\n{batch}\n{rank}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") >> 1


def check_finite(
    loss: float,
    batch: Batch,
    *,
    epoch: int,
    lr: float,
    checkpoint: object = None,
    gaps: bool = False,
) -> None:
    """Raise if the loss of a batch is infinite or not a number.

    Pixels are integers, so the cause is either a target or the weights.

    Args:
        loss: Of the batch.
        batch: Its targets are checked.
        epoch: Counted from 1.
        lr: The peak learning rate.
        checkpoint: The file of the last checkpoint, whose weights were finite; None: none.
        gaps: Whether targets may be unknown, NaN.

    Raises:
        DataError: Some targets are not finite.
        ParamsError: The weights have diverged: the learning rate is too high.
    """
    if math.isfinite(loss):
        return
    targets = targets_of(batch)
    legal = ~torch.isinf(targets) if gaps else torch.isfinite(targets)
    finite = legal.reshape(len(batch.ids), -1).all(dim=1).tolist()
    unknown = [id_ for id_, is_finite in zip(batch.ids, finite, strict=True) if not is_finite]
    if unknown:
        raise DataError(
            "training images have no target", details=unknown, fix="fill in their cells"
        )
    raise ParamsError(
        f"the loss is not a finite number in epoch {epoch}",
        found=f"a batch of {', '.join(batch.ids[:8])}{', …' if len(batch.ids) > 8 else ''}",
        fix=f"a lower learning rate than {lr:g}",
        details=[f"the last finite weights are in {checkpoint}"] if checkpoint else (),
    )
