"""Resize images and masks to the stored size, and predictions back to the original size.

`stretch` resizes both axes independently; `pad` keeps the proportions and fills the rest with
black; `crop` keeps the proportions and cuts off the excess, equally on both sides to half a stored
pixel.

Coordinates use half-pixel centres: the pixel (row, column) covers the square from there to
(row + 1, column + 1), so resizing maps edges to edges. Boxes are whole pixels.

OpenCV is set up here, once: every other module takes `cv2` from this one.
"""

from dataclasses import dataclass
from functools import lru_cache
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
RGB = 3  # channels of an ordinary picture

# A JPEG is decoded at 1/8, 1/4 or 1/2: libjpeg-turbo scales by other eighths too, but only these
# have fast code. Nearly as large as what suffices is enough.
DIVISORS = (8, 4, 2)
NEARLY = 0.99

# Sums of area weights have float32 rounding errors; an exact half must still count.
_ROUNDING = np.float32(1e-4)
_HALF = np.float32(0.5 - 1e-4)

_WHOLE_PIXELS = 2**27  # of a mask; larger ones are made smaller before they become floats


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
        source = _aligned(source, height, width, 1 / scale)
    elif fit != "stretch":
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}")
    return Placement(stored, source)


_placement = lru_cache(maxsize=1024)(fit_placement)  # pictures of a data set have few sizes


def sufficient_size(
    height: int, width: int, to_height: int, to_width: int, fit: Fit
) -> tuple[int, int]:
    """Return the height and width at which decoding an original loses nothing `fit` would keep.

    For `decode_image(..., at_least=...)`.
    """
    placement = _placement(height, width, to_height, to_width, fit)
    rows = -(-height * placement.stored.height // placement.source.height)
    columns = -(-width * placement.stored.width // placement.source.width)
    return min(rows, height), min(columns, width)


def can_reduce(size: int, divisor: int, at_least: int) -> bool:
    """Return whether an axis decoded at 1/divisor is as large as suffices.

    It must be so without its last pixel, too, which may lie beyond the picture's edge in part.
    """
    return -(-size // divisor) >= at_least and size >= NEARLY * at_least * divisor


def fit_image(
    pixels: Pixels,
    height: int,
    width: int,
    fit: Fit,
    *,
    original: tuple[int, int] | None = None,
) -> Pixels:
    """Return uint8 (height, width, C) of pixels uint8 (H, W, C).

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
        ValueError: `pixels` is no such copy of `original`, or smaller than suffices.
    """
    original = original or (pixels.shape[0], pixels.shape[1])
    placement = _placement(*original, height, width, fit)
    source, divisor = placement.source, _divisor(original, (pixels.shape[0], pixels.shape[1]))
    if source.top % divisor or source.left % divisor:
        raise ValueError(f"decoded at 1/{divisor}, which is less than suffices")
    if any(edge % divisor for edge in (source.top, source.left, source.height, source.width)):
        resized = _resize_reduced(pixels, source, divisor, placement.stored)
    else:
        edges = (source.top, source.left, source.height, source.width)
        whole = Box(*(edge // divisor for edge in edges))
        resized = _resize(pixels[whole.slices], placement.stored.height, placement.stored.width)
    return _placed(resized, placement.stored, height, width)


def fit_mask(mask: Pixels, height: int, width: int, fit: Fit) -> Pixels:
    """Return uint8 (height, width) of 0 and 1 of a mask uint8 (H, W) of 0 and 1.

    A pixel is 1 where at least half of its area was.
    """
    placement = _placement(mask.shape[0], mask.shape[1], height, width, fit)
    source = mask[placement.source.slices]
    if source.shape == (placement.stored.height, placement.stored.width):
        return _placed(source, placement.stored, height, width)
    covered = _covered_share(source, placement.stored.height, placement.stored.width)
    labels = (covered >= _HALF).astype(np.uint8)
    return _placed(labels, placement.stored, height, width)


def _covered_share(mask: Pixels, height: int, width: int) -> NDArray[np.float32]:
    """Return the share of each pixel's area that a mask covers, float32 (height, width)."""
    if mask.size > _WHOLE_PIXELS:  # as float32 it would take gigabytes
        for divisor in DIVISORS:
            rows, columns = (-(-side // divisor) for side in mask.shape)
            if can_reduce(mask.shape[0], divisor, height) and can_reduce(
                mask.shape[1], divisor, width
            ):
                reduced = np.empty((rows, columns), np.float32)
                for row in range(rows):
                    band = mask[row * divisor : (row + 1) * divisor]
                    sums = np.add.reduceat(band.sum(axis=0), np.arange(0, mask.shape[1], divisor))
                    reduced[row] = sums / band.shape[0]
                reduced[:, :-1] /= divisor
                reduced[:, -1] /= mask.shape[1] - (columns - 1) * divisor
                whole, to = Box(0, 0, *mask.shape), Box(0, 0, height, width)
                return np.asarray(_resize_reduced(reduced, whole, divisor, to), np.float32)
    return _resize(mask.astype(np.float32), height, width)


def fit_classes(masks: Pixels, height: int, width: int, fit: Fit) -> Pixels:
    """Return uint8 (K, height, width) of exclusive masks uint8 (K, H, W): one class a pixel.

    A pixel is of the class that covers most of it, or of none where the rest is more; of equals
    the first.
    """
    placement = fit_placement(masks.shape[1], masks.shape[2], height, width, fit)
    inner = (placement.stored.height, placement.stored.width)
    parts = masks[:, *placement.source.slices]
    if parts.shape[1:] != inner:
        covered = np.stack([_resize(part.astype(np.float32), *inner) for part in parts])
        # Classes as close to each other as rounding errors are equals.
        most = covered.max(axis=0)
        rest = 1 - covered.sum(axis=0, dtype=np.float32)
        first = (covered >= most - _ROUNDING).argmax(axis=0)
        first[rest > most + _ROUNDING] = len(masks)
        parts = (first == np.arange(len(masks))[:, None, None]).view(np.uint8)
    return np.stack([_placed(part, placement.stored, height, width) for part in parts])


def restore(
    probabilities: NDArray[np.float32],
    height: int,
    width: int,
    fit: Fit,
    *,
    size: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """Return float32 (height, width) at original size of float32 (h, w) at stored size.

    Bilinear, half-pixel centres, edges repeated. What `crop` cut off is 0.

    Args:
        probabilities: Of one class.
        height: Of the original, px.
        width: Of the original, px.
        fit: How the original was fitted to the stored size.
        size: Height and width of the result instead, px, where a competition wants its masks at
            a size of their own. Where it is smaller than the stored one, areas are averaged.
    """
    placement = fit_placement(height, width, probabilities.shape[0], probabilities.shape[1], fit)
    source = placement.source
    stored = np.ascontiguousarray(probabilities[placement.stored.slices], dtype=np.float32)
    if size is None:
        shown = cv2.resize(stored, (source.width, source.height), interpolation=cv2.INTER_LINEAR)
    else:
        source = _scaled(source, size[0] / height, size[1] / width)
        height, width = size
        shown = _resize(stored, source.height, source.width)
    if (source.height, source.width) == (height, width):
        return np.asarray(shown, dtype=np.float32)
    whole = np.zeros((height, width), np.float32)
    whole[source.slices] = shown
    return whole


def _scaled(box: Box, rows: float, columns: float) -> Box:
    """Return a box in a picture whose axes are longer by these factors, at least a pixel large."""
    top, left = int(box.top * rows), int(box.left * columns)  # floors: a pixel lies beyond
    bottom = round((box.top + box.height) * rows)
    right = round((box.left + box.width) * columns)
    return Box(top, left, max(1, bottom - top), max(1, right - left))


def _centred(height: int, width: int, inner_height: float, inner_width: float) -> Box:
    rows = min(max(round(inner_height), 1), height)
    columns = min(max(round(inner_width), 1), width)
    return Box((height - rows) // 2, (width - columns) // 2, rows, columns)


def _aligned(box: Box, height: int, width: int, scale: float) -> Box:
    """Return a box that begins where a pixel of a reduced JPEG does.

    That is at most half a stored pixel off the centre, and no area has to be split.

    Args:
        box: Of the original.
        height: Of the original, px.
        width: Of the original, px.
        scale: Pixels of the original a stored pixel.
    """
    step = next((divisor for divisor in DIVISORS if divisor * NEARLY <= scale), 1)
    top, left = round(box.top / step) * step, round(box.left / step) * step
    top -= step if top + box.height > height else 0
    left -= step if left + box.width > width else 0
    return Box(top, left, box.height, box.width)


def _divisor(original: tuple[int, int], reduced: tuple[int, int]) -> int:
    """Return the divisor that a JPEG of size `original` was decoded with; 1: in full."""
    for divisor in (1, *reversed(DIVISORS)):
        if reduced == (-(-original[0] // divisor), -(-original[1] // divisor)):
            return divisor
    raise ValueError(f"{reduced} is not 1/1, 1/2, 1/4 or 1/8 of {original}, rounded up")


def _placed(resized: NDArray[Any], box: Box, height: int, width: int) -> NDArray[Any]:
    if (box.height, box.width) == (height, width):
        return resized
    whole = np.zeros((height, width, *resized.shape[2:]), resized.dtype)
    whole[box.slices] = resized
    return whole


def _resize_reduced(pixels: NDArray[Any], source: Box, divisor: int, to: Box) -> Pixels:
    """Return the box `source` of an original, decoded at 1/divisor, at the size of `to`.

    A reduced pixel stands for `divisor` pixels of the original, also where the original or the box
    ends within it.
    """
    rows, row_scale, row_repeats = _axis(source.top, source.height, divisor, to.height)
    columns, column_scale, column_repeats = _axis(source.left, source.width, divisor, to.width)
    part = pixels[rows, columns]
    if row_repeats > 1 or column_repeats > 1:
        size = (part.shape[1] * column_repeats, part.shape[0] * row_repeats)
        part = cv2.resize(part, size, interpolation=cv2.INTER_NEAREST)
    # Without a size, OpenCV takes the scales as they are, from the first edge on.
    resized = cv2.resize(part, None, fx=column_scale, fy=row_scale, interpolation=cv2.INTER_AREA)
    return np.asarray(resized[: to.height, : to.width])


def _axis(start: int, length: int, divisor: int, to: int) -> tuple[slice, float, int]:
    """Return the reduced pixels of one axis, how often to repeat each, and the scale from there.

    They are repeated where they would hardly shrink: OpenCV copies what has the right size already,
    whatever the scale.
    """
    pixels = slice(start // divisor, -(-(start + length) // divisor))
    if to * divisor < length < (to + 1) * divisor or length < to * divisor:
        return pixels, to / length, divisor
    return pixels, to * divisor / length, 1


def _resize(pixels: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Average areas along each axis that shrinks, then interpolate along each that grows."""
    if pixels.ndim == 3 and pixels.shape[2] != RGB:  # OpenCV drops one channel, and fails at five
        planes = [_resize(pixels[:, :, k], height, width) for k in range(pixels.shape[2])]
        return np.stack(planes, axis=2)
    shrunk = (min(height, pixels.shape[0]), min(width, pixels.shape[1]))
    result = np.ascontiguousarray(pixels)
    if shrunk != result.shape[:2]:
        result = cv2.resize(result, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if (height, width) != shrunk:
        result = cv2.resize(result, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(result)
