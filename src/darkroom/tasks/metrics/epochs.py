"""The score of an epoch's validation predictions, whole, by which epochs are compared.

A metric that needs a threshold is taken at the best common one, and a kappa of numbers with the
best cuts: as `evaluate` will choose them. At one half instead, macro F1 would prefer the epoch
whose rare labels happen to be called most confidently, which says little of how well they are
ranked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.tasks.answers import decode_class, decode_grade
from darkroom.tasks.metrics.cuts import best_cuts
from darkroom.tasks.metrics.specs import LABEL_TASKS, Best, MetricSpec

Array = NDArray[Any]
Floats = NDArray[np.float32]

# Every 1/64: epochs differ by more than what lies between.
_THRESHOLDS = np.arange(1, 64, dtype=np.float32) / 64


Part = tuple[list[str], Array, Floats]
"""Ids of n images, their truth and their predictions."""


@dataclass(frozen=True)
class EpochMetric:
    """A metric of a training's validation images, for labels or values.

    Attributes:
        spec: The metric.
        task: A name of `darkroom.tasks.table.TASKS`.
        weights: One a column, for a weighted metric.
    """

    spec: MetricSpec
    task: str
    weights: Array | None = None

    @property
    def name(self) -> str:
        """As charts and tables show it."""
        return self.spec.name

    @property
    def best(self) -> Best:
        """Whether more or less is better."""
        return self.spec.best

    def score_parts(self, parts: Sequence[Part]) -> float:
        """Return the score of all parts, whatever their order: images are put in that of ids."""
        ids = [image_id for part_ids, *_ in parts for image_id in part_ids]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        truth, predictions = (np.concatenate([part[side] for part in parts]) for side in (1, 2))
        return self.score(truth[order], predictions[order])

    def score(self, truth: Array, predictions: Floats) -> float:
        """Return the score of predictions.

        Args:
            truth: (n, K), NaN where unknown; class numbers (n,) or shares (n, K) for multiclass.
            predictions: float32 (n, K).

        Raises:
            DataError: The metric is not defined for this truth.
        """
        score = _best(self.spec, self.task, truth, predictions, self.weights)
        if score is None:
            raise DataError(
                f"data.metric: {self.name} is not defined on the validation images",
                found=_describe(self.task, truth),
                expected="images that differ in what is to be predicted",
                fix="split otherwise (split.by: stratify, or fewer folds), or name another metric",
            )
        return score


def _best(
    spec: MetricSpec, task: str, truth: Array, predictions: Floats, weights: Array | None
) -> float | None:
    if spec.writes != "labels":
        return spec.score(task, truth, predictions, weights)
    if task == "multiclass":
        return spec.score(task, truth, decode_class(predictions, 0.5), weights)
    if task in LABEL_TASKS:
        levels = _THRESHOLDS if spec.threshold == "auto" else np.array([0.5], np.float32)
        answers = [(predictions > level).astype(np.uint8) for level in levels]
        every = [spec.score(task, truth, answer, weights) for answer in answers]
        scores = [score for score in every if score is not None]
        best = max if spec.best == "max" else min
        return best(scores) if scores else None
    grades = np.asarray(truth, np.float64).reshape(-1)
    known = ~np.isnan(grades)
    if not known.any():
        return None
    whole = np.maximum(np.rint(grades[known]), 0).astype(np.int64)
    values = predictions.reshape(-1).astype(np.float64)
    cuts = best_cuts(values[known], whole, int(whole.min()), int(whole.max()) + 1)
    return spec.score(task, truth, decode_grade(predictions, cuts), weights)


def _describe(task: str, truth: Array) -> str:
    values = np.asarray(truth, np.float64)
    known = values[~np.isnan(values)]
    if not len(known):
        return f"{len(values)} images, none with a known target"
    if task == "regression":
        return f"{len(values)} images, values from {known.min():g} to {known.max():g}"
    kinds, counts = np.unique(known, return_counts=True)
    pairs = [f"{count} of {kind:g}" for kind, count in zip(kinds, counts, strict=True)]
    return f"{len(values)} images: {', '.join(pairs[:8])}"
