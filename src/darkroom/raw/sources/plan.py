"""Plan a download: which files, how many bytes, and whether they fit on the disk."""

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from darkroom.errors import RemoteError
from darkroom.project import files
from darkroom.project.names import is_junk, path_fault
from darkroom.raw.sources import cache
from darkroom.remote import disk_space
from darkroom.remote.disk_space import SpaceNeed
from darkroom.remote.download import Opener
from darkroom.remote.partial import response_identity
from darkroom.remote.retry import RetryPolicy, retry

Sizes = Mapping[str, int | None]
"""Bytes by file name; None where a server does not give them."""

RESERVED_NAMES = {cache.RECORD_FILE, cache.BUNDLE_FILE}
_MAX_NAME_BYTES = 240  # a file system allows 255, and ".zip.part.json" is appended


@dataclass(frozen=True)
class Selection:
    """Which files to fetch from a server.

    Attributes:
        choose: Returns the wanted ones of the available names; raises MissingFileError.
        raw: The project's folder, into which the files will be linked or copied.
        policy: How often to retry a request, and how long to wait.
    """

    choose: Callable[[Collection[str]], list[str]]
    raw: Path
    policy: RetryPolicy


def available_names(names: Collection[str]) -> list[str]:
    """Return what can be fetched of the files that a server lists: top files, folders as zips.

    Left out are unsafe names, what operating systems leave behind, and the cache's own names.

    Example:
        >>> available_names(["a.csv", "train/1.jpg", "train/2.jpg", "../b.csv", ".DS_Store"])
        ['a.csv', 'train.zip']
    """
    tops = {top_name(name) for name in names if not path_fault(name) and not is_junk(name)}
    return sorted(tops - RESERVED_NAMES)


def top_name(name: str) -> str:
    """Return a file's own name, or of a file in a folder the name of the top folder's zip."""
    top, is_inside, _ = name.partition("/")
    return f"{top}.zip" if is_inside else top


def refuse_long_names(names: Collection[str], origin: str) -> None:
    """Raise RemoteError if a file's name is longer than file systems allow."""
    for name in names:
        if len(name.encode()) > _MAX_NAME_BYTES:
            raise RemoteError(
                "a file name too long for a disk",
                file=origin,
                found=name,
                expected=f"at most {_MAX_NAME_BYTES} bytes",
                fix="download it in a browser under a shorter name, and set data.source to its "
                "folder",
            )


def request_size(opener: Opener, name: str, policy: RetryPolicy) -> int | None:
    """Return a file's bytes as its server announces them; only the first byte is requested."""

    def request() -> int | None:
        with opener({"Range": "bytes=0-0", "Accept-Encoding": "identity"}) as response:
            return response_identity(response).total

    return retry(request, policy, what=name)


def print_plan(origin: str, folder: Path, missing: Sizes, saved_bytes: int) -> None:
    """Print to stderr what will be fetched from where, what is there already, and what is free."""
    if not missing:
        print(f"{origin}: everything is already downloaded, in {folder}", file=sys.stderr)
        return
    total = disk_space.format_bytes(sum(size or 0 for size in missing.values()))
    unknown = sum(size is None for size in missing.values())
    rest = f", and {unknown} of unknown size" if unknown else ""
    lines = [f"to fetch from {origin}: {total}{rest}"]
    lines += [
        f"  {name}  {'?' if size is None else disk_space.format_bytes(size)}"
        for name, size in missing.items()
    ]
    saved_bytes += sum(_partial_bytes(folder, name) for name in missing)
    saved = disk_space.format_bytes(saved_bytes)
    free = disk_space.format_bytes(disk_space.free_bytes(folder))
    lines.append(f"into {folder}: {saved} already there, {free} free")
    print("\n".join(lines), file=sys.stderr)


def download_need(folder: Path, missing: Sizes) -> SpaceNeed:
    """Return the disk space that a download needs, less what is there of partial files."""
    rest = sum(max(0, (size or 0) - _partial_bytes(folder, name)) for name, size in missing.items())
    return SpaceNeed(folder, rest, "to fetch")


def copy_need(raw: Path, wanted: Mapping[str, int]) -> SpaceNeed:
    """Return the disk space that the project needs for its copies of the cache's files.

    The project's folder is replaced by new copies. DVC's own copy of a file that is new to it
    comes on top, until DVC has linked the two.

    Args:
        raw: The project's folder of raw files.
        wanted: Bytes by name of all files that will lie there.
    """
    new = sum(size for name, size in wanted.items() if files.file_size(raw / name) != size)
    return SpaceNeed(raw, sum(wanted.values()) + new, "for the project's copy")


def progress_bar(label: str, total: int, saved_bytes: int) -> "tqdm[Any]":
    """Return a progress bar over bytes on stderr, which begins at the bytes saved before."""
    return tqdm(
        total=total, initial=saved_bytes, desc=label, unit="B", unit_scale=True, disable=None
    )


def _partial_bytes(folder: Path, name: str) -> int:
    return files.file_size(folder / f"{name}.part") or 0
