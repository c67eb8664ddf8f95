"""Folders of half-done work: one process at a time, kept until the result is there."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from darkroom.errors import ParamsError, ResourceError
from darkroom.project import files
from darkroom.project.file_locks import try_lock, wait_lock

LOCK = "work.lock"
WAITING = "waiting.lock"  # held by every process that waits for the folder
_POLL_S = 0.2


@contextmanager
def half_done(
    folder: Path,
    *,
    leads: bool = True,
    agree: Callable[[bool], bool] = lambda flag: flag,
    keep: bool = False,
) -> Iterator[Path]:
    """Yield a folder for half-done work, which is removed if the block succeeds.

    After an error it stays, and the next run of the same work goes on from there. One process
    at a time has it. Another one, perhaps in a copy of the project, waits with a line on stderr;
    it then finds the finished work, which only the last one removes.

    Args:
        folder: Named by the fingerprint of the result; it is created if it is missing.
        leads: Whether this process takes the lock: of several that work together one does.
        agree: Returns the leader's argument in each of the processes that work together.
        keep: Whether the folder stays, for the next result that needs the same work.
    """
    handle: int | None = None
    with ExitStack() as stack:
        is_waiting = False
        while True:
            if leads:
                handle = _take(folder)
            if agree(handle is not None):
                break
            if leads and not is_waiting:
                print(f"waiting for another run of the same work, in {folder}", file=sys.stderr)
                stack.enter_context(_announced(folder))
                is_waiting = True
            time.sleep(_POLL_S)  # a blocking wait would let the others run into their timeout
    try:
        yield folder
    except BaseException:
        if leads and not _contents(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    else:
        if leads and not keep and not _is_awaited(folder):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def work_beside(result: Path) -> Iterator[tuple[Path, Path]]:
    """Yield two absent paths in a folder beside a result, `.NAME.part`, which is always removed.

    What the block writes to the first becomes the result: a file replaces an older one, a folder
    an empty one. The second is for scratch files. One process at a time has the folder. What a
    killed one left in it is removed first; parents that were made for nothing are removed again.

    Raises:
        ParamsError: Another process has it, or something else has its name.
        ResourceError: The file system has no place for files of a user's.
        OSError: Of the result: the disk is full, a folder read-only, a name too long.
    """
    place = result.with_name(f".{result.name}.part")
    with _as_of(result, place):
        absent = [folder for folder in place.absolute().parents if not folder.exists()]
        handle = _take_alone(place, result)
    try:
        with _as_of(result, place):
            _clear(place)
            part = place / "result" / result.name  # results may be called like anything
            part.parent.mkdir(exist_ok=True)
            yield part, place / "scratch"
            if part.is_dir() and result.is_dir():
                result.rmdir()
            files.replace(part, result)
    finally:
        _clear(place)  # the lock goes last: without it this would be somebody else's folder
        shutil.rmtree(place, ignore_errors=True)
        os.close(handle)
        for folder in absent:
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _as_of(result: Path, place: Path) -> Iterator[None]:
    """Make errors of files in a folder errors of the result, the only one that users know."""
    try:
        yield
    except OSError as error:
        if error.filename is None or Path(str(error.filename)).is_relative_to(place):
            error.filename = str(result)
            del error.filename2
        raise


def _take_alone(place: Path, result: Path) -> int:
    """Return the open lock of the folder beside a result, made if it is missing."""
    is_folder = place.is_dir() and not place.is_symlink()
    is_ours = is_folder and ((place / LOCK).is_file() or not _contents(place))
    if os.path.lexists(place) and not is_ours:
        raise ParamsError(
            "there is something already where results stand until they are complete",
            file=place,
            fix="move it away",
        )
    try:
        files.make_folder(result.parent)  # as the umask says, unlike the lock's own
        handle = _take(place)
    except FileNotFoundError as error:  # in /proc, say
        raise ResourceError(
            "no file can be made there", file=result, fix="name a file or folder on a disk"
        ) from error
    if handle is None:
        raise ParamsError(
            "another run writes this result", file=result, fix="wait, or name another --out"
        )
    return handle


def _clear(folder: Path) -> None:
    """Remove what is in a folder besides locks."""
    for name in _contents(folder):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()


def discard(folder: Path) -> bool:
    """Remove a folder of half-done work, if no process is at it; return whether it was removed."""
    handle = _take(folder)
    if handle is None:
        return False
    try:
        if _is_awaited(folder):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(handle)


def discard_others(folder: Path) -> None:
    """Remove half-done work of other fingerprints, which this one replaces, and say so.

    Args:
        folder: Of finished work: `<name>.<stage>.<fingerprint>`.
    """
    kind = folder.name.rpartition(".")[0]
    for other in files.matching_files(folder.parent, f"{kind}.????????????????"):
        if other != folder and _contents(other) and discard(other):
            print(f"removed older half-done work in {other}", file=sys.stderr)


def _take(folder: Path) -> int | None:
    """Return the open lock of a folder; None if another process has it or has just removed it."""
    files.make_folder(folder, private=True)
    path = folder / LOCK
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        if try_lock(handle) and os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except FileNotFoundError:
        pass
    os.close(handle)
    return None


@contextmanager
def _announced(folder: Path) -> Iterator[None]:
    """Let the process that has the folder know that this one waits for it."""
    with ExitStack() as stack:
        with suppress(FileNotFoundError):  # it has just been removed
            handle = os.open(folder / WAITING, os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, handle)
            wait_lock(handle, shared=True)
        yield


def _is_awaited(folder: Path) -> bool:
    """Return whether another process waits for a folder."""
    try:
        handle = os.open(folder / WAITING, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(handle)
    finally:
        os.close(handle)


def _contents(folder: Path) -> set[str]:
    """Return the names of what is in a folder besides locks."""
    with suppress(FileNotFoundError):
        return {entry.name for entry in folder.iterdir()} - {LOCK, WAITING}
    return set()
