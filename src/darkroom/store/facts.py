"""Facts about raw images: what decoding found, a row each in an Arrow IPC file.

Workers write those of a shard as they decode, a thousand rows at a time; the stage joins them to
one file, a record batch a shard, and holds those of one shard at a time. Who reads them takes some
columns, and thumbnails by blocks: nothing grows with what is not asked for.
"""

import builtins
import mmap
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels
from darkroom.project import files
from darkroom.store.shard import remake

THUMB_PX = 16
_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class ImageFacts:
    """What decoding found about one image.

    Attributes:
        id: As in the index.
        part: "train" or "test".
        height: Of the original, px.
        width: Of the original, px.
        format: "JPEG", "PNG", "NPY", "DICOM", ...
        mode: Of the samples: Pillow's name, such as "RGB" or "L"; or "float16 x 6" ...
        bytes: The size of its files.
        exif: EXIF orientation, 1 to 8 (never applied).
        raw_low: The least sample of any channel, before levels map it to a byte and before resizing
            (but after a JPEG is decoded at a reduced size).
        raw_high: The greatest.
        peak: The largest byte, 0 to 255, likewise before resizing.
        mask_pixels: How many pixels of the original are in the mask; "-1" where there is no mask.
            Of several classes one number a class, blanks between; unknown pixels come last.
        mask_values: The raw values of the mask: see `darkroom.raw.masks.RawMasks`, "|" between
            those of its parts; "" without one.
        stored_mask_digest: Of the bits of the stored mask; "" without one.
        thumb: The stored picture as 16 x 16 grey levels, 256 bytes.
    """

    id: str
    part: str
    height: int
    width: int
    format: str
    mode: str
    bytes: int
    exif: int
    raw_low: float
    raw_high: float
    peak: int
    mask_pixels: str
    mask_values: str
    stored_mask_digest: str
    thumb: builtins.bytes


# Long strings are those of pandas, which takes them without a copy.
SCHEMA = pa.schema(
    [
        ("id", pa.large_string()),
        ("part", pa.large_string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("format", pa.large_string()),
        ("mode", pa.large_string()),
        ("bytes", pa.int64()),
        ("exif", pa.int32()),
        ("raw_low", pa.float64()),
        ("raw_high", pa.float64()),
        ("peak", pa.int32()),
        ("mask_pixels", pa.large_string()),
        ("mask_values", pa.large_string()),
        ("stored_mask_digest", pa.large_string()),
        ("thumb", pa.binary(THUMB_PX**2)),
    ]
)


@contextmanager
def write_facts(path: Path) -> Iterator[Callable[[ImageFacts], None]]:
    """Yield what adds a row to a new file of facts, which is written atomically."""
    rows: list[ImageFacts] = []
    with (
        files.atomic_write(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as file,
        pa.ipc.new_file(file, SCHEMA) as writer,
    ):

        def flush() -> None:
            columns = [[getattr(row, name) for row in rows] for name in SCHEMA.names]
            writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
            rows.clear()

        def add(facts: ImageFacts) -> None:
            rows.append(facts)
            if len(rows) == _ROWS_AT_ONCE:
                flush()

        yield add
        if rows:
            flush()


def join_facts(parts: Iterable[Path], path: Path) -> None:
    """Write the rows of several files of facts as one, atomically; each becomes a record batch."""
    with (
        files.atomic_write(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as file,
        pa.ipc.new_file(file, SCHEMA) as writer,
    ):
        for part in parts:
            with pa.OSFile(str(part), "rb") as source, pa.ipc.open_file(source) as reader:
                for batch in reader.read_all().combine_chunks().to_batches():
                    writer.write_batch(batch)


class Facts:
    """The facts of a data set, in a memory map: what is not asked for is not read.

    Args:
        path: Of the file that `write_facts` or `join_facts` wrote.

    Raises:
        ArtifactError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            with pa.ipc.open_file(pa.py_buffer(self._map)) as reader:
                if not reader.schema.equals(SCHEMA):
                    raise ValueError(f"columns {', '.join(reader.schema.names)}")
                # Not with `included_fields`, which reads all columns into memory.
                self._table = reader.read_all()
        except (OSError, pa.ArrowException, ValueError) as fault:
            reason = str(fault).splitlines()[0]
            fix = remake(path.parent)
            raise ArtifactError("it is damaged", file=path, found=reason, fix=fix) from None

    def __len__(self) -> int:
        return len(self._table)

    def table(self, columns: Sequence[str]) -> Any:
        """Return some columns as an Arrow table."""
        return self._table.select(list(columns))

    def thumbs(self) -> "Thumbs":
        """Return the thumbnails, unread."""
        return Thumbs(self._table["thumb"], self._map)


class Thumbs:
    """The thumbnails of a file of facts, uint8 (n, 256), read as they are asked for.

    Args:
        column: Of the file.
        mapped: The memory map that it lies in. After a slice its pages are given back: who goes
            through all rows would fill the memory with them.
    """

    def __init__(self, column: Any, mapped: mmap.mmap) -> None:
        self._map = mapped
        self._parts = [_pixels(chunk) for chunk in column.chunks]
        self._starts = np.cumsum([0, *map(len, self._parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Pixels:
        """Return uint8 (rows, 256) of a slice without a step, or of positions."""
        if isinstance(rows, slice):
            pixels = self._rows(np.arange(*rows.indices(len(self))))
            if sys.platform != "win32":  # which has no such advice
                self._map.madvise(mmap.MADV_DONTNEED)
            return pixels
        return self._rows(rows)

    def _rows(self, rows: NDArray[np.int64]) -> Pixels:
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        pixels = np.empty((len(rows), THUMB_PX**2), np.uint8)
        for number in np.unique(numbers).tolist():
            places = numbers == number
            pixels[places] = self._parts[number][rows[places] - self._starts[number]]
        return pixels


def _pixels(column: Any) -> Pixels:
    data = np.frombuffer(column.buffers()[1], np.uint8)
    first = column.offset * THUMB_PX**2
    return data[first : first + len(column) * THUMB_PX**2].reshape(len(column), THUMB_PX**2)
