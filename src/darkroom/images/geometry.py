"""Resize images and masks to the stored size, and predictions back to the original size.

`stretch` resizes both axes independently; `pad` keeps the proportions and fills the rest with
black; `crop` keeps the proportions and cuts off the excess, equally on both sides.

Coordinates use half-pixel centres: the pixel (row, column) covers the square from there to
(row + 1, column + 1), so resizing maps edges to edges. Boxes are whole pixels.

OpenCV is set up here, once: every other module takes `cv2` from this one.
"""

from dataclasses import astuple, dataclass
from typing import Any, Literal

import cv2 as cv2
import numpy as np
from numpy.typing import NDArray

# Worker processes are our parallelism. OpenCV's own threads would compete with them for the
# cores, and a process that is forked while those threads run can hang.
cv2.setNumThreads(0)

Pixels = NDArray[np.uint8]
Fit = Literal["stretch", "pad", "crop"]
FITS: tuple[Fit, ...] = ("stretch", "pad", "crop")

# Sums of area weights have float32 rounding errors; an exact half must still count.
_HALF = np.float32(0.5 - 1e-4)


@dataclass(frozen=True)
class Box:
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return the index that cuts it out of an array (H, W, ...)."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


@dataclass(frozen=True)
class Placement:
    """The part of the stored picture that shows the original, and the part that it shows.

    Attributes:
        stored: The box of the stored picture that holds image; the rest is padding.
        source: The box of the original that is shown there; the rest was cropped off.
    """

    stored: Box
    source: Box


def fit_placement(height: int, width: int, to_height: int, to_width: int, fit: Fit) -> Placement:
    """Return the placement of an original (height, width) in a stored picture.

    Raises:
        ValueError: `fit` is none of `FITS`.

    Example:
        >>> fit_placement(20, 40, 10, 10, "pad").stored
        Box(top=2, left=0, height=5, width=10)
        >>> fit_placement(20, 40, 10, 10, "crop").source
        Box(top=0, left=10, height=20, width=20)
    """
    stored, source = Box(0, 0, to_height, to_width), Box(0, 0, height, width)
    if fit == "pad":
        scale = min(to_height / height, to_width / width)
        stored = _centred(to_height, to_width, height * scale, width * scale)
    elif fit == "crop":
        scale = max(to_height / height, to_width / width)
        source = _centred(height, width, to_height / scale, to_width / scale)
    elif fit != "stretch":
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}")
    return Placement(stored, source)


def sufficient_size(
    height: int, width: int, to_height: int, to_width: int, fit: Fit
) -> tuple[int, int]:
    """Return the height and width at which decoding an original loses nothing `fit` would keep.

    For `decode_image(..., at_least=...)`.
    """
    placement = fit_placement(height, width, to_height, to_width, fit)
    rows = -(-height * placement.stored.height // placement.source.height)
    columns = -(-width * placement.stored.width // placement.source.width)
    return min(rows, height), min(columns, width)


def fit_image(
    pixels: Pixels,
    height: int,
    width: int,
    fit: Fit,
    *,
    original: tuple[int, int] | None = None,
) -> Pixels:
    """Return uint8 (height, width, 3) of pixels uint8 (H, W, 3).

    Shrinking averages areas; enlarging is bilinear.

    Args:
        pixels: The picture, perhaps decoded at a reduced size.
        height: Of the result.
        width: Of the result.
        fit: What to do where the proportions differ.
        original: Height and width of the original where `pixels` is a JPEG decoded at 1/2, 1/4 or
            1/8 of them, rounded up: the placement follows the original, so that image and mask
            agree.

    Raises:
        ValueError: `pixels` is no such copy of `original`.
    """
    original = original or (pixels.shape[0], pixels.shape[1])
    placement = fit_placement(*original, height, width, fit)
    source, divisor = placement.source, _divisor(original, (pixels.shape[0], pixels.shape[1]))
    if any(edge % divisor for edge in (source.top, source.left, source.height, source.width)):
        resized = _resize_reduced(pixels, source, divisor, placement.stored)
    else:
        whole = Box(*(edge // divisor for edge in astuple(source)))
        resized = _resize(pixels[whole.slices], placement.stored.height, placement.stored.width)
    return _placed(resized, placement.stored, height, width)


def fit_mask(mask: Pixels, height: int, width: int, fit: Fit) -> Pixels:
    """Return uint8 (height, width) of 0 and 1 of a mask uint8 (H, W) of 0 and 1.

    A pixel is 1 where at least half of its area was.
    """
    placement = fit_placement(mask.shape[0], mask.shape[1], height, width, fit)
    source = mask[placement.source.slices]
    if source.shape == (placement.stored.height, placement.stored.width):
        return _placed(source, placement.stored, height, width)
    covered = _resize(source.astype(np.float32), placement.stored.height, placement.stored.width)
    labels = (covered >= _HALF).astype(np.uint8)
    return _placed(labels, placement.stored, height, width)


def restore(
    probabilities: NDArray[np.float32], height: int, width: int, fit: Fit
) -> NDArray[np.float32]:
    """Return float32 (height, width) at original size of float32 (h, w) at stored size.

    Bilinear, half-pixel centres, edges repeated. What `crop` cut off is 0.
    """
    placement = fit_placement(height, width, probabilities.shape[0], probabilities.shape[1], fit)
    source = placement.source
    shown = cv2.resize(
        np.ascontiguousarray(probabilities[placement.stored.slices], dtype=np.float32),
        (source.width, source.height),
        interpolation=cv2.INTER_LINEAR,
    )
    if (source.height, source.width) == (height, width):
        return np.asarray(shown, dtype=np.float32)
    whole = np.zeros((height, width), np.float32)
    whole[source.slices] = shown
    return whole


def _centred(height: int, width: int, inner_height: float, inner_width: float) -> Box:
    rows = min(max(round(inner_height), 1), height)
    columns = min(max(round(inner_width), 1), width)
    return Box((height - rows) // 2, (width - columns) // 2, rows, columns)


def _divisor(original: tuple[int, int], reduced: tuple[int, int]) -> int:
    """Return the divisor that a JPEG of size `original` was decoded with; 1: in full."""
    for divisor in (1, 2, 4, 8):
        if reduced == (-(-original[0] // divisor), -(-original[1] // divisor)):
            return divisor
    raise ValueError(f"{reduced} is not 1/1, 1/2, 1/4 or 1/8 of {original}, rounded up")


def _placed(resized: NDArray[Any], box: Box, height: int, width: int) -> NDArray[Any]:
    if (box.height, box.width) == (height, width):
        return resized
    whole = np.zeros((height, width, *resized.shape[2:]), resized.dtype)
    whole[box.slices] = resized
    return whole


def _resize_reduced(pixels: Pixels, source: Box, divisor: int, to: Box) -> Pixels:
    """Return the box `source` of an original, decoded at 1/divisor, at the size of `to`.

    A reduced pixel stands for `divisor` pixels of the original also where the original ends within
    it, and `source` may begin and end within it.
    """
    rows, row_scale, repeat_rows = _axis(source.top, source.height, divisor, to.height)
    columns, column_scale, repeat_columns = _axis(source.left, source.width, divisor, to.width)
    part = pixels[rows, columns]
    # The axis that repeats nothing goes first: fewer pixels are left to repeat.
    if repeat_columns and not repeat_rows:
        part, row_scale = _scale(part, 1, row_scale)[: to.height], 1
    elif repeat_rows and not repeat_columns:
        part, column_scale = _scale(part, column_scale, 1)[:, : to.width], 1
    if repeat_rows or repeat_columns:
        height = part.shape[0] * (divisor if repeat_rows else 1)
        width = part.shape[1] * (divisor if repeat_columns else 1)
        part = cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST)
        top = source.top % divisor if repeat_rows else 0
        left = source.left % divisor if repeat_columns else 0
        part = part[top:, left:]
    return _scale(part, column_scale, row_scale)[: to.height, : to.width]


def _scale(pixels: NDArray[Any], columns: float, rows: float) -> NDArray[Any]:
    """Average areas at these scales, at most 1, from the first edge on; the last may be partial."""
    if (columns, rows) == (1, 1):
        return pixels
    # Without a size, OpenCV takes the scales as they are.
    return np.asarray(cv2.resize(pixels, None, fx=columns, fy=rows, interpolation=cv2.INTER_AREA))


def _axis(start: int, length: int, divisor: int, to: int) -> tuple[slice, float, bool]:
    """Return the reduced pixels of one axis, the scale to resize them by, and whether to repeat.

    Pixels are repeated `divisor` times where the part begins within one. They are also where it
    would hardly shrink: OpenCV copies what has the right size already, whatever the scale.
    """
    pixels = slice(start // divisor, -(-(start + length) // divisor))
    repeat = start % divisor > 0 or (length != to * divisor and length < (to + 1) * divisor)
    return pixels, to / length if repeat else to * divisor / length, repeat


def _resize(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Average areas along each axis that shrinks, then interpolate along each that grows."""
    shrunk = (min(height, pixels.shape[0]), min(width, pixels.shape[1]))
    result = np.ascontiguousarray(pixels)
    if shrunk != result.shape[:2]:
        result = cv2.resize(result, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if (height, width) != shrunk:
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(result)
