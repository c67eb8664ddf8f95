"""Fetch a bundle, one zip of everything, and split it into the files that are wanted.

Files at its top are written out. A folder becomes a zip of its own, uncompressed, so that 200,000
images stay one file; its bytes depend on its members alone.
"""

import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from darkroom.errors import DataError, one_line
from darkroom.project import files
from darkroom.project.names import BROKEN, is_junk, safe_name
from darkroom.raw.archives import Archives
from darkroom.raw.sources import cache, plan
from darkroom.raw.sources.cache import BUNDLE_FILE, FolderRecord
from darkroom.raw.sources.plan import Selection
from darkroom.raw.zips import member_name, open_zip
from darkroom.raw.zips import members as zip_members
from darkroom.remote import disk_space
from darkroom.remote.disk_space import SpaceNeed
from darkroom.remote.download import Opener, RemoteFile, download
from darkroom.remote.retry import retry
from darkroom.remote.verify import plausible_size

_CHUNK_BYTES = 2**20
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_MEMBER_BYTES = 30 + 46 + 2 * 20  # a zip's headers for a member, without its name (twice) and data
_END_BYTES = 22 + 56 + 20
_TO_SPLIT = "to take it apart"  # the purpose of disk space, in messages

Member = tuple[str, zipfile.ZipInfo]


@dataclass(frozen=True)
class Bundle:
    """A zip of everything on a server: a version of a data set, or a competition.

    Attributes:
        origin: Its page, for messages.
        folder: The folder of the cache for its files.
        request_size: Requests its bytes, unpacked; None if they are not given.
        open: Opens the zip.
        wanted: Bytes of the wanted files, unpacked, if they are known before the download.
    """

    origin: str
    folder: Path
    request_size: Callable[[], int | None]
    open: Opener
    wanted: int | None = None


def fetch_bundle(bundle: Bundle, selection: Selection) -> list[str]:
    """Fetch and split a bundle, unless the selected files are there; return their names there.

    A file that the recorded bundle lacks is missing, and not requested again. If the bundle is
    downloaded again, all selected files are taken from it, since it may be a newer version.

    Raises:
        DataError: The bundle is damaged or unsafe. It is kept; the message says how to fetch it
            again.
        MissingFileError: It lacks a file.
        RemoteError: It can't be fetched.
        ResourceError: It does not fit on the disk; nothing has been downloaded.
    """
    folder = bundle.folder
    with cache.lock(folder):
        record = cache.read_record(folder)
        names = [] if record is None else _select(record, selection, bundle.origin)
        if record is None or _absent(folder, record, names):
            is_new = _download_bundle(bundle, selection)
            names = _split_bundle(bundle, None if is_new else record, selection)
        else:
            plan.print_plan(bundle.origin, folder, {}, 0)
            sizes = {name: (folder / name).stat().st_size for name in names}
            disk_space.require_space([plan.copy_need(selection.raw, sizes)])
        (folder / BUNDLE_FILE).unlink(missing_ok=True)
        return names


def _download_bundle(bundle: Bundle, selection: Selection) -> bool:
    """Download the zip if it is not there; return whether it was downloaded."""
    folder = bundle.folder
    cache.refuse_folders(folder, [BUNDLE_FILE])
    if (folder / BUNDLE_FILE).exists():
        return False
    size = plausible_size(
        retry(bundle.request_size, selection.policy, what="the size of the bundle")
    )
    if size is None:
        size = plan.request_size(bundle.open, BUNDLE_FILE, selection.policy)
    missing, most = {BUNDLE_FILE: size}, size or 0
    unpacked = most if bundle.wanted is None else bundle.wanted
    plan.print_plan(bundle.origin, folder, missing, 0)
    disk_space.require_space(
        [
            plan.download_need(folder, missing),
            SpaceNeed(folder, unpacked, _TO_SPLIT),
            plan.copy_need(selection.raw, {BUNDLE_FILE: unpacked}),
        ]
    )
    with plan.progress_bar("fetching", most, 0) as bar:
        remote = RemoteFile(BUNDLE_FILE, bundle.open, bundle.origin)
        download(remote, folder, policy=selection.policy, bar=bar)
        bar.total = bar.n  # the size that was given is that of the unpacked files
    return True


def _split_bundle(bundle: Bundle, record: FolderRecord | None, selection: Selection) -> list[str]:
    """Take the selected files that are not there yet out of the zip; return the names of all.

    Args:
        bundle: The bundle, downloaded.
        record: What was taken out of the same zip before; None if the zip is new.
        selection: The wanted files.
    """
    folder = bundle.folder
    with BundleArchive(folder / BUNDLE_FILE) as archive:
        new_record = FolderRecord(archive.sizes, record.saved if record else {})
        cache.write_record(folder, new_record)
        names = _select(new_record, selection, bundle.origin)
        absent = names if record is None else _absent(folder, new_record, names)
        cache.refuse_folders(folder, absent)
        for name in absent:
            (folder / f"{name}.part").unlink(missing_ok=True)  # of a killed run
        wanted = {name: archive.sizes[name] for name in names}
        most = sum(archive.sizes[name] for name in absent)
        copies = plan.copy_need(selection.raw, wanted)
        disk_space.require_space([SpaceNeed(folder, most, _TO_SPLIT), copies])
        with plan.progress_bar("taking apart", most, 0) as bar:
            archive.split(absent, folder, bar.update)
    for name in absent:
        new_record = cache.record_file(folder, new_record, name, folder / name)
    return names


def _select(record: FolderRecord, selection: Selection, origin: str) -> list[str]:
    names = selection.choose(plan.available_names(record.sizes))
    plan.refuse_long_names(names, origin)
    return names


def _absent(folder: Path, record: FolderRecord, names: list[str]) -> list[str]:
    return [name for name in names if cache.saved_name(folder, record, name) != name]


class BundleArchive:
    """A bundle's zip, open. All its members are known to have safe names.

    Args:
        path: The zip.

    Attributes:
        sizes: What can be taken out of it, with the most bytes: a file at the top under its own
            name, a folder "images" as "images.zip" (unless a file at the top has that name).

    Raises:
        DataError: It is no zip, is damaged, beyond the limits, or holds a member that can't be
            read safely.
    """

    def __init__(self, path: Path) -> None:
        try:
            Archives(path.parent, path.parent).paths(path.name)
        except DataError as error:
            message = one_line(error).partition("; to do: ")[0]
            raise DataError(message, fix=_fetch_again(path)) from error
        self._path = path
        self._zip = open_zip(path)
        named = [(safe_name(member_name(info), path), info) for info in zip_members(self._zip)]
        members = sorted((each for each in named if not is_junk(each[0])), key=lambda m: m[0])
        self._files = {name: info for name, info in members if "/" not in name}
        self._folders: dict[str, list[Member]] = {}
        for name, info in members:
            top, is_inside, _ = name.partition("/")
            if is_inside and f"{top}.zip" not in self._files:
                self._folders.setdefault(f"{top}.zip", []).append((name, info))
        self.sizes = {name: info.file_size for name, info in self._files.items()}
        self.sizes |= {name: _zip_size(inside) for name, inside in self._folders.items()}

    def __enter__(self) -> "BundleArchive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    def split(
        self, names: Collection[str], folder: Path, on_bytes: Callable[[int], object]
    ) -> None:
        """Write some of `sizes` into a folder, each atomically. The zip does not change.

        Args:
            names: Keys of `sizes`.
            folder: Where to write them.
            on_bytes: Called with the number of bytes after each write.

        Raises:
            DataError: A member is damaged or not as large as declared, or a file is empty.
        """
        for name in sorted(names):
            if not self.sizes[name]:
                raise DataError(
                    "the file is empty",
                    file=self._path / name,
                    found="0 bytes",
                    fix=_fetch_again(self._path),
                )
        for name in sorted(names):
            with files.atomic_write(folder / name) as part:
                if name in self._files:
                    with part.open("wb") as out:
                        self._copy(name, self._files[name], out, on_bytes)
                else:
                    self._write_zip(self._folders[name], part, on_bytes)

    def _write_zip(
        self, members: list[Member], path: Path, on_bytes: Callable[[int], object]
    ) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, info in members:
                entry = zipfile.ZipInfo(name, _MEMBER_DATE)
                entry.create_system = 3  # Unix, on every platform
                entry.external_attr = 0o100644 << 16
                entry.file_size = info.file_size
                with archive.open(entry, "w") as out:
                    self._copy(name, info, out, on_bytes)

    def _copy(
        self, name: str, info: zipfile.ZipInfo, out: IO[bytes], on_bytes: Callable[[int], object]
    ) -> None:
        size = 0
        for chunk in self._chunks(name, info):
            size += len(chunk)
            out.write(chunk)
            on_bytes(len(chunk))
        if size != info.file_size:
            raise self._damaged(name, f"{size:,} bytes of {info.file_size:,}")

    def _chunks(self, name: str, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield a member's bytes; zipfile reads no more than declared, then checks the CRC."""
        with self._damage_as_error(name):
            member = self._zip.open(info)
        with member:
            while True:
                with self._damage_as_error(name):
                    chunk = member.read(_CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

    @contextmanager
    def _damage_as_error(self, name: str) -> Iterator[None]:
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
            fix=_fetch_again(self._path),
        )


def _fetch_again(path: Path) -> str:
    return (
        f"delete {path}, and run it again: it is then downloaded again; if the error stays, "
        "download it in a browser, unpack it, and set data.source to that folder"
    )


def _zip_size(members: list[Member]) -> int:
    """Return the most bytes that an uncompressed zip of some members can have."""
    content = sum(info.file_size + 2 * len(name.encode()) for name, info in members)
    return content + _MEMBER_BYTES * len(members) + _END_BYTES
