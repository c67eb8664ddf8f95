"""Locks on open files, as Linux has them, and as Windows does (with a stand-in for its module)."""

import ctypes
import errno
import fcntl
import importlib.util
import os
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from darkroom.project import file_locks


class Kernel32:
    """LockFileEx of Windows by flock: of open handles, not of processes, alone or shared."""

    def __init__(self, name: str, *, use_last_error: bool) -> None:
        assert name == "kernel32"
        assert use_last_error
        self.LockFileEx = lock_file_ex


def lock_file_ex(
    handle: int, flags: int, reserved: int, low: int, high: int, overlapped: object
) -> int:
    """Lock the first byte; 0 if another handle has it."""
    assert flags in (1, 3), "fail immediately, perhaps exclusive"
    assert (reserved, low, high) == (0, 1, 0)
    try:
        fcntl.flock(handle - 1000, fcntl.LOCK_NB | (fcntl.LOCK_EX if flags & 2 else fcntl.LOCK_SH))
    except BlockingIOError:
        return 0
    return 1


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module as Windows imports it: without fcntl."""
    violation = PermissionError(errno.EACCES, "The process cannot access the file")
    monkeypatch.setattr(ctypes, "WinDLL", Kernel32, raising=False)
    monkeypatch.setattr(ctypes, "get_last_error", lambda: 33, raising=False)
    monkeypatch.setattr(ctypes, "WinError", lambda code: {33: violation}[code], raising=False)
    msvcrt = SimpleNamespace(get_osfhandle=lambda descriptor: descriptor + 1000)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    spec = importlib.util.spec_from_file_location("locks_of_windows", file_locks.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "platform", "win32")
    spec.loader.exec_module(module)
    return module


def test_readers_share_a_lock_and_writers_do_not(tmp_path: Path) -> None:
    one, two, three = (file_locks.open_lock(tmp_path / "lock") for _ in range(3))
    assert file_locks.try_lock(one, shared=True)
    assert file_locks.try_lock(two, shared=True)
    assert not file_locks.try_lock(three)
    os.close(one)
    os.close(two)
    assert file_locks.try_lock(three)
    os.close(three)


def test_a_folder_is_locked_itself(tmp_path: Path) -> None:
    one, two = file_locks.open_lock(tmp_path), file_locks.open_lock(tmp_path)
    assert file_locks.try_lock(one)
    assert not file_locks.try_lock(two)
    assert list(tmp_path.iterdir()) == []
    os.close(one)
    os.close(two)


def test_windows_shares_a_lock_within_a_process_too_and_waits(
    tmp_path: Path, windows: ModuleType
) -> None:
    one, two, three = (windows.open_lock(tmp_path) for _ in range(3))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert windows.try_lock(one, shared=True)
    windows.wait_lock(two, shared=True)  # it would wait for itself if a lock were always alone
    assert not windows.try_lock(three)
    os.close(two)
    threading.Timer(0.05, os.close, [one]).start()
    windows.wait_lock(three)
    assert not windows.try_lock(windows.open_lock(tmp_path), shared=True)
    os.close(three)
    windows.fsync_folder(tmp_path, ignored=())
    with pytest.raises(OSError, match="Linux alone"):
        windows.clone_blocks(0, 1)


def test_a_folder_that_cannot_be_made_durable_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    file_locks.fsync_folder(tmp_path, ignored=(errno.EINVAL,))
    with pytest.raises(OSError, match="Invalid argument"):
        file_locks.fsync_folder(tmp_path, ignored=(errno.EBADF,))
