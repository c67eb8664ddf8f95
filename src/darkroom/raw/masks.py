"""Read raw masks: an index row names a file or holds run lengths; both become pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError, one_line
from darkroom.images import rle
from darkroom.images.codec import decode_mask
from darkroom.raw.archives import Archives

RLE_PREFIX = "rle:"


@dataclass(frozen=True)
class RawMask:
    """A mask at its original size.

    Attributes:
        pixels: uint8 (H, W) of 0 and 1.
        values: What stood for 0 and 1 in the raw data: "0/1", "0/255", "0" (a file with no
            foreground), or "run lengths".
    """

    pixels: NDArray[np.uint8]
    values: str


def read_mask(archives: Archives, mask: str, height: int, width: int, *, name: str) -> RawMask:
    """Return the mask of an image of size (height, width).

    Args:
        archives: The containers that mask files lie in.
        mask: The index row's `mask`: the path of a member, or `rle:row 1 3 ...` (start and length
            of each run, starts counted from 1 along the rows; `rle:column` counts down columns).
        height: Of the image, px.
        width: Of the image, px.
        name: Of the image, for messages.

    Raises:
        DataError: It is absent, broken, of another size than its image, or has other values.

    Example:
        >>> from pathlib import Path
        >>> archives = Archives(Path("raw"), Path("unpacked"))  # run lengths need no file
        >>> read_mask(archives, "rle:row 2 2", 1, 4, name="a.jpg").pixels.tolist()
        [[0, 1, 1, 0]]
    """
    if mask.startswith(RLE_PREFIX):
        order, _, pairs = mask.removeprefix(RLE_PREFIX).partition(" ")
        try:
            pixels = rle.decode(pairs, height, width, "row" if order == "row" else "column")
            return RawMask(pixels, "run lengths")
        except DataError as error:
            raise DataError(f"its mask can't be decoded: {one_line(error)}", file=name) from error
    pixels, value = decode_mask(archives.read(mask), name=mask)
    if pixels.shape != (height, width):
        raise DataError(
            "the mask's size is not its image's",
            file=mask,
            found=f"{pixels.shape[1]} x {pixels.shape[0]} px",
            expected=f"{width} x {height} px, as {name} has",
        )
    return RawMask(pixels, f"0/{value}" if value else "0")
