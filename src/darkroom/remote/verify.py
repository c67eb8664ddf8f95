"""Whether a file that came is whole: by its checksum, else by its format, else by its size."""

import errno
import hashlib
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import cast

from isal import igzip, isal_zlib

from darkroom.errors import RemoteError
from darkroom.project.names import BROKEN
from darkroom.remote import web_pages

_CHUNK_BYTES = 2**20
_BLOCK = 512  # of a tar
_SIZE = "its size differs"
_BROKEN: tuple[type[Exception], ...] = (
    *BROKEN,
    OSError,
    lzma.LZMAError,
    RuntimeError,  # zipfile's for a member that is encrypted
    cast(type[Exception], isal_zlib.error),
)


class NotWholeError(RemoteError):
    """What came is not the file.

    Attributes:
        fault: What is wrong, in a few words.
        found: What came.
        expected: What should have come.
        is_of_size: Whether it is its size that is wrong.
    """

    def __init__(self, fault: str, *, file: str, found: object, expected: object) -> None:
        super().__init__(
            f"what came is not the file: {fault}",
            file=file,
            found=found,
            expected=expected,
            fix="run it again; if it stays so, the file at its source has changed",
        )
        self.fault, self.found, self.expected = fault, found, expected
        self.is_of_size = fault == _SIZE


def check(
    path: Path,
    *,
    name: str,
    size: int | None = None,
    total: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
) -> None:
    """Raise NotWholeError unless a file is all that it should be.

    A sha256 decides alone. Without one a web page or an empty file is no file; else an md5
    decides; without either an archive is read through, and any other file must have the size
    listed, else the size announced.

    Args:
        path: The bytes.
        name: What the file is called; its suffix says whether it is an archive.
        size: Its bytes by the server's listing.
        total: Its bytes as announced with the answer.
        md5: Hexadecimal, as announced with the answer.
        sha256: Hexadecimal, as asked for.
    """
    if sha256 is not None:
        return _check_digest(path, name, "sha256", sha256)
    with path.open("rb") as file:
        head = file.read(_BLOCK)
    if not head:
        raise NotWholeError("it is empty", file=name, found="0 bytes", expected="a file")
    if web_pages.is_page(name, head):
        raise NotWholeError("a web page", file=name, found="an HTML page", expected="a file")
    if md5 is not None:
        return _check_digest(path, name, "md5", md5)
    if total is not None:
        _check_size(path, name, total)
    if name.lower().endswith((".zip", ".tar", ".gz", ".tgz")):
        return _check_archive(path, name)
    if size is None and total is None:
        raise NotWholeError(
            "nothing tells its size", file=name, found="no size and no checksum", expected="either"
        )
    return _check_size(path, name, size if size is not None else cast(int, total))


def _check_digest(path: Path, name: str, kind: str, expected: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    if found.hexdigest() != expected.lower():
        raise NotWholeError(
            f"its {kind} differs", file=name, found=found.hexdigest(), expected=expected
        )


def _check_size(path: Path, name: str, expected: int) -> None:
    if (found := path.stat().st_size) != expected:
        raise NotWholeError(
            _SIZE, file=name, found=f"{found:,} bytes", expected=f"{expected:,} bytes"
        )


def _check_archive(path: Path, name: str) -> None:
    try:
        if name.lower().endswith(".zip"):
            _read_zip(path)
        elif name.lower().endswith(".tar"):
            _read_tar(path)
        else:
            _read_gzip(path)
    except _BROKEN as error:
        # A zip may send zipfile to a place before its beginning.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise NotWholeError(
            "the archive is damaged",
            file=name,
            found=str(error) or type(error).__name__,
            expected="an archive that can be read to its end",
        ) from error


def _read_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        if (member := archive.testzip()) is not None:
            raise zipfile.BadZipFile(f"wrong CRC-32 of {member}")


def _read_gzip(path: Path) -> None:
    """Read a gzip to the end, where its CRC-32 and length are (RFC 1952)."""
    with igzip.open(path) as file:
        while file.read(_CHUNK_BYTES):
            pass


def _read_tar(path: Path) -> None:
    """Read a tar's headers, to the zeros that end it: tarfile takes a damaged one for the end."""
    with tarfile.open(path, "r:") as tar:
        members = tar.getmembers()
    end = 0
    if members:
        end = members[-1].offset_data + -(-members[-1].size // _BLOCK) * _BLOCK
    with path.open("rb") as file:
        file.seek(end)
        if file.read(_BLOCK) != bytes(_BLOCK):
            raise tarfile.ReadError(f"no end after {len(members):,} members")
