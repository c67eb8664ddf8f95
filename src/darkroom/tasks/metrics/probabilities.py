"""Metrics of probabilities: log loss, areas under curves; and of the best answers in order.

Probabilities are (n, K). The truth of labels is (n, K), 0 to 1, NaN where unknown; that of classes
is (n,) numbers, or shares (n, K) that sum to 1. A score that is not defined is None; a mean over
columns leaves out those where it is not.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.tasks.metrics.labels import class_numbers, split_truth

Array = NDArray[Any]
Doubles = NDArray[np.float64]

Column = tuple[NDArray[np.bool_], NDArray[np.bool_] | None]
"""Which images have a label, (n,), and of which that is known; None: of all."""

_CELLS_AT_ONCE = 1 << 24  # images x classes
CLIP = 1e-15  # how far Kaggle keeps a probability from 0 and 1


def label_log_loss(
    truth: Array, probabilities: Array, *, weights: Doubles | None = None
) -> float | None:
    """Return the mean of -log(probability of what is true) over all known labels.

    Args:
        truth: (n, K), 0 to 1, NaN where unknown. Between them both answers count, by share.
        probabilities: (n, K); kept 1e-15 from 0 and 1.
        weights: What a label's images weigh in the mean, (K,); None: all the same.
    """
    values = np.asarray(truth, np.float64)
    is_known = ~np.isnan(values)
    if not is_known.any():
        return None
    p = np.clip(np.asarray(probabilities, np.float64), CLIP, 1 - CLIP)
    losses = -(values * np.log(p) + (1 - values) * np.log1p(-p))
    each = np.broadcast_to(1.0 if weights is None else weights, losses.shape)[is_known]
    return float(np.average(losses[is_known], weights=each))


def class_log_loss(
    truth: Array, probabilities: Array, *, weights: Doubles | None = None
) -> float | None:
    """Return the mean of -log(probability of the true class) over images.

    As Kaggle does, probabilities are kept 1e-15 from 0 and 1, and each row is scaled to a sum of 1.

    Args:
        truth: (n,) class numbers, or shares (n, K).
        probabilities: (n, K).
        weights: Of the classes, (K,): an image weighs what its class does. None: all the same.
    """
    if not len(probabilities):
        return None
    if np.ndim(truth) == 1 and weights is None:  # thousands of classes: the true one alone
        return float(class_losses(truth, probabilities).mean())
    p = np.clip(np.asarray(probabilities, np.float64), CLIP, 1 - CLIP)
    shares = class_shares(truth, probabilities.shape[1])
    losses = -shares * np.log(p / p.sum(axis=1, keepdims=True))
    if weights is None:
        return float(losses.sum(axis=1).mean())
    return float((losses * weights).sum() / (shares * weights).sum())


def mean_column_auc(truth: Array, probabilities: Array) -> float | None:
    """Return the area under the ROC curve (Bradley 1997), the mean over columns.

    A column without both kinds of images has no area, and is left out.
    """
    return _mean_of_columns(area_under_curve, _label_columns(truth), probabilities)


def mean_average_precision(truth: Array, probabilities: Array) -> float | None:
    """Return the average precision, Σ (Rₙ - Rₙ₋₁) Pₙ, the mean over columns.

    A column without an image where it is present is left out.
    """
    return _mean_of_columns(average_precision, _label_columns(truth), probabilities)


def class_column_auc(truth: Array, probabilities: Array) -> float | None:
    """Return `mean_column_auc` of classes, each against all others."""
    columns = _class_columns(truth, probabilities.shape[1])
    return _mean_of_columns(area_under_curve, columns, probabilities)


def class_average_precision(truth: Array, probabilities: Array) -> float | None:
    """Return `mean_average_precision` of classes, each against all others."""
    columns = _class_columns(truth, probabilities.shape[1])
    return _mean_of_columns(average_precision, columns, probabilities)


def area_under_curve(present: NDArray[np.bool_], scores: Array) -> float | None:
    """Return the area under the ROC curve of one label, None unless it is present and absent.

    Args:
        present: Of n images.
        scores: (n,), greater where the label is likelier. Equal ones count one half.

    Example:
        >>> area_under_curve(np.array([False, True, False, True]), np.array([0.1, 0.4, 0.4, 0.8]))
        0.875
    """
    count = np.count_nonzero(present)
    if not 0 < count < len(present):
        return None
    # The share of pairs in the right order. scikit-learn's is the same number, but its import takes
    # longer than all else that an edited threshold costs.
    _, groups, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(sizes) - (sizes - 1) / 2  # of a group of equal ones their mean, from 1
    above = ranks[groups][present].sum() - count * (count + 1) / 2
    return float(above / (count * (len(present) - count)))


def average_precision(present: NDArray[np.bool_], scores: Array) -> float | None:
    """Return the average precision of one label, None if no image has it.

    Args:
        present: Of n images.
        scores: (n,), greater where the label is likelier. Equal ones are taken together.

    Example:
        >>> average_precision(np.array([False, True, True]), np.array([0.8, 0.9, 0.1]))
        0.8333333333333333
    """
    if not present.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal ones
    hits = np.cumsum(present[order])[ends]
    precision = hits / (ends + 1)
    return float((np.diff(hits, prepend=0) * precision).sum() / hits[-1])


def class_precision_at(truth: Array, probabilities: Array, *, top: int) -> float | None:
    """Return MAP@k of one true class an image: 1 / its rank among the k most probable, or 0."""
    ranks = class_ranks(truth, probabilities)
    return float(np.where(ranks < top, 1 / (1.0 + ranks), 0.0).mean()) if len(ranks) else None


def label_precision_at(truth: Array, probabilities: Array, *, top: int) -> float | None:
    """Return MAP@k of several labels an image, the mean over images with a label.

    Of an image: the sum of the precisions at each right label among the k most probable, divided
    by k or the number of its labels, whichever is less. Labels that are unknown are taken out of
    the k that the submission names.
    """
    present, is_known = split_truth(truth)
    order = ranked(probabilities, top)
    hits, counted = (np.take_along_axis(flags, order, axis=1) for flags in (present, is_known))
    counts = present.sum(axis=1)
    if not counts.any():
        return None
    precision = hits.cumsum(axis=1) / np.maximum(counted.cumsum(axis=1), 1)
    some = counts > 0
    scores = (precision * hits).sum(axis=1)[some] / np.minimum(counts[some], top)
    return float(scores.mean())


def top_accuracy(truth: Array, probabilities: Array, *, top: int) -> float | None:
    """Return the share of images whose class is among the `top` most probable."""
    ranks = class_ranks(truth, probabilities)
    return float((ranks < top).mean()) if len(ranks) else None


def global_average_precision(truth: Array, probabilities: Array) -> float | None:
    """Return GAP, or micro average precision, of the most probable class of each image.

    All images in order of that probability, the mean over them of precision where right:
    Σ P(i) right(i) / n (Perronnin et al. 2009; Google Landmark Recognition 2019).
    """
    if not len(probabilities):
        return None
    right = probabilities.argmax(axis=1) == class_numbers(truth)
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    hits = right[order]
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / len(hits))


def ranked(probabilities: Array, top: int) -> NDArray[np.int64]:
    """Return the numbers (n, k) of the most probable columns, best first; of equals the lower one.

    Example:
        >>> ranked(np.array([[0.2, 0.5, 0.3, 0.5]]), 3)
        array([[1, 3, 2]])
    """
    order = np.argsort(-np.asarray(probabilities, np.float64), axis=1, kind="stable")
    return np.asarray(order[:, :top], np.int64)


def class_ranks(truth: Array, probabilities: Array) -> NDArray[np.int64]:
    """Return how many classes stand before the true one, (n,), in the order of `ranked`."""
    ranks = [_ranks(*part) for part in _row_blocks(class_numbers(truth), probabilities)]
    return np.concatenate([np.zeros(0, np.int64), *ranks])


def class_losses(truth: Array, probabilities: Array) -> Doubles:
    """Return -log(probability of the true class), (n,), of rows that are scaled to a sum of 1."""
    losses = [_true_losses(*part) for part in _row_blocks(class_numbers(truth), probabilities)]
    return np.concatenate([np.zeros(0), *losses])


def class_shares(truth: Array, classes: int) -> Doubles:
    """Return the share (n, K) of each class, float64, of class numbers or of shares."""
    values = np.asarray(truth, np.float64)
    if values.ndim == 2 and values.shape[1] > 1:
        return values
    return np.asarray(np.arange(classes) == values.reshape(-1, 1), np.float64)


def _row_blocks(classes: Array, probabilities: Array) -> Iterator[tuple[Array, Array]]:
    """Yield classes and probabilities of some images at a time.

    What is computed of thousands of classes takes several times their room.
    """
    rows = max(1, _CELLS_AT_ONCE // max(1, probabilities.shape[1]))
    for start in range(0, len(probabilities), rows):
        yield classes[start : start + rows], probabilities[start : start + rows]


def _true_losses(classes: Array, probabilities: Array) -> Doubles:
    p = np.clip(np.asarray(probabilities, np.float64), CLIP, 1 - CLIP)
    own = np.take_along_axis(p, classes[:, None], axis=1)[:, 0]
    return np.asarray(-np.log(own / p.sum(axis=1)))


def _ranks(classes: Array, probabilities: Array) -> NDArray[np.int64]:
    own = np.take_along_axis(probabilities, classes[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1]) < classes[:, None]
    before = (probabilities > own) | ((probabilities == own) & earlier)
    return np.asarray(before.sum(axis=1), np.int64)


def _label_columns(truth: Array) -> Iterator[Column]:
    for values in np.asarray(truth).T:
        present, is_known = split_truth(values)
        yield present, None if is_known.all() else is_known


def _class_columns(truth: Array, count: int) -> Iterator[Column]:
    """Yield the columns of shares (n, K), or of class numbers without making shares of them."""
    if np.ndim(truth) == 2 and np.shape(truth)[1] > 1:
        yield from _label_columns(truth)
        return
    classes = class_numbers(np.reshape(truth, -1))
    for k in range(count):
        yield classes == k, None


def _mean_of_columns(
    score: Callable[[NDArray[np.bool_], Array], float | None],
    columns: Iterable[Column],
    probabilities: Array,
) -> float | None:
    scores = []
    for k, (present, is_known) in enumerate(columns):
        column = np.ascontiguousarray(probabilities[:, k])
        rows = (present, column) if is_known is None else (present[is_known], column[is_known])
        scores.append(score(*rows))
    defined = [value for value in scores if value is not None]
    return float(np.mean(defined)) if defined else None
