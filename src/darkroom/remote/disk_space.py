"""Disk space: what is about to be written must fit before its first byte is asked for."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import ResourceError


@dataclass(frozen=True)
class Need:
    """Bytes that are about to be written into a folder, which may not exist yet."""

    folder: Path
    size: int
    purpose: str


def free(folder: Path) -> int:
    """Return the free bytes of the disk that a folder lies on, or would lie on."""
    return shutil.disk_usage(_existing(folder)).free


def one_disk(first: Path, second: Path) -> bool:
    """Return whether two folders lie, or would lie, on one file system."""
    return _disk(first) == _disk(second)


def require(needs: Sequence[Need]) -> None:
    """Raise ResourceError, with the figures, unless all needs fit; those of one disk are summed."""
    disks: dict[int, list[Need]] = {}
    for need in needs:
        disks.setdefault(_disk(need.folder), []).append(need)
    for each in disks.values():
        total, there = sum(need.size for need in each), free(each[0].folder)
        if total > there:
            parts = [f"{shown(need.size)} {need.purpose}" for need in each if need.size]
            raise ResourceError(
                "no room on the disk for what is to be fetched",
                file=each[0].folder,
                found=f"{shown(there)} free",
                expected=f"{shown(total)}: {', '.join(parts)}",
                fix=f"free {shown(total - there)}; the download cache may lie on another disk: "
                "name a folder there in the environment variable DARKROOM_CACHE",
            )


def shown(size: int) -> str:
    """Return bytes for a reader: "812.3 MB"."""
    for unit, bytes_each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_each:
            return f"{size / bytes_each:,.1f} {unit}"
    return f"{size} bytes"


def _disk(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest around it that exists."""
    place = folder.absolute()
    return next(path for path in (place, *place.parents) if path.exists())


MOST_VERSIONS = 10**9
_MOST_BYTES = 10**15


def plausible(size: object) -> int | None:
    """Return a size as a server tells it, in bytes; None, not told, if no file is so large."""
    return size if type(size) is int and 0 <= size <= _MOST_BYTES else None
