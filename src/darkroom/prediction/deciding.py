"""The decision that a metric wants: thresholds of labels, and cuts between grades.

All is chosen on out-of-fold predictions. Candidates are compared by cross-fitting: each half of
the images is decided by what the other half says is best, so that a candidate with more numbers
does not win by fitting noise.

A label gets a threshold of its own where at least ten images have it and ten do not; else the one
that is best for all in common. On drawn predictions of rare labels (F1, normal scores, calibration
that differs by label), a threshold chosen on ten positives scored 0.00 to 0.05 more on new images
than the common one, one chosen on five 0.00 to 0.06 with a spread as large; where all labels were
calibrated alike, up to 0.01 less from thirty positives on. Cross-fitting decides between the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkroom.index.card import Card
from darkroom.prediction import thresholds
from darkroom.prediction.decision import DEFAULT_THRESHOLD, WITHOUT_THRESHOLD, Decision
from darkroom.prediction.tables import label_curve
from darkroom.prediction.thresholds import THRESHOLDS, Doubles, Floats
from darkroom.tasks.answers import expected_grade, normalised_shares
from darkroom.tasks.metrics.cuts import best_cuts, middle_cuts
from darkroom.tasks.metrics.domain import refuse_other_classes, refuse_other_grades
from darkroom.tasks.metrics.labels import split_truth
from darkroom.tasks.metrics.specs import MetricSpec

Array = NDArray[Any]
Proposals = Callable[["OutOfFold"], list[Decision]]

LEAST_EXAMPLES = 10  # of a label, present and absent, to choose its threshold by
_MOST_TRIED = 2e7  # images x labels x thresholds of a round, for F of samples
_ROUNDS = 10
_ROWS_AT_ONCE = 16384


@dataclass(frozen=True)
class OutOfFold:
    """Predictions with their truth, and the metric that they are scored by.

    Attributes:
        spec: The metric.
        task: Of labels or values.
        truth: (n, K), NaN where unknown; class numbers (n,) or shares (n, K) for multiclass.
        predictions: float32 (n, K).
        weights: One a column, for a weighted metric.
    """

    spec: MetricSpec
    task: str
    truth: Array
    predictions: Floats
    weights: Doubles | None = None

    @cached_property
    def labels(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which labels are present, and which are known, both (n, K)."""
        return split_truth(self.truth)

    def score(self, decision: Decision) -> float | None:
        """Return the score of the answers that a decision makes."""
        return self._score_answers(self.answers(decision))

    def answers(self, decision: Decision) -> Array:
        """Return what the metric compares with the truth."""
        if self.spec.writes == "probabilities":
            probabilities = decision.calibrated(self.task, self.predictions)
            is_shared = self.task == "multiclass"
            return normalised_shares(probabilities) if is_shared else probabilities  # as written
        if self.spec.writes != "labels":
            return self.predictions
        return decision.answers(self.task, self.predictions)

    def take(self, rows: Array | slice) -> "OutOfFold":
        """Return some of the images."""
        return replace(self, truth=self.truth[rows], predictions=self.predictions[rows])

    def cross_fitted(self, propose: "Proposals") -> list[float | None]:
        """Return the score of each proposal, when each half of the images is decided by the other.

        None where there are not two images.
        """
        odd = np.arange(len(self.predictions)) % 2 == 1
        if not odd.any():
            return [None] * len(propose(self))
        halves = [
            [self.take(half).answers(decision) for decision in propose(self.take(~half))]
            for half in (odd, ~odd)
        ]
        scores = []
        for first, second in zip(*halves, strict=True):
            answers = np.empty((len(odd), *first.shape[1:]), first.dtype)
            answers[odd], answers[~odd] = first, second
            scores.append(self._score_answers(answers))
        return scores

    def sign(self, score: float | None) -> float:
        """Return a score so that more is better; one that is not defined is the worst."""
        if score is None:
            return -np.inf
        return score if self.spec.best == "max" else -score

    def _score_answers(self, answers: Array) -> float | None:
        return self.spec.score(self.task, self.truth, answers, self.weights)


@dataclass(frozen=True)
class Chosen:
    """A decision, and what says how good it is.

    Attributes:
        decision: What was chosen.
        score: Of all images, by it.
        cross_fitted: The score when each half is decided by the other; None: nothing was chosen.
    """

    decision: Decision
    score: float | None
    cross_fitted: float | None = None


def choose(
    data: OutOfFold,
    threshold: float | Literal["auto"] | None,
    *,
    some_label: Literal["always", "never", "auto"] = "never",
    grades: int = 0,
) -> Chosen:
    """Return the decision that is best for the metric.

    Args:
        data: Predictions with their truth.
        threshold: A number is taken as it is, to the nearest 1/256. None: "auto" where the metric
            needs it (`MetricSpec.threshold`), else one half.
        some_label: Whether an image without a label gets the nearest one. "auto": where that is
            better.
        grades: How many grades there are, 0 to grades - 1, where the metric is of grades.
    """
    lowest = _lowest(data) if grades else 0
    propose = partial(
        _propose, threshold=threshold, some_label=some_label, grades=grades, lowest=lowest
    )
    decisions = propose(data)
    is_chosen = data.spec.writes == "labels" and (
        grades > 0 or len(decisions) > 1 or is_automatic(data, threshold)
    )
    if not is_chosen:
        return Chosen(decisions[0], data.score(decisions[0]))
    scores = data.cross_fitted(propose)
    best = int(np.argmax([data.sign(score) for score in scores]))  # of equals the simplest
    decision = decisions[best]
    is_fitted = bool(decision.cuts) or is_automatic(data, threshold)
    return Chosen(decision, data.score(decision), scores[best] if is_fitted else None)


def is_automatic(data: OutOfFold, threshold: float | str | None) -> bool:
    """Return whether the threshold is to be chosen."""
    if data.task in WITHOUT_THRESHOLD:
        return False
    return threshold == "auto" or (threshold is None and data.spec.threshold == "auto")


def _propose(
    data: OutOfFold,
    *,
    threshold: float | Literal["auto"] | None,
    some_label: Literal["always", "never", "auto"],
    grades: int,
    lowest: int,
) -> list[Decision]:
    """Return what may be decided by these images, the simplest first; always as many."""
    if data.task in WITHOUT_THRESHOLD:
        return _propose_grades(data, grades, lowest)
    if not is_automatic(data, threshold):
        number = threshold if isinstance(threshold, float | int) else DEFAULT_THRESHOLD
        decisions = [Decision(float(THRESHOLDS[thresholds.index_of(number)]))]
    else:
        common = thresholds.best_index(common_curve(data))
        decisions = [Decision(float(THRESHOLDS[common]))]
        if data.spec.average is not None and data.predictions.shape[1] > 1:
            decisions.append(by_label(data, common))
    if some_label == "never" or data.predictions.shape[1] < 2:
        return decisions
    filled = [replace(decision, at_least_one=True) for decision in decisions]
    return filled if some_label == "always" else [*decisions, *filled]


def _propose_grades(data: OutOfFold, grades: int, lowest: int) -> list[Decision]:
    """Return the greatest class or the nearest grade, and the best cuts if there are grades."""
    if not grades:
        return [Decision(None)]
    simple = middle_cuts(lowest, grades) if data.task == "regression" else ()
    values, truth = expected_grade(data.predictions), _grades(data)
    is_known = ~np.isnan(truth)
    cuts = best_cuts(values[is_known], truth[is_known].astype(np.int64), lowest, grades)
    return [Decision(None, cuts=simple), Decision(None, cuts=cuts)]


def _grades(data: OutOfFold) -> Doubles:
    """Return the true grade (n,) of each image, NaN where unknown."""
    truth = np.asarray(data.truth, np.float64)
    if truth.ndim == 2 and truth.shape[1] > 1:
        return np.asarray(truth.argmax(axis=1), np.float64)
    return truth.reshape(-1)


def _lowest(data: OutOfFold) -> int:
    """Return the lowest grade that there is."""
    return int(np.nanmin(_grades(data))) if data.task == "regression" else 0


def by_label(data: OutOfFold, common: int) -> Decision:
    """Return a threshold a label, where it has enough examples; else the common one.

    Args:
        data: F-beta of several labels.
        common: The position of the common threshold in THRESHOLDS.
    """
    present, is_known = data.labels
    examples = np.minimum((present & is_known).sum(axis=0), (~present & is_known).sum(axis=0))
    labels = np.flatnonzero(examples >= LEAST_EXAMPLES).tolist()
    indices = np.full(data.predictions.shape[1], common)
    if data.spec.average == "samples":
        _ascend_samples(data, present, is_known, labels, indices)
    else:
        _ascend_counts(data, labels, indices)
    if (indices == common).all():
        return Decision(float(THRESHOLDS[common]))
    return Decision(tuple(THRESHOLDS[indices].tolist()))


def common_curve(data: OutOfFold) -> Doubles:
    """Return the score at each of THRESHOLDS, the same for all labels; more is better.

    float64 (255,); minus infinity where it is not defined.
    """
    if data.spec.name == "accuracy":
        return label_curve(data.predictions, data.truth)["accuracy"].to_numpy(np.float64)
    if data.task == "multilabel" and data.spec.average in ("macro", "micro"):
        return _f_curve(data)
    if data.task == "multilabel" and data.spec.average == "samples":
        return _samples_curve(data)
    scores = [data.sign(data.score(Decision(float(t)))) for t in THRESHOLDS]
    return np.array(scores, np.float64)


def _samples_curve(data: OutOfFold) -> Doubles:
    """Return the mean F-beta of images at each threshold, from counts by image and level."""
    present, is_known = data.labels
    rows = np.flatnonzero(is_known.any(axis=1))
    total = np.zeros(len(THRESHOLDS))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        levels = np.ceil(data.predictions[part] * np.float32(thresholds.LEVELS)).astype(np.int64)
        cells = levels + np.arange(len(part))[:, None] * (thresholds.LEVELS + 1)
        above = []
        for flags in (present[part] & is_known[part], is_known[part]):
            size = len(part) * (thresholds.LEVELS + 1)
            table = np.bincount(cells[flags], minlength=size).reshape(len(part), -1)
            # Above k/256 are the levels from k + 1 on.
            above.append(table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 2:])
        truths = (present[part] & is_known[part]).sum(axis=1)[:, None]
        total += _f(data, above[0], above[1], truths).sum(axis=0)
    return total / len(rows) if len(rows) else np.full(len(THRESHOLDS), -np.inf)


def _f_curve(data: OutOfFold) -> Doubles:
    """Return F-beta of labels at each threshold, from counts."""
    hits, answered, positives = _counts(data)
    if data.spec.average == "micro":
        whole = answered.sum(axis=0), positives.sum(axis=0)
        return np.where(sum(whole) > 0, _f(data, hits.sum(axis=0), *whole), -np.inf)
    is_known = data.labels[1].any(axis=0)
    if not is_known.any():
        return np.full(len(THRESHOLDS), -np.inf)
    return np.asarray(_f(data, hits, answered, positives[:, None])[is_known].mean(axis=0))


def _counts(data: OutOfFold) -> tuple[Doubles, Doubles, Doubles]:
    """Return hits (K, 255), answers (K, 255) and positives (K,) of the known labels."""
    present, is_known = data.labels
    false, true = thresholds.column_counts_above(data.predictions, present, is_known)
    hits, answered = (counts[:, 1:].astype(np.float64) for counts in (true, true + false))
    return hits, answered, present.sum(axis=0, dtype=np.float64)


def _f(data: OutOfFold, hits: Array, answered: Array, positives: Array) -> Doubles:
    beta = data.spec.beta**2
    return np.asarray((1 + beta) * hits / np.maximum(beta * positives + answered, 1e-9))


def _ascend_counts(data: OutOfFold, labels: Sequence[int], indices: Array) -> None:
    """Set the best threshold of each of `labels`, in place: macro, each alone; micro, in turn."""
    hits, answered, positives = _counts(data)
    if data.spec.average == "macro":
        for k in labels:
            indices[k] = thresholds.best_index(_f(data, hits[k], answered[k], positives[k]))
        return
    every = np.arange(len(indices))
    for _ in range(_ROUNDS):
        before = indices.copy()
        for k in labels:
            others = every != k
            rest = hits[others, indices[others]].sum(), answered[others, indices[others]].sum()
            curve = _f(data, rest[0] + hits[k], rest[1] + answered[k], positives.sum())
            indices[k] = thresholds.best_index(curve)
        if (indices == before).all():
            return


def _ascend_samples(
    data: OutOfFold, present: Array, is_known: Array, labels: Sequence[int], indices: Array
) -> None:
    """Set the threshold of each of `labels` that is best for the mean F of images, in turn."""
    tried = np.arange(3, len(THRESHOLDS), 4)  # every 64th
    if present.size * len(tried) > _MOST_TRIED:
        return
    rows, truths = is_known.any(axis=1), (present & is_known).sum(axis=1)
    above = (data.predictions > THRESHOLDS[indices].astype(np.float32)) & is_known
    for _ in range(_ROUNDS):
        before = indices.copy()
        for k in labels:
            hits = (above & present).sum(axis=1) - (above[:, k] & present[:, k])
            answered = above.sum(axis=1) - above[:, k]
            options = np.union1d(tried, indices[k])
            each = (data.predictions[:, [k]] > THRESHOLDS[options].astype(np.float32)) & is_known[
                :, [k]
            ]
            scores = _f(
                data,
                hits[:, None] + (each & present[:, [k]]),
                answered[:, None] + each,
                truths[:, None],
            )
            curve = scores[rows].mean(axis=0)
            if curve.max() > curve[options.searchsorted(indices[k])] + 1e-12:
                indices[k] = options[curve.argmax()]
            above[:, k] = (data.predictions[:, k] > np.float32(THRESHOLDS[indices[k]])) & is_known[
                :, k
            ]
        if (indices == before).all():
            return


def constant_predictions(data: OutOfFold, training: Array) -> Floats:
    """Return `constant_prediction` for each image: float32 (n, K)."""
    constant = constant_prediction(data.spec, data.task, training, data.predictions.shape[1])
    return np.broadcast_to(constant, (len(data.predictions), len(constant)))


def constant_prediction(spec: MetricSpec, task: str, training: Array, columns: int) -> Floats:
    """Return what the training targets alone say, the same for each image: float32 (K,).

    Their shares or means; the median for a mean absolute error, and the mean of logarithms for
    `rmsle`: of all constants the best. A metric's score of them is its baseline.

    Args:
        spec: The metric.
        task: Of labels or values.
        training: The targets of the training images, (m, K): class numbers are (m, 1).
        columns: K of the predictions.
    """
    targets = np.asarray(training, np.float64)
    if task == "multiclass" and targets.shape[1] == 1:
        classes = targets[:, 0].astype(np.int64)
        constant = np.bincount(classes, minlength=columns) / len(classes)
    elif spec.name == "mae":
        constant = np.nanmedian(targets, axis=0)
    elif spec.name == "rmsle":
        constant = np.expm1(np.nanmean(np.log1p(np.maximum(targets, 0)), axis=0))
    else:
        constant = np.nanmean(targets, axis=0)
    return constant.astype(np.float32)


def count_grades(data: OutOfFold, card: Card, training: Array) -> int:
    """Return how many grades there are, from 0 on, where the metric is of grades; else 0.

    Raises:
        DataError: The classes or targets are no grades: whole numbers that follow each other, or
            values that are whole and not below 0.
    """
    if data.spec.name != "quadratic_kappa":
        return 0
    if card.task == "multiclass":
        refuse_other_classes(card.classes)
        return len(card.classes)
    grades = np.concatenate([np.ravel(data.truth), np.ravel(training)])
    grades = grades[~np.isnan(grades)]
    refuse_other_grades(grades)
    return int(grades.max()) + 1
