"""The score of all validation predictions of an epoch, by which epochs are compared.

A metric that needs a threshold is taken at the best common one, and a kappa of numbers with the
best cuts: as `evaluate` will choose them. At one half instead, macro F1 would prefer the epoch
whose rare labels happen to be called most confidently, which says little of how well they are
ranked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkroom.errors import DataError
from darkroom.tasks.answers import decode_class, decode_grade
from darkroom.tasks.metrics.cuts import best_cuts
from darkroom.tasks.metrics.labels import class_numbers
from darkroom.tasks.metrics.masks import masks_score
from darkroom.tasks.metrics.reduced import is_reducible, reduce_rows, small_case
from darkroom.tasks.metrics.specs import LABEL_TASKS, Best, MetricSpec
from darkroom.tasks.planes import OVERLAPPING, MaskClasses

Array = NDArray[Any]
Floats = NDArray[np.float32]

_STEPS = 64  # between the thresholds 0 and 1: epochs differ by more than what lies between
_MASK_LEVELS = tuple(k / 8 for k in range(1, 8))


Part = tuple[list[str], Array, Array]
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

    def arrays(self, probabilities: Tensor, targets: Tensor) -> tuple[Array, Array]:
        """Return what is kept of a batch for `score`: truth and predictions, on the CPU.

        Of many classes only what counts: all probabilities of 168,000 images and 15,501 classes
        would take 10 GB.
        """
        truth, predictions = targets.detach().cpu().numpy(), probabilities.detach().cpu().numpy()
        if self.task == "multiclass" and self.spec.writes == "labels":
            return truth, decode_class(predictions, 0.5)
        if self.task == "multiclass" and self.name != "log_loss" and is_reducible(self.spec):
            classes = class_numbers(truth)
            return small_case(self.spec, classes, reduce_rows(self.spec, classes, predictions))
        return truth, predictions

    def score_parts(self, parts: Sequence[Part]) -> float:
        """Return the score of all parts, whatever their order: images are put in that of ids."""
        ids = [image_id for part_ids, *_ in parts for image_id in part_ids]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        truth, predictions = (np.concatenate([part[side] for part in parts]) for side in (1, 2))
        return self.score(truth[order], predictions[order])

    def score(self, truth: Array, predictions: Array) -> float:
        """Return the score of predictions.

        Args:
            truth: (n, K), NaN where unknown; class numbers (n,) or shares (n, K) for multiclass.
            predictions: float32 (n, K); or the numbers (n,) of the classes answered.

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


@dataclass(frozen=True)
class MaskEpochMetric(EpochMetric):
    """A metric of masks that is counted over all validation images: at the best of seven levels.

    Attributes:
        classes: How mask classes share the pixels.
    """

    classes: MaskClasses = OVERLAPPING

    def arrays(self, probabilities: Tensor, targets: Tensor) -> tuple[Array, Array]:
        """Return the areas (N, K) of masks, and hits and answered pixels (N, K, T, 2), int64.

        Args:
            probabilities: float32 (N, K, H, W).
            targets: uint8 (N, K, H, W), or with one plane more, of unknown pixels.
        """
        masks, is_known = self.classes.split_unknown(targets, probabilities.shape[1])
        truth = masks > 0 if is_known is None else (masks > 0) & is_known
        counts = []
        for level in (None,) if self.classes.exclusive else _MASK_LEVELS:
            answer = self.classes.answers(probabilities) if level is None else probabilities > level
            answer = answer if is_known is None else answer & is_known
            hits = (answer & truth).sum((2, 3))
            counts.append(torch.stack([hits, answer.sum((2, 3))], dim=2))
        return truth.sum((2, 3)).cpu().numpy(), torch.stack(counts, dim=2).cpu().numpy()

    def score(self, truth: Array, predictions: Array) -> float:
        """Return the score of counts; see `arrays`.

        Raises:
            DataError: No image shows any class, nor does an answer.
        """
        scores = [
            masks_score(self.name, predictions[:, :, t, 0], predictions[:, :, t, 1], truth)
            for t in range(predictions.shape[2])
        ]
        defined = [score for score in scores if score is not None]
        if not defined:
            raise DataError(
                f"data.metric: {self.name} is not defined on the validation images",
                found=f"{len(truth)} images without a mask",
                expected="images that show what is to be predicted",
                fix="split otherwise, or name another metric",
            )
        return max(defined)


def _best(
    spec: MetricSpec, task: str, truth: Array, predictions: Floats, weights: Array | None
) -> float | None:
    if spec.writes != "labels":
        return spec.score(task, truth, predictions, weights)
    if task == "multiclass":
        answers = predictions if predictions.ndim == 1 else decode_class(predictions, 0.5)
        return spec.score(task, truth, answers, weights)
    if task in LABEL_TASKS:
        if spec.threshold == "half":
            return spec.score(task, truth, (predictions > 0.5).astype(np.uint8), weights)
        return _best_of_levels(spec, task, truth, predictions, weights)
    grades = np.asarray(truth, np.float64).reshape(-1)
    is_known = ~np.isnan(grades)
    if not is_known.any():
        return None
    whole = np.maximum(np.rint(grades[is_known]), 0).astype(np.int64)
    values = predictions.reshape(-1).astype(np.float64)
    cuts = best_cuts(values[is_known], whole, int(whole.min()), int(whole.max()) + 1)
    return spec.score(task, truth, decode_grade(predictions, cuts), weights)


def _best_of_levels(
    spec: MetricSpec, task: str, truth: Array, predictions: Floats, weights: Array | None
) -> float | None:
    """Return the score at the best common threshold: of every 1/16, then of those 1/64 around."""
    sign, scores = (1 if spec.best == "max" else -1), dict[int, float]()

    def try_levels(levels: range) -> None:
        for level in levels:
            answers = (predictions > level / _STEPS).astype(np.uint8)
            score = spec.score(task, truth, answers, weights)
            if score is not None:
                scores[level] = sign * score

    try_levels(range(4, _STEPS, 4))
    if scores:
        best = max(scores, key=lambda level: scores[level])
        try_levels(range(best - 3, best + 4))
    return sign * max(scores.values()) if scores else None


def _describe(task: str, truth: Array) -> str:
    values = np.asarray(truth, np.float64)
    targets = values[~np.isnan(values)]
    if not len(targets):
        return f"{len(values)} images, none with a known target"
    if task == "regression":
        return f"{len(values)} images, values from {targets.min():g} to {targets.max():g}"
    kinds, counts = np.unique(targets, return_counts=True)
    pairs = [f"{count} of {kind:g}" for kind, count in zip(kinds, counts, strict=True)]
    return f"{len(values)} images: {', '.join(pairs[:8])}"
