"""Files and folders that have their names only when whole, held by one process at a time."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import ParamsError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
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
    with atomic_write(path) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
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


@contextmanager
def lock(path: Path, *, busy: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold a folder, or a lock file, while the block runs; whoever else asks for it waits.

    A killed process holds nothing.

    Args:
        path: A folder that is there, or else a file, made if need be; it stays.
        busy: Called if another holds it: to say so and, by returning, to wait, or to refuse
            by raising.
    """
    if path.is_dir():
        handle = os.open(path, os.O_RDONLY)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _is_free(handle):
            busy()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def file_size(path: Path) -> int | None:
    """Return a file's bytes; None if there is no such file."""
    return path.stat().st_size if path.is_file() else None


def clear_leftovers(path: Path) -> None:
    """Remove what a killed run left half made beside a folder that stands whole.

    For a caller who knows that nobody is filling that folder.
    """
    if path.exists():
        for end in ("part", "old"):
            shutil.rmtree(path.with_name(f".{path.name}.{end}"), ignore_errors=True)


def _is_free(handle: int) -> bool:
    """Return whether nobody else holds an open file or folder; it is held from now on."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def home_folder() -> Path:
    """Return it.

    Raises:
        ParamsError: There is none: neither $HOME nor an entry in the list of users.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise ParamsError(
            "there is no home folder",
            found="neither HOME nor an entry in passwd",
            fix="set the environment variable HOME to a folder",
        ) from None
