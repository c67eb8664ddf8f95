"""The download cache: what has been fetched from servers, kept so that no rerun fetches it again.

A folder a competition, data set or list of addresses. Beside the files, which have their names
only when they are whole, lies listing.json: what the server lists, and what has been kept. To
fetch something anew, delete its folder.
"""

import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from darkroom import files

LISTING = "listing.json"
BUNDLE = "bundle.zip"

_NEWEST = "newest.json"


def root() -> Path:
    """Return the cache's folder: $DARKROOM_CACHE, $XDG_CACHE_HOME/darkroom or ~/.cache/darkroom.

    An XDG folder counts only if absolute (XDG Base Directory Specification).
    """
    if chosen := os.environ.get("DARKROOM_CACHE"):
        return Path(chosen).expanduser().absolute()
    general = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (general if general.is_absolute() else Path.home() / ".cache") / "darkroom"


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
    try:
        return f"{ref}/versions/{int(json.loads((dataset(ref) / _NEWEST).read_text())['version'])}"
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def pin(full: str) -> None:
    """Remember that a version ("owner/name/versions/2") was current when it was asked for."""
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
    """A file as it was saved: a server may have packed x.csv into x.csv.zip."""

    name: str
    size: int


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
        found = json.loads((folder / LISTING).read_text(encoding="utf-8"))
        sizes = {str(name): None if n is None else int(n) for name, n in found["listed"].items()}
        kept = {str(k): Kept(str(name), int(size)) for k, (name, size) in found["kept"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Listing(sizes, kept)


def write(folder: Path, listing: Listing) -> None:
    """Write a folder's listing."""
    kept = {key: (each.name, each.size) for key, each in listing.kept.items()}
    text = json.dumps({"listed": dict(listing.sizes), "kept": kept}, indent=1, sort_keys=True)
    files.write(folder / LISTING, text + "\n")


def keep(folder: Path, listing: Listing, name: str, path: Path) -> Listing:
    """Write down that a listed file has been saved whole at a path of the folder."""
    saved = Kept(path.name, path.stat().st_size)
    listing = replace(listing, kept={**listing.kept, name: saved})
    write(folder, listing)
    return listing


def here(folder: Path, listing: Listing, name: str) -> str | None:
    """Return under which name a listed file lies in the folder, whole; None if it does not.

    It is whole if it is as long as it was saved. If that is not written down (the run was killed
    just then, or the listing was lost), it was whole when it got its name, but may be of another
    time: it must be as long as the server lists it, where that is told. What the server packed
    has no length listed: it must be a zip to its end.
    """
    kept = listing.kept.get(name)
    if kept is not None and files.size(folder / kept.name) == kept.size:
        return kept.name
    spoilt = kept.name if kept is not None else None
    if name != spoilt and _is_as_listed(folder / name, listing.sizes.get(name)):
        return name
    packed = f"{name}.zip"
    is_its_own = packed in listing.sizes
    if packed != spoilt and not is_its_own and zipfile.is_zipfile(folder / packed):
        return packed
    return None


def _is_as_listed(path: Path, listed: int | None) -> bool:
    size = files.size(path)
    return bool(size) and listed in (None, size)
