"""The pages of a picture file: which of them are pictures, and which the planes of one.

A TIFF may hold reduced copies of its picture, and some scanners store a page of greys for each of
its colours: so are some slides of HuBMAP, Hacking the Kidney, 2020.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

_SUBFILE_TYPE = 254  # TIFF tag; bit 0: a reduced copy of another page
_PLANES = 3


def count_frames(picture: ImageFile.ImageFile) -> int:
    """Return how many pictures an opened file holds, at least 1."""
    if picture.format == "MPO":  # a camera's JPEG with previews or a gain map behind it
        return 1
    frames = _count_pages(picture)
    if picture.format != "TIFF" or frames == 1:
        return frames
    return max(len(_full_pages(picture)), 1)


def plane_pages(picture: ImageFile.ImageFile) -> list[int]:
    """Return the pages of a TIFF that are red, green and blue of one picture; [] if it has none.

    They are three, of 8-bit grey and one size.
    """
    if picture.format != "TIFF" or _count_pages(picture) < _PLANES:
        return []
    pages, kinds = _full_pages(picture), set()
    for page in pages:
        picture.seek(page)
        kinds.add((picture.mode, picture.size))
    picture.seek(0)
    return pages if len(pages) == _PLANES and kinds == {("L", picture.size)} else []


def stack_pages(picture: ImageFile.ImageFile, pages: Sequence[int]) -> NDArray[np.uint8]:
    """Return grey pages of one size as uint8 (H, W, C), a channel each."""
    pixels = np.empty((picture.height, picture.width, len(pages)), np.uint8)
    for channel, page in enumerate(pages):
        picture.seek(page)
        picture.load()  # raises for a truncated file
        pixels[:, :, channel] = np.asarray(picture)
    return pixels


def _count_pages(picture: ImageFile.ImageFile) -> int:
    return int(getattr(picture, "n_frames", 1))


def _full_pages(picture: ImageFile.ImageFile) -> list[int]:
    """Return the pages of a TIFF that are no reduced copies."""
    full = []
    for page in range(_count_pages(picture)):
        picture.seek(page)
        if not picture.tag_v2.get(_SUBFILE_TYPE, 0) & 1:  # type: ignore[attr-defined]
            full.append(page)
    picture.seek(0)
    return full
