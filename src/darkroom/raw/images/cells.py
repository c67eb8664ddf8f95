"""Images whose pixels stand in the cells of a table: each process reads a table once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.images.levels import ADVICE
from darkroom.raw.archives import Archives, digest_of
from darkroom.raw.tables import read_pixels

PREFIX = "pixels:"  # of the index row's image: pixels:train.csv#17 is row 17, from 0


@dataclass(frozen=True)
class PixelCells:
    """Where the pixels of images stand in a table.

    Attributes:
        columns: Names of the columns, in the order of the values: along the rows of the picture,
            and where there are several channels those of a pixel side by side. The cell of a
            single column holds all values, separated by blanks; of several such columns, each
            is a channel.
        shape: (height, width), px.
    """

    columns: tuple[str, ...]
    shape: tuple[int, int]


def is_in_cells(image: str) -> bool:
    """Return whether an index row's image stands in a table."""
    return image.startswith(PREFIX)


def read_cells(archives: Archives, image: str, cells: PixelCells | None) -> NDArray[Any]:
    """Return an image as uint8 (H, W, C), or as float32 where a value of its table is no byte.

    Raises:
        DataError: The table or the row is absent, has no numbers, or is of another shape.
    """
    table, row = _place(image)
    if cells is None:
        raise DataError("the index does not say which columns hold pixels", file=table)
    values = _table(archives, table, cells.columns)
    if row >= len(values):
        raise DataError(
            "the table has fewer rows than the index says",
            file=table,
            found=f"{len(values):,} rows",
            expected=f"more than {row:,}",
            fix="run the index stage again",
        )
    return _shaped(values[row], cells, table)


def cells_digests(archives: Archives, images: Sequence[str], cells: PixelCells) -> list[str]:
    """Return the digest of each image, as the index has it: of its values' bytes.

    Raises:
        DataError: As `read_cells`.
    """
    return [digest_of(read_cells(archives, image, cells).tobytes()) for image in images]


def check_bytes(archives: Archives, images: Sequence[str], cells: PixelCells | None) -> None:
    """Refuse tables that hold values other than 0 to 255.

    Raises:
        DataError: It names the row and the column of the first one.
    """
    for table in dict.fromkeys(_place(image)[0] for image in images if is_in_cells(image)):
        values = _table(archives, table, cells.columns if cells else ())
        if values.dtype == np.uint8:
            continue
        odd = (values < 0) | (values > 255) | (values != np.rint(values))
        row, place = (int(at) for at in np.unravel_index(int(odd.argmax()), odd.shape))
        columns = cells.columns if cells else ()
        column = columns[place * len(columns) // values.shape[1]]
        raise DataError(
            f"no whole number from 0 to 255 in column {column}",
            file=table,
            found=f"{values[row, place]:g}, in row {row + 1} below the header",
            expected="pixels from 0 to 255, or levels",
            fix=ADVICE,
        )


def _place(image: str) -> tuple[str, int]:
    """Return the table and the row of an image."""
    table, _, row = image.removeprefix(PREFIX).rpartition("#")
    if not table or not row.isdecimal():
        raise DataError("no row of a table", found=image, expected=f"such as {PREFIX}train.csv#17")
    return table, int(row)


@lru_cache(maxsize=2)  # of train and of test
def _table(archives: Archives, table: str, columns: tuple[str, ...]) -> NDArray[Any]:
    return read_pixels(archives, table, columns)


def _shaped(values: NDArray[Any], cells: PixelCells, table: str) -> NDArray[Any]:
    """Return the values of a row as (H, W, C)."""
    height, width = cells.shape
    channels, rest = divmod(values.size, height * width)
    if rest or not channels:
        raise DataError(
            "the pixels of a row are no picture of this shape",
            file=table,
            found=f"{values.size:,} values",
            expected=f"{height} x {width} = {height * width:,}, or a multiple",
            fix="correct data.train.shape or data.train.pixels",
        )
    if channels == len(cells.columns):
        return np.ascontiguousarray(values.reshape(channels, height, width).transpose(1, 2, 0))
    return values.reshape(height, width, channels)
