"""The validation images that an epoch's network does worst on."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

import heapq
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from darkroom.store.loader import Batch
from darkroom.tasks.table import Task
from darkroom.training.tensorboard import events, examples
from darkroom.training.tensorboard.examples import Example

Ranked = tuple[float, str, Example]


class Worst(Callback):
    """Draws the `worst` validation images of every epoch, the worst one first.

    It holds no more images than it draws: a heap of the worst so far, whose best one leaves
    when a worse one comes.

    Args:
        count: How many images.
        names: Of the classes, or of the labels; numbers stand where there are none.
    """

    def __init__(self, count: int, names: Sequence[str] = ()) -> None:
        self.count, self.names = count, names
        self._heap: list[Ranked] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self._heap = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep those images of the batch that are among the worst so far."""
        assert batch.targets is not None
        faults = badness(events.learner(pl_module).task, outputs, batch.targets).tolist()
        for place, (fault, name) in enumerate(zip(faults, batch.ids, strict=True)):
            full = len(self._heap) == self.count
            if full and (fault, name) <= self._heap[0][:2]:
                continue
            ranked = (fault, name, examples.take(batch, outputs, place))
            (heapq.heapreplace if full else heapq.heappush)(self._heap, ranked)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the page."""
        learner = events.learner(pl_module)
        found = [ranked for part in events.gather(learner.team, self._heap) for ranked in part]
        self._heap = []
        if found and events.writers(trainer):
            worst = heapq.nlargest(self.count, found, key=lambda ranked: ranked[:2])
            page = examples.page(learner.task, [one for *_, one in worst], self.names)
            events.add(trainer, events.picture("worst", page), learner.seen)


def badness(task: Task, probabilities: Tensor, targets: Tensor) -> Tensor:
    """Return (N,): how wrong each image's prediction is; 0 is perfect.

    Masks: 1 - the metric. Classes: 1 - the probability of the true one. Labels: the mean
    distance of the probabilities from the truth. Values: the mean absolute error.
    """
    if task.masks:
        pairs = zip(probabilities[:, None], targets[:, None], strict=True)
        return 1 - torch.stack([task.monitor.sum_and_count(*pair)[0] for pair in pairs])
    if task.name == "multiclass":
        return 1 - probabilities.gather(1, targets[:, None])[:, 0]
    return (probabilities - targets).abs().mean(dim=1)
