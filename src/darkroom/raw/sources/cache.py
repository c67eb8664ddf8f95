"""The download cache: files from servers are kept, so that no rerun downloads them again.

A competition, a data set or a list of addresses has a folder of its own. Files get their names
only when they are complete. listing.json beside them records what the server lists and what was
saved. To download something again, delete its folder and force the stage.
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
from darkroom.project.files import home_folder
from darkroom.project.names import path_fault
from darkroom.remote.kaggle.responses import MAX_VERSION
from darkroom.remote.verify import plausible_size

RECORD_FILE = "listing.json"
BUNDLE_FILE = "bundle.zip"
UNPACKED_FOLDER = ".bundle"
"""In a competition's folder: the files that were taken out of its bundle."""

_VERSION_FILE = "newest.json"
_SUFFIXES = ("", ".part", ".part.json", ".zip")


def cache_root() -> Path:
    """Return the cache's folder: $DARKROOM_CACHE, $XDG_CACHE_HOME/darkroom or ~/.cache/darkroom.

    An XDG folder counts only if absolute (XDG Base Directory Specification).

    Raises:
        ParamsError: It lies in the home of an unknown user.
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
    return (general if general.is_absolute() else home_folder() / ".cache") / "darkroom"


def competition_folder(slug: str) -> Path:
    """Return the folder of a competition's files."""
    return cache_root() / "competitions" / slug


def dataset_folder(ref: str) -> Path:
    """Return the folder of a data set "owner/name", or of one version "owner/name/versions/2"."""
    owner, name, *version = ref.split("/")
    return cache_root().joinpath("datasets", owner, name, *version[1:])


def urls_folder(entries: Sequence[tuple[str, str, str | None]]) -> Path:
    """Return the folder of a list of files: name, address, and sha256 if it is known."""
    text = json.dumps(sorted(entries, key=str))
    return cache_root() / "urls" / hashlib.sha256(text.encode()).hexdigest()[:16]


def pinned_version(ref: str) -> str | None:
    """Return a data set's name with a version; None if its current version was never fetched.

    A version stays pinned, so that results that were computed from it can be repeated.
    """
    if ref.count("/") > 1:
        return ref
    content = _read_json(dataset_folder(ref) / _VERSION_FILE)
    version = content.get("version") if isinstance(content, dict) else None
    is_valid = type(version) is int and 1 <= version < MAX_VERSION
    return f"{ref}/versions/{version}" if is_valid else None


def pin_version(full_ref: str) -> None:
    """Record that a version ("owner/name/versions/2") was current when it was fetched."""
    ref, version = full_ref.split("/versions/")
    path = dataset_folder(ref) / _VERSION_FILE
    files.write(path, json.dumps({"version": int(version)}) + "\n")


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock a folder, created if needed; a second process prints a line and waits."""

    def print_waiting() -> None:
        print(f"waiting for another fetch that is filling {folder}", file=sys.stderr)

    files.make_folder(folder, private=True)
    with files.lock(folder, busy=print_waiting):
        yield


@dataclass(frozen=True)
class SavedFile:
    """A file as it was saved.

    Attributes:
        name: Its name here: a server may have packed x.csv into x.csv.zip.
        size: Bytes.
        mtime_ns: When it was last written: this shows whether it was edited.
    """

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class FolderRecord:
    """The content of listing.json.

    Attributes:
        sizes: Bytes by name as the server lists them; None where it gives no size.
        saved: The files that were saved, by the name under which they are listed.
    """

    sizes: Mapping[str, int | None]
    saved: Mapping[str, SavedFile] = field(default_factory=dict)


def read_record(folder: Path) -> FolderRecord | None:
    """Return a folder's record; None if there is none or it is invalid: the list is requested."""
    try:
        content = _read_json(folder / RECORD_FILE)
        sizes, saved = dict(content["listed"]), dict(content["kept"])
        record = FolderRecord(sizes, {name: SavedFile(*entry) for name, entry in saved.items()})
    except (ValueError, KeyError, TypeError):
        return None
    if not all(size is None or plausible_size(size) is not None for size in sizes.values()):
        return None
    return record if all(_is_valid(*item) for item in record.saved.items()) else None


def write_record(folder: Path, record: FolderRecord) -> None:
    """Write a folder's record, atomically."""
    saved = {key: (each.name, each.size, each.mtime_ns) for key, each in record.saved.items()}
    text = json.dumps({"listed": dict(record.sizes), "kept": saved}, indent=1, sort_keys=True)
    files.write(folder / RECORD_FILE, text + "\n")


def record_file(folder: Path, record: FolderRecord, name: str, path: Path) -> FolderRecord:
    """Record that a listed file was saved at a path in the folder; return the new record."""
    stat = path.stat()
    file = SavedFile(path.name, stat.st_size, stat.st_mtime_ns)
    record = replace(record, saved={**record.saved, name: file})
    write_record(folder, record)
    return record


def forget_sizes(folder: Path) -> None:
    """Forget what the server lists, so that the next run requests it; saved files stay recorded."""
    if record := read_record(folder):
        write_record(folder, FolderRecord({}, record.saved))


def saved_name(folder: Path, record: FolderRecord, name: str) -> str | None:
    """Return the name that a listed file has in the folder; None if it is not complete there.

    A recorded file is complete if its size and time of change are as recorded. An unrecorded one
    (the run was killed just then, or the record was lost) was complete when it got its name, but
    may be an older version: it must have the listed size, if there is one. The size of a file that
    the server packed is not listed: it must be a readable zip.
    """
    file = record.saved.get(name)
    if file is not None and _is_as_recorded(folder / file.name, file):
        return file.name
    changed = file.name if file is not None else None
    if name != changed and _is_as_listed(folder / name, record.sizes.get(name)):
        return name
    packed = f"{name}.zip"
    is_own_file = packed in record.sizes
    if packed != changed and not is_own_file and zipfile.is_zipfile(folder / packed):
        return packed
    return None


def refuse_folders(folder: Path, names: Collection[str]) -> None:
    """Raise DataError if a folder is where a file of the cache is about to be written."""
    for name in names:
        for path in (folder / f"{name}{suffix}" for suffix in _SUFFIXES):
            if path.is_dir():
                raise DataError(
                    "a folder is where a file must be saved",
                    file=path,
                    expected="nothing, or a file",
                    fix="move it away, or remove it, and run it again",
                )


def _read_json(path: Path) -> Any:
    """Return what a JSON file holds; None if there is none, or it is invalid."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def _is_valid(name: str, file: SavedFile) -> bool:
    """Return whether a recorded file may have been saved under a listed name."""
    is_plain = "/" not in name and not path_fault(name) and file.name in (name, f"{name}.zip")
    return is_plain and plausible_size(file.size) is not None and type(file.mtime_ns) is int


def _is_as_recorded(path: Path, file: SavedFile) -> bool:
    return files.file_size(path) == file.size and path.stat().st_mtime_ns == file.mtime_ns


def _is_as_listed(path: Path, listed: int | None) -> bool:
    size = files.file_size(path)
    return bool(size) and listed in (None, size)
