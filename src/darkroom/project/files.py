"""Atomic writes of files and folders, and locks between processes."""

import errno
import fnmatch
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from darkroom.errors import ParamsError, ResourceError
from darkroom.project.file_locks import fsync_folder, open_lock, try_lock, wait_lock

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_BY_SIZE = (*DISK_FULL, errno.EFBIG)
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # of folders, on some network file systems


@contextmanager
def atomic_write(path: Path, *, mode: int | None = None) -> Iterator[Path]:
    """Yield the path of a file to write, which is renamed to `path` if the block succeeds.

    An existing file stays untouched until then, and after an error; the unfinished one,
    `<name>.part` in the same folder, is removed. The folder is created if it is missing.

    Args:
        path: The file.
        mode: Its permissions, such as 0o600, from the first byte on; None: as the umask says.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "new", "a.txt")
        ...     with atomic_write(path) as part:
        ...         _ = part.write_text("whole")
        ...         is_there = path.exists()
        ...     print(is_there, path.read_text())
        False whole
    """
    part = path.with_name(f"{path.name}.part")
    try:
        with _naming(path, part):
            _make_folder(path.parent)
            if mode is not None:
                part.unlink(missing_ok=True)
                part.touch(mode=0o600)
                part.chmod(mode)
        with _naming(path, part, codes=_BY_SIZE):
            yield part
        with _naming(path, part):
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
            replace(part, path)
    finally:
        with suppress(OSError):  # the block's own error says more
            part.unlink()


def write(path: Path, data: bytes | str, *, mode: int | None = None) -> None:
    """Write a file atomically, text as UTF-8; see `atomic_write`."""
    with atomic_write(path, mode=mode) as part:
        part.write_bytes(data.encode() if isinstance(data, str) else data)


def replace(source: Path, target: Path) -> None:
    """Rename a file or folder, and make the new name durable.

    Without the fsync of the folder, a power cut may bring the old name back, or neither.
    """
    source.replace(target)
    fsync_folder(target.parent, ignored=_NO_FSYNC)


def make_folder(path: Path, *, private: bool = False) -> None:
    """Create a folder and its parents where they are missing, and make their names durable.

    Args:
        path: The folder.
        private: Whether only this user may look into what is created.
    """
    with _naming(path):
        _make_folder(path, 0o700 if private else 0o777)


def _make_folder(path: Path, mode: int = 0o777) -> None:
    absent = list(itertools.takewhile(lambda folder: not folder.exists(), (path, *path.parents)))
    for folder in reversed(absent):
        folder.mkdir(mode=mode, exist_ok=True)
        fsync_folder(folder.parent, ignored=_NO_FSYNC)


@contextmanager
def atomic_folder(path: Path, *, resume: str = "") -> Iterator[Path]:
    """Yield an empty folder to fill, which is renamed to `path` if the block succeeds.

    An existing folder stays untouched until then, and after an error. A link to a folder, perhaps
    on a bigger disk, stays too: what it leads to is replaced.

    Args:
        path: The folder.
        resume: A fingerprint of what fills the folder. After an interrupt, a kill or a
            ResourceError what it holds stays, and is yielded again to who comes with the same one;
            see `unfinished_folders`.

    Raises:
        ResourceError: It is a link to where no folder can be renamed: the root of a disk, say.
    """
    link, path = path, _link_target(path)
    if link != path:
        _refuse_target(link, path)
    part, old = _unfinished_folder(path)
    _restore(old, path)  # an earlier run may have been killed between the two renames
    leftovers = [part, old]
    if resume:
        part = path.with_name(f".{path.name}.{resume[:16]}.part")
        leftovers += [folder for folder in unfinished_folders(path) if folder != part]
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        with _naming(path, part):
            _make_folder(part)
        with _naming(path, part, codes=_BY_SIZE):
            yield part
        with _naming(path, part):
            fsync_folder(part, ignored=_NO_FSYNC)
            if path.exists():
                path.rename(old)
            replace(part, path)
    except BaseException as error:
        interrupted = not isinstance(error, Exception) or isinstance(error, ResourceError)
        if not (resume and interrupted):
            shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        _restore(old, path)
        shutil.rmtree(old, ignore_errors=True)


def unfinished_folders(path: Path) -> list[Path]:
    """Return what ended runs left that could go on: of `atomic_folder` with `resume`."""
    path = _link_target(path)
    return matching_files(path.parent, f".{path.name}.????????????????.part")


@contextmanager
def lock(
    path: Path, *, shared: bool = False, busy: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """Lock a folder, or a lock file, while the block runs; other processes wait for it.

    The lock of a killed process is released.

    Args:
        path: An existing folder; or else a file, which is created if it is missing, and stays.
        shared: Whether other processes may hold it too, if they share it.
        busy: Called if another process holds the lock: it returns to wait, or raises to refuse.
    """
    if not path.is_dir():
        make_folder(path.parent, private=True)
    handle = open_lock(path)
    try:
        if not try_lock(handle, shared=shared):
            busy()
            wait_lock(handle, shared=shared)
        yield
    finally:
        os.close(handle)


def walk_files(folder: Path, *, with_closed: bool = False) -> Iterator[os.DirEntry[str]]:
    """Yield what is in a folder, at any depth, in the order of sorted paths; folders are left out.

    Links are not followed. `Path.rglob` and `Path.glob` leave out what may not be listed, and
    `os.walk` does unless it is given `onerror`.

    Args:
        folder: Where to begin.
        with_closed: Whether to yield folders in it that may not be listed, and not to raise.

    Raises:
        OSError: A folder can't be listed; it names the folder.
    """
    waiting = _entries(folder)
    while waiting:
        entry = waiting.pop()
        if entry.is_dir(follow_symlinks=False):
            try:
                waiting += _entries(entry.path)
            except PermissionError:
                if not with_closed:
                    raise
                yield entry
        else:
            yield entry


def matching_files(folder: Path, pattern: str) -> list[Path]:
    """Return what in a folder has a name like `*.yaml`, sorted; nothing if there is no folder.

    Raises:
        OSError: It can't be listed.
    """
    try:
        return sorted(p for p in folder.iterdir() if fnmatch.fnmatchcase(p.name, pattern))
    except FileNotFoundError:
        return []


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return what is directly in a folder, the last name first."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name, reverse=True)


def file_size(path: Path) -> int | None:
    """Return a file's size in bytes; None if there is no such file."""
    return path.stat().st_size if path.is_file() else None


def _unfinished_folder(path: Path) -> tuple[Path, Path]:
    """Return where `atomic_folder` fills a folder, and where it puts the one that it replaces."""
    return path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")


def clear_leftovers(path: Path) -> None:
    """Remove what a killed `atomic_folder` left beside a complete folder.

    The caller knows that no process is filling that folder: it holds the lock.
    """
    path = _link_target(path)
    if path.exists():
        for leftover in _unfinished_folder(path):
            shutil.rmtree(leftover, ignore_errors=True)


def _link_target(path: Path) -> Path:
    """Return the folder that a link leads to; the path itself if it is none."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _refuse_target(link: Path, target: Path) -> None:
    """Raise if a link does not lead to a folder that can be replaced by a rename."""
    found, fix = "", "mount its disk, or make that folder"
    if not target.parent.is_dir():
        found = f"{target.parent}, which does not exist"
    elif os.path.ismount(target):  # Path.is_mount lacks on Windows until Python 3.12
        found, fix = (
            f"{target}, the root of a disk",
            f"link to a folder in it: {target / link.name}",
        )
    if found:
        raise ResourceError(
            "the output folder is a link that leads to where no folder can be written",
            file=link,
            found=found,
            expected="a folder that can be renamed",
            fix=fix,
        )


def _restore(old: Path, path: Path) -> None:
    if old.exists() and not path.exists():
        replace(old, path)


@contextmanager
def _naming(path: Path, part: Path | None = None, *, codes: Sequence[int] = ()) -> Iterator[None]:
    """Name a path in an OSError about its unfinished part, which nobody knows, or about nothing.

    An error about nothing, as of a full disk, may be of these codes; of any, if there are none.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            if not codes or error.errno in codes:
                error.filename = str(path)
        elif part is not None and str(error.filename) == str(part):
            error.filename = str(path)
            del error.filename2
        raise


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def home_folder() -> Path:
    """Return the user's home folder.

    Raises:
        ParamsError: There is none: neither $HOME nor an entry in passwd.
    """
    try:
        return Path.home()
    except RuntimeError:
        raise ParamsError(
            "there is no home folder",
            found="neither HOME nor an entry in passwd",
            fix="set the environment variable HOME to a folder",
        ) from None
