"""A zip that was cut into parts, .zip.001, .zip.002, ..., as one file, without joining them."""

import io
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Collection
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import BinaryIO, cast

from darkroom.errors import DataError
from darkroom.project.names import FIRST_PART, list_names

_BUFFER_BYTES = 2**16
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would else translate the ends of lines

_SEEKING = Lock()  # Windows lacks pread: a thread would read where another one has sought


def is_part(name: str) -> bool:
    """Return whether a name is that of the first part."""
    return name.endswith(FIRST_PART)


def find_parts(names: Collection[str], first: str, file: object = None) -> list[str]:
    """Return the names of all parts, in order.

    Args:
        names: The existing names.
        first: The name of the first part.
        file: The folder, for the message.

    Raises:
        DataError: A part between two others is missing; the message names it.

    Example:
        >>> find_parts(["a.zip.001", "a.zip.002", "b.zip"], "a.zip.001")
        ['a.zip.001', 'a.zip.002']
    """
    stem = first.removesuffix("001")
    parts = sorted(name for name in names if re.fullmatch(re.escape(stem) + "[0-9]{3}", name))
    wanted = [f"{stem}{number:03}" for number in range(1, len(parts) + 1)]
    if absent := [name for name in wanted if name not in parts]:
        raise DataError(
            f"{absent[0]} is missing",
            file=file,
            found=", ".join(parts[:12]),
            expected="the parts of a zip without a gap",
            fix=f"download {absent[0]}",
        )
    return parts


def with_parts(names: Collection[str], chosen: Collection[str]) -> list[str]:
    """Return chosen names, each first part with the parts that follow it; see `find_parts`."""
    parts = [find_parts(names, name) if is_part(name) else [name] for name in chosen]
    return [name for several in parts for name in several]


def part_names(first: Path) -> list[str]:
    """Return the names of the parts that lie beside the first."""
    return find_parts(list_names(first.parent), first.name, first.parent)


def open_parts(path: Path) -> BinaryIO:
    """Return a file, opened to read its bytes; with a first part's name, all parts as one file."""
    if not is_part(path.name):
        return path.open("rb")
    return cast(BinaryIO, io.BufferedReader(Parts(path), _BUFFER_BYTES))


class SeekableBytes(io.RawIOBase):
    """Bytes that can be sought in; a subclass reads them.

    Attributes:
        size: How many there are.
        place: Of the next one to read, from 0.
    """

    def __init__(self, size: int) -> None:
        self.size, self.place = size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, and return it; ValueError if it is before the first byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.place, io.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a place before the first byte")
        self.place = start + offset
        return self.place

    def tell(self) -> int:
        """Return the place."""
        return self.place


def _read_at(descriptor: int, size: int, place: int) -> bytes:
    if sys.platform == "win32":
        with _SEEKING:
            os.lseek(descriptor, place, os.SEEK_SET)
            data = os.read(descriptor, size)
    else:
        data = os.pread(descriptor, size, place)  # moves no place that a forked process shares
    return data


class Parts(SeekableBytes):
    """A file, or with a first part's name all parts, one after the other, as one file.

    Args:
        path: The file, or the first part.
    """

    def __init__(self, path: Path) -> None:
        names = part_names(path) if is_part(path.name) else [path.name]
        self._descriptors: list[int] = []
        for path in [path.parent / name for name in names]:
            self._descriptors.append(os.open(path, os.O_RDONLY | _BINARY))
        sizes = [os.fstat(descriptor).st_size for descriptor in self._descriptors]
        self._ends = list(accumulate(sizes))
        super().__init__(self._ends[-1])

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        """Fill a buffer from the place on, as far as one part reaches; return how many bytes."""
        data = self._some(len(buffer), self.place)
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def read_at(self, size: int, place: int) -> bytes:
        """Return some bytes from a place on, fewer at the end; several threads may read at once."""
        data = self._some(size, place)
        if len(data) in (0, size):
            return data
        pieces, count = [data], len(data)
        while count < size and (data := self._some(size - count, place + count)):
            pieces.append(data)
            count += len(data)
        return b"".join(pieces)

    def _some(self, size: int, place: int) -> bytes:
        """Return bytes from a place on, of one part; none at the end."""
        number = bisect_right(self._ends, place)
        if number == len(self._ends):
            return b""
        begin = self._ends[number - 1] if number else 0
        return _read_at(self._descriptors[number], size, place - begin)

    def close(self) -> None:
        """Close all parts."""
        while self._descriptors:
            os.close(self._descriptors.pop())
        super().close()
