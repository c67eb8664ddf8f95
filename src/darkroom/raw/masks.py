"""Read raw masks: an index row names a file or holds run lengths; both become pixels."""

from collections.abc import Iterable
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
        values: What stood for 0 and 1 in the raw data: grey levels, "0/1", "0/255" or "0" (a file
            with no foreground); colours of a palette, "#000000/#ff0000"; or "run lengths".
    """

    pixels: NDArray[np.uint8]
    values: str


def read_mask(
    archives: Archives, mask: str, height: int, width: int, *, name: str, digest: str = ""
) -> RawMask:
    """Return the mask of an image of size (height, width).

    Args:
        archives: The containers that mask files lie in.
        mask: The index row's `mask`: the path of a member, or `rle:row 1 3 ...` (start and length
            of each run, starts counted from 1 along the rows; `rle:column` counts down columns).
        height: Of the image, px.
        width: Of the image, px.
        name: Of the image, for messages.
        digest: Of the mask's file, as the index has it; "": none is compared.

    Raises:
        DataError: It is absent, broken, not the file that was indexed, of another size than its
            image, or has other values.

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
    pixels, values = decode_mask(archives.read(mask, digest=digest), name=mask)
    if pixels.shape != (height, width):
        raise DataError(
            "the mask's size is not its image's",
            file=mask,
            found=f"{pixels.shape[1]} x {pixels.shape[0]} px",
            expected=f"{width} x {height} px, as {name} has",
        )
    return RawMask(pixels, values)


def refuse_opposite_masks(masks: Iterable[tuple[str, str]]) -> None:
    """Refuse masks of one data set in which a colour is foreground here and background there.

    Args:
        masks: The name of each mask, and what stood for 0 and 1: `RawMask.values`.

    Raises:
        DataError: Two masks contradict each other; the message names them.
    """
    first: dict[str, tuple[int, str]] = {}
    for name, values in masks:
        for label, colour in enumerate(_colours(values)):
            meaning, other = first.setdefault(colour, (label, name))
            if colour and meaning != label:
                back, front = (other, name) if label else (name, other)
                raise DataError(
                    "masks of opposite meaning",
                    found=f"{colour} is background in the mask of {back}, and foreground in that "
                    f"of {front}",
                    expected="each colour to mean the same in all of them",
                    fix="store the masks in grey, without a palette: 0 for background, 255 for "
                    "foreground",
                )


def _colours(values: str) -> list[str]:
    """Return the colours of 0 and 1, "" where none is known: the levels 0 and 1 are labels."""
    if values.startswith(("#", "/#")):
        colours = values.split("/")
        return colours if colours[0] != colours[1] else []
    levels = values.split("/")
    if not all(map(str.isdecimal, levels)) or levels[-1] == "1":
        return []
    return [f"#{int(level):02x}{int(level):02x}{int(level):02x}" for level in levels]
