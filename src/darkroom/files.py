"""Files and folders that appear under their names only when they are whole."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write; it takes the name `path` when the block ends well.

    What stood there is untouched until then, and after an error; the half-written file,
    `<name>.part` in the same folder, is removed. The folder is made if need be.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        with _named(path):
            yield part
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write(path: Path, data: bytes | str) -> None:
    """Write a whole file, text as UTF-8, or leave what stood there."""
    with replacing(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it takes the name `path` when the block ends well.

    What stood there is untouched until then, and after an error.
    """
    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    _put_back(old, path)  # an earlier run may have been killed between the two renames
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        with _named(path):
            yield part
            if path.exists():
                path.rename(old)
            part.rename(path)
    finally:
        _put_back(old, path)
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def clear_leftovers(path: Path) -> None:
    """Remove what a killed run left half made beside a folder that stands whole.

    For a caller who knows that nobody is filling that folder.
    """
    if path.exists():
        for end in ("part", "old"):
            shutil.rmtree(path.with_name(f".{path.name}.{end}"), ignore_errors=True)


def _put_back(old: Path, path: Path) -> None:
    if old.exists() and not path.exists():
        old.rename(path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the path into the error of a full disk, which the system raises without one."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and error.filename is None:
            error.filename = str(path)
        raise
