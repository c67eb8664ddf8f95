"""What archives and tables may hold at most: they come from others, and cost memory and time.

Each limit lies far above what sets of images have, and below what stops a machine for minutes.
"""

from collections.abc import Iterable
from pathlib import Path

from darkroom.errors import DataError

MAX_MEMBERS = 2_000_000
"""Files of an archive or a folder; the largest well-known challenge has 1.4 million."""

MAX_MEMBER_BYTES = 512 * 2**20
"""Bytes of one file: an image, a mask, or a table of run lengths."""

MAX_TIFF_BYTES = 64 * 2**30
"""Bytes of a TIFF in a folder, which is read in parts: whole slides have 1 to 5 GB."""

MAX_UNPACKED_RATIO = 1_000
"""Unpacked by packed bytes. Masks in files that do not compress them (BMP, TIFF) reach 200 to 990;
deflate reaches 1,032, with nothing but zeros, and members that overlap any ratio."""

MAX_COLUMNS = 100_000
"""Columns of a table."""

MAX_ROWS = 20_000_000
"""Rows of a table. The largest well-known challenges have some 5 million, one a label."""

MAX_CELLS_A_BYTE = 4
"""Cells by bytes of a table of records, each of which has a few of all columns: absent ones cost
no byte. COCO's, whose images and categories are repeated, reach a quarter."""

MAX_NAME_CHARACTERS = 1_000
"""Of an id, a label or a column's name. They are drawn, printed, and compared with each other."""

_FEW_CELLS = 2**20
_SMALL_BYTES = 2**22  # a few blank masks may compress better, and 4 GB take seconds


def refuse_count(count: int, file: Path) -> None:
    """Raise DataError if an archive or folder holds more than `MAX_MEMBERS` files."""
    if count > MAX_MEMBERS:
        raise DataError(
            "holds more files than any set of images",
            file=file,
            found=f"{count:,} files",
            expected=f"at most {MAX_MEMBERS:,}",
            fix="is it the right one? Then pack it as several archives",
        )


def refuse_rows(count: int, file: object) -> None:
    """Raise DataError if a table declares more than `MAX_ROWS` rows."""
    if count > MAX_ROWS:
        raise DataError(
            "more rows than any table of images",
            file=file,
            found=f"{count:,} rows",
            expected=f"at most {MAX_ROWS:,}",
            fix="is it the right file?",
        )


def refuse_empty_cells(rows: int, columns: int, size_bytes: int, file: object) -> None:
    """Raise DataError if a table of records would have far more cells than its file has values."""
    if rows * columns > max(MAX_CELLS_A_BYTE * size_bytes, _FEW_CELLS):
        raise DataError(
            "nearly all cells of the table would be empty",
            file=file,
            found=f"{rows:,} records of {columns:,} different keys, in {size_bytes:,} bytes",
            expected="records that share their keys",
            fix="is it the right file?",
        )


def refuse_ratio(unpacked_bytes: int, packed_bytes: int, file: object, fix: str) -> None:
    """Raise DataError if an archive declares, or has given, more bytes than its size allows."""
    most = MAX_UNPACKED_RATIO * max(packed_bytes, _SMALL_BYTES)
    if unpacked_bytes > most:
        raise DataError(
            "unpacks to more than any set of images would",
            file=file,
            found=f"{unpacked_bytes:,} bytes from {packed_bytes:,}",
            expected=f"at most {most:,} bytes",
            fix=fix,
        )


def overlong(texts: Iterable[str]) -> list[int]:
    """Return the positions of the texts that are too long to name something.

    Example:
        >>> overlong(["dog", "d" * 1001])
        [1]
    """
    return [place for place, text in enumerate(texts) if len(text) > MAX_NAME_CHARACTERS]
