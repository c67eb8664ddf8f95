"""Metrics of answers: labels that are present or absent, and classes by number.

Truth and answers are (n, K) of labels, or (n,) numbers of classes. Labels that are unknown, NaN in
the truth, are left out. Soft labels count as present above one half; soft classes, (n, K), count
as the one with the greatest share. A score that is not defined is None.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Average = Literal["macro", "micro", "samples"]


def label_accuracy(truth: Array, answers: Array) -> float | None:
    """Return the share of the known labels that are right.

    Example:
        >>> label_accuracy(np.array([[1, 0], [1, np.nan]]), np.array([[1, 1], [1, 0]]))
        0.6666666666666666
    """
    present, is_known = split_truth(truth)
    right = ((answers > 0) == present) & is_known
    return _ratio(right.sum(), is_known.sum())


def label_f(truth: Array, answers: Array, *, beta: float = 1.0, average: Average) -> float | None:
    """Return F-beta of labels: (1 + b²) TP / ((1 + b²) TP + b² FN + FP).

    Chinchor 1992, MUC-4 Evaluation Metrics.

    Args:
        truth: float64 (n, K), NaN where unknown.
        answers: 0 or 1, (n, K).
        beta: A missed label costs beta² times what a false one costs.
        average: "macro": the mean over the labels, 0 for one that neither truth nor answers have.
            "micro": of the counts of all labels. "samples": the mean over images with a known
            label; one without any label in truth and answers counts 0.
    """
    present, is_known = split_truth(truth)
    positive = (answers > 0) & is_known
    axis = {"macro": 0, "micro": None, "samples": 1}[average]
    hits, truths, answered = ((a & b).sum(axis) for a, b in _pairs(present & is_known, positive))
    if average == "micro":
        counted = truths + answered > 0
    else:
        counted = is_known.any(axis=1 if average == "samples" else 0)
    return _mean_f(hits, truths, answered, beta, counted)


def class_accuracy(truth: Array, answers: Array) -> float | None:
    """Return the share of images whose class is right."""
    classes, answers = _known_classes(truth, answers)
    return _ratio((classes == answers).sum(), len(classes))


def class_balanced_accuracy(truth: Array, answers: Array) -> float | None:
    """Return the mean over the classes in the truth of the share that is right."""
    classes, answers = _known_classes(truth, answers)
    if not len(classes):
        return None
    counts = np.bincount(classes)
    right = np.bincount(classes[classes == answers], minlength=len(counts))
    return float((right[counts > 0] / counts[counts > 0]).mean())


def class_f(truth: Array, answers: Array, *, beta: float = 1.0, average: Average) -> float | None:
    """Return F-beta of classes: "macro", the mean over those that occur in truth or answers.

    "micro" is the accuracy. Of a binary task, absent and present are the two classes.
    """
    classes, answers = _known_classes(truth, answers)
    if average != "macro" or not len(classes):
        return _ratio((classes == answers).sum(), len(classes))
    count = int(max(classes.max(), answers.max())) + 1
    hits, truths, answered = (
        np.bincount(numbers, minlength=count)
        for numbers in (classes[classes == answers], classes, answers)
    )
    return _mean_f(hits, truths, answered, beta, truths + answered > 0)


def quadratic_kappa(truth: Array, answers: Array) -> float | None:
    """Return Cohen's kappa with quadratic weights: 1 - E[(a - t)²] / E[(a' - t)²], a' shuffled.

    Cohen 1968, Weighted kappa. Grades are numbers: an answer that is off by two costs four times
    one that is off by one. None where truth and answers are one and the same grade: 0 / 0.

    Args:
        truth: (n,) or (n, 1), NaN where unknown; classes may be soft, (n, K).
        answers: (n,) or (n, 1).

    Example:
        >>> quadratic_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
        0.8
    """
    soft = truth.ndim == 2 and truth.shape[1] > 1
    actual = (class_numbers(truth) if soft else truth.reshape(-1)).astype(np.float64)
    grades = answers.reshape(-1).astype(np.float64)
    is_known = ~np.isnan(actual)
    actual, grades = actual[is_known], grades[is_known]
    if not len(actual):
        return None
    observed = ((actual - grades) ** 2).mean()
    expected = actual.var() + grades.var() + (actual.mean() - grades.mean()) ** 2
    return float(1 - observed / expected) if expected > 0 else None


def split_truth(truth: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which labels are present, and which are known, both bool of the truth's shape."""
    values = np.asarray(truth, np.float64)
    is_known = ~np.isnan(values)
    return np.where(is_known, values, 0.0) > 0.5, is_known


def class_numbers(truth: Array) -> NDArray[np.int64]:
    """Return the class (n,) of each image.

    Of shares (n, K) the greatest, the first of equals; of one column whether it is above one half.
    """
    values = np.asarray(truth)
    if values.ndim == 2 and values.shape[1] > 1:
        return np.asarray(values.argmax(axis=1), np.int64)
    if values.ndim == 2:
        return np.asarray(values[:, 0] > 0.5, np.int64)
    return values.astype(np.int64)


def _known_classes(truth: Array, answers: Array) -> tuple[Array, Array]:
    """Return class numbers (n,) of truth and answers, of the images whose truth is known."""
    values = np.asarray(truth, np.float64)
    is_known = ~np.isnan(values if values.ndim == 1 else values[:, 0])
    answers = answers.reshape(-1)[is_known].astype(np.int64)
    return class_numbers(values[is_known]), answers


def _pairs(present: Array, answer: Array) -> tuple[tuple[Array, Array], ...]:
    return (present, answer), (present, present), (answer, answer)


def _mean_f(hits: Array, truths: Array, answered: Array, beta: float, counted: Any) -> float | None:
    """Return the mean F-beta of those that are counted; 0 where there is no hit."""
    whole = np.maximum(beta**2 * truths + answered, 1e-9)  # 0 only where there is no hit either
    scores = np.atleast_1d((1 + beta**2) * hits / whole)[np.atleast_1d(counted)]
    return float(scores.mean()) if len(scores) else None


def _ratio(part: int | np.integer[Any], whole: int | np.integer[Any]) -> float | None:
    return float(part / whole) if whole else None
