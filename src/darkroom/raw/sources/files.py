"""Fetch a server's files one by one into a folder of the download cache.

A complete file is never requested again. If no file is missing, no request is sent.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.errors import RemoteError, ResourceError
from darkroom.project.names import MissingFileError
from darkroom.raw.sources import cache, plan
from darkroom.raw.sources.cache import FolderRecord
from darkroom.raw.sources.plan import Selection, Sizes
from darkroom.remote import disk_space
from darkroom.remote.download import Opener, RemoteFile, download
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.remote.verify import IntegrityError, plausible_size

FILE_LIST = "the list of files"  # its name in messages


@dataclass(frozen=True)
class FileSource:
    """A server's files, fetched one by one.

    Attributes:
        origin: The server, for messages.
        folder: The folder of the cache for its files.
        list_files: Requests the names, and the sizes in bytes where the server gives them.
        open: Returns what opens a file, by its name.
        sha256: The sha256 that a file's bytes must have, by name, where it is known.
        addresses: Files' own addresses by name, for messages, without a query.
    """

    origin: str
    folder: Path
    list_files: Callable[[], Sizes]
    open: Callable[[str], Opener]
    sha256: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)


class FilesInFoldersError(Exception):
    """The server keeps wanted files in folders, which are fetched as one bundle instead.

    Args:
        listed: The sizes of all files there.
        names: The wanted names, folders as zips of their name.

    Attributes:
        size: Bytes of all files; None if one is unknown.
        wanted: Bytes of the wanted files; None if one is unknown.
    """

    def __init__(self, listed: Sizes, names: Collection[str]) -> None:
        super().__init__("single files in folders")
        self.size = _total(listed.values())
        self.wanted = _total(size for name, size in listed.items() if plan.top_name(name) in names)


def fetch_files(source: FileSource, selection: Selection) -> list[str]:
    """Download the selected files that the folder lacks; return the names that they have there.

    Raises:
        FilesInFoldersError: Not all of them can be fetched one by one.
        RemoteError: A file can't be fetched.
        DataError: A folder is where a file must be saved.
        MissingFileError: The server has no such file.
        ResourceError: They do not fit on the disk; no file has been requested.
    """
    folder = source.folder
    with cache.lock(folder):
        record, names = _list_selected(source, selection)
        absent = [name for name in names if cache.saved_name(folder, record, name) is None]
        cache.refuse_folders(folder, absent)
        missing = _complete_sizes(source, record, absent, selection.policy)
        saved = _saved_sizes(folder, record, names)
        plan.print_plan(source.origin, folder, missing, sum(saved.values()))
        wanted = {**saved, **{name: size or 0 for name, size in missing.items()}}
        try:
            disk_space.require_space(
                [
                    plan.download_need(folder, missing),
                    plan.copy_need(selection.raw, wanted),
                ]
            )
        except ResourceError:
            cache.forget_sizes(folder)
            raise
        if missing:
            record = _download_missing(source, selection, record, missing, saved)
        return sorted(_saved_sizes(folder, record, names))


def _download_missing(
    source: FileSource,
    selection: Selection,
    record: FolderRecord,
    missing: Sizes,
    saved: Mapping[str, int],
) -> FolderRecord:
    """Download files one by one, each recorded when it is complete; return the new record."""
    saved_bytes = sum(saved.values())
    total = saved_bytes + sum(size or 0 for size in missing.values())
    with plan.progress_bar("fetching", total, saved_bytes) as bar:
        for name, size in missing.items():
            remote = RemoteFile(
                name=name,
                open=source.open(name),
                address=source.addresses.get(name, source.origin),
                size=size,
                sha256=source.sha256.get(name),
            )
            with _size_mismatch_as_old_list(source.folder, record, name):
                path = download(remote, source.folder, policy=selection.policy, bar=bar)
            record = cache.record_file(source.folder, record, name, path)
    return record


@contextmanager
def _size_mismatch_as_old_list(folder: Path, record: FolderRecord, name: str) -> Iterator[None]:
    """Forget the listed sizes if a file's differs from them: the list may be out of date."""
    try:
        yield
    except IntegrityError as error:
        if not error.is_size_mismatch or record.sizes.get(name) is None:
            raise
        cache.forget_sizes(folder)
        raise RemoteError(
            "the download does not have the size that the server lists",
            file=name,
            found=error.found,
            expected=error.expected,
            fix="run it again: the list of files is then requested again",
        ) from error


def _list_selected(source: FileSource, selection: Selection) -> tuple[FolderRecord, list[str]]:
    """Return the record and the selected names. The list is requested only if it lacks one."""
    record = cache.read_record(source.folder)
    if record is not None and record.sizes:
        try:
            return record, _select(source, selection, record)
        except MissingFileError:
            pass  # the server may have it by now
    listed = retry(source.list_files, selection.policy, what=FILE_LIST)
    sizes = {name: plausible_size(size) for name, size in listed.items() if isinstance(name, str)}
    record = FolderRecord(sizes, record.saved if record else {})
    cache.write_record(source.folder, record)
    return record, _select(source, selection, record)


def _select(source: FileSource, selection: Selection, record: FolderRecord) -> list[str]:
    names = selection.choose(plan.available_names(record.sizes))
    plan.refuse_long_names(names, source.origin)
    if not record.sizes.keys() >= set(names):
        raise FilesInFoldersError(record.sizes, names)
    return names


def _complete_sizes(
    source: FileSource, record: FolderRecord, names: list[str], policy: RetryPolicy
) -> Sizes:
    """Return files' sizes, requested one by one where the record has none.

    They are not recorded: tomorrow there may be another file at an address.
    """
    sizes = {name: record.sizes[name] for name in names}
    unknown = [name for name, size in sizes.items() if size is None]
    return sizes | {name: plan.request_size(source.open(name), name, policy) for name in unknown}


def _saved_sizes(folder: Path, record: FolderRecord, names: list[str]) -> dict[str, int]:
    """Return the bytes of the complete files among some listed ones, by the name they have here."""
    saved = [cache.saved_name(folder, record, name) for name in names]
    return {name: (folder / name).stat().st_size for name in saved if name is not None}


def _total(sizes: Iterable[int | None]) -> int | None:
    """Return the sum of some sizes, None if one is unknown."""
    total = 0
    for size in sizes:
        if size is None:
            return None
        total += size
    return total
