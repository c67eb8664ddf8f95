"""Run-length text of a mask, as Kaggle's segmentation judges read it.

A mask becomes pairs "start length", starts counted from 1, pixels counted along the rows
(C order: Carvana) or down the columns (Fortran order: most other competitions). An empty
mask is empty text. Source: the evaluation pages of the Carvana Image Masking Challenge
and of the 2018 Data Science Bowl.

Between mask and text stand *bounds*: the flat positions, from 0 and ascending, at which the
mask changes, the value before its first pixel being 0. Bounds 2k and 2k + 1 are the first
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
    """
    return text_of(bounds_of(mask, order))


def decode(text: str, height: int, width: int, order: Order = "row") -> npt.NDArray[np.uint8]:
    """Return the mask (height, width) of 0/1 uint8 that a run-length text tells.

    Raises:
        DataError: As `read`.
    """
    bounds = read(text, height * width)
    steps = np.zeros(height * width + 1, np.int8)
    steps[bounds[::2]] += 1
    steps[bounds[1::2]] -= 1  # a run may begin where the one before it ends: two statements
    flat = np.cumsum(steps[:-1], dtype=np.int8).view(np.uint8)
    return flat.reshape((height, width), order="C" if order == "row" else "F")


def bounds_of(mask: Mask, order: Order = "row") -> Bounds:
    """Return where a mask (H, W) of 0/1 changes, (2N,) int64, strictly ascending.

    The usual two lines of numpy go wrong where the first pixel is set, where a run touches
    the last one, and where all are set.

    Raises:
        DataError: The mask holds a value other than 0 and 1.
    """
    if mask.dtype != np.bool_ and mask.size and mask.max() > 1:
        raise DataError(
            "a mask holds values that run lengths cannot tell",
            found=np.unique(mask)[:5].tolist(),
            expected="0 and 1 alone",
        )
    flat = mask.ravel(order="C" if order == "row" else "F")
    before = [0] if flat.size and flat[0] else []
    after = [flat.size] if flat.size and flat[-1] else []
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    return np.concatenate([before, changes, after]).astype(np.int64)


def text_of(bounds: Bounds) -> str:
    """Return "start length start length ..." for bounds (2N,) int64, strictly ascending."""
    if not bounds.size:
        return ""
    numbers = bounds.copy()
    numbers[1::2] -= bounds[::2]
    numbers[::2] += 1
    return _joined(numbers)


def read(text: str, pixels: int) -> Bounds:
    """Return the bounds (2N,) int64 that a text tells of a mask of so many pixels.

    Runs must ascend and not overlap; they may touch, so that bounds ascend, not strictly.

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
    """Return the four characters of 0 to 9999: first led by NULs (0 is all NUL), then by 0s."""
    led_by_nothing = [b"\0\0\0\0", *(b"%d" % number for number in range(1, 10_000))]
    led_by_zeros = [b"%04d" % number for number in range(10_000)]
    padded = [quad.rjust(4, b"\0") for quad in led_by_nothing]
    return np.frombuffer(b"".join(padded + led_by_zeros), np.uint32)


_QUADS = _quads()
_BLANK = np.frombuffer(b" \0\0\0", np.uint32)[0]


def _joined(numbers: npt.NDArray[np.int64]) -> str:
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
