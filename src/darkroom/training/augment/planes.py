"""Several planes of a mask as the bits of one picture, and back.

A pixel is then moved with all of its classes: what is true of it before, that it is of one class
only, say, is true after. Eight planes cost what one does, and interpolation, which would mix
classes, shows as a value that the mask did not hold.
"""

import numpy as np
from numpy.typing import NDArray

from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2

BITS = 8


def pack_planes(mask: Pixels) -> Pixels:
    """Return planes (K, H, W) of 0 and 1 as bits: uint8 (H, W), or (H, W, ceil(K/8)) of over 8.

    A single plane is returned as it is.

    Example:
        >>> pack_planes(np.array([[[1, 0]], [[1, 1]]], np.uint8)).tolist()
        [[3, 2]]
    """
    groups = [mask[first : first + BITS] for first in range(0, len(mask), BITS)]
    packed = []
    for group in groups:
        bits = group[0]
        for place in range(1, len(group)):
            bits = bits | (group[place] << place)
        packed.append(bits)
    return packed[0] if len(packed) == 1 else np.stack(packed, axis=2)


def unpack_planes(packed: Pixels, planes: int) -> Pixels:
    """Return what `pack_planes` packed, uint8 (K, H, W) of 0 and 1."""
    if planes == 1:
        return packed[None]
    mask = np.empty((planes, *packed.shape[:2]), np.uint8)
    for place, plane in enumerate(mask):
        bits = packed if packed.ndim == 2 else packed[..., place // BITS]
        np.right_shift(bits, place % BITS, out=plane)
        plane &= 1
    return mask


def mixes_classes(before: Pixels, after: Pixels) -> bool:
    """Return whether packed masks have got a value that they did not hold, but for 0.

    0.3 ms for 960 x 640 pixels.
    """
    return bool((_values_held(after) & ~_values_held(before))[:, 1:].any())


def _values_held(packed: Pixels) -> NDArray[np.bool_]:
    """Return which values each group of bits holds, bool (groups, 256)."""
    layers = packed if packed.ndim == 3 else packed[..., None]
    counts = [cv2.calcHist([layers], [k], None, [256], [0, 256]) for k in range(layers.shape[2])]
    return np.stack(counts).reshape(-1, 256) > 0
