"""Facts about raw images: what decoding found, a row each in an Arrow IPC file.

Workers write those of a shard as they decode, a thousand rows at a time; the stage joins them to
one file, a record batch a shard, and holds those of one shard at a time. Who reads them takes some
columns, and thumbnails by blocks: nothing grows with what is not asked for.
"""

import builtins
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


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("part", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("format", pa.string()),
        ("mode", pa.string()),
        ("bytes", pa.int64()),
        ("exif", pa.int32()),
        ("raw_low", pa.float64()),
        ("raw_high", pa.float64()),
        ("peak", pa.int32()),
        ("mask_pixels", pa.string()),
        ("mask_values", pa.string()),
        ("stored_mask_digest", pa.string()),
        ("thumb", pa.binary(THUMB_PX**2)),
    ]
)


@contextmanager
def write_facts(path: Path) -> Iterator[Callable[[ImageFacts], None]]:
    """Yield what adds a row to a new file of facts.

    The file is written in place: whoever reads it first compares it with a digest.
    """
    files.make_folder(path.parent)
    rows: list[ImageFacts] = []
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:

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
    """The facts of a data set, read by columns.

    Args:
        path: Of the file that `join_facts` wrote.

    Raises:
        ArtifactError: It is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _reader(path, SCHEMA.names[:1]) as reader:
            counts = [reader.get_batch(k).num_rows for k in range(reader.num_record_batches)]
        self._starts = np.cumsum([0, *counts])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def table(self, columns: Sequence[str]) -> Any:
        """Return some columns as an Arrow table."""
        with _reader(self.path, columns) as reader:
            return reader.read_all().select(list(columns))

    def thumbs(self) -> "Thumbs":
        """Return the thumbnails, unread."""
        return Thumbs(self.path, self._starts)


class Thumbs:
    """The thumbnails of a file of facts, uint8 (n, 256), read as they are asked for.

    A slice is read from the file, and leaves no page in memory; rows by their positions are taken
    from a memory map.
    """

    def __init__(self, path: Path, starts: NDArray[np.int64]) -> None:
        self._path, self._starts = path, starts
        self._block: tuple[int, Pixels] | None = None
        with pa.memory_map(str(path)) as file, _open_reader(file, ["thumb"]) as reader:
            # The mapping outlives the file object for as long as a view needs it.
            self._mapped = [_pixels(reader.get_batch(k)) for k in range(len(starts) - 1)]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Pixels:
        """Return uint8 (rows, 256) of a slice without a step, or of positions."""
        if isinstance(rows, slice):
            first, end, _ = rows.indices(len(self))
            parts = [np.empty((0, THUMB_PX**2), np.uint8)]
            for number in range(len(self._mapped)):
                start, stop = self._starts[number : number + 2].tolist()
                if first < stop and start < end:
                    parts.append(self._read(number)[max(first - start, 0) : end - start])
            return np.concatenate(parts)
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        pixels = np.empty((len(rows), THUMB_PX**2), np.uint8)
        for number in np.unique(numbers).tolist():
            places = numbers == number
            pixels[places] = self._mapped[number][rows[places] - self._starts[number]]
        return pixels

    def _read(self, number: int) -> Pixels:
        """Return the thumbnails of a batch; the latest one stays in memory."""
        if self._block is None or self._block[0] != number:
            with _reader(self._path, ["thumb"]) as reader:
                self._block = (number, _pixels(reader.get_batch(number)))
        return self._block[1]


@contextmanager
def _reader(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Open a file of facts to read some columns."""
    try:
        with pa.OSFile(str(path), "rb") as file, _open_reader(file, columns) as reader:
            yield reader
    except (OSError, pa.ArrowException, ValueError) as fault:
        raise ArtifactError(
            "it is damaged", file=path, found=str(fault).splitlines()[0], fix=remake(path.parent)
        ) from None


def _open_reader(file: Any, columns: Sequence[str]) -> Any:
    with pa.ipc.open_file(file) as whole:
        if not whole.schema.equals(SCHEMA):
            raise ValueError(f"columns {', '.join(whole.schema.names)}")
    fields = [SCHEMA.get_field_index(name) for name in columns]
    return pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=fields))


def _pixels(batch: Any) -> Pixels:
    column = batch.column("thumb")
    data = np.frombuffer(column.buffers()[1], np.uint8)
    first = column.offset * THUMB_PX**2
    return data[first : first + len(column) * THUMB_PX**2].reshape(len(column), THUMB_PX**2)
