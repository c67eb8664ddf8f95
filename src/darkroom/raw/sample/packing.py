"""Archives and tables whose bytes depend on their contents alone: fixed dates, owners, order."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar

from darkroom.project import files, processes

Item = TypeVar("Item")
Result = TypeVar("Result")
Member = tuple[str, bytes]

DATE = (2017, 7, 24, 0, 0, 0)


def write_zip(path: Path, members: Iterable[Member], *, squeeze: bool = False) -> None:
    """Write a zip of (name, bytes), stored as they are or, for text, deflated."""
    method = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
    with files.replacing(path) as part, zipfile.ZipFile(part, "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = method
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)


def write_tar_gz(path: Path, members: Iterable[Member]) -> None:
    """Write a tar.gz of (name, bytes) without dates, owners or a file name in the gzip head."""
    with (
        files.replacing(path) as part,
        part.open("wb") as raw,
        _nameless_gzip(raw) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Return an iterator of function(item) in order, worked out by that many processes."""
    workers = min(workers, len(items))
    return processes.pool(function, items, workers) if workers > 1 else map(function, items)


def _nameless_gzip(raw: BinaryIO) -> gzip.GzipFile:
    # level 1: the members are JPEGs, which gzip cannot make smaller
    return gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0)
