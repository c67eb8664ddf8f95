"""Write a submission row by row, as a CSV that appears under its name once complete."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from isal import isal_zlib

from darkroom.errors import DataError
from darkroom.project import files
from darkroom.project.checked_json import write_json

_LEVEL = 2  # of isal: on real rows 1.04 of the size of gzip's level 9 at 30 times its speed
_GZIP = 31  # window bits that ask for a gzip member; isal writes no name and no time into it
_FLUSH_BYTES = 1 << 18


class _Plain:
    """A compressor that leaves bytes as they are."""

    def compress(self, data: bytes | bytearray) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


class Writer:
    """A context manager that writes a CSV, packed by gzip or not; memory does not grow with rows.

    On exit the file and its `.json` (rows, images, sha256 and bytes of the file, and further facts)
    replace older ones of the same name, atomically. After an exception neither does, and the
    incomplete file is removed. The same rows make the same bytes.

    Example::

        with Writer(path, ["img", "rle_mask"], facts={"threshold": 0.5}) as writer:
            writer.write(["0789bed99cb8_01.jpg", "1 1"])

    Args:
        path: The final name: `.csv.gz`, or `.csv` for a plain file.
        header: The column names.
        facts: Further values for the `.json`: fingerprint, threshold. None: no `.json` is written.

    Raises:
        DataError: A row and the header differ in length, or a value holds a line break.
        OSError: The disk is full or not writable; names the file.
    """

    def __init__(
        self,
        path: Path,
        header: Sequence[str],
        *,
        facts: Mapping[str, object] | None = None,
    ) -> None:
        self.path = path
        self.rows = 0
        self.images = 0
        self._header = tuple(header)
        self._facts = None if facts is None else dict(facts)
        self._replacement = self._replace()
        self._file: IO[bytes]
        is_gzip = path.name.endswith(".gz")
        self._deflate = (
            isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP) if is_gzip else _Plain()
        )
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        self._replacement.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._replacement.__exit__(kind, error, trace)

    @contextmanager
    def _replace(self) -> Iterator[None]:
        """Collect rows, then publish the facts, and last the submission that they describe.

        So there is never a submission without its facts. A kill between the two leaves new facts
        beside an old submission, which `check` notices: the sha256 differs.
        """
        with files.atomic_write(self.path) as part:
            with part.open("wb") as self._file:
                self._add(self.lines([self._header]))
                yield
                self._put(self._deflate.compress(self._buffer) + self._deflate.flush())
                self._file.flush()
                os.fsync(self._file.fileno())  # raises for a full disk before anything is published
            if self._facts is not None:
                counts = {"rows": self.rows, "images": self.images, "bytes": self._bytes}
                measured = {**counts, "sha256": self._sha256.hexdigest()}
                write_json(facts_path(self.path), {**self._facts, **measured})

    def write(self, row: Sequence[str]) -> None:
        """Add the only row of an image: its id, then its values, as text."""
        self.write_lines(self.lines([row]), 1)

    def lines(self, rows: Iterable[Sequence[str]]) -> bytes:
        """Return rows as lines of the file, each with its end."""
        return "".join([self._line(row) for row in rows]).encode()

    def write_lines(self, lines: bytes, images: int) -> None:
        """Add the rows of some images, from `lines`."""
        self.rows += lines.count(b"\n")
        self.images += images
        self._add(lines)

    def _line(self, row: Sequence[str]) -> str:
        if len(row) != len(self._header):
            raise DataError(
                "a row and the header differ in length",
                file=self.path,
                row=self.rows + 2,
                found=len(row),
                expected=f"{len(self._header)}: {', '.join(self._header)}",
            )
        return format_line(row) + "\n"

    def _add(self, lines: bytes) -> None:
        self._buffer += lines
        # In equal pieces: the compressed bytes must not depend on how many rows come at once.
        while len(self._buffer) >= _FLUSH_BYTES:
            self._put(self._deflate.compress(self._buffer[:_FLUSH_BYTES]))
            del self._buffer[:_FLUSH_BYTES]

    def _put(self, data: bytes) -> None:
        self._sha256.update(data)
        self._bytes += len(data)
        self._file.write(data)


def facts_path(path: Path) -> Path:
    """Return where the facts of a submission lie.

    Example:
        >>> facts_path(Path("a/x.csv.gz")).as_posix()
        'a/x.json'
    """
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".csv") + ".json")


def format_line(row: Sequence[str]) -> str:
    """Return a row as a line of CSV without its end, quoted where RFC 4180 requires it.

    Raises:
        DataError: A value holds a line break: legal CSV, but not meant in a submission.
    """
    line = ",".join([_quote(value) for value in row])
    if "\n" in line or "\r" in line:
        bad = next(value for value in row if "\n" in value or "\r" in value)
        raise DataError("a value of a submission holds a line break", found=repr(bad[:80]))
    return line or '""'  # one empty value: an empty line would not be a row


def _quote(value: str) -> str:
    if "," in value or '"' in value:
        return '"' + value.replace('"', '""') + '"'
    return value
