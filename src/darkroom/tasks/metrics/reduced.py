"""What a metric of classes counts of each image: a few numbers instead of a probability a class.

Of 316,000 images and 81,313 classes all probabilities take 103 GB, these numbers 8 MB.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.params.section import is_own_metric
from darkroom.tasks.answers import decode_class, normalised_shares
from darkroom.tasks.metrics.probabilities import class_losses, class_ranks
from darkroom.tasks.metrics.specs import MetricSpec

Array = NDArray[Any]
Rows = dict[str, Array]
"""Arrays (n,) by name: see `reduce_rows`."""

_TASK = "multiclass"
_ROWS_AT_ONCE = 128


def is_reducible(spec: MetricSpec) -> bool:
    """Return whether the score of class numbers needs no more than `reduce_rows` returns.

    The grades of a kappa are cut out of all probabilities, areas under curves count those of each
    class, and a metric of the user's own gets what it says that it takes.
    """
    if spec.writes == "labels":
        return spec.name != "quadratic_kappa"
    is_ranking = spec.writes == "ranking" and not is_own_metric(spec.name)
    return is_ranking or spec.name in ("gap", "log_loss")


def reduce_rows(spec: MetricSpec, truth: Array, probabilities: Array) -> Rows:
    """Return what is counted of images: each row by itself, so batches may be joined.

    Args:
        spec: A metric that `is_reducible`.
        truth: int64 (n,), class numbers.
        probabilities: float32 (n, K).

    Returns:
        answers: int64, the most probable class; the lower one of equals.
        confidence: float32, its probability.
        of_truth: float32, the probability of the true class.
        ranks: int64, how many classes stand before the true one; for a ranking alone.
        losses: float64, -log(probability of the true class); for the log loss alone.

    Example:
        >>> from darkroom.tasks.metrics.specs import METRICS
        >>> chances = np.array([[0.5, 0.25, 0.25]], np.float32)
        >>> rows = reduce_rows(METRICS["map@3"], np.array([2]), chances)
        >>> {name: array.tolist() for name, array in rows.items()}
        {'answers': [0], 'confidence': [0.5], 'of_truth': [0.25], 'ranks': [2]}
    """
    rows: Rows = {
        "answers": decode_class(probabilities, 0.5),
        "confidence": probabilities.max(axis=1),
        "of_truth": np.take_along_axis(probabilities, truth[:, None], axis=1)[:, 0],
    }
    if spec.writes == "ranking":
        rows["ranks"] = class_ranks(truth, probabilities)
    if spec.name == "log_loss":
        rows["losses"] = class_losses(truth, normalised_shares(probabilities))  # as written
    return rows


def reduce_constant(spec: MetricSpec, truth: Array, constant: Array) -> Rows:
    """Return `reduce_rows` of images that all have the same probabilities, (K,)."""
    classes, places = np.unique(truth, return_inverse=True)
    parts = []
    for start in range(0, len(classes), _ROWS_AT_ONCE):
        some = classes[start : start + _ROWS_AT_ONCE]
        parts.append(reduce_rows(spec, some, np.tile(constant, (len(some), 1))))
    return {name: np.concatenate([part[name] for part in parts])[places] for name in parts[0]}


def small_case(spec: MetricSpec, truth: Array, rows: Rows) -> tuple[Array, Array]:
    """Return truth and predictions of few classes that have the score of all; no log loss.

    Example:
        >>> from darkroom.tasks.metrics.specs import METRICS
        >>> spec, truth = METRICS["gap"], np.array([7, 0])
        >>> rows = {"answers": np.array([7, 9]), "confidence": np.array([0.75, 0.5], np.float32)}
        >>> spec.score("multiclass", *small_case(spec, truth, rows))
        0.5
    """
    if spec.writes == "ranking":  # class k stands behind k others; what is behind the top is one
        ranks = np.minimum(rows["ranks"], spec.top)
        order = np.arange(spec.top, -1, -1, dtype=np.float32)
        return ranks, np.broadcast_to(order, (len(ranks), len(order)))
    if spec.writes == "scored_label":  # any wrong class, and the true one
        is_right, top = rows["answers"] == truth, rows["confidence"]
        pairs = np.stack([np.where(is_right, -1, top), np.where(is_right, top, -1)], axis=1)
        return np.ones(len(truth), np.int64), pairs
    return truth, rows["answers"]


def reduced_score(spec: MetricSpec, truth: Array, rows: Rows) -> float | None:
    """Return the metric's score of class numbers (n,), the bits that all probabilities would give.

    None where it is not defined.
    """
    if "losses" in rows:
        return float(rows["losses"].mean()) if len(truth) else None
    return spec.score(_TASK, *small_case(spec, truth, rows))
