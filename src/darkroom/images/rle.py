"""Encode and decode run-length text of masks, as Kaggle's segmentation metrics read it.

A mask becomes pairs "start length", starts counted from 1, pixels counted along the rows
(C order: Carvana) or down the columns (Fortran order: most other competitions). An empty
mask is empty text. Source: the evaluation pages of the Carvana Image Masking Challenge
and of the 2018 Data Science Bowl.

The step between mask and text is *bounds*: the ascending flat positions, from 0, at which the
mask changes, taking the value before its first pixel as 0. Bounds 2k and 2k + 1 are the first
pixel of run k and the one after its last.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from darkroom.errors import DataError

Order = Literal["row", "column"]
Bounds = npt.NDArray[np.int64]
Mask = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]

EXPECTED = 'pairs "start length", one blank between numbers'
_SHOWN_CHARACTERS = 24


def encode(mask: Mask, order: Order = "row") -> str:
    """Return the run-length text of a mask (H, W) of 0/1, uint8 or bool.

    Raises:
        DataError: The mask holds a value other than 0 and 1.

    Example:
        >>> mask = np.array([[1, 1, 0], [0, 1, 1]], np.uint8)
        >>> encode(mask), encode(mask, "column")
        ('1 2 5 2', '1 1 3 2 6 1')
    """
    return text_from_bounds(bounds_from_mask(mask, order))


def decode(text: str, height: int, width: int, order: Order = "row") -> npt.NDArray[np.uint8]:
    """Return the mask (height, width) of 0/1 uint8 that a run-length text encodes.

    Raises:
        DataError: See `bounds_from_text`.

    Example:
        >>> decode("1 2 5 2", 2, 3).tolist()
        [[1, 1, 0], [0, 1, 1]]
    """
    bounds = bounds_from_text(text, height * width)
    steps = np.zeros(height * width + 1, np.int8)
    steps[bounds[::2]] += 1
    steps[bounds[1::2]] -= 1  # two statements: touching runs share a position
    flat = np.cumsum(steps[:-1], dtype=np.int8).view(np.uint8)
    return flat.reshape((height, width), order="C" if order == "row" else "F")


def bounds_from_mask(mask: Mask, order: Order = "row") -> Bounds:
    """Return where a mask (H, W) of 0/1 changes, (2N,) int64, strictly ascending.

    The usual two lines of numpy are wrong where the first pixel, the last pixel or every pixel
    is set.

    Raises:
        DataError: The mask holds a value other than 0 and 1.
    """
    if mask.dtype != np.bool_ and mask.size and mask.max() > 1:
        raise DataError(
            "a mask holds values that run lengths cannot encode",
            found=np.unique(mask)[:5].tolist(),
            expected="only 0 and 1",
        )
    flat = mask.ravel(order="C" if order == "row" else "F")
    before = [0] if flat.size and flat[0] else []
    after = [flat.size] if flat.size and flat[-1] else []
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return np.concatenate([before, changes, after]).astype(np.int64)


def text_from_bounds(bounds: Bounds) -> str:
    """Return "start length start length ..." for bounds (2N,) int64, strictly ascending."""
    if not bounds.size:
        return ""
    numbers = bounds.copy()
    numbers[1::2] -= bounds[::2]
    numbers[::2] += 1
    return _join(numbers)


def bounds_from_text(text: str, pixels: int) -> Bounds:
    """Return the bounds (2N,) int64 of a run-length text for a mask of `pixels` pixels.

    Runs must ascend and not overlap. They may touch, so equal bounds can follow each other.

    Raises:
        DataError: A foreign character, a stray blank, a number without its pair, a start or
            length below 1, a run past the last pixel, overlapping or unsorted runs.
    """
    numbers = _numbers(text)
    starts, lengths = numbers[::2], numbers[1::2]
    low = np.flatnonzero((starts < 1) | (lengths < 1))
    if low.size:
        raise _fault("a start or a length is below 1", numbers, low[0])
    past = np.flatnonzero((starts > pixels) | (lengths > pixels - starts + 1))
    if past.size:
        raise _fault(f"a run goes past the last pixel, {pixels}", numbers, past[0])
    ends = starts + lengths
    early = np.flatnonzero(starts[1:] < ends[:-1])
    if early.size:
        raise _fault("a run begins before the one before it ends", numbers, early[0] + 1)
    bounds = np.empty_like(numbers)
    bounds[::2], bounds[1::2] = starts - 1, ends - 1
    return bounds


def _numbers(text: str) -> npt.NDArray[np.int64]:
    foreign = text.encode("utf-8", "replace").translate(None, b"0123456789 ")
    if foreign:
        shown = foreign.decode("utf-8", "replace")[:_SHOWN_CHARACTERS]
        raise DataError("a run-length text holds foreign characters", found=repr(shown))
    if text.startswith(" ") or text.endswith(" ") or "  " in text:
        raise DataError("a run-length text holds a stray blank", expected=EXPECTED)
    numbers = np.fromstring(text, np.int64, sep=" ")
    if numbers.size % 2:
        raise DataError(
            "a run-length text holds a number without its pair",
            found=f"{numbers.size} numbers",
            expected=EXPECTED,
        )
    return numbers


def _fault(what: str, numbers: npt.NDArray[np.int64], run: np.intp) -> DataError:
    start, length = numbers[2 * run : 2 * run + 2].tolist()
    return DataError(what, found=f'"{start} {length}", run {run + 1} of {numbers.size // 2}')


def _quads() -> npt.NDArray[np.uint32]:
    """Return the 4 characters of 0 to 9999: padded with NULs (0 is all NUL), then with zeros."""
    unpadded = [b"\0\0\0\0", *(b"%d" % number for number in range(1, 10_000))]
    zero_padded = [b"%04d" % number for number in range(10_000)]
    padded = [quad.rjust(4, b"\0") for quad in unpadded]
    return np.frombuffer(b"".join(padded + zero_padded), np.uint32)


_QUADS = _quads()
_BLANK = np.frombuffer(b" \0\0\0", np.uint32)[0]


def _join(numbers: npt.NDArray[np.int64]) -> str:
    """Return numbers from 1 up, (N,), as text with one blank between.

    Four digits at a time come from a table; the NULs that fill the cells are dropped at the
    end. This is 4 times as fast as ``" ".join(map(str, numbers.tolist()))``.
    """
    small = numbers.max() < 2**31
    rest = numbers.astype(np.int32) if small else numbers  # int32 divides faster
    columns = [np.full(numbers.size, _BLANK)]
    while rest.any():
        above = rest // 10_000
        quad = rest - above * 10_000
        columns.append(_QUADS[quad + 10_000 * (above > 0)])
        rest = above
    cells = np.stack(columns[::-1], axis=1)
    return cells.tobytes().translate(None, b"\0")[:-1].decode("ascii")
