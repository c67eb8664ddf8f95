"""A bundle, one zip of everything, taken apart into what a competition needs.

Files at its top are written out. A folder becomes a zip of its own, nothing compressed, so that
200,000 images stay one file; its bytes depend on its members alone.
"""

import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from darkroom.errors import DataError
from darkroom.project import files
from darkroom.project.names import BROKEN, is_junk, safe_name
from darkroom.raw.archives import Archives
from darkroom.raw.gunzip import MAX_UNPACKED_RATIO
from darkroom.raw.sources import cache
from darkroom.raw.sources import files as downloads
from darkroom.raw.sources.cache import BUNDLE, Listing
from darkroom.raw.sources.files import Order
from darkroom.remote import disk_space
from darkroom.remote.disk_space import SpaceNeed
from darkroom.remote.download import Opener, RemoteFile, download
from darkroom.remote.retry import retry
from darkroom.remote.verify import plausible_size

_CHUNK_BYTES = 2**20
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold
_MEMBER_BYTES = 30 + 46 + 2 * 20  # of a zip, for a member, beside its name (twice) and bytes
_END_BYTES = 22 + 56 + 20

Member = tuple[str, zipfile.ZipInfo]
Tick = Callable[[int], object]


class Bundle:
    """A bundle, open; its members have been listed and their names found safe.

    Args:
        path: The zip.

    Attributes:
        sizes: What can be taken out of it, in bytes at most: a file at the top under its own
            name, a folder "images" as "images.zip" (unless a file at the top is called so).

    Raises:
        DataError: It is no zip, is damaged, or holds a member that can't be read safely.
    """

    def __init__(self, path: Path) -> None:
        try:
            Archives(path.parent, path.parent).paths(path.name)
        except DataError as error:
            raise DataError(str(error).partition("\n  to do: ")[0], fix=_anew(path)) from error
        self._path = path
        self._zip = zipfile.ZipFile(path)
        named = [
            (safe_name(info.orig_filename, path), info)
            for info in self._zip.infolist()
            if not info.orig_filename.endswith("/")
        ]
        named = sorted((member for member in named if not is_junk(member[0])), key=lambda m: m[0])
        self._files = {name: info for name, info in named if "/" not in name}
        self._folders: dict[str, list[Member]] = {}
        for name, info in named:
            top, is_inside, _ = name.partition("/")
            if is_inside and f"{top}.zip" not in self._files:
                self._folders.setdefault(f"{top}.zip", []).append((name, info))
        self.sizes = {name: info.file_size for name, info in self._files.items()}
        self.sizes |= {name: _packed_size(members) for name, members in self._folders.items()}

    def __enter__(self) -> "Bundle":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def split(self, names: Collection[str], folder: Path, tick: Tick) -> None:
        """Take some of `sizes` out into a folder, each under its name only when it is whole.

        The bundle stays as it is.

        Args:
            names: Keys of `sizes`.
            folder: Where to.
            tick: Called with the bytes of each piece that has been written.

        Raises:
            DataError: A member is damaged or not as large as declared, a file is empty, or they
                unpack to `MAX_UNPACKED_RATIO` times the bundle's size.
        """
        self._refuse_bomb(names)
        for name in sorted(names):
            if not self.sizes[name]:
                raise DataError(
                    "the file is empty",
                    file=self._path / name,
                    found="0 bytes",
                    fix=_anew(self._path),
                )
        for name in sorted(names):
            with files.replacing(folder / name) as part:
                if name in self._files:
                    with part.open("wb") as out:
                        self._copy(name, self._files[name], out, tick)
                else:
                    self._pack(self._folders[name], part, tick)

    def _refuse_bomb(self, names: Collection[str]) -> None:
        declared = sum(self.sizes[name] for name in names)
        size = self._path.stat().st_size
        if declared > MAX_UNPACKED_RATIO * max(size, _CHUNK_BYTES):
            raise DataError(
                "unpacks to more than any set of images would",
                file=self._path,
                found=f"{declared:,} bytes from {size:,}",
                expected=f"at most {MAX_UNPACKED_RATIO} times its own size",
                fix="is it the right one? Then unpack it yourself, and set data.source to it",
            )

    def _pack(self, members: list[Member], path: Path, tick: Tick) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, info in members:
                entry = zipfile.ZipInfo(name, _DATE)
                entry.create_system = 3  # Unix, wherever it is written
                entry.external_attr = 0o100644 << 16
                entry.file_size = info.file_size
                with archive.open(entry, "w") as out:
                    self._copy(name, info, out, tick)

    def _copy(self, name: str, info: zipfile.ZipInfo, out: IO[bytes], tick: Tick) -> None:
        done = 0
        for chunk in self._chunks(name, info):
            done += len(chunk)
            out.write(chunk)
            tick(len(chunk))
        if done != info.file_size:
            raise self._damaged(name, f"{done:,} bytes of {info.file_size:,}")

    def _chunks(self, name: str, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield a member's bytes; zipfile reads no more than declared, then checks the CRC."""
        with self._reported(name):
            member = self._zip.open(info)
        with member:
            while True:
                with self._reported(name):
                    chunk = member.read(_CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise self._damaged(name, str(error) or "it ends too early") from error

    def _damaged(self, name: str, found: str) -> DataError:
        return DataError(
            "a damaged member",
            file=self._path / name,
            found=found,
            expected="what the bundle's directory declares",
            fix=_anew(self._path),
        )


def _anew(path: Path) -> str:
    return (
        f"delete {path}, and run it again: it is fetched anew; if it stays so, download it in a "
        "browser, unpack it, and set data.source to that folder"
    )


def _packed_size(members: list[Member]) -> int:
    """Return the most bytes that a zip of some members, nothing compressed, can have."""
    named = sum(info.file_size + 2 * len(name.encode()) for name, info in members)
    return named + _MEMBER_BYTES * len(members) + _END_BYTES


@dataclass(frozen=True)
class Bundled:
    """What comes as one zip of everything: a version of a data set, or a competition.

    Attributes:
        where: Its page, for messages.
        folder: The folder of the cache that keeps it.
        size: Asks for its bytes, unpacked; None if that is not told.
        open: Opens the bundle.
        wanted: Bytes of what is wanted of it, unpacked, where that is known before it comes.
    """

    where: str
    folder: Path
    size: Callable[[], int | None]
    open: Opener
    wanted: int | None = None


def fill(bundled: Bundled, order: Order) -> list[str]:
    """Fetch and take apart what is wanted and not in the folder; return the names it has there.

    What its listing lacks is missing, and not looked for again. When it has to come anew, all
    that is wanted is taken out of it, for it may be of another day than what lies there.

    Raises:
        DataError: The bundle is damaged, or holds what is not safe. It is kept, and the message
            says that deleting it is what has it fetched anew.
        MissingFileError: It lacks a file.
        RemoteError: It can't be fetched.
        ResourceError: It does not fit on the disk; no body has been asked for.
    """
    folder = bundled.folder
    with cache.alone(folder):
        listing = cache.read(folder)
        names = [] if listing is None else _chosen(listing, order, bundled.where)
        if listing is None or _absent(folder, listing, names):
            known = None if _fetch(bundled, order) else listing
            names = _take_apart(bundled, known, order)
        else:
            downloads.tell(bundled.where, folder, {}, 0)
            sizes = {name: (folder / name).stat().st_size for name in names}
            disk_space.require_space([downloads.to_copy(folder, order.raw, sizes)])
        (folder / BUNDLE).unlink(missing_ok=True)
        return names


def _fetch(bundled: Bundled, order: Order) -> bool:
    """Fetch the bundle if it is not here; return whether it was not."""
    folder = bundled.folder
    cache.refuse_folders(folder, [BUNDLE])
    if (folder / BUNDLE).exists():
        return False
    size = retry(bundled.size, order.policy, what="the size of it all")
    if (size := plausible_size(size)) is None:
        size = downloads.size_of(bundled.open, BUNDLE, order.policy)
    missing, most = {BUNDLE: size}, size or 0
    apart = most if bundled.wanted is None else bundled.wanted
    downloads.tell(bundled.where, folder, missing, 0)
    disk_space.require_space(
        [
            downloads.to_fetch(folder, missing),
            SpaceNeed(folder, apart, "to take it apart"),
            downloads.to_copy(folder, order.raw, {BUNDLE: apart}),
        ]
    )
    with downloads.bar("fetching", most, 0) as progress:
        remote = RemoteFile(BUNDLE, bundled.open, bundled.where)
        download(remote, folder, policy=order.policy, bar=progress)
        progress.total = progress.n  # what is told is the size unpacked
    return True


def _take_apart(bundled: Bundled, known: Listing | None, order: Order) -> list[str]:
    """Take what is wanted and not there yet out of the bundle; return the names."""
    folder = bundled.folder
    with Bundle(folder / BUNDLE) as bundle:
        listing = Listing(bundle.sizes, known.kept if known else {})
        cache.write(folder, listing)
        names = _chosen(listing, order, bundled.where)
        absent = names if known is None else _absent(folder, listing, names)
        cache.refuse_folders(folder, absent)
        for name in absent:
            (folder / f"{name}.part").unlink(missing_ok=True)  # of a killed run
        wanted = {name: bundle.sizes[name] for name in names}
        most = sum(bundle.sizes[name] for name in absent)
        copies = downloads.to_copy(folder, order.raw, wanted)
        disk_space.require_space([SpaceNeed(folder, most, "to take it apart"), copies])
        with downloads.bar("taking apart", most, 0) as progress:
            bundle.split(absent, folder, progress.update)
    for name in absent:
        listing = cache.keep(folder, listing, name, folder / name)
    return names


def _chosen(listing: Listing, order: Order, where: str) -> list[str]:
    names = order.choose(downloads.offered(listing.sizes))
    downloads.refuse_long(names, where)
    return names


def _absent(folder: Path, listing: Listing, names: list[str]) -> list[str]:
    return [name for name in names if cache.here(folder, listing, name) != name]
