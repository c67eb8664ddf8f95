"""Figures of an epoch: sums and counts over its batches, and over the ranks, divided once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from darkroom.tasks.table import Metric
from darkroom.training.distributed import Team

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

    def over(self, team: Team) -> "Totals":
        """Return the totals of all ranks."""
        whole = Totals(self.metrics)
        numbers = team.total([*self.sums, *self.counts])
        whole.sums = numbers[: len(self.sums)]
        whole.counts = [int(number) for number in numbers[len(self.sums) :]]
        return whole

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
