"""A file that is too large to hold, or a member that is stored as it is: read where it lies."""

import hashlib
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from darkroom.errors import DataError
from darkroom.raw.parts import SeekableBytes, open_parts

_CHUNK_BYTES = 2**22


@dataclass(frozen=True)
class LargeFile:
    """A file, or a member of an archive that does not compress it.

    Attributes:
        name: For messages.
        path: The file that holds it.
        bytes: Its size, which `len` is, too.
        start: The place of its first byte in the file.
        crc: The CRC-32 that its archive has of it; None: it has none.
    """

    name: Path
    path: Path
    bytes: int
    start: int = 0
    crc: int | None = None

    def __len__(self) -> int:
        return self.bytes

    def open(self) -> io.BufferedReader:
        """Return its bytes as a file."""
        return io.BufferedReader(_Window(open_parts(self.path), self.start, self.bytes))

    def sha256(self) -> str:
        """Return the sha256 of its bytes, in hexadecimal digits.

        Raises:
            DataError: It is shorter than declared, or has another CRC-32.
        """
        sha256, crc, size = hashlib.sha256(), 0, 0
        with self.open() as file:
            while chunk := file.read(_CHUNK_BYTES):
                sha256.update(chunk)
                crc, size = zlib.crc32(chunk, crc), size + len(chunk)
        if size != self.bytes or (self.crc is not None and crc != self.crc):
            raise DataError(
                "damaged, or cut short",
                file=self.name,
                found=f"{size:,} bytes, CRC-32 {crc:08x}",
                expected=f"{self.bytes:,} bytes"
                + ("" if self.crc is None else f", CRC-32 {self.crc:08x}"),
                fix="download it again",
            )
        return sha256.hexdigest()


class _Window(SeekableBytes):
    """Some bytes of a file, as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__(size)
        self._file, self._start = file, start

    def readinto(self, buffer: "memoryview[int]") -> int:  # type: ignore[override]
        count = min(len(buffer), self.size - self.place)
        if count <= 0:
            return 0
        self._file.seek(self._start + self.place)
        data = self._file.read(count)
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
