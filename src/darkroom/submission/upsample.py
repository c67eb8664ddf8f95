"""Encode run lengths at the original size directly from probabilities at the stored size.

The result is that of three steps: resize the probabilities bilinearly (half-pixel centres,
clamped borders: `cv2.INTER_LINEAR`), compare them with the threshold, and encode the runs. But a
resized image has 2.5 million pixels, and only the places where they cross the threshold matter.
A cell of four neighbours on one side of the threshold holds no crossing, so only the few thousand
*mixed* cells along an outline are computed. Along one output row the value is linear inside a
cell: it crosses once or not at all, at a place that follows by division.

The values are those of float64; `cv2` works in float32. A pixel whose value equals the
threshold to within float32's rounding may therefore fall on either side.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from darkroom.errors import DataError
from darkroom.images import rle
from darkroom.images.geometry import Box, cv2

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

_DENSE_SHARE = 1 / 200
"""With more mixed octets of cells than this, for each row of the grid and column of the output,
resizing the full image is faster (measured): 7 % of 1024x1024 for 1280x1918."""


def encode_probabilities(
    probabilities: Floats,
    threshold: float,
    height: int,
    width: int,
    *,
    runs: rle.Runs = rle.USUAL,
    box: Box | None = None,
) -> str:
    """Return the run-length text, at (height, width), of what is above the threshold.

    Args:
        probabilities: (h, w) float32 of any strides: the part of the network's
            output that shows the image, so without padding. `darkroom.prediction.networks.predict`
            checks that all are finite: here only those along an outline are read.
        threshold: A pixel belongs to the mask if its value is greater; compared as float32.
        height: Of the original, pixels.
        width: Of the original, pixels.
        runs: How run lengths are written; their size is not read here.
        box: The rectangle of the original that the probabilities cover; outside is
            background. None: all of it.

    Raises:
        DataError: A value along an outline is not finite.
        ValueError: The box is not within the original.
    """
    box = box or Box(0, 0, height, width)
    if (
        min(box.top, box.left, box.height, box.width) < 0
        or box.top + box.height > height
        or box.left + box.width > width
    ):
        raise ValueError(f"{box} is not within {height}x{width}")
    if runs.order == "column":
        probabilities, height, width = probabilities.T, width, height
        box = Box(box.left, box.top, box.width, box.height)
    limit = np.float32(threshold)
    inside = _above(probabilities, limit)
    most = int(_DENSE_SHARE * inside.shape[0] * box.width)
    cells = _mixed_cells(inside, most) if _enlarges(probabilities, box) else None
    if cells is None:
        bounds = _dense_bounds(probabilities, limit, height, width, box)
        return rle.text_from_bounds(bounds, runs)
    changes = [_crossings(probabilities, *cells, limit, box)]
    for edge, x in ((0, 0), (-1, box.width)):  # each row begins and ends as background
        if inside[:, edge].any():
            y = _rows_above(probabilities[:, edge], limit, box.height)
            changes.append((y, np.full_like(y, x)))
    places = [(box.top + y) * width + box.left + x for y, x in changes]
    return rle.text_from_bounds(_drop_pairs(np.concatenate(places)), runs)


def _enlarges(grid: Floats, box: Box) -> bool:
    height, width = (int(side) for side in grid.shape)
    return box.height >= height >= 2 and box.width >= width >= 2


def _above(grid: Floats, limit: np.float32) -> Bools:
    """Return grid > limit, rows contiguous."""
    inside = grid > limit
    if inside.flags.c_contiguous:
        return inside
    turned = np.ascontiguousarray(inside.T).view(np.uint8)
    across: npt.NDArray[np.uint8] = cv2.transpose(turned)  # in blocks: 10 times numpy's copy
    return across.view(np.bool_)


def _mixed_cells(inside: Bools, most: int) -> tuple[Ints, Ints] | None:
    """Return rows and columns of the 2x2 cells that hold both values.

    Works on octets of pixels: eight times less to look through. None if more octets than
    `most` hold such a cell.
    """
    octets = np.packbits(inside, axis=1)
    count = octets.shape[1]
    flat = octets.ravel()
    sideways = flat + flat  # each pixel's right neighbour, of the next row at a row's end
    sideways[:-1] |= flat[1:] >> 7
    sideways ^= flat
    mixed = flat[count:] ^ flat[:-count]
    mixed |= sideways[count:]
    mixed |= sideways[:-count]
    at = np.flatnonzero(mixed != 0)
    if at.size > most:
        return None
    bits = np.flatnonzero(np.unpackbits(mixed[at]).view(np.bool_))
    octet = at[bits >> 3]
    row = octet // count
    column = (octet - row * count) * 8 + (bits & 7)
    real = column < inside.shape[1] - 1  # not a row's end nor the filling of its last octet
    return row[real], column[real]


@np.errstate(invalid="ignore")  # NaN raises below, so numpy need not warn
def _crossings(
    grid: Floats, row: Ints, column: Ints, limit: np.float32, box: Box
) -> tuple[Ints, Ints]:
    """Return y and x of the output pixels, in the box, that differ from their left neighbour.

    In each output row of a cell the value runs from `left` to `right` in a straight line.
    """
    ys, xs = _axis(grid.shape[0], box.height), _axis(grid.shape[1], box.width)
    cell, y = _spread(ys.first[row], ys.first[row + 1])
    weight = ys.weight[y]
    corners = _corners(grid, row, column)
    left = _interpolate(corners[0], corners[2], cell, weight)
    right = _interpolate(corners[1], corners[3], cell, weight)
    rises = right > limit
    crossed = np.flatnonzero((left > limit) != rises)
    left, right, rises = left[crossed], right[crossed], rises[crossed]
    column = column[cell[crossed]]
    place = column + (limit - left) / (right - left)
    _require_finite(place)
    sample = (place + 0.5) * box.width / grid.shape[1] - 0.5
    x = np.where(rises, np.floor(sample) + 1, np.ceil(sample)).astype(np.intp)
    # A place that rounds up to the next cell must not carry its pixel along.
    return y[crossed], np.clip(x, xs.first[column], xs.first[column + 1])


def _corners(grid: Floats, row: Ints, column: Ints) -> list[Floats]:
    """Return, for each cell, upper left, upper right, lower left, lower right."""
    if grid.flags.c_contiguous:
        flat, width = grid.ravel(), grid.shape[1]  # one index is 3 times as fast as two
        at = row * width + column
        return [flat[at], flat[at + 1], flat[at + width], flat[at + width + 1]]
    if grid.flags.f_contiguous:
        upper_left, lower_left, upper_right, lower_right = _corners(grid.T, column, row)
        return [upper_left, upper_right, lower_left, lower_right]
    below, beside = row + 1, column + 1
    return [grid[row, column], grid[row, beside], grid[below, column], grid[below, beside]]


def _require_finite(values: Floats | Doubles) -> None:
    if not np.isfinite(values).all():
        raise DataError("a prediction holds values that are not finite", expected="0 to 1")


class _Axis(NamedTuple):
    """How the samples of an enlarged axis lie between those of the small one.

    Attributes:
        first: (n,) the first sample in each of the n - 1 cells, and the number of samples.
        weight: Of each sample, how far it lies in its cell, 0 to 1.
    """

    first: Ints
    weight: Doubles


@lru_cache(maxsize=64)
def _axis(small: int, large: int) -> _Axis:
    """Return the layout of half-pixel centres, clamped to the outermost of the small axis."""
    place = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    cell = np.minimum(place.astype(np.intp), small - 2)
    return _Axis(np.searchsorted(cell, np.arange(small)), place - cell)


def _spread(first: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return (index, number) for every number in each first[index] <= number < end[index]."""
    counts = end - first
    index = np.repeat(np.arange(first.size), counts)
    offset = first - np.cumsum(counts) + counts
    return index, np.arange(index.size) + offset[index]


def _interpolate(upper: Floats, lower: Floats, index: Ints, weight: Doubles) -> Doubles:
    """Interpolate between upper[index] and lower[index]: 0 is upper, 1 is lower.

    In float64, and the same for the same two values: two cells that share an edge agree on which
    side of the threshold it lies, so that runs always close.
    """
    start = upper.astype(np.float64)
    values: Doubles = start[index] + weight * (lower - start)[index]
    return values


def _rows_above(edge: Floats, limit: np.float32, height: int) -> Ints:
    """Return the output rows whose first (or last) pixel, from an edge (h,), is inside."""
    axis = _axis(edge.size, height)
    cell = np.repeat(np.arange(edge.size - 1), np.diff(axis.first))
    return np.flatnonzero(_interpolate(edge[:-1], edge[1:], cell, axis.weight) > limit)


def _drop_pairs(places: Ints) -> rle.Bounds:
    """Return places sorted, without pairs of equal ones: two changes at one pixel cancel out."""
    places.sort()
    if not (places[1:] == places[:-1]).any():
        return places
    unique, times = np.unique(places, return_counts=True)
    told_once: rle.Bounds = unique[times % 2 == 1]
    return told_once


def _dense_bounds(grid: Floats, limit: np.float32, height: int, width: int, box: Box) -> rle.Bounds:
    """Return the bounds by resizing the full image: to shrink, or for a very long outline."""
    _require_finite(grid)
    mask = np.zeros((height, width), np.bool_)
    enlarged = cv2.resize(
        np.ascontiguousarray(grid), (box.width, box.height), interpolation=cv2.INTER_LINEAR
    )
    mask[box.slices] = enlarged > limit
    return rle.bounds_from_mask(mask)
