"""Read members of folders, zips, tars and 7z archives by name, in place.

Nothing is extracted, so no member can be written outside a folder, and 200,000 images stay one
file. A path names a member as if archives were folders: "train.zip/train/0cde_01.jpg".

A compressed tar and a 7z have no random access: `darkroom.raw.gunzip` and `sevenzips` unpack them
first.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol
from unicodedata import normalize

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from darkroom.errors import DataError
from darkroom.project.files import walk_files
from darkroom.project.names import (
    BROKEN,
    CONTAINER_SUFFIXES,
    REPACK_ADVICE,
    TAR_SUFFIXES,
    describe_bytes,
    file_kind,
    join_advice,
    list_names,
    nearest_name,
    pick_name,
    read_errors,
    safe_name,
    sizes_by_name,
)
from darkroom.raw import limits
from darkroom.raw.gunzip import unpack_gzip
from darkroom.raw.large import LargeFile
from darkroom.raw.members import Ints, Members
from darkroom.raw.sevenzips import unpack_7z
from darkroom.raw.tars import BLOCK_BYTES, Tar
from darkroom.raw.zips import Zip

DIGEST_CHARACTERS = 32
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF's
_UNREADABLE: tuple[type[Exception], ...] = (OSError, *BROKEN)
_FILES_AT_ONCE = 64
_TEXTS_AT_ONCE = 2**16
_MOST_LABELS = 2**16
_TARS = ("a gzip file", "a tar archive", "binary data")  # the oldest tars have no magic
_REPACKED = ("a rar archive", "a bzip2 file", "an xz file")
_DOWNLOAD = "download it again"
_FILL = "put its files into it, or name another folder"
_RENAME = "correct the path: relative, with slashes, without control characters"
_MOVE = "move it out of the folder, or put a regular file with a plain name in its place"


class _Container(Protocol):
    """The common interface of folder, zip and tar: sizes in bytes by member name, and reading."""

    sizes: Members

    def read(self, name: str) -> bytes: ...

    def stored(self, name: str) -> LargeFile | None: ...


class Archives:
    """The containers (folders, .zip, .zip.001, .tar, .tar.gz, .tgz, .7z) under `root`.

    Each container is opened once a process, on first use; threads may read in parallel. It pickles
    as its two paths, for which a process builds one `Archives` and shares it; it survives a fork.

    Args:
        root: The folder that the containers lie in.
        unpack_folder: Where large compressed tars and 7z archives are unpacked. Need not exist.
        errors: Takes, by folder, the errors of what can't be read safely in it, and is left out;
            None: the first is raised.
    """

    def __init__(
        self, root: Path, unpack_folder: Path, *, errors: dict[str, list[DataError]] | None = None
    ) -> None:
        self.root, self.unpack_folder, self._errors = Path(root), Path(unpack_folder), errors
        self._open: dict[str, _Container] = {}
        # By container and form NFC: the name in it; None for two that look alike.
        self._composed: dict[str, dict[str, str | None]] = {}
        self._labels: dict[str, str] = {}  # containers by the folder of a path
        self._process, self._opening = os.getpid(), Lock()

    def __reduce__(self) -> tuple[Callable[[Path, Path], "Archives"], tuple[Path, Path]]:
        if self._errors is not None:
            raise TypeError("a copy would raise what this one leaves out")
        return _shared, (self.root, self.unpack_folder)

    def paths(self, container: str) -> list[str]:
        """Return the paths of a container's members, sorted: "train.zip/train/x.jpg", ...

        Folders and what operating systems leave behind (__MACOSX, ._*, .DS_Store, Thumbs.db)
        are not members.

        Raises:
            DataError: The container is absent, broken, unsafe or without files (where errors are
                taken, a folder or archive may be without).
        """
        return [f"{container}/{name}" for name in self.members(container)]

    def members(self, container: str) -> Members:
        """Return the sizes of a container's members by name; see `paths`."""
        sizes = self._container(container).sizes
        if not sizes and container != "." and self._errors is None:  # bare files need not be there
            raise DataError(
                "holds no files",
                file=self.root / container,
                expected="a folder or archive of images",
                fix=_FILL if (self.root / container).is_dir() else _DOWNLOAD,
            )
        return sizes

    def has(self, path: str) -> bool:
        """Return whether there is such a member in a container that can be read."""
        label, name = self._split_path(safe_name(path, self.root, fix=_RENAME))
        return self._member_name(label, name) is not None

    def size(self, path: str) -> int:
        """Return a member's size in bytes, as its container declares it."""
        container, name = self._find_member(path)
        return container.sizes[name]

    def read(self, path: str, *, digest: str = "") -> bytes:
        """Return a member's bytes.

        Args:
            path: The member.
            digest: What `digest_of` must give for its bytes, as the index has it; "": anything.

        Raises:
            DataError: It is absent (the message names the nearest), damaged, not the file of that
                digest, or above `MAX_MEMBER_BYTES` of `darkroom.raw.limits`.
        """
        container, name = self._find_member(path)
        size = container.sizes[name]
        if size > limits.MAX_MEMBER_BYTES:
            raise _too_large(self.root / path, size)
        with read_errors(self.root / path, *BROKEN):
            data = container.read(name)
        if len(data) != size:
            raise DataError(
                "its size is not the declared one",
                file=self.root / path,
                found=f"{len(data):,} bytes" if len(data) < size else "more bytes",
                expected=f"{size:,} bytes",
                fix=_DOWNLOAD,
            )
        self._check_digest(path, data, digest)
        return data

    def read_image(self, path: str, *, digest: str = "") -> bytes | LargeFile:
        """Return a member's bytes, as `read`; or a TIFF that is too large for it, unread.

        Such a TIFF lies in a folder, or in an archive that does not compress it.

        Raises:
            DataError: As `read`; or the TIFF is above `MAX_TIFF_BYTES` of `darkroom.raw.limits`.
        """
        container, name = self._find_member(path)
        size = container.sizes[name]
        if not limits.MAX_MEMBER_BYTES < size <= limits.MAX_TIFF_BYTES:
            return self.read(path, digest=digest)
        with read_errors(self.root / path, *BROKEN):
            large = container.stored(name)
            is_tiff = large is not None and _is_tiff(large)
        if large is None:
            raise _too_large(self.root / path, size, "unpack its archive into a folder")
        if not is_tiff:
            raise _too_large(self.root / path, size, "store it as a TIFF, which is read in parts")
        self._check_digest(path, large, digest)
        return large

    def digests(self, paths: pa.Array) -> pa.Array:
        """Return the digest of each file's bytes, for Arrow strings of paths; see `digest_of`.

        Members of a zip that lie together are read at once, and several threads share the work:
        hashing and reading release the interpreter lock.

        Raises:
            DataError: A file is absent, damaged or empty.
        """
        hashes = np.fromiter(map(hash, _texts(paths)), np.int64, len(paths))
        if len(np.unique(hashes)) < len(paths):  # a tenth of the time of counting the texts
            each = paths.dictionary_encode()
            return self.digests(each.dictionary).take(each.indices)
        digests = np.zeros(len(paths), f"S{DIGEST_CHARACTERS}")

        def put(job: tuple[Zip | None, list[int], Ints]) -> None:
            archive, members, rows = job
            own = _span_digests(archive, members) if archive is not None else None
            # File by file, if one can't be read: the message names it.
            digests[rows] = own or [self._digest(path) for path in paths.take(rows).to_pylist()]

        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
            for _ in threads.map(put, self._jobs(paths)):
                pass
        bounds = np.arange(0, digests.nbytes + 1, DIGEST_CHARACTERS)
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(digests)]
        return pa.Array.from_buffers(pa.large_string(), len(paths), buffers)

    def _jobs(self, paths: pa.Array) -> Iterator[tuple[Zip | None, list[int], Ints]]:
        """Yield the positions of paths to read together; of those in a zip, its members' places."""
        labels: dict[str, list[int]] = {}
        for row, path in enumerate(_texts(paths)):
            labels.setdefault(self._split_path(path)[0], []).append(row)
        for label, positions in labels.items():
            rows, archive = np.array(positions), self._container(label)
            if isinstance(archive, Zip):
                names = pc.utf8_slice_codeunits(paths.take(pa.array(rows)), len(label) + 1)
                places = archive.sizes.places(names)
                rows, absent = rows[places >= 0], rows[places < 0]
                places = places[places >= 0]
                for some in archive.spans(places):
                    yield archive, places[some].tolist(), rows[some]
                rows = absent
            for start in range(0, len(rows), _FILES_AT_ONCE):
                yield None, [], rows[start : start + _FILES_AT_ONCE]

    def _digest(self, path: str) -> str:
        data = self.read_image(path)
        if not data:
            raise DataError(
                "an empty file",
                file=self.root / path,
                found="0 bytes",
                expected="a picture",
                fix="download it again, or remove it and its row",
            )
        return digest_of(data)

    def _check_digest(self, path: str, data: bytes | LargeFile, digest: str) -> None:
        if digest and (actual := digest_of(data)) != digest:
            raise DataError(
                "not the file that was indexed",
                file=self.root / path,
                found=f"sha256 {actual}…",
                expected=f"sha256 {digest}…, as the index says",
                fix="run the fetch and index stages again if it was replaced on purpose",
            )

    def _find_member(self, path: str) -> tuple[_Container, str]:
        """Return the container of a path, opened, and the member's name in it."""
        label, name = self._split_path(safe_name(path, self.root, fix=_RENAME))
        container = self._container(label)
        member = self._member_name(label, name)
        if member is None:
            near = nearest_name(name, container.sizes)
            raise DataError(
                "no such file",
                file=self.root / path,
                found=f"{len(container.sizes):,} others, the nearest {near}" if near else "none",
                expected=name,
                fix="correct the name, or download the files again",
            )
        return container, member

    def _member_name(self, label: str, name: str) -> str | None:
        """Return the name that a member has in its container; None if there is none.

        A table may write é as one character (NFC) and a Mac's archive as two (NFD), which look
        alike.
        """
        sizes = self._container(label).sizes
        if name in sizes or name.isascii():
            return name if name in sizes else None
        if label not in self._composed:
            forms: dict[str, str | None] = {}
            for other in sizes:
                if not other.isascii():
                    form = normalize("NFC", other)
                    forms[form] = None if form in forms else other
            self._composed[label] = forms
        return self._composed[label].get(normalize("NFC", name))

    def _split_path(self, path: str) -> tuple[str, str]:
        """Split a path into container and member name; "." is the container of bare files."""
        folder = path.rpartition("/")[0]
        if not folder:
            return ".", path
        if folder not in self._labels:
            if len(self._labels) > _MOST_LABELS:
                self._labels.clear()
            self._labels[folder] = self._label(path)
        label = self._labels[folder]
        return label, path[len(label) + 1 :]

    def _label(self, path: str) -> str:
        """Return the container of a path that has a folder: the first file on its way, or that."""
        parts = path.split("/")
        with read_errors(self.root / path):  # a name may exceed the system's limit
            for depth in range(1, len(parts)):
                label = "/".join(parts[:depth])
                if (self.root / label).is_file():
                    return label
        return parts[0]

    def _container(self, label: str) -> _Container:
        if self._process != os.getpid():  # two processes must not share one file's position
            self._open, self._composed, self._opening, self._process = {}, {}, Lock(), os.getpid()
        with self._opening:  # or each thread would read a directory of its own
            if label not in self._open:
                self._open[label] = self._open_container(label)
        return self._open[label]

    def _open_container(self, label: str) -> _Container:
        path = self.root if label == "." else self.root / safe_name(label, self.root)
        if path.is_dir():
            errors = None if self._errors is None else self._errors.setdefault(label, [])
            return _Folder(path, deep=label != ".", errors=errors)
        if not path.exists():
            pick_name(list_names(path.parent), path.name, suffixes=[""], file=path.parent)
        if not path.is_file():
            raise DataError("neither a file nor a folder", file=path, fix="remove it")
        with read_errors(path), path.open("rb") as file:
            kind = describe_bytes(file.read(BLOCK_BYTES))
        if kind == "a 7z archive" and label.endswith(".7z"):
            return Tar(path, unpack_7z(path, self.unpack_folder))
        if kind == "a zip archive" and not label.endswith((".7z", *TAR_SUFFIXES)):
            return Zip(path)
        if label.endswith(TAR_SUFFIXES) and kind in _TARS:
            packed = kind == "a gzip file"
            return Tar(path, unpack_gzip(path, self.unpack_folder) if packed else path)
        raise DataError(
            "not the archive that its name says",
            file=path,
            found=kind,
            expected=f"a folder, or an archive ({', '.join(CONTAINER_SUFFIXES)})",
            fix=_advice(label, kind),
        )


def _too_large(file: Path, size: int, fix: str = "") -> DataError:
    return DataError(
        "too large to be read",
        file=file,
        found=f"{size:,} bytes",
        expected=f"at most {limits.MAX_MEMBER_BYTES:,} bytes",
        fix=fix,
    )


def _texts(texts: pa.Array) -> Iterator[str]:
    """Yield Arrow strings as Python's, without a list of all."""
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        yield from texts[start : start + _TEXTS_AT_ONCE].to_pylist()


def _span_digests(archive: Zip, members: list[int]) -> list[str] | None:
    """Return the digests of members that lie together; None if one must be looked at by itself."""
    sizes = archive.sizes.sizes[members]
    if not 0 < sizes.min() <= sizes.max() <= limits.MAX_MEMBER_BYTES:
        return None
    digests = []
    try:
        for data, size in zip(archive.read_span(members), sizes.tolist(), strict=True):
            if size != len(data):
                return None
            digests.append(digest_of(data))
    except _UNREADABLE:
        return None
    return digests


def _is_tiff(large: LargeFile) -> bool:
    with large.open() as file:
        return file.read(4) in TIFF_MAGIC


def digest_of(data: bytes | LargeFile) -> str:
    """Return the digest of a raw file, as the index holds it: 32 digits of its sha256.

    Example:
        >>> digest_of(b"")
        'e3b0c44298fc1c149afbf4c8996fb924'
    """
    sha256 = data.sha256() if isinstance(data, LargeFile) else hashlib.sha256(data).hexdigest()
    return sha256[:DIGEST_CHARACTERS]


def joined_digest(digests: Sequence[str]) -> str:
    """Return the digest of several files from those of each; of one, its own; of none, "".

    Example:
        >>> joined_digest([digest_of(b"")]) == digest_of(b"")
        True
    """
    return digest_of("".join(digests).encode()) if len(digests) > 1 else "".join(digests)


def _advice(label: str, kind: str) -> str:
    """Return what to do about a file that is not the archive that its name says."""
    if kind in _REPACKED:
        return REPACK_ADVICE
    if kind == "the first part of a split zip":
        return join_advice(Path(label).name)
    stem = label.removesuffix(next((end for end in CONTAINER_SUFFIXES if label.endswith(end)), ""))
    suffixes = {"a zip archive": ".zip", "a gzip file": ".tar.gz", "a tar archive": ".tar"}
    suffix = (suffixes | {"a 7z archive": ".7z"}).get(kind)
    return f"rename it to {stem}{suffix} if it is whole" if suffix else _DOWNLOAD


@lru_cache(maxsize=4)
def _shared(root: Path, unpack_folder: Path) -> Archives:
    """Return this process's only copy: each job brings one, and reading an index takes seconds."""
    return Archives(root, unpack_folder)


class _Folder:
    """A folder's files, at any depth or only its own."""

    def __init__(self, path: Path, *, deep: bool, errors: list[DataError] | None) -> None:
        self._path = path
        with read_errors(path):
            entries = self._entries(deep, with_closed=errors is not None)
            sizes = sizes_by_name(path, entries, fix=_MOVE, errors=errors)
            self.sizes = Members.of_dict(sizes)
        limits.refuse_count(len(self.sizes), path)

    def _entries(self, deep: bool, with_closed: bool) -> Iterator[tuple[str, int, str]]:
        if not deep:  # bare files beside the containers
            with os.scandir(self._path) as entries:
                for entry in sorted(entries, key=lambda each: each.name):
                    if entry.is_file():  # a socket or a broken link beside them is nobody's image
                        yield entry.name, entry.stat().st_size, ""
            return
        for entry in walk_files(self._path, with_closed=with_closed):
            # DVC may keep a file as a link into its cache; a linked folder could lead in circles.
            is_file = entry.is_file()
            status = entry.stat(follow_symlinks=is_file)
            yield entry.path[len(str(self._path)) + 1 :], status.st_size, file_kind(status.st_mode)

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def stored(self, name: str) -> LargeFile:
        return LargeFile(self._path / name, self._path / name, self.sizes[name])
