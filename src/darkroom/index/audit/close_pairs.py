"""Find the pairs of points that lie close together, in time that is nearly linear in the points.

The points are halved again and again where they spread most, until few are left, which are
compared with each other. The points on both sides of a cut that lie within reach of it are
compared too, and halved likewise. So no pair is missed, and none comes twice.

Source:
    Shim, Srikant and Agrawal, "High-Dimensional Similarity Joins" (ICDE 1997), cut space into
    strips of the reach's width instead.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FEW = 512  # points: comparing them all costs as much as halving them
SAMPLED = 64  # points, for the place of a cut
CHUNK = 1024
# A sum of float32 products of d terms is off by at most d * 2^-24 of the sum of their sizes, which
# is at most four times the largest square of a norm; d is 34 or less.
ROUNDING = 1e-5

Ints = npt.NDArray[np.int64]
Points = npt.NDArray[np.int16]


class _Task(NamedTuple):
    """Rows to compare with each other, or with others."""

    rows: Ints
    others: Ints | None


def close_pairs(
    points: Points, rows: Ints, others: Ints | None, reach: float
) -> Iterator[tuple[Ints, Ints]]:
    """Yield the pairs of points at most `reach` apart, and some that lie a little further apart.

    Each pair comes once, in blocks of at most 1024 x 1024 pairs.

    Args:
        points: int16 (n, d), d at most 32.
        rows: int64, positions of points, none twice.
        others: Those to compare them with, of which none is in `rows`; None: with each other.
        reach: Of the Euclidean distance, above 0.

    Example:
        >>> points = np.array([[0, 0], [3, 4], [100, 0]], np.int16)
        >>> [(a.tolist(), b.tolist()) for a, b in close_pairs(points, np.arange(3), None, 5)]
        [([0], [1])]
    """
    tasks = [_Task(rows, others)]
    while tasks:
        task = tasks.pop()
        if not len(task.rows) or (task.others is not None and not len(task.others)):
            continue
        parts = _halves(points, task, reach)
        if parts:
            tasks += parts
        else:
            yield from _compared(points, task, reach)


def _halves(points: Points, task: _Task, reach: float) -> list[_Task]:
    """Return tasks that have the same close pairs together; none: compare them as they are."""
    rows, others = task
    second = rows if others is None else others
    # Few beside many: each cut would copy the many.
    if len(rows) * len(second) <= FEW**2 or min(len(rows), len(second)) < FEW // 8:
        return []
    sample = np.concatenate([_sample(points, rows), _sample(points, second)])
    spread = sample.std(axis=0)
    axis = int(spread.argmax())
    if spread[axis] < reach / 2:  # most pairs are close, wherever they are cut
        return []
    cut = float(np.median(sample[:, axis]))
    place = points[rows, axis]
    low = place < cut
    if others is None:
        if low.all() or not low.any():
            return []
        near_low = rows[low & (place >= cut - reach)]
        near_high = rows[~low & (place <= cut + reach)]
        return [_Task(rows[low], None), _Task(rows[~low], None), _Task(near_low, near_high)]
    other = points[others, axis]
    below, above = others[other <= cut + reach], others[other >= cut - reach]
    is_cut = not low.all() and low.any()
    if not is_cut and len(below if low[0] else above) == len(others):
        return []
    return [_Task(rows[low], below), _Task(rows[~low], above)]


def _sample(points: Points, rows: Ints) -> npt.NDArray[np.float32]:
    return points[rows[:: -(-len(rows) // SAMPLED)]].astype(np.float32)


def _compared(points: Points, task: _Task, reach: float) -> Iterator[tuple[Ints, Ints]]:
    rows, others = task
    second = rows if others is None else others
    for top in range(0, len(rows), CHUNK):
        for left in range(top if others is None else 0, len(second), CHUNK):
            one, two = rows[top : top + CHUNK], second[left : left + CHUNK]
            squares, limit = _squares(points, one, two, reach)
            if squares.min() > limit:  # nearly always
                continue
            first, then = np.nonzero(squares <= limit)
            if others is None and top == left:
                once = first < then
                first, then = first[once], then[once]
            if len(first):
                yield one[first], two[then]


def _squares(
    points: Points, one: Ints, two: Ints, reach: float
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the squared distances (one, two), and the limit, rounding errors included."""
    origin = points[one[0]].astype(np.float32)  # near numbers have small rounding errors
    a, b = points[one] - origin, points[two] - origin
    norms, others = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", b, b)
    # |a|^2 - 2 ab + |b|^2 as one product
    left = np.column_stack([a * np.float32(-2), norms, np.ones_like(norms)])
    right = np.column_stack([b, np.ones_like(others), others])
    limit = reach**2 + ROUNDING * max(float(norms.max()), float(others.max()))
    return left @ right.T, limit
