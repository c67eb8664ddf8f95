"""Disk space: a download must fit on the disk before its first byte is requested."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import ResourceError


@dataclass(frozen=True)
class SpaceNeed:
    """Bytes that are about to be written into a folder, which may not exist yet."""

    folder: Path
    size: int
    purpose: str


def free_bytes(folder: Path) -> int:
    """Return the free bytes of the disk that a folder lies on, or would lie on."""
    return shutil.disk_usage(_existing(folder)).free


def require_space(needs: Sequence[SpaceNeed]) -> None:
    """Raise ResourceError, with the figures, unless all needs fit. Needs on one disk add up."""
    by_device: dict[int, list[SpaceNeed]] = {}
    for need in needs:
        by_device.setdefault(_device(need.folder), []).append(need)
    for on_disk in by_device.values():
        total, free = sum(need.size for need in on_disk), free_bytes(on_disk[0].folder)
        if total > free:
            parts = [f"{format_bytes(need.size)} {need.purpose}" for need in on_disk if need.size]
            raise ResourceError(
                "not enough disk space for the download",
                file=on_disk[0].folder,
                found=f"{format_bytes(free)} free",
                expected=f"{format_bytes(total)}: {', '.join(parts)}",
                fix=f"free {format_bytes(total - free)}, or put the download cache on another "
                "disk: name a folder there in the environment variable DARKROOM_CACHE",
            )


def format_bytes(size: int) -> str:
    """Return bytes as text, in decimal units.

    Example:
        >>> format_bytes(812_300_000)
        '812.3 MB'
    """
    for unit, bytes_each in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= bytes_each:
            return f"{size / bytes_each:,.1f} {unit}"
    return f"{size} bytes"


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
