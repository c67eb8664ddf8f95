"""Archives and tables whose bytes depend on their contents alone: fixed dates, owners, order."""

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO, TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")
Member = tuple[str, bytes]

DATE = (2017, 7, 24, 0, 0, 0)


def write_zip(path: Path, members: Iterable[Member], *, squeeze: bool = False) -> None:
    """Write a zip of (name, bytes), stored as they are or, for text, deflated."""
    method = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
    part = _part(path)
    with zipfile.ZipFile(part, "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = method
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    _finish(part, path)


def write_tar_gz(path: Path, members: Iterable[Member]) -> None:
    """Write a tar.gz of (name, bytes) without dates, owners or a file name in the gzip head."""
    part = _part(path)
    with (
        part.open("wb") as raw,
        _nameless_gzip(raw) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    _finish(part, path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file which appears under its name only when whole."""
    part = _part(path)
    part.write_bytes(data)
    _finish(part, path)


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, worked out by that many processes."""
    if workers <= 1 or len(items) <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(items)), get_context("spawn"), cv2.setNumThreads, (0,)
    )
    with pool:
        yield from pool.map(function, items)


def _nameless_gzip(raw: BinaryIO) -> gzip.GzipFile:
    # level 1: the members are JPEGs, which gzip cannot make smaller
    return gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _finish(part: Path, path: Path) -> None:
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    part.replace(path)
