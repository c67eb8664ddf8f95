"""Find images that show the same picture: near duplicates, by their thumbnails.

Two pictures are near duplicates when their 16x16 grey thumbnails differ by no more than
3 grey levels (root of the mean square) and by no more than a quarter of the contrast of the
flatter one. On real pictures, re-encoding at JPEG quality 50 or saving at half the size
moves a thumbnail by 0.1 to 1.4; two cars photographed from the same side differ by 21 or more,
two sides of one car by 10 or more. The second rule is for dark pictures: two of
fluorescence microscopy differ by under 4 levels, but never by less than half of their contrast.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from darkroom.index.audit.close_pairs import Ints, Points, close_pairs

LIMIT_RMS = 3.0
LIMIT_OF_CONTRAST = 0.25
FLAT_BELOW = 2.0  # contrast (standard deviation) of a thumbnail that shows nothing
CLOSEST = 20
TEST = -2

PIXELS = 256
BLOCK = 4096

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Thumbs(Protocol):
    """uint8 (rows, 256): an array, or what gives arrays for slices and for positions."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> npt.NDArray[np.uint8]: ...


# The Walsh functions of 16 values, which are orthogonal: Hadamard's matrix by Sylvester (1867).
_WALSH = reduce(np.kron, [np.array([[1, 1], [1, -1]], np.float32)] * 4)


@dataclass
class Pairs:
    """Pairs of near duplicates: how many, and the closest as (RMS grey levels, row, row)."""

    count: int = 0
    closest: list[tuple[float, int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class NearDuplicates:
    """Near duplicates across folds and between train and test, and how many images are flat."""

    across_folds: Pairs
    train_test: Pairs
    flat: int


def find_near_duplicates(thumbs: Thumbs, sides: Ints, codes: Ints) -> NearDuplicates:
    """Return the pairs of near duplicates on different sides; equal images are not counted.

    The search is exact. Its time grows nearly linearly with the rows and with the pairs that are
    within the limits or close to them; its memory with the rows.

    Args:
        thumbs: uint8 (rows, 256), 16 x 16 grey levels.
        sides: int64 (rows,), the fold of a training image, or TEST.
        codes: int64 (rows,), the same for images of the same bytes.
    """
    points, contrast = _points(thumbs)
    result = NearDuplicates(Pairs(), Pairs(), int((contrast < FLAT_BELOW).sum()))
    for rows, others in _candidates(points, contrast):
        differ = (sides[rows] != sides[others]) & (codes[rows] != codes[others])
        one, two = rows[differ], others[differ]
        squares = _squares(thumbs, one, two)
        limit = np.minimum(contrast[one], contrast[two]) * LIMIT_OF_CONTRAST
        hit = squares <= PIXELS * np.minimum(limit, LIMIT_RMS) ** 2
        tested = (sides[one] == TEST) | (sides[two] == TEST)
        for pairs, which in (
            (result.train_test, hit & tested),
            (result.across_folds, hit & ~tested),
        ):
            _add(pairs, one[which], two[which], squares[which])
    return result


def _candidates(points: Points, contrast: Doubles) -> Iterator[tuple[Ints, Ints]]:
    """Yield all pairs within the limits, and some beyond, by steps of contrast.

    The contrasts of a pair differ by at most the limit, a quarter of the lower one: they lie in one
    step or in two that follow each other.
    """
    steps = [FLAT_BELOW]
    while steps[-1] * LIMIT_OF_CONTRAST < LIMIT_RMS:
        steps.append(steps[-1] * (1 + LIMIT_OF_CONTRAST))
    step = np.searchsorted(steps, contrast, side="right")
    members = [np.flatnonzero(step == number) for number in range(1, len(steps) + 1)]
    for number, rows in enumerate(members):
        above = steps[number + 1] if number + 1 < len(steps) else np.inf
        rms = min(LIMIT_RMS, above * LIMIT_OF_CONTRAST)
        reach = rms * PIXELS + 1  # the last number of a point is rounded down
        yield from close_pairs(points, rows, None, reach)
        if number + 1 < len(members):
            yield from close_pairs(points, rows, members[number + 1], reach)


def _points(thumbs: Thumbs) -> tuple[Points, Doubles]:
    """Return a point for each thumbnail, int16 (rows, 17), and its contrast, float64 (rows,).

    16 numbers are the Walsh transform of the sums of 4 x 4 pixels, the last is the length of what
    they do not tell. So two points are never further apart than 256 times the RMS difference of
    their thumbnails, but for the rounding of the last number.
    """
    count = len(thumbs)
    points, contrast = np.empty((count, len(_WALSH) + 1), np.int16), np.empty(count)
    for top in range(0, count, BLOCK):
        block = _centred(thumbs[top : top + BLOCK])
        sums = block.reshape(-1, 4, 4, 4, 4).sum(axis=(2, 4)).reshape(-1, 16)
        low = (sums @ _WALSH).astype(np.float64)
        squares = np.einsum("ij,ij->i", block, block).astype(np.float64)
        rest = np.sqrt(PIXELS * squares - (low**2).sum(axis=1))
        points[top : top + BLOCK] = np.floor(np.column_stack([low, rest]))
        mean = block.mean(axis=1, dtype=np.float64)
        contrast[top : top + BLOCK] = np.sqrt(squares / PIXELS - mean**2)
    return points, contrast


def _squares(thumbs: Thumbs, one: Ints, two: Ints) -> Doubles:
    """Return the sum of squared differences of each pair of rows."""
    differences = thumbs[one].astype(np.int32) - thumbs[two]
    return np.asarray(np.einsum("ij,ij->i", differences, differences), np.float64)


def _centred(thumbs: npt.NDArray[np.uint8]) -> Floats:
    """Return the values less 128, as float32.

    A sum of 256 such values, or of their squares, is an integer that float32 holds, so everything
    computed from them is exact, in any order.
    """
    return thumbs.astype(np.float32) - np.float32(128)


def _add(pairs: Pairs, one: Ints, two: Ints, squares: Doubles) -> None:
    pairs.count += len(one)
    first, second = np.minimum(one, two), np.maximum(one, two)
    closest = np.lexsort((second, first, squares))[:CLOSEST]
    new = [
        (round(float(np.sqrt(squares[i] / PIXELS)), 4), int(first[i]), int(second[i]))
        for i in closest
    ]
    pairs.closest = sorted([*pairs.closest, *new])[:CLOSEST]
