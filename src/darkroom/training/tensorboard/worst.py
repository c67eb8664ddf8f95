"""The validation images with an epoch's worst predictions."""

import heapq
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from darkroom.store.loader import Batch
from darkroom.tasks.table import Task
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard import examples
from darkroom.training.tensorboard.examples import Example
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


Ranked = tuple[float, str, Example]


class Worst(Callback):
    """Draws the `worst` validation images of an epoch, the worst one first.

    It holds no more images than it draws: a heap of the worst so far.

    Args:
        count: How many images.
        names: Of the classes, or of the labels; those without a name are shown by number.
    """

    def __init__(self, events: EventWriter, count: int, names: Sequence[str] = ()) -> None:
        self.events, self.count, self.names = events, count, names
        self._heap: list[Ranked] = []

    def on_validation_start(self, loop: "Loop") -> None:
        """Reset."""
        self._heap = []

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """Keep those images of the batch that are among the worst so far."""
        assert batch.targets is not None
        faults = badness(loop.module.task, probabilities, batch.targets).tolist()
        for place, (fault, name) in enumerate(zip(faults, batch.ids, strict=True)):
            full = len(self._heap) == self.count
            if full and (fault, name) <= self._heap[0][:2]:
                continue
            ranked = (fault, name, examples.take(batch, probabilities, place))
            (heapq.heapreplace if full else heapq.heappush)(self._heap, ranked)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Draw the page."""
        gathered = [ranked for heap in distributed.gather(self._heap) for ranked in heap]
        self._heap = []
        if gathered and self.events.draws_pages(loop):
            worst = heapq.nlargest(self.count, gathered, key=lambda ranked: ranked[:2])
            page = examples.page(loop.module.task, [one for *_, one in worst], self.names)
            self.events.add_image("worst", page, loop.batches_seen)


def badness(task: Task, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return (N,): how wrong each image's prediction is; 0 is perfect.

    Masks: 1 - the metric. Classes: 1 - the probability of the true one. Labels: the mean
    distance of the probabilities from the truth. Values: the mean absolute error.
    """
    if task.masks:
        pairs = zip(probabilities[:, None], targets[:, None], strict=True)
        sums = (task.monitor.sum_and_count(*pair) for pair in pairs)
        return 1 - torch.stack([total / count for total, count in sums])
    if task.name == "multiclass":
        targets = targets if targets.ndim == 1 else targets.argmax(dim=1)
        return 1 - probabilities.gather(1, targets[:, None])[:, 0]
    # An unknown target counts as right.
    return (probabilities - targets).abs().nan_to_num(0.0).mean(dim=1)
