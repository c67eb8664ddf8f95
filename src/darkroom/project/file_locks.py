"""Locks on open files, and the block sharing of file systems, as each system has them.

Linux and macOS lock a whole file, alone or shared (flock). Windows locks its first byte, always
alone: there two readers wait for each other. Either way the lock of a process that dies is free.
"""

import os
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_POLL_S = 0.1
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
            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter of Windows
        return False
    return True


def wait_lock(handle: int, *, shared: bool = False) -> None:
    """Lock an open file, waiting until it is free; see `try_lock`."""
    if sys.platform == "win32":
        while not try_lock(handle):  # its own wait gives up after ten tries
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
