"""Precision and recall at every threshold, of each label or class, or of the pixels of masks."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.pr_curve import metadata
from tensorboard.util import tensor_util
from torch import Tensor

from darkroom.store.loader import Batch
from darkroom.tasks.table import Task
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard import writer
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


LABEL_STEPS = 64  # between the thresholds 0 and 1; both are even, so that one half is among them
PIXEL_STEPS = 256
MOST = 64  # curves: those of more labels would slow every epoch, and nobody would look at them


class Curves(Callback):
    """Writes `precision and recall/<name>` of every epoch's validation.

    Of classes, each against all others. Probabilities are counted in bins as they come, so
    memory does not grow with the images: a curve has 65 thresholds, that of pixels 257.

    Args:
        task: Any but regression.
        names: Of the classes, or of the labels; the first 64 get a curve.
    """

    def __init__(self, events: EventWriter, task: Task, names: Sequence[str] = ()) -> None:
        self.events, self.task, self.names = events, task, names
        self.steps = PIXEL_STEPS if task.masks else LABEL_STEPS
        self._counts: Tensor | None = None

    def on_validation_start(self, loop: "Loop") -> None:
        """Reset."""
        self._counts = None

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """Count the batch."""
        assert batch.targets is not None
        truth = batch.targets
        if self.task.masks:
            counts = self._count_pixels(probabilities, truth)
        else:
            probabilities = probabilities[:, :MOST]
            if self.task.name == "multiclass":
                truth = (truth if truth.ndim == 1 else truth.argmax(dim=1))[:, None]
                truth = truth == torch.arange(probabilities.shape[1], device=truth.device)
            counts = histogram(probabilities, truth[:, :MOST], self.steps)
        self._counts = counts if self._counts is None else self._counts + counts

    def _count_pixels(self, probabilities: Tensor, targets: Tensor) -> Tensor:
        """Return the histograms of masks, class by class: those of a batch may be large."""
        masks, valid = self.task.classes.split_unknown(targets, probabilities.shape[1])
        counts = []
        pairs = zip(probabilities.unbind(1), masks.unbind(1), strict=True)
        for chances, mask in itertools.islice(pairs, MOST):
            pixels = [each[valid[:, 0]] if valid is not None else each for each in (chances, mask)]
            flat = [each.reshape(-1, 1) for each in pixels]
            counts.append(histogram(flat[0], flat[1], self.steps))
        return torch.cat(counts)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Write the curves."""
        counts = writer.sum_over_ranks(self._counts)
        self._counts = None
        if counts is not None and self.events.is_open:
            values = [
                _curve(self._name(number), curve(below)) for number, below in enumerate(counts)
            ]
            self.events.add(Summary(value=values), loop.batches_seen)

    def _name(self, number: int) -> str:
        if self.task.masks and not self.names:
            return "pixels"
        return self.names[number] if number < len(self.names) else str(number)


def histogram(probabilities: Tensor, truth: Tensor, steps: int) -> Tensor:
    """Return int64 (K, 2, steps + 1): how many of each label's absent and present in each bin.

    Args:
        probabilities: (N, K) in 0..1; of bin floor(steps * p), so that a probability equal to
            a threshold is at or above it.
        truth: (N, K) of 0 and 1, or NaN where unknown, which is not counted.
        steps: Bins below that of 1.
    """
    labels, bins = probabilities.shape[1], steps + 1
    places = (probabilities.float() * steps).to(torch.int32)
    places += (truth > 0.5).to(torch.int32) * bins
    places += torch.arange(labels, dtype=torch.int32, device=places.device) * (2 * bins)
    counted = places[~truth.isnan()] if truth.is_floating_point() else places.flatten()
    counts = torch.bincount(counted, minlength=labels * 2 * bins)
    return counts.reshape(labels, 2, bins)


def curve(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (6, bins) of one label's counts (2, bins).

    Rows: true positives, false positives, true negatives, false negatives, precision, recall,
    where all at or above a threshold is called present. Precision is 1 where nothing is.
    """
    false, true = counts[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)
    positives = true + false
    precision = np.divide(true, positives, out=np.ones_like(true), where=positives > 0)
    recall = true / max(1.0, true[0])
    return np.stack([true, false, false[0] - false, true[0] - true, precision, recall])


def _curve(name: str, rows: NDArray[np.float64]) -> Summary.Value:
    return Summary.Value(
        tag=f"precision and recall/{name}",
        tensor=tensor_util.make_tensor_proto(rows.astype(np.float32)),
        metadata=metadata.create_summary_metadata(
            display_name=name, description="", num_thresholds=rows.shape[1]
        ),
    )
