"""Locks on open files, and the block sharing of file systems, as each system has them.

Linux and macOS lock a whole file, alone or shared (flock), Windows its first byte (LockFileEx).
Either way one process may share a lock several times, and the lock of a process that dies is free.
"""

import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes.wintypes import DWORD, HANDLE

    class _Overlapped(ctypes.Structure):
        """Where in a file: its beginning, as all fields are 0."""

        _fields_ = (
            ("internal", ctypes.c_size_t),
            ("internal_high", ctypes.c_size_t),
            ("offset", DWORD),
            ("offset_high", DWORD),
            ("event", HANDLE),
        )

    _lock_file = ctypes.WinDLL("kernel32", use_last_error=True).LockFileEx
    _lock_file.argtypes = (HANDLE, DWORD, DWORD, DWORD, DWORD, ctypes.POINTER(_Overlapped))
else:
    import fcntl

_POLL_S = 0.1
_FAIL_IMMEDIATELY, _EXCLUSIVE = 1, 2  # flags of LockFileEx
_FICLONE = 0x40049409  # ioctl of Linux: share a file's blocks until one of the two is written


def open_lock(path: Path, *, mode: int = 0o666) -> int:
    """Return the open descriptor of a lock file, which is made if it is missing, or of a folder.

    Args:
        path: A folder stands for a file in it on Windows, which opens no folders.
        mode: The permissions of a file that is made.
    """
    flags = os.O_RDWR | os.O_CREAT
    if path.is_dir():
        if sys.platform == "win32":
            path = path / ".lock"
        else:
            flags = os.O_RDONLY
    return os.open(path, flags, mode)


def try_lock(handle: int, *, shared: bool = False) -> bool:
    """Lock an open file if it is free; return whether it was.

    Args:
        handle: Its descriptor.
        shared: Whether others may hold the lock too, if they share it.
    """
    try:
        if sys.platform == "win32":
            # msvcrt.locking has no shared lock: a process that reads twice would wait for itself.
            flags = _FAIL_IMMEDIATELY | (0 if shared else _EXCLUSIVE)
            file = msvcrt.get_osfhandle(handle)
            if not _lock_file(file, flags, 0, 1, 0, ctypes.byref(_Overlapped())):
                raise ctypes.WinError(ctypes.get_last_error())
        else:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter of Windows
        return False
    return True


def wait_lock(handle: int, *, shared: bool = False) -> None:
    """Lock an open file, waiting until it is free; see `try_lock`."""
    if sys.platform == "win32":
        while not try_lock(handle, shared=shared):
            time.sleep(_POLL_S)
    else:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)


def fsync_folder(folder: Path, *, ignored: tuple[int, ...]) -> None:
    """Make the names in a folder durable; Windows opens no folders, and needs none of it.

    Args:
        folder: The folder.
        ignored: Codes of errors that say that its file system has no such thing.
    """
    if sys.platform != "win32":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno not in ignored:
                raise
        finally:
            os.close(handle)


def clone_blocks(source: int, copy: int) -> None:
    """Make an open, new file share another's blocks (a reflink).

    Raises:
        OSError: The file system, or the system, can't.
    """
    if sys.platform == "linux":
        fcntl.ioctl(copy, _FICLONE, source)
    else:
        raise OSError("reflinks are made on Linux alone")
