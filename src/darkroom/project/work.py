"""Folders of half-done work: one process at a time, kept until the result is there."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from darkroom.errors import ParamsError, ResourceError
from darkroom.project import files
from darkroom.project.file_locks import try_lock, wait_lock

LOCK = "work.lock"
WAITING = "waiting.lock"  # held by every process that waits for the folder
_POLL_S = 0.2
_SCRATCH, _UNFINISHED = "scratch", "unfinished.json"


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
def temporary_work(kind: str, unfinished: Sequence[Path]) -> Iterator[Path]:
    """Yield an empty folder among the system's temporary ones, which is removed in any case.

    What a killed run left is removed first: its folder, and its unfinished results.

    Args:
        kind: How the folder's name begins.
        unfinished: What the block writes before its results are complete.

    Raises:
        ParamsError: Something else has the name of an unfinished result, or another run writes it.
        ResourceError: There is no temporary folder that can be written to.
    """
    own = [str(path.absolute()) for path in unfinished]
    place = _temporary_folder(kind)
    with half_done(place):
        scratch = place / _SCRATCH
        try:
            _discard_killed(place, kind, own)
            for path in unfinished:
                if os.path.lexists(path):
                    raise ParamsError(
                        "there is something already where results stand until they are complete",
                        file=path,
                        fix="move it away, or remove it if it is of a run that was killed",
                    )
            scratch.mkdir()
            (scratch / _UNFINISHED).write_text(json.dumps(own))
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _temporary_folder(kind: str) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=kind))
    except OSError as error:
        raise ResourceError(
            "there is no folder for temporary files",
            found=error.strerror,
            expected="a folder in which files of some bytes can be written",
            fix="set TMPDIR to one; look at `df` and `ulimit -f` if there should be one",
        ) from error


def _discard_killed(place: Path, kind: str, own: Sequence[str]) -> None:
    """Remove what killed runs of this user left; refuse what another run is writing."""
    for folder in files.matching_files(place.parent, f"{kind}*"):
        # Others may put links and folders there.
        is_own = not folder.is_symlink() and folder.stat().st_uid == place.stat().st_uid
        if folder == place or not is_own:
            continue
        unfinished: list[str] = []
        with suppress(OSError, ValueError):
            unfinished = json.loads((folder / _SCRATCH / _UNFINISHED).read_text())
        if discard(folder):
            for path in map(Path, unfinished):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(True)
        elif busy := sorted({*unfinished} & {*own}):
            raise ParamsError(
                "another run writes this result", file=busy[0], fix="wait, or name another --out"
            )


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
