"""A file of finished parts, appended one by one, from which a killed run goes on.

Each part has its length and digest in front. Whatever a kill, a full disk or a power cut left at
the end, or was changed since, ends the journal before it: that part is computed again. So no part
needs to wait for the disk.
"""

import errno
import hashlib
from collections.abc import Iterator
from pathlib import Path

from darkroom.project.files import DISK_FULL

_LENGTH_BYTES, _DIGEST_BYTES = 8, 16
HEAD_BYTES = _LENGTH_BYTES + _DIGEST_BYTES
"""In front of each part."""


class Journal:
    """The parts of a file, in the order in which they were appended; none if there is no file.

    Args:
        path: Of the file; what is not whole at its end is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0
        sizes = [len(part) + HEAD_BYTES for part in self]
        self._count = len(sizes)
        if path.exists() and path.stat().st_size > sum(sizes):
            with path.open("r+b") as file:
                file.truncate(sum(sizes))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        """Yield the parts; memory holds one of them at a time."""
        if not self.path.exists():
            return
        rest = self.path.stat().st_size
        with self.path.open("rb") as file:
            number = 0
            while rest >= HEAD_BYTES:
                head = file.read(HEAD_BYTES)
                length = int.from_bytes(head[:_LENGTH_BYTES], "little")
                rest -= len(head) + length
                if rest < 0:
                    return
                part = file.read(length)
                if head != _head(number, part):
                    return
                yield part
                number += 1

    def append(self, part: bytes) -> None:
        """Add a part.

        Raises:
            OSError: The disk is full; names the file.
        """
        try:
            with self.path.open("ab") as file:
                file.write(_head(self._count, part) + part)
        except OSError as error:
            if error.errno in (*DISK_FULL, errno.EFBIG):
                error.filename = str(self.path)
            raise
        self._count += 1


def _head(number: int, part: bytes) -> bytes:
    """Return what stands in front of a part: its length, and a digest of its place and bytes."""
    length = len(part).to_bytes(_LENGTH_BYTES, "little")
    place = number.to_bytes(_LENGTH_BYTES, "little")
    digest = hashlib.blake2b(part, digest_size=_DIGEST_BYTES, salt=place).digest()
    return length + digest
