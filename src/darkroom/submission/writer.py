"""A submission as it grows: rows in, one gzip member out, under its name only when whole."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from isal import isal_zlib

from darkroom.errors import DataError, ResourceError

_LEVEL = 2  # of isal: on real rows 1.04 of the size of gzip's level 9 at 30 times its speed
_GZIP = 31  # window bits that ask for a gzip member; isal writes no name and no time into it
_FLUSH_BYTES = 1 << 18
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


class Writer:
    """A gzip CSV being written, a context manager; memory does not grow with its rows.

    On leaving without an exception the file and, beside it, its `.json` (rows, sha256 and
    bytes of the gzip, and the facts given) appear under their names, replacing what stood
    there. On an exception neither does and the half-written part is gone. The same rows make
    the same bytes.

    Example::

        with Writer(path, ["img", "rle_mask"], facts={"threshold": 0.5}) as writer:
            writer.write(["0789bed99cb8_01.jpg", "1 1"])

    Args:
        path: The final name, ending in `.csv.gz`.
        header: The column names.
        facts: What else the `.json` tells: fingerprint, threshold.
        work: The folder for the half-written part, made if absent; None: beside `path`,
            as `<name>.part`.

    Raises:
        DataError: A row has not as many values as the header, or a value breaks the line.
        ResourceError: The disk is full, or may not be written.
    """

    def __init__(
        self,
        path: Path,
        header: Sequence[str],
        *,
        facts: Mapping[str, object] | None = None,
        work: Path | None = None,
    ) -> None:
        self.path = path
        self.rows = 0
        self._header = tuple(header)
        self._facts = dict(facts or {})
        self._part = (work or path.parent) / f"{path.name}.part"
        self._file: IO[bytes]
        self._deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
        self._sha256 = hashlib.sha256()
        self._bytes = 0
        self._waiting = bytearray()

    def __enter__(self) -> Self:
        self._add(self._header)
        with _told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("wb")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                if kind is None:
                    self._finish()
            if kind is None:
                self._publish()
        finally:
            self._part.unlink(missing_ok=True)

    def write(self, row: Sequence[str]) -> None:
        """Add a row: its id, then its values, as text."""
        self._add(row)
        self.rows += 1

    def _add(self, row: Sequence[str]) -> None:
        if len(row) != len(self._header):
            raise DataError(
                "a row has not as many values as the header",
                file=self.path,
                row=self.rows + 2,
                found=len(row),
                expected=f"{len(self._header)}: {', '.join(self._header)}",
            )
        self._waiting += (line_of(row) + "\n").encode()
        if len(self._waiting) >= _FLUSH_BYTES:
            self._put(self._deflate.compress(self._waiting))
            self._waiting.clear()

    def _put(self, data: bytes) -> None:
        self._sha256.update(data)
        self._bytes += len(data)
        with _told(self.path):
            self._file.write(data)

    def _finish(self) -> None:
        self._put(self._deflate.compress(self._waiting) + self._deflate.flush())
        with _told(self.path):
            _sync(self._file)

    def _publish(self) -> None:
        own = {"rows": self.rows, "bytes": self._bytes, "sha256": self._sha256.hexdigest()}
        card = card_path(self.path)
        card_part = card.with_name(f"{card.name}.part")
        with _told(self.path):
            try:
                with card_part.open("w", encoding="utf-8") as file:
                    json.dump({**self._facts, **own}, file, indent=2, sort_keys=True)
                    file.write("\n")
                    _sync(file)
                _move(self._part, self.path)
                card_part.replace(card)
            finally:
                card_part.unlink(missing_ok=True)


def card_path(path: Path) -> Path:
    """Return where the facts of a submission lie: `a/x.json` for `a/x.csv.gz`."""
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".csv") + ".json")


def line_of(row: Sequence[str]) -> str:
    """Return a row as a line of CSV without its end, quoted where RFC 4180 asks for it.

    Raises:
        DataError: A value holds a line break: legal CSV, but no submission means it.
    """
    line = ",".join([_quoted(value) for value in row])
    if "\n" in line or "\r" in line:
        bad = next(value for value in row if "\n" in value or "\r" in value)
        raise DataError("a value of a submission breaks the line", found=repr(bad[:80]))
    return line or '""'  # one empty value: an empty line would be no row


def _quoted(value: str) -> str:
    if "," in value or '"' in value:
        return '"' + value.replace('"', '""') + '"'
    return value


def _move(part: Path, path: Path) -> None:
    """Give the part its final name, in one step even from another file system."""
    try:
        part.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = path.with_name(f"{path.name}.part")
        with part.open("rb") as source, near.open("wb") as copy:
            shutil.copyfileobj(source, copy)
            _sync(copy)
        near.replace(path)


def _sync(file: IO[bytes] | IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn a full or closed disk into an error that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ResourceError(
            "a submission could not be written",
            file=path,
            found=os.strerror(error.errno),
            fix="free some space or mend the permissions, then run the stage again",
        ) from error
