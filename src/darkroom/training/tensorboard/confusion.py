"""The confusion matrix of an epoch's validation, as an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkroom.images.sheets import Pixels
from darkroom.store.loader import Batch
from darkroom.tasks.table import Task
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard import tables, writer
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


MOST = 200  # classes: a larger table cannot be read


class Confusion(Callback):
    """Draws `confusion` of an epoch's validation.

    Classes: the table of truth against prediction; so exclusive mask classes, pixel by pixel. One
    mask (by pixel) and one label: the same of yes and no. Several masks or labels: for each a bar
    of true and false positives and negatives.

    Args:
        task: Any but regression.
        names: Of the classes, or of the labels; those without a name are shown by number.
    """

    def __init__(self, events: EventWriter, task: Task, names: Sequence[str] = ()) -> None:
        self.events, self.task, self.names = events, task, names
        self._counts: Tensor | None = None

    def on_validation_start(self, loop: "Loop") -> None:
        """Reset."""
        self._counts = None

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """Count the batch."""
        assert batch.targets is not None
        # Of 10,000 classes the table would have 763 MiB. All ranks leave it out alike.
        if probabilities.shape[1] > MOST:
            return
        counts = count(self.task, probabilities, batch.targets)
        self._counts = counts if self._counts is None else self._counts + counts

    def on_epoch_end(self, loop: "Loop") -> None:
        """Draw the picture."""
        counts = writer.sum_over_ranks(self._counts)
        self._counts = None
        if counts is not None and self.events.draws_pages(loop):
            page = picture(self.task, counts, self.names)
            self.events.add_image("confusion", page, loop.batches_seen)


def count(task: Task, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return int64 (K, K), truth by prediction, of classes; of labels (K, 2, 2), likewise.

    The images of a mask class are pixels, but for unknown ones. The background is the first of
    exclusive classes.
    """
    if task.name == "multiclass":
        numbers = targets if targets.ndim == 1 else targets.argmax(dim=1)
        return _table(numbers, probabilities.argmax(dim=1), probabilities.shape[1])
    if not task.masks:
        return _yes_and_no(probabilities > 0.5, targets > 0.5, ~targets.isnan(), (0,))
    masks, certain = task.classes.split_unknown(targets, probabilities.shape[1])
    answers, truth = task.classes.answers(probabilities), masks > 0
    if task.classes.exclusive:
        return _table_of_masks(task, answers, truth, certain)
    valid = torch.ones_like(truth) if certain is None else certain.expand_as(truth)
    return _yes_and_no(answers, truth, valid, (0, 2, 3))


def _table(truth: Tensor, predicted: Tensor, classes: int) -> Tensor:
    pairs = truth * classes + predicted
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def _table_of_masks(task: Task, answers: Tensor, truth: Tensor, valid: Tensor | None) -> Tensor:
    """Return the table of exclusive classes (N, K, H, W), bool."""
    first = int(task.classes.background)
    # A pixel of no class is background: none of its flags is the greatest.
    numbers = [
        torch.where(flags.any(dim=1), flags.to(torch.uint8).argmax(dim=1) + first, 0)
        for flags in (truth, answers)
    ]
    rows = [each.flatten() if valid is None else each[valid[:, 0]] for each in numbers]
    return _table(rows[0], rows[1], truth.shape[1] + first)


def _yes_and_no(predicted: Tensor, truth: Tensor, valid: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Return int64 (K, 2, 2) of flags whose dimension 1 is K, summed over the others, `dims`."""
    counted = (predicted & truth & valid, predicted & valid, truth & valid, valid)
    both, positive, present, total = (flags.sum(dim=dims) for flags in counted)
    rows = [total - present - (positive - both), positive - both, present - both, both]
    return torch.stack(rows, dim=1).reshape(-1, 2, 2)


def picture(task: Task, counts: NDArray[np.int64], names: Sequence[str]) -> Pixels:
    """Return the picture of the counts of `count`, summed over the batches."""
    if task.name == "multiclass" or task.classes.exclusive:
        before = ["background"] if task.classes.background else []
        return tables.matrix(counts, _all([*before, *names], len(counts)))
    if len(counts) == 1:
        name = "inside" if task.masks else _all(names, 1)[0]
        return tables.matrix(counts[0], ["outside" if task.masks else f"not {name}", name])
    return tables.bars(counts, _all(names, len(counts)))


def _all(names: Sequence[str], number: int) -> list[str]:
    return [*names[:number], *map(str, range(len(names), number))]
