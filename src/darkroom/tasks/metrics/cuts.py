"""Cuts that turn a number into an ordered grade, chosen to maximise the quadratic kappa.

A network that learns grades as numbers is drawn to the middle: rounding is seldom the best.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = -1e15  # a cut that any value is greater than: no answer is a grade below it
_PLACES = 200  # between which a cut may lie
_ROUNDS = 20


def middle_cuts(lowest: int, grades: int) -> tuple[float, ...]:
    """Return the cuts that round a value to one of the grades from `lowest` to `grades - 1`.

    Example:
        >>> middle_cuts(0, 3)
        (0.5, 1.5)
    """
    return _padded(lowest, [grade + 0.5 for grade in range(lowest, grades - 1)])


def best_cuts(values: Doubles, truth: Ints, lowest: int, grades: int) -> tuple[float, ...]:
    """Return the cuts, ascending, whose grades have the highest quadratic kappa with the truth.

    Each cut in turn moves to its best place, from the middles on, until none moves. The places
    lie half way between values, at most 200 of them, evenly spread over the images.

    Args:
        values: float64 (n,).
        truth: (n,), lowest to grades - 1.
        lowest: The lowest grade.
        grades: Grades are below this number.
    """
    start = middle_cuts(lowest, grades)
    if not len(values):
        return start
    places = _places(values)
    counts = _grade_counts(values, truth, places, grades)
    # A cut is how many of the bins between places lie below it.
    bins = np.searchsorted(places, values, side="left")
    own = start[lowest:]
    cuts = [int((np.unique(bins[values <= cut]).max(initial=-1)) + 1) for cut in own]
    best = _kappa(cuts, counts, lowest)
    for _ in range(_ROUNDS):
        before = list(cuts)
        for i in range(len(cuts)):
            low = cuts[i - 1] if i else 0
            high = cuts[i + 1] if i + 1 < len(cuts) else len(places) + 1
            scores = [
                _kappa([*cuts[:i], place, *cuts[i + 1 :]], counts, lowest)
                for place in range(low, high + 1)
            ]
            if max(scores) > best + 1e-12:
                best = max(scores)
                cuts[i] = low + int(np.argmax(scores))
        if cuts == before:
            break
    ends = [float(values.min() - 1), *places.tolist(), float(values.max() + 1)]
    chosen = [
        middle if (bins < cut).sum() == (values <= middle).sum() else ends[cut]
        for cut, middle in zip(cuts, own, strict=True)
    ]
    return _padded(lowest, np.maximum.accumulate(chosen).tolist())


def _places(values: Doubles) -> Doubles:
    """Return where cuts may lie: half way between values that differ, ascending."""
    ordered = np.unique(values)
    between = (ordered[1:] + ordered[:-1]) / 2
    if len(between) > _PLACES:
        between = np.unique(np.quantile(values, np.linspace(0, 1, _PLACES + 2)[1:-1]))
    return np.asarray(between, np.float64)


def _grade_counts(values: Doubles, truth: Ints, places: Doubles, grades: int) -> Doubles:
    """Return how many images of each grade lie in the first bins: (bins + 1, grades), from 0 on."""
    cells = np.searchsorted(places, values, side="left") * grades + truth
    table = np.bincount(cells, minlength=(len(places) + 1) * grades)
    table = table.reshape(len(places) + 1, grades).cumsum(axis=0)
    return np.concatenate([np.zeros((1, grades)), table.astype(np.float64)])


def _kappa(cuts: Sequence[int], counts: Doubles, lowest: int) -> float:
    """Return the quadratic kappa of the grades that cuts make; 0 where it is not defined."""
    table: NDArray[Any] = np.diff(counts[[0, *cuts, len(counts) - 1]], axis=0)
    grades, answers = np.arange(table.shape[1]), np.arange(len(table)) + lowest
    distances = (answers[:, None] - grades[None, :]) ** 2.0
    expected = (distances * np.outer(table.sum(axis=1), table.sum(axis=0))).sum() / table.sum()
    return float(1 - (distances * table).sum() / expected) if expected > 0 else 0.0


def _padded(lowest: int, cuts: Sequence[float]) -> tuple[float, ...]:
    return (NEVER,) * lowest + tuple(cuts)
