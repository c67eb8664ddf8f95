"""The download cache: what has been fetched from servers, kept so that no rerun fetches it again.

A folder a competition, data set or list of addresses. Beside the files, which have their names
only when they are whole, lies listing.json: what the server lists, and what has been kept. To
fetch something anew, delete its folder and force its stage.
"""

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from darkroom.errors import DataError, ParamsError
from darkroom.project import files
from darkroom.project.files import home
from darkroom.project.names import unsafe
from darkroom.remote.kaggle.responses import MAX_VERSION
from darkroom.remote.verify import plausible_size

LISTING = "listing.json"
BUNDLE = "bundle.zip"
APART = ".bundle"
"""The folder, in that of a competition, of what came as one bundle and was taken apart."""

_NEWEST = "newest.json"
_ENDINGS = ("", ".part", ".part.json", ".zip")


def root() -> Path:
    """Return the cache's folder: $DARKROOM_CACHE, $XDG_CACHE_HOME/darkroom or ~/.cache/darkroom.

    An XDG folder counts only if absolute (XDG Base Directory Specification).

    Raises:
        ParamsError: It lies in the home of a user that there is not.
    """
    if chosen := os.environ.get("DARKROOM_CACHE"):
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError:
            raise ParamsError(
                "there is no such user, so no home folder",
                found=f"DARKROOM_CACHE={chosen}",
                fix="name a folder in the environment variable DARKROOM_CACHE, or unset it",
            ) from None
    general = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (general if general.is_absolute() else home() / ".cache") / "darkroom"


def competition(slug: str) -> Path:
    """Return the folder of a competition's files."""
    return root() / "competitions" / slug


def dataset(ref: str) -> Path:
    """Return the folder of a data set, "owner/name" or, of one version, "owner/name/versions/2"."""
    owner, name, *version = ref.split("/")
    return root().joinpath("datasets", owner, name, *version[1:])


def addresses(entries: Sequence[tuple[str, str, str | None]]) -> Path:
    """Return the folder of a list of files: name, address, and the sha256 if that is known."""
    story = json.dumps(sorted(entries, key=str))
    return root() / "urls" / hashlib.sha256(story.encode()).hexdigest()[:16]


def pinned(ref: str) -> str | None:
    """Return a data set's name with a version; None if the current one was never asked for.

    The version that was current then stays: what was computed from it must not change by itself.
    """
    if ref.count("/") > 1:
        return ref
    story = _story(dataset(ref) / _NEWEST)
    version = story.get("version") if isinstance(story, dict) else None
    is_one = type(version) is int and 1 <= version < MAX_VERSION
    return f"{ref}/versions/{version}" if is_one else None


def pin(full: str) -> None:
    """Remember that a version ("owner/name/versions/2") was current when it was fetched."""
    ref, version = full.split("/versions/")
    files.write(dataset(ref) / _NEWEST, json.dumps({"version": int(version)}) + "\n")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder, made if need be; a second process waits here, and says so."""

    def wait() -> None:
        print(f"waiting for another fetch that is filling {folder}", file=sys.stderr)

    folder.mkdir(parents=True, exist_ok=True)
    with files.alone(folder, busy=wait):
        yield


@dataclass(frozen=True)
class Kept:
    """A file as it was saved.

    Attributes:
        name: A server may have packed x.csv into x.csv.zip.
        size: Bytes.
        mtime_ns: When it was last written. A project's raw file is a hard link to it, so one
            that was edited there is told by this.
    """

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What a folder of the cache is about.

    Attributes:
        sizes: What the server lists, in bytes, by name; None where it does not tell.
        kept: What was saved, by the name under which it is listed.
    """

    sizes: Mapping[str, int | None]
    kept: Mapping[str, Kept] = field(default_factory=dict)


def read(folder: Path) -> Listing | None:
    """Return a folder's listing; None if there is none, or it can't be read: it is asked again."""
    try:
        found = _story(folder / LISTING)
        sizes, kept = dict(found["listed"]), dict(found["kept"])
        listing = Listing(sizes, {name: Kept(*saved) for name, saved in kept.items()})
    except (ValueError, KeyError, TypeError):
        return None
    if not all(size is None or plausible_size(size) is not None for size in sizes.values()):
        return None
    return listing if all(_is_sound(*item) for item in listing.kept.items()) else None


def write(folder: Path, listing: Listing) -> None:
    """Write a folder's listing."""
    kept = {key: (each.name, each.size, each.mtime_ns) for key, each in listing.kept.items()}
    text = json.dumps({"listed": dict(listing.sizes), "kept": kept}, indent=1, sort_keys=True)
    files.write(folder / LISTING, text + "\n")


def keep(folder: Path, listing: Listing, name: str, path: Path) -> Listing:
    """Write down that a listed file has been saved whole at a path of the folder."""
    stat = path.stat()
    saved = Kept(path.name, stat.st_size, stat.st_mtime_ns)
    listing = replace(listing, kept={**listing.kept, name: saved})
    write(folder, listing)
    return listing


def here(folder: Path, listing: Listing, name: str) -> str | None:
    """Return under which name a listed file lies in the folder, whole; None if it does not.

    It is whole if it is as long as it was saved, and has not been written to since. If that is
    not written down (the run was killed just then, or the listing was lost), it was whole when it
    got its name, but may be of another time: it must be as long as the server lists it, where that
    is told. What the server packed has no length listed: it must be a zip to its end.
    """
    kept = listing.kept.get(name)
    if kept is not None and _is_as_saved(folder / kept.name, kept):
        return kept.name
    spoilt = kept.name if kept is not None else None
    if name != spoilt and _is_as_listed(folder / name, listing.sizes.get(name)):
        return name
    packed = f"{name}.zip"
    is_its_own = packed in listing.sizes
    if packed != spoilt and not is_its_own and zipfile.is_zipfile(folder / packed):
        return packed
    return None


def refuse_folders(folder: Path, names: Collection[str]) -> None:
    """Raise DataError if a folder lies where a file of the cache is about to be written."""
    for name in names:
        for path in (folder / f"{name}{ending}" for ending in _ENDINGS):
            if path.is_dir():
                raise DataError(
                    "a folder lies where a file is to be saved",
                    file=path,
                    expected="nothing, or a file",
                    fix="move it away, or remove it, and run it again",
                )


def _story(path: Path) -> Any:
    """Return what a JSON file holds; None if there is none, or it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _is_sound(name: str, kept: Kept) -> bool:
    """Return whether a file of that name may have been saved so."""
    is_plain = "/" not in name and not unsafe(name) and kept.name in (name, f"{name}.zip")
    return is_plain and plausible_size(kept.size) is not None and type(kept.mtime_ns) is int


def _is_as_saved(path: Path, kept: Kept) -> bool:
    return files.size(path) == kept.size and path.stat().st_mtime_ns == kept.mtime_ns


def _is_as_listed(path: Path, listed: int | None) -> bool:
    size = files.size(path)
    return bool(size) and listed in (None, size)
