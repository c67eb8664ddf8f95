"""A folder of the download cache, filled with what is wanted and not there yet.

What is whole is never asked for again; when nothing is missing, nobody is asked anything.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from darkroom.errors import RemoteError, ResourceError
from darkroom.project import files
from darkroom.project.names import MissingFileError, is_junk, unsafe
from darkroom.raw.sources import cache
from darkroom.raw.sources.cache import Listing
from darkroom.remote import disk_space
from darkroom.remote.disk_space import SpaceNeed
from darkroom.remote.download import Opener, RemoteFile, download
from darkroom.remote.partial import response_identity
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.remote.verify import IntegrityError, plausible_size

Sizes = Mapping[str, int | None]

LIST = "the list of files"  # what messages call it
RESERVED = {cache.LISTING, cache.BUNDLE}  # these names are the cache's own
_MOST_NAME_BYTES = 240  # a disk takes 255, and ".zip.part.json" comes behind


@dataclass(frozen=True)
class Offer:
    """What a server has, to be fetched file by file.

    Attributes:
        where: The server, for messages.
        folder: The folder of the cache that keeps it.
        ask: Asks for the names, and sizes in bytes as far as they are told.
        open: Returns what opens a file, by its name.
        sha256: What a file's bytes must hash to, by name, where that is known.
        addresses: Of files that have one of their own, by name, for messages; no query.
    """

    where: str
    folder: Path
    ask: Callable[[], Sizes]
    open: Callable[[str], Opener]
    sha256: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What is wanted of an offer.

    Attributes:
        choose: From the names that there are, those that are wanted; raises MissingFileError.
        raw: The project's folder that the files will be linked or copied into.
        policy: Between tries.
    """

    choose: Callable[[Collection[str]], list[str]]
    raw: Path
    policy: RetryPolicy


class FolderedError(Exception):
    """What is wanted lies in folders of single files there.

    Args:
        listed: All that lies there.
        names: What is wanted of it, folders as zips of their name.

    Attributes:
        size: Bytes of all; None if one is not told.
        wanted: Bytes of what is wanted, likewise.
    """

    def __init__(self, listed: Sizes, names: Collection[str]) -> None:
        super().__init__("single files in folders")
        self.size = _total(listed.values())
        self.wanted = _total(size for name, size in listed.items() if _top(name) in names)


def fill(offer: Offer, order: Order) -> list[str]:
    """Fetch what is wanted and not in the folder; return the names it has there.

    Raises:
        FolderedError: Not all that is wanted can be fetched file by file.
        RemoteError: A wanted file can't be fetched.
        DataError: A folder lies where a file is to be saved.
        MissingFileError: The server has no such file.
        ResourceError: It does not fit on the disk; no body has been asked for.
    """
    folder = offer.folder
    with cache.alone(folder):
        listing, names = _listed(offer, order)
        absent = [name for name in names if cache.here(folder, listing, name) is None]
        cache.refuse_folders(folder, absent)
        missing = _sized(offer, listing, absent, order.policy)
        whole = _whole(folder, listing, names)
        tell(offer.where, folder, missing, sum(whole.values()))
        wanted = {**whole, **{name: size or 0 for name, size in missing.items()}}
        try:
            disk_space.require_space(
                [to_fetch(folder, missing), to_copy(folder, order.raw, wanted)]
            )
        except ResourceError:
            doubt(folder)
            raise
        if missing:
            with bar("fetching", sum(wanted.values()), sum(whole.values())) as progress:
                for name, size in missing.items():
                    remote = RemoteFile(
                        name=name,
                        open=offer.open(name),
                        address=offer.addresses.get(name, offer.where),
                        size=size,
                        sha256=offer.sha256.get(name),
                    )
                    with _doubting(folder, listing, name):
                        path = download(remote, folder, policy=order.policy, bar=progress)
                    listing = cache.keep(folder, listing, name, path)
        return sorted(_whole(folder, listing, names))


@contextmanager
def _doubting(folder: Path, listing: Listing, name: str) -> Iterator[None]:
    """Forget what the server lists if what it sends is of another size: the list may be old."""
    try:
        yield
    except IntegrityError as error:
        if not error.is_size_mismatch or listing.sizes.get(name) is None:
            raise
        doubt(folder)
        raise RemoteError(
            "what came is not of the size that the server lists",
            file=name,
            found=error.found,
            expected=error.expected,
            fix="run it again: the list of files is then asked for anew",
        ) from error


def offered(names: Collection[str]) -> list[str]:
    """Return what a listing comes to: files at its top, and folders as zips of their name.

    Without names that lead out, what operating systems leave behind, and the cache's own.
    """
    tops = {_top(name) for name in names if not unsafe(name) and not is_junk(name)}
    return sorted(tops - RESERVED)


def size_of(opener: Opener, name: str, policy: RetryPolicy) -> int | None:
    """Return a body's bytes as its server announces them; only the first byte is asked for."""

    def ask() -> int | None:
        with opener({"Range": "bytes=0-0", "Accept-Encoding": "identity"}) as answer:
            return response_identity(answer).total

    return retry(ask, policy, what=name)


def doubt(folder: Path) -> None:
    """Forget what the server lists, so that the next run asks; what is kept stays known."""
    if listing := cache.read(folder):
        cache.write(folder, Listing({}, listing.kept))


def refuse_long(names: Collection[str], where: str) -> None:
    """Raise RemoteError if a file's name is longer than disks allow."""
    for name in names:
        if len(name.encode()) > _MOST_NAME_BYTES:
            raise RemoteError(
                "a file name too long for a disk",
                file=where,
                found=name,
                expected=f"at most {_MOST_NAME_BYTES} bytes",
                fix="download it in a browser under a shorter name, and set data.source to its "
                "folder",
            )


def tell(where: str, folder: Path, missing: Sizes, here: int) -> None:
    """Say on stderr what will be fetched from where, what is here already, and what is free."""
    if not missing:
        print(f"{where}: everything is here already, in {folder}", file=sys.stderr)
        return
    known = disk_space.format_bytes(sum(size or 0 for size in missing.values()))
    unknown = sum(size is None for size in missing.values())
    rest = f", and {unknown} whose size is not told" if unknown else ""
    lines = [f"to fetch from {where}: {known}{rest}"]
    lines += [
        f"  {name}  {'?' if size is None else disk_space.format_bytes(size)}"
        for name, size in missing.items()
    ]
    here += sum(_part(folder, name) for name in missing)
    free = disk_space.format_bytes(disk_space.free_bytes(folder))
    lines.append(f"into {folder}: {disk_space.format_bytes(here)} here, {free} free")
    print("\n".join(lines), file=sys.stderr)


def to_fetch(folder: Path, missing: Sizes) -> SpaceNeed:
    """Return the room that a download needs, less what is here of it."""
    rest = sum(max(0, (size or 0) - _part(folder, name)) for name, size in missing.items())
    return SpaceNeed(folder, rest, "to fetch")


def to_copy(folder: Path, raw: Path, wanted: Mapping[str, int]) -> SpaceNeed:
    """Return the room that the project needs for its copies of files of a cache folder.

    Raw files are hard links to the cache until DVC takes its copy. On another disk they are
    copies, and DVC's comes on top until it has linked them. What lies in `raw` already, in its
    size, is not copied again.

    Args:
        folder: The folder of the cache.
        raw: The project's folder of raw files.
        wanted: All that will lie there, bytes by name.
    """
    new = sum(size for name, size in wanted.items() if files.size(raw / name) != size)
    copies = 1 if disk_space.is_same_disk(folder, raw) else 2
    return SpaceNeed(raw, copies * new, "for the project's copy")


def bar(what: str, total: int, here: int) -> "tqdm[Any]":
    """Return a progress bar over bytes on stderr, what is here counted in."""
    return tqdm(total=total, initial=here, desc=what, unit="B", unit_scale=True, disable=None)


def _listed(offer: Offer, order: Order) -> tuple[Listing, list[str]]:
    """Return the listing, asked for only if there is none or it lacks something, and the names."""
    listing = cache.read(offer.folder)
    if listing is not None and listing.sizes:
        try:
            return listing, _chosen(offer, order, listing)
        except MissingFileError:
            pass  # it may have come since
    asked = retry(offer.ask, order.policy, what=LIST)
    sizes = {name: plausible_size(size) for name, size in asked.items() if isinstance(name, str)}
    listing = Listing(sizes, listing.kept if listing else {})
    cache.write(offer.folder, listing)
    return listing, _chosen(offer, order, listing)


def _chosen(offer: Offer, order: Order, listing: Listing) -> list[str]:
    names = order.choose(offered(listing.sizes))
    refuse_long(names, offer.where)
    if not listing.sizes.keys() >= set(names):
        raise FolderedError(listing.sizes, names)
    return names


def _sized(offer: Offer, listing: Listing, absent: list[str], policy: RetryPolicy) -> Sizes:
    """Return some files' sizes, asked for one by one where the listing lacks them.

    They are not written down: what is at an address may be another file tomorrow.
    """
    listed = {name: listing.sizes[name] for name in absent}
    lacking = [name for name, size in listed.items() if size is None]
    return listed | {name: size_of(offer.open(name), name, policy) for name in lacking}


def _whole(folder: Path, listing: Listing, names: list[str]) -> dict[str, int]:
    """Return the bytes of what is here of some listed files, by the name it has here."""
    saved = [cache.here(folder, listing, name) for name in names]
    return {name: (folder / name).stat().st_size for name in saved if name is not None}


def _top(name: str) -> str:
    """Return what a listed file belongs to: itself, or the zip of the folder that it lies in."""
    top, is_inside, _ = name.partition("/")
    return f"{top}.zip" if is_inside else top


def _total(sizes: Iterable[int | None]) -> int | None:
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total


def _part(folder: Path, name: str) -> int:
    return files.size(folder / f"{name}.part") or 0
