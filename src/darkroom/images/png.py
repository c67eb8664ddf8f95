"""What Pillow leaves to do with a PNG: its checksums, and its orientation without its pixels.

https://www.w3.org/TR/png-3/#5Chunk-layout: a signature, then chunks of length, type, data and
CRC-32 of type and data.
"""

import struct
import zlib
from collections.abc import Iterator

from darkroom.errors import DataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_METADATA = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_FRAME = 12  # bytes of a chunk besides its data


def check_crcs(data: bytes, name: str) -> None:
    """Compare the checksum of each chunk that decides on pixels, up to the end of the picture.

    Pillow skips those of the pixels themselves (IDAT): a flipped bit gives another picture.

    Raises:
        DataError: A checksum differs, or the file ends before its last chunk.
    """
    view = memoryview(data)
    for kind, start, length in chunks(data):
        end = start + length
        # The third bit of the first letter: lower case is no part of the pixels.
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


def has_late_metadata(data: bytes) -> bool:
    """Return whether metadata follow the pixels, where Pillow sees them only once it decodes."""
    pixels = False
    for kind, _, _ in chunks(data):
        pixels = pixels or kind == b"IDAT"
        if pixels and kind in _METADATA:
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
