"""Encode an image of other than three channels as one JPEG: grey, its channels one below the other.

JPEG knows grey and colour. Colour would mix the channels and halve the resolution of two of them.
"""

import numpy as np
import simplejpeg

from darkroom.errors import ArtifactError, DataError
from darkroom.images.codec import Pixels

_BLOCK = 8  # rows of a block of a grey JPEG
_MAX_ROWS = 65500  # of libjpeg


def encode_planes(pixels: Pixels, quality: int) -> bytes:
    """Return uint8 (H, W, C) pixels of any C as a grey JPEG.

    Each channel begins at a multiple of 8 rows, so that no block of the JPEG holds pixels of two.

    Args:
        pixels: The image, of the stored size.
        quality: Of the JPEG, 1 to 100.

    Raises:
        DataError: Together they are higher than a JPEG can be.
    """
    height, width, channels = pixels.shape
    rows = _block_rows(height)
    if rows * channels > _MAX_ROWS:
        raise DataError(
            "too many channels for a JPEG of this height",
            found=f"{channels} channels of {height} px",
            expected=f"at most {_MAX_ROWS // rows}",
            fix="set preprocess.store: raw",
        )
    below = np.pad(pixels, ((0, rows - height), (0, 0), (0, 0)), mode="edge")
    column = np.ascontiguousarray(below.transpose(2, 0, 1)).reshape(channels * rows, width, 1)
    return bytes(simplejpeg.encode_jpeg(column, quality, "GRAY", colorsubsampling="Gray"))


def decode_planes(data: bytes | memoryview | Pixels, *, name: str, out: Pixels) -> None:
    """Decode what `encode_planes` made into `out`, uint8 (H, W, C).

    Raises:
        ArtifactError: The JPEG is damaged, or not of the size of `out`.
    """
    height, width, channels = out.shape
    expected = (channels * _block_rows(height), width, 1)
    try:
        column: Pixels = simplejpeg.decode_jpeg(data, "GRAY")
    except ValueError as fault:
        raise ArtifactError(f"a stored JPEG is damaged: {fault}", file=name) from None
    if column.shape != expected:
        raise ArtifactError(
            "a stored JPEG has another size", file=name, found=column.shape, expected=expected
        )
    planes = column.reshape(channels, expected[0] // channels, width)
    np.copyto(out, planes[:, :height].transpose(1, 2, 0))


def _block_rows(height: int) -> int:
    return -(-height // _BLOCK) * _BLOCK
