"""Encode and decode run-length text of masks, as Kaggle's segmentation metrics read it.

A mask becomes pairs "start length", starts counted from 1, pixels counted along the rows
(C order: Carvana) or down the columns (Fortran order: most other competitions). An empty
mask is empty text. Source: the evaluation pages of the Carvana Image Masking Challenge
and of the 2018 Data Science Bowl.

The step between mask and text is *bounds*: the ascending flat positions, from 0, at which the
mask changes, taking the value before its first pixel as 0. Bounds 2k and 2k + 1 are the first
pixel of run k and the one after its last.

Competitions differ in how they count and in what stands for an empty mask: see `Runs`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from darkroom.errors import DataError

Order = Literal["row", "column"]
Bounds = npt.NDArray[np.int64]
Mask = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]

EXPECTED = 'pairs "start length", blanks between numbers'
ANY_SIZE = 1 << 40  # more pixels than any image, few enough that sums of them stay exact
_SHOWN_CHARACTERS = 24
_PIXELS_A_BOUND = 64  # with more pixels than that, work by bounds beats work by pixels (measured)
_FEW_NUMBERS = 200  # which plain Python writes faster (measured)


@dataclass(frozen=True)
class Runs:
    """How run lengths are written.

    Attributes:
        order: Along rows, or down columns.
        start: The number of the first pixel, 0 or 1.
        relative: Whether a start counts the pixels since the end of the run before; that of the
            first run is its pixel's number. So does SIIM-ACR Pneumothorax Segmentation.
        empty: The cell of an empty mask, such as "", "-1", "1 0" or "-".
        size: (height, width) of the submission's masks, px; None: that of the image.
    """

    order: Order = "row"
    start: int = 1
    relative: bool = False
    empty: str = ""
    size: tuple[int, int] | None = None


USUAL = Runs()


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
    return mask_from_bounds(bounds_from_text(text, height * width), height, width, order)


def normalise(text: str, runs: Runs) -> str:
    """Return a cell as the usual text: absolute starts from 1, ascending, "" where it is empty.

    For tables that are read: their runs may stand in any order, and "" is empty in each of them.

    Raises:
        DataError: See `bounds_from_text`.

    Example:
        >>> normalise("4 2 1 3", Runs(start=0, relative=True)), normalise("-1", Runs(empty="-1"))
        ('5 2 8 3', '')
        >>> normalise("7 1 2 3", Runs())
        '2 3 7 1'
    """
    if not text.strip():
        return ""
    return text_from_bounds(bounds_from_text(text, ANY_SIZE, runs, ordered=False))


def mask_from_bounds(
    bounds: Bounds, height: int, width: int, order: Order = "row"
) -> npt.NDArray[np.uint8]:
    """Return the mask (height, width) of 0/1 uint8 that changes at bounds (2N,), ascending."""
    if bounds.size * _PIXELS_A_BOUND < height * width:
        flat = np.zeros(height * width, np.uint8)
        for first, end in zip(bounds[::2].tolist(), bounds[1::2].tolist(), strict=True):
            flat[first:end] = 1
    else:
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
    if order == "column" and mask.flags.c_contiguous and not mask.flags.f_contiguous:
        changes = _changes_down_columns(mask)
        if changes is not None:
            return _closed(changes, mask)
    flat = mask.ravel(order="C" if order == "row" else "F")
    return _closed(_places(flat[1:] != flat[:-1]) + 1, mask)


def _changes_down_columns(mask: Mask) -> Bounds | None:
    """Return where a mask in the order of rows changes along its columns, strictly ascending.

    Nothing is copied in another order: rows are compared, and the few places found are sorted.
    None: they are so many that a copy is faster.
    """
    height, width = mask.shape
    inner = _places((mask[1:] != mask[:-1]).ravel())
    if inner.size * _PIXELS_A_BOUND > mask.size:
        return None
    row = inner // width
    column = inner - row * width
    tops = np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1
    changes: Bounds = np.concatenate([column * height + row + 1, tops * height])
    changes.sort()
    return changes


def _places(flags: npt.NDArray[np.bool_]) -> Bounds:
    """Return where flags (N,) are set, ascending: by eights, of which most have none."""
    whole = flags.size // 8 * 8
    eights = np.flatnonzero(flags[:whole].view(np.uint64) != 0)
    if eights.size * 16 > flags.size:
        return np.flatnonzero(flags)
    bits = np.flatnonzero(flags[:whole].reshape(-1, 8)[eights])
    places = (eights[bits >> 3] << 3) + (bits & 7)
    return np.concatenate([places, np.flatnonzero(flags[whole:]) + whole])


def _closed(changes: Bounds, mask: Mask) -> Bounds:
    """Return the bounds of a mask from its changes: runs may begin or end at its edge."""
    if not mask.size:
        return np.empty(0, np.int64)
    if not (mask[0, 0] or mask[-1, -1]):
        return changes
    before = [0] if mask[0, 0] else []
    after = [mask.size] if mask[-1, -1] else []
    return np.concatenate([before, changes, after]).astype(np.int64)


def text_from_bounds(bounds: Bounds, runs: Runs = USUAL) -> str:
    """Return "start length start length ..." for bounds (2N,) int64, strictly ascending.

    Example:
        >>> bounds = np.array([0, 2, 5, 6])
        >>> text_from_bounds(bounds), text_from_bounds(bounds, Runs(start=0, relative=True))
        ('1 2 6 1', '0 2 3 1')
    """
    if not bounds.size:
        return runs.empty
    numbers = bounds.copy()
    numbers[1::2] -= bounds[::2]
    if runs.relative:
        numbers[2::2] -= bounds[1:-1:2]
        numbers[0] += runs.start
    else:
        numbers[::2] += runs.start
    if numbers[0] == 0:  # only the first number can be 0
        return "0 " + _join(numbers[1:])
    return _join(numbers)


def texts_from_labels(labels: npt.NDArray[np.int32], runs: Runs = USUAL) -> list[str]:
    """Return the run-length texts of the objects 1 to N of a picture (H, W) of their numbers.

    Example:
        >>> texts_from_labels(np.array([[1, 0, 2], [1, 2, 2]], np.int32))
        ['1 1 4 1', '3 1 5 2']
    """
    flat = labels.ravel(order="C" if runs.order == "row" else "F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]]).astype(np.int64)
    owners = flat[edges[:-1]]
    by_owner = np.argsort(owners, kind="stable")
    bounds = np.stack([edges[:-1], edges[1:]], axis=1)[by_owner]
    _, *objects = np.split(bounds, np.cumsum(np.bincount(owners)[:-1]))  # the first is background
    return [text_from_bounds(pairs.ravel(), runs) for pairs in objects]


def bounds_from_text(text: str, pixels: int, runs: Runs = USUAL, *, ordered: bool = True) -> Bounds:
    """Return the bounds (2N,) int64 of a run-length text for a mask of `pixels` pixels.

    Runs must not overlap. They may touch, so equal bounds can follow each other.

    Args:
        text: The cell. Further blanks are no fault: judges split at any number of them.
        pixels: Height times width of the mask; `ANY_SIZE` where it is not known.
        runs: How the text is written; its order and size do not matter here.
        ordered: Whether runs must ascend; else they are sorted.

    Raises:
        DataError: A foreign character, a number without its pair, an empty cell where another
            text stands for an empty mask, a start or length that is too low, a run past the last
            pixel, overlapping or unsorted runs.
    """
    if text.strip(" ") == runs.empty:
        return np.empty(0, np.int64)
    numbers = _numbers(text)
    if not numbers.size:
        raise DataError("an empty cell", expected=f"{runs.empty!r} for an empty mask")
    starts, lengths = _starts(numbers, pixels, runs), numbers[1::2]
    low = np.flatnonzero((starts < 0) | (lengths < 1))
    if low.size:
        what = "a start or a length" if runs.start else "a length"
        raise _fault(f"{what} is below 1", numbers, low[0])
    past = np.flatnonzero((starts >= pixels) | (lengths > pixels - starts))
    if past.size:
        raise _fault(f"a run goes past the last pixel, {pixels - 1 + runs.start}", numbers, past[0])
    if not ordered:
        by_start = np.argsort(starts, kind="stable")
        starts, lengths = starts[by_start], lengths[by_start]
        numbers = np.stack([starts + runs.start, lengths], axis=1).ravel()
    ends = starts + lengths
    early = np.flatnonzero(starts[1:] < ends[:-1])
    if early.size:
        raise _fault("a run begins before the one before it ends", numbers, early[0] + 1)
    bounds = np.empty_like(numbers)
    bounds[::2], bounds[1::2] = starts, ends
    return bounds


def _starts(numbers: Bounds, pixels: int, runs: Runs) -> Bounds:
    """Return the first pixel of each run, from 0."""
    if not runs.relative:
        return numbers[::2] - runs.start
    huge = np.flatnonzero(numbers > pixels)  # before their sum could overflow
    if huge.size:
        raise _fault(f"a run goes past the last pixel of {pixels}", numbers, huge[0] // 2)
    starts: Bounds = np.cumsum(numbers)[::2] - runs.start
    return starts


def _numbers(text: str) -> Bounds:
    foreign = text.encode("utf-8", "replace").translate(None, b"0123456789 ")
    if foreign:
        shown = foreign.decode("utf-8", "replace")[:_SHOWN_CHARACTERS]
        raise DataError("a run-length text holds foreign characters", found=repr(shown))
    if not text.strip(" "):
        return np.empty(0, np.int64)
    numbers = np.fromstring(text, np.int64, sep=" ")
    if numbers.size % 2:
        raise DataError(
            "a run-length text holds a number without its pair",
            found=f"{numbers.size} numbers",
            expected=EXPECTED,
        )
    return numbers


def _fault(what: str, numbers: Bounds, run: np.intp) -> DataError:
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
    if numbers.size < _FEW_NUMBERS:
        return " ".join(map(str, numbers.tolist()))
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
