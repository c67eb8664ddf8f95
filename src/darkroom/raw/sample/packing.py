"""Archives and tables whose bytes depend on their contents alone: fixed dates, owners, order."""

import csv
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


def write_zip(path: Path, members: Iterable[Member], *, deflate: bool = False) -> None:
    """Write a zip of (name, bytes), stored as they are or, for text, deflated."""
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    with files.atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = method
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)


def write_zipped_csv(path: Path, rows: Iterable[Sequence[str]], *, quote_all: bool = False) -> None:
    """Write rows of cells as the only member of a zip: "a.csv" in a.csv.zip."""
    text = io.StringIO()
    writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    )
    writer.writerows(rows)
    write_zip(path, [(path.stem, text.getvalue().encode())], deflate=True)


def write_tar_gz(path: Path, members: Iterable[Member]) -> None:
    """Write a tar.gz of (name, bytes) without dates, owners or a file name in the gzip head."""
    with (
        files.atomic_write(path) as temporary,
        temporary.open("wb") as raw,
        _nameless_gzip(raw) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Yield function(item) for each item, in order, computed by that many processes."""
    workers = min(workers, len(items))
    return processes.pool(function, items, workers) if workers > 1 else map(function, items)


def _nameless_gzip(raw: BinaryIO) -> gzip.GzipFile:
    # level 1: the members are JPEGs, which gzip cannot make smaller
    return gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=raw, mtime=0)
