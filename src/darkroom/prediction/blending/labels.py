"""The score of weighted labels or values on a bounded sample of out-of-fold predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from darkroom.prediction import thresholds
from darkroom.prediction.blending.mixes import Scale, WeightedMean
from darkroom.prediction.blending.search import Score
from darkroom.prediction.deciding import OutOfFold, is_automatic
from darkroom.prediction.decision import DEFAULT_THRESHOLD, Decision
from darkroom.prediction.thresholds import THRESHOLDS, Doubles, Floats
from darkroom.tasks.answers import expected_grade
from darkroom.tasks.metrics.specs import MetricSpec

CELLS = 1 << 21  # images x columns that weights are fitted to
_IMAGES = 1 << 17
_TRIED = THRESHOLDS[15::16]  # every 1/16: evaluate chooses among all, once


@dataclass(frozen=True)
class LabelSample:
    """Predictions of some images by each member, with their truth.

    Attributes:
        spec: The metric.
        task: Of labels or values.
        truth: (n, K), NaN where unknown; class numbers (n,) or shares (n, K) for multiclass.
        members: A prediction (n, K) of each, of the same images.
        folds: The fold (n,) that validates each image.
        column_weights: One a column, for a weighted metric.
        threshold: As `evaluate.threshold`.
        grades: How many grades there are, where the metric is of grades; else 0.
    """

    spec: MetricSpec
    task: str
    truth: Doubles
    members: tuple[Floats, ...]
    folds: np.ndarray
    column_weights: Doubles | None = None
    threshold: float | Literal["auto"] | None = None
    grades: int = 0

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.truth)

    @property
    def scale(self) -> Scale:
        """Of the means: log loss counts how sure they are."""
        if self.spec.name not in ("log_loss", "weighted_log_loss"):
            return "plain"
        return "log" if self.task == "multiclass" else "logit"

    def scorer(self, rows: np.ndarray) -> Score:
        """Return the score of weights on some images, at the decision that is best for them."""
        truth = self.truth[rows]
        members = [member[rows] for member in self.members]

        def score(weights: Doubles) -> float:
            mixed = WeightedMean(tuple(weights.tolist()), self.scale)(members)
            data = OutOfFold(self.spec, self.task, truth, mixed, self.column_weights)
            return max(data.sign(data.score(decision)) for decision in self._decisions(data))

        return score

    def _decisions(self, data: OutOfFold) -> Iterator[Decision]:
        """Yield what evaluate would decide, more or less: scores are compared many times."""
        if self.grades:
            yield Decision(None, cuts=_matching_cuts(data, self.grades))
        elif self.spec.writes != "labels" or self.task in ("multiclass", "regression"):
            yield Decision(None)
        elif is_automatic(data, self.threshold):
            yield from (Decision(float(level)) for level in _TRIED)
        else:
            number = self.threshold if isinstance(self.threshold, float) else DEFAULT_THRESHOLD
            yield Decision(float(THRESHOLDS[thresholds.index_of(number)]))


def sample_rows(folds: Sequence[int], columns: int) -> np.ndarray:
    """Return the positions, ascending, of the images that weights are fitted to, evenly spread.

    Args:
        folds: Of all images, in the order of the predictions.
        columns: K of the predictions.
    """
    most = max(1, min(_IMAGES, CELLS // columns))
    if len(folds) <= most:
        return np.arange(len(folds))
    by_fold = np.argsort(np.asarray(folds), kind="stable")
    return np.sort(by_fold[np.linspace(0, len(folds) - 1, most).round().astype(np.intp)])


def _matching_cuts(data: OutOfFold, grades: int) -> tuple[float, ...]:
    """Return the cuts that give each grade its share of the truth: close to the best, and cheap."""
    truth = np.asarray(data.truth, np.float64)
    truth = truth.argmax(axis=1) if data.task == "multiclass" and truth.ndim == 2 else truth
    truth, values = truth.reshape(-1), expected_grade(data.predictions)
    is_known = ~np.isnan(truth)
    shares = [(truth[is_known] <= grade).mean() for grade in range(grades - 1)]
    return tuple(np.quantile(values[is_known], shares).tolist())
