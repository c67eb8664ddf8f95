"""What Pillow leaves to do with a PNG: its checksums, and its orientation without its pixels.

https://www.w3.org/TR/png-3/#5Chunk-layout: a signature, then chunks of length, type, data and
CRC-32 of type and data.
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from isal import isal_zlib
from PIL import Image

from darkroom.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"iTXt", b"tEXt", b"zTXt")
_ORIENTATION_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_FRAME = 12  # bytes of a chunk besides its data
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by kind of colour
# First row, first column, and the steps of each pass of an interlaced picture.
_ADAM7 = (
    *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
    *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
)
_BLOCK_BYTES = 2**20


def check_crcs(data: bytes, name: str) -> None:
    """Compare the checksum of each chunk that decides on pixels, up to the end of the picture.

    Pillow skips those of the pixels themselves (IDAT): a flipped bit gives another picture.

    Raises:
        DataError: A checksum differs, or the file ends before its last chunk.
    """
    view = memoryview(data)
    for kind, start, length in chunks(data):
        end = start + length
        # Lower case begins what no decoder needs for the pixels.
        if not kind[0] & 0x20:
            (stored,) = struct.unpack_from(">I", data, end)
            if zlib.crc32(view[start - 4 : end]) != stored:
                raise DataError(
                    "the PNG is damaged",
                    file=name,
                    found=f"another checksum of chunk {kind.decode('latin-1')!r} at byte {start}",
                    expected="the one that is stored with it",
                    fix="get the file again from where it came from",
                )
        if kind == b"IEND":
            return
    raise DataError("the PNG ends early", file=name, found="no IEND chunk: it is truncated")


def check_rows(data: bytes, picture: Image.Image, name: str) -> None:
    """Refuse a PNG with fewer rows than its header claims: Pillow leaves the rest black.

    Args:
        data: The file.
        picture: The same, decoded.
        name: The file, for messages.

    Raises:
        DataError: Rows are missing.
    """
    width, height, depth, colour, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    # Not getbbox(): it reads 16-bit rows to twice their length.
    last = np.asarray(picture.crop((0, height - 1, width, height)))
    if last.any() and not interlace:
        return  # a missing row would be black
    bits = depth * _CHANNELS[colour]
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    expected = 0
    for top, left, down, right in passes:
        rows, columns = -((top - height) // down), -((left - width) // right)
        expected += rows * (1 + (columns * bits + 7) // 8) if columns > 0 else 0
    count = _count_bytes(data, expected)
    if count < expected:
        raise DataError(
            "the PNG has fewer rows than its header claims",
            file=name,
            found=f"{count:,} bytes of pixels",
            expected=f"{expected:,} bytes, for {width} x {height} px",
        )


def _count_bytes(data: bytes, enough: int) -> int:
    """Return how many bytes the pixels' chunks unpack to; counting stops when there are enough."""
    unpacker, count, view = isal_zlib.decompressobj(), 0, memoryview(data)
    for kind, start, length in chunks(data):
        packed: bytes | memoryview = view[start : start + length] if kind == b"IDAT" else b""
        while packed and count < enough:
            count += len(unpacker.decompress(packed, _BLOCK_BYTES))
            packed = unpacker.unconsumed_tail
    return count


def has_late_orientation(data: bytes) -> bool:
    """Return whether EXIF or XMP follows the pixels, where Pillow sees it only once it decodes."""
    pixels = False
    for kind, start, _ in chunks(data):
        pixels = pixels or kind == b"IDAT"
        is_text = kind in _TEXTS and data.startswith(_ORIENTATION_TEXTS, start)
        if pixels and (kind == b"eXIf" or is_text):
            return True
    return False


def chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each whole chunk, the place of its data, and their length in bytes."""
    at = len(SIGNATURE)
    while at + _FRAME <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + _FRAME + length > len(data):
            return
        yield kind, at + 8, length
        at += _FRAME + length
