"""Compressed tars, unpacked whole: a gzip has no random access.

A small one stays in memory; a large one is written once into a folder of our own, for all
processes.
"""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from isal import igzip, isal_zlib

from darkroom.errors import DataError, ResourceError
from darkroom.project import files
from darkroom.project.names import reported

MAX_IN_MEMORY_BYTES = 64 * 2**20
# Images hardly compress; gzip itself stops at 1,032 times.
MAX_UNPACKED_RATIO = 200

_CHUNK_BYTES = 2**22
_BROKEN = cast(tuple[type[Exception], ...], (EOFError, zlib.error, isal_zlib.error))


def unpacked(path: Path, spool: Path) -> bytes | Path:
    """Return a gzip's contents: bytes, or the path of a file in `spool` if they are large.

    Raises:
        DataError: It is damaged, cut short, or unpacks to `MAX_UNPACKED_RATIO` times its size.
        ResourceError: The disk is full.
    """
    size = path.stat().st_size
    if size <= MAX_IN_MEMORY_BYTES:
        with reported(path, *_BROKEN), igzip.open(path) as file:
            data = cast(bytes, file.read(MAX_IN_MEMORY_BYTES + 1))
        if len(data) <= MAX_IN_MEMORY_BYTES:
            return data
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    target = spool / f"{path.name}-{place}-{size}-{path.stat().st_mtime_ns}.tar"
    spool.mkdir(parents=True, exist_ok=True)
    with files.alone(spool):  # of several processes one unpacks
        if not target.exists():
            _unpack(path, target, limit=max(size, 2**20) * MAX_UNPACKED_RATIO)
    return target


def _unpack(path: Path, target: Path, limit: int) -> None:
    done = 0
    try:
        with files.replacing(target) as part, part.open("wb") as out:
            for chunk in _chunks(path):
                done += len(chunk)
                if done > limit:
                    raise DataError(
                        "unpacks to more than any set of images would",
                        file=path,
                        found=f"more than {limit:,} bytes",
                        expected=f"at most {MAX_UNPACKED_RATIO} times its own size",
                        fix="download it again",
                    )
                out.write(chunk)
    except OSError as error:
        if error.errno not in files.FULL:
            raise
        raise ResourceError(
            "no disk space to unpack an archive", file=path, found=f"{done:,} bytes unpacked"
        ) from error


def _chunks(path: Path) -> Iterator[bytes]:
    with reported(path, *_BROKEN), igzip.open(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
