"""Find images that show the same picture: near duplicates, by their thumbnails.

Two pictures are near duplicates when their 16x16 grey thumbnails differ by no more than
3 grey levels (root of the mean square) and by no more than a quarter of the contrast of the
flatter one. On real pictures, re-encoding at JPEG quality 50 or saving at half the size
moves a thumbnail by 0.1 to 1.4; two cars photographed from the same side differ by 21 or more,
two sides of one car by 10 or more. The second rule is for dark pictures: two of
fluorescence microscopy differ by under 4 levels, but never by less than half of their contrast.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

LIMIT_RMS = 3.0
LIMIT_OF_CONTRAST = 0.25
FLAT_BELOW = 2.0  # contrast (standard deviation) of a thumbnail that shows nothing
CLOSEST = 20
TEST = -2

PIXELS = 256
BLOCK_ROWS, BLOCK_COLUMNS = 512, 4096

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Thumbs = npt.NDArray[np.uint8]


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


def thumbs_from_hex(column: Sequence[str]) -> Thumbs:
    """Return uint8 (rows, 256) for thumbnails written as 512 hex digits each."""
    joined = bytes.fromhex("".join(column))
    return np.frombuffer(joined, np.uint8).reshape(len(column), PIXELS)


def find_near_duplicates(thumbs: Thumbs, sides: Ints, digests: Sequence[str]) -> NearDuplicates:
    """Return the pairs of near duplicates on different sides; equal digests are not counted.

    The search is exact. Its time grows with the square of the rows, less the pairs whose mean grey
    differs by more than the limit; its memory is constant.

    Args:
        thumbs: uint8 (rows, 256).
        sides: int64 (rows,), the fold of a training image, or TEST.
        digests: Of the image bytes.
    """
    means, norms = _moments(thumbs)
    contrast = np.sqrt(norms / PIXELS - means**2)
    bright = np.argsort(means, kind="stable")
    order = bright[contrast[bright] >= FLAT_BELOW]
    codes = np.unique(np.asarray(digests), return_inverse=True)[1]
    result = NearDuplicates(Pairs(), Pairs(), int((contrast < FLAT_BELOW).sum()))
    for rows, others, squares in _candidates(thumbs[order], means[order], norms[order]):
        one, two = order[rows], order[others]
        limit = np.minimum(contrast[one], contrast[two]) * LIMIT_OF_CONTRAST
        differ = (sides[one] != sides[two]) & (codes[one] != codes[two])
        hit = differ & (squares <= PIXELS * limit**2)
        tested = (sides[one] == TEST) | (sides[two] == TEST)
        for pairs, which in (
            (result.train_test, hit & tested),
            (result.across_folds, hit & ~tested),
        ):
            _add(pairs, one[which], two[which], squares[which])
    return result


def _candidates(
    thumbs: Thumbs, means: Doubles, norms: Doubles
) -> Iterator[tuple[Ints, Ints, Doubles]]:
    """Yield pairs of rows within LIMIT_RMS, with their sum of squares, a block at a time.

    The rows are in order of their mean, and the difference of two means is never more than
    the root of the mean square.
    """
    exact = norms.astype(np.float32)
    for top in range(0, len(thumbs), BLOCK_ROWS):
        bottom = min(top + BLOCK_ROWS, len(thumbs))
        end = int(np.searchsorted(means, means[bottom - 1] + LIMIT_RMS, side="right"))
        block = _centred(thumbs[top:bottom])
        for left in range(top, end, BLOCK_COLUMNS):
            right = min(left + BLOCK_COLUMNS, end)
            squares = block @ _centred(thumbs[left:right]).T
            squares *= -2
            squares += exact[top:bottom, None]
            squares += exact[None, left:right]
            rows, others = np.nonzero(squares <= PIXELS * LIMIT_RMS**2)
            after = others + left > rows + top
            rows, others = rows[after], others[after]
            yield rows + top, others + left, squares[rows, others].astype(np.float64)


def _moments(thumbs: Thumbs) -> tuple[Doubles, Doubles]:
    """Return the mean and the sum of squares of each row of centred values."""
    means, norms = np.zeros(len(thumbs)), np.zeros(len(thumbs))
    for top in range(0, len(thumbs), BLOCK_COLUMNS):
        block = _centred(thumbs[top : top + BLOCK_COLUMNS])
        means[top : top + BLOCK_COLUMNS] = block.mean(axis=1)
        norms[top : top + BLOCK_COLUMNS] = np.einsum("ij,ij->i", block, block)
    return means, norms


def _centred(thumbs: Thumbs) -> Floats:
    """Return the values less 128, as float32.

    A sum of 256 products of two such values is an integer that float32 holds, so everything
    computed from them is exact, in any order and with any number of threads.
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
