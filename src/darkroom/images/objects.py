"""Objects in a mask: connected components, without small ones or holes, touching ones parted.

Touching objects are parted by a watershed on the distance to the background (Beucher and
Lantuejoul 1979; Meyer 1994 for flooding from markers). From the greatest distance down, parts that
meet stay two if the neck between them is clearly narrower than the thinner of them; both grow on
from there. Every pixel of the mask goes to one object, so that parting alone never changes a mask.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.images.geometry import cv2

Mask = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int32]
Markers = npt.NDArray[np.uint16]

_CONNECTIVITY = 8  # of objects; that of the holes in them is 4
_LEVELS = 32  # between an object's middle and its edge
_LEAST_STEP_PX = 0.5
_NECK = 0.75  # at most this share of the thinner part's width: two discs of equal size, say
_LEAST_DEPTH_PX = 1.0  # a part is at least so much thicker than its neck: edges are rough
_STEPS = (cv2.MORPH_CROSS, cv2.MORPH_RECT)


@dataclass(frozen=True)
class Cleanup:
    """What is done to a mask before it is scored or written.

    Attributes:
        min_area: Objects of fewer pixels are dropped.
        fill_holes: Whether holes in objects are filled.
        separate: Whether touching objects are parted.
        largest: Whether all objects but the one of most pixels are dropped; of equals the one
            whose first pixel along the rows comes first.
    """

    min_area: int = 0
    fill_holes: bool = False
    separate: bool = False
    largest: bool = False

    @property
    def changes_masks(self) -> bool:
        """Whether a mask may change, and not only what counts as one object."""
        return self.min_area > 1 or self.fill_holes or self.largest


NO_CLEANUP = Cleanup()


def find_objects(mask: Mask, cleanup: Cleanup = NO_CLEANUP) -> Labels:
    """Return the number of each pixel's object, int32 (H, W): 0 for background, else 1 to N.

    Objects are numbered by their first pixel along the rows. No two overlap.

    Args:
        mask: (H, W) of 0 and 1.
        cleanup: Holes are filled first, then objects are parted, then some are dropped.

    Example:
        >>> mask = np.array([[1, 0, 1, 1], [0, 0, 1, 1]], np.uint8)
        >>> find_objects(mask).tolist()
        [[1, 0, 2, 2], [0, 0, 2, 2]]
        >>> find_objects(mask, Cleanup(min_area=2)).tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1]]
    """
    flat = np.ascontiguousarray(mask).view(np.uint8)
    if cleanup.fill_holes:
        flat = _filled(flat)
    labels: Labels
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(flat, connectivity=_CONNECTIVITY)
    if cleanup.separate and not flat.all():
        _separate(flat, labels, boxes)
    return _numbered(labels, cleanup)


def plane_objects(
    masks: npt.NDArray[np.bool_], cleanup: Cleanup, *, exclusive: bool
) -> list[Labels]:
    """Return the numbers of the objects (H, W), int32, of each mask of (K, H, W).

    Args:
        masks: A class each.
        cleanup: Of each mask by itself.
        exclusive: Whether no two masks overlap: then a hole that is filled leaves out what belongs
            to another class, and numbers may be missing.
    """
    labels = [find_objects(mask, cleanup) for mask in masks]
    if exclusive and cleanup.fill_holes:
        free = ~masks.any(axis=0)
        for mask, plane in zip(masks, labels, strict=True):
            plane[~(mask | free)] = 0
            free &= plane == 0
    return labels


def _filled(mask: Bytes) -> Bytes:
    """Return a mask with its holes: background that no path of 4-neighbours joins to the edge."""
    outside = np.pad(1 - mask, 1, constant_values=1)  # one background around the picture
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    inside: Bytes = (labels[1:-1, 1:-1] != labels[0, 0]).view(np.uint8)
    return inside


def _numbered(labels: Labels, cleanup: Cleanup) -> Labels:
    """Return labels without those to drop, numbered by their first pixel along the rows."""
    flat = labels.ravel()
    areas = np.bincount(flat, minlength=1)
    first = np.zeros(areas.size, np.intp)
    first[flat[::-1]] = np.arange(flat.size - 1, -1, -1)  # the last assignment is the first pixel
    numbers = np.flatnonzero(areas >= max(1, cleanup.min_area))
    numbers = numbers[numbers > 0]
    numbers = numbers[np.argsort(first[numbers], kind="stable")]
    if cleanup.largest and numbers.size:
        numbers = numbers[[areas[numbers].argmax()]]
    lookup = np.zeros(areas.size, np.int32)
    lookup[numbers] = np.arange(1, numbers.size + 1, dtype=np.int32)
    return np.asarray(lookup[labels], np.int32)


def _separate(mask: Bytes, labels: Labels, boxes: Labels) -> None:
    """Part the objects of a mask, in place: new ones get numbers of their own.

    Args:
        mask: (H, W) of 0 and 1, with at least one 0.
        labels: The number of each pixel's component.
        boxes: Left, top, width, height and area of each number.
    """
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    count = len(boxes)
    for number in range(1, len(boxes)):
        left, top, width, height, _ = boxes[number].tolist()
        window = (slice(top, top + height), slice(left, left + width))
        inside = labels[window] == number
        parts = _parts(np.where(inside, distance[window], np.float32(0)))
        if parts is not None:
            labels[window][inside] = count + parts[inside] - 1
            count += int(parts.max())


@dataclass
class _Part:
    """What has been joined so far, from the middle outwards.

    Attributes:
        peak: The greatest distance to the background in it.
        marked: Whether there are markers in it; none while it is a single object.
    """

    peak: float
    marked: bool = False


def _parts(distance: npt.NDArray[np.float32]) -> Labels | None:
    """Return the numbers from 1 of the parts of one component; None if it is one object.

    Args:
        distance: (H, W), px, to the background; 0 outside of the component.
    """
    peak = float(distance.max())
    if peak < 2 * _LEAST_DEPTH_PX:
        return None
    step = max(peak / _LEVELS, _LEAST_STEP_PX)
    markers = np.zeros(distance.shape, np.uint16)
    earlier, parts = np.zeros(distance.shape, np.int32), [_Part(0.0)]  # the latter by label
    for level in [*np.arange(peak - step, 0, -step).tolist(), 0.0]:
        inside = (distance > level).view(np.uint8)
        count, labels = cv2.connectedComponents(inside, connectivity=_CONNECTIVITY)
        peaks = np.zeros(count, np.float32)
        np.maximum.at(peaks, labels.ravel(), distance.ravel())
        merging: list[list[int]] = [[] for _ in range(count)]
        for number, label in enumerate(_around(labels, earlier, len(parts))[1:], 1):
            merging[label].append(number)
        for some in merging[1:]:
            _mark(parts, some, level, earlier, markers)
        parts = [
            _Part(float(peaks[label]), any(parts[number].marked for number in some))
            for label, some in enumerate(merging)
        ]
        earlier = np.asarray(labels, np.int32)
        if markers.any():
            _grow(markers, inside)
    return markers.astype(np.int32) if markers.any() else None


def _around(labels: Labels, earlier: Labels, count: int) -> list[int]:
    """Return the label that each of `count` smaller regions, numbered in `earlier`, lies in."""
    pixel_of = np.zeros(count, np.intp)
    pixel_of[earlier.ravel()] = np.arange(earlier.size)
    numbers: list[int] = labels.ravel()[pixel_of].tolist()
    return numbers


def _mark(
    parts: list[_Part], numbers: list[int], level: float, labels: Labels, markers: Markers
) -> None:
    """Mark parts that meet at a level, if there are at least two that stay apart."""
    by_peak = sorted(numbers, key=lambda number: -parts[number].peak)
    apart = by_peak[:1] + [
        number
        for number in by_peak[1:]
        if level <= _NECK * parts[number].peak and parts[number].peak - level >= _LEAST_DEPTH_PX
    ]
    if len(apart) < 2:
        return
    for number in apart:
        if not parts[number].marked:
            markers[labels == number] = markers.max() + 1
            parts[number].marked = True


def _grow(markers: Markers, inside: Bytes) -> None:
    """Extend markers, in place, to all pixels inside that touch them: a pixel a step."""
    cross, square = (cv2.getStructuringElement(form, (3, 3)) for form in _STEPS)
    room = (inside > 0) & (markers == 0)
    growing = True
    while growing:
        growing = False
        for step in (cross, square):  # in turn: nearly a circle
            reached = room & ((grown := cv2.dilate(markers, step)) > 0)
            markers[reached] = grown[reached]
            room &= ~reached
            growing |= bool(reached.any())
