"""Unpack compressed tars whole: a gzip has no random access.

A small one is unpacked into memory; a large one into a file, once for all processes.
"""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

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
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    target = unpack_folder / f"{path.name}-{digest}-{size}-{path.stat().st_mtime_ns}.tar"
    files.make_folder(unpack_folder, private=True)
    with files.lock(unpack_folder):  # one process unpacks, the others wait
        if not target.exists():
            _unpack(path, target, packed_bytes=size)
    return target


def read_gzip(path: Path, most_bytes: int) -> bytes:
    """Return a gzip's contents, the first `most_bytes` of them if there are more.

    Raises:
        DataError: It is damaged or cut short.
    """
    with read_errors(path, *_BROKEN), igzip.open(path) as file:
        return cast(bytes, file.read(most_bytes))


def _unpack(path: Path, target: Path, packed_bytes: int) -> None:
    unpacked_bytes = 0
    try:
        with files.atomic_write(target) as temporary, temporary.open("wb") as out:
            for chunk in _chunks(path):
                unpacked_bytes += len(chunk)
                limits.refuse_ratio(unpacked_bytes, packed_bytes, path, "download it again")
                out.write(chunk)
    except OSError as error:
        if error.errno not in files.DISK_FULL:
            raise
        raise ResourceError(
            "no disk space to unpack an archive",
            file=path,
            found=f"{unpacked_bytes:,} bytes unpacked",
        ) from error


def _chunks(path: Path) -> Iterator[bytes]:
    with read_errors(path, *_BROKEN), igzip.open(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
