"""Locks on open files, as Linux has them, and as Windows does (with a stand-in for its module)."""

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


def locking(handle: int, _mode: int, size: int) -> None:
    """Lock bytes as msvcrt does: alone, and PermissionError if another handle has them."""
    assert (os.lseek(handle, 0, os.SEEK_CUR), size) == (0, 1)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module as Windows imports it: without fcntl."""
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
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


def test_windows_locks_alone_and_waits(tmp_path: Path, windows: ModuleType) -> None:
    one, two = windows.open_lock(tmp_path), windows.open_lock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    assert windows.try_lock(one, shared=True)
    assert not windows.try_lock(two, shared=True)
    threading.Timer(0.05, os.close, [one]).start()
    windows.wait_lock(two, shared=True)
    assert not windows.try_lock(windows.open_lock(tmp_path))
    os.close(two)
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
