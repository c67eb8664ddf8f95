"""Unpack compressed tars whole: a gzip has no random access.

A small one is unpacked into memory; a large one into a file, once for all processes.
"""

import hashlib
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from isal import igzip, isal_zlib

from darkroom.errors import ResourceError
from darkroom.project import files
from darkroom.project.names import read_errors
from darkroom.raw import limits

MAX_IN_MEMORY_BYTES = 64 * 2**20

_CHUNK_BYTES = 2**22
_BROKEN = cast(tuple[type[Exception], ...], (EOFError, zlib.error, isal_zlib.error))


def unpack_gzip(path: Path, unpack_folder: Path) -> bytes | Path:
    """Return a gzip's contents: bytes, or the path of a file in `unpack_folder` if they are large.

    Raises:
        DataError: It is damaged, cut short, or unpacks to far more than its size.
        ResourceError: The disk is full.
    """
    size = path.stat().st_size
    if size <= MAX_IN_MEMORY_BYTES:
        data = read_gzip(path, MAX_IN_MEMORY_BYTES + 1)
        if len(data) <= MAX_IN_MEMORY_BYTES:
            return data
    return unpack_once(path, unpack_folder, lambda out: _unpack(path, out, size))


def read_gzip(path: Path, most_bytes: int) -> bytes:
    """Return a gzip's contents, the first `most_bytes` of them if there are more.

    Raises:
        DataError: It is damaged or cut short.
    """
    with read_errors(path, *_BROKEN), igzip.open(path) as file:
        return cast(bytes, file.read(most_bytes))


def unpack_once(path: Path, unpack_folder: Path, write: Callable[[BinaryIO], None]) -> Path:
    """Return the file that an archive is unpacked to, once for all processes.

    Args:
        path: The archive; if it changes, it is unpacked anew.
        unpack_folder: Where the file goes. Need not exist.
        write: Writes the unpacked bytes.

    Raises:
        ResourceError: The disk is full.
    """
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    status = path.stat()
    target = unpack_folder / f"{path.name}-{digest}-{status.st_size}-{status.st_mtime_ns}.tar"
    files.make_folder(unpack_folder, private=True)
    with files.lock(unpack_folder):  # one process unpacks, the others wait
        if not target.exists():
            print(f"unpacking {path.name}, once: {status.st_size:,} bytes", file=sys.stderr)
            _write(path, target, write)
    return target


def _write(path: Path, target: Path, write: Callable[[BinaryIO], None]) -> None:
    unpacked_bytes = 0
    try:
        with files.atomic_write(target) as temporary, temporary.open("wb") as out:
            try:
                write(out)
            finally:
                unpacked_bytes = out.tell()
    except OSError as error:
        if error.errno not in files.DISK_FULL:
            raise
        raise ResourceError(
            "no disk space to unpack an archive",
            file=path,
            found=f"{unpacked_bytes:,} bytes unpacked",
        ) from error


def _unpack(path: Path, out: BinaryIO, packed_bytes: int) -> None:
    unpacked_bytes = 0
    for chunk in _chunks(path):
        unpacked_bytes += len(chunk)
        limits.refuse_ratio(unpacked_bytes, packed_bytes, path, "download it again")
        out.write(chunk)


def _chunks(path: Path) -> Iterator[bytes]:
    with read_errors(path, *_BROKEN), igzip.open(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
