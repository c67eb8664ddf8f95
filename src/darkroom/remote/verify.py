"""Verify a download: by its checksum, else by its format, else by its size."""

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
_BLOCK_BYTES = 512  # of a tar
_MAX_FILE_BYTES = 10**15
_WRONG_SIZE = "its size differs"
_DAMAGE_ERRORS: tuple[type[Exception], ...] = (
    *BROKEN,
    OSError,
    lzma.LZMAError,
    RuntimeError,  # from zipfile, for an encrypted member
    cast(type[Exception], isal_zlib.error),
)


class IntegrityError(RemoteError):
    """The downloaded bytes are not the file.

    Attributes:
        fault: What is wrong, in a few words.
        found: What was downloaded.
        expected: What should have been downloaded.
        is_size_mismatch: Whether the fault is a wrong size.
    """

    def __init__(self, fault: str, *, file: str, found: object, expected: object) -> None:
        super().__init__(
            f"the download is not the file: {fault}",
            file=file,
            found=found,
            expected=expected,
            fix="run it again; if the error stays, the file at its source has changed",
        )
        self.fault, self.found, self.expected = fault, found, expected
        self.is_size_mismatch = fault == _WRONG_SIZE


def verify_file(
    path: Path,
    *,
    name: str,
    size: int | None = None,
    total: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
) -> None:
    """Raise IntegrityError unless a file is complete and correct.

    A sha256 decides alone. Without one, a web page and an empty file are refused, and an md5
    decides if there is one. Without both, an archive is read to its end, and any other file must
    have the listed size, or else the announced size.

    Args:
        path: The downloaded bytes.
        name: The file's name; its suffix says whether it is an archive.
        size: Its bytes in the server's list of files.
        total: Its bytes as announced in the response.
        md5: Hexadecimal, as announced in the response.
        sha256: Hexadecimal, as given by the user.
    """
    if sha256 is not None:
        return _check_digest(path, name, "sha256", sha256)
    with path.open("rb") as file:
        head = file.read(_BLOCK_BYTES)
    if not head:
        raise IntegrityError("it is empty", file=name, found="0 bytes", expected="a file")
    if web_pages.is_web_page(name, head):
        raise IntegrityError("it is a web page", file=name, found="an HTML page", expected="a file")
    if md5 is not None:
        return _check_digest(path, name, "md5", md5)
    if total is not None:
        _check_size(path, name, total)
    if name.lower().endswith((".zip", ".tar", ".gz", ".tgz")):
        return _check_archive(path, name)
    if size is None and total is None:
        raise IntegrityError(
            "its size is not known", file=name, found="no size and no checksum", expected="either"
        )
    return _check_size(path, name, size if size is not None else cast(int, total))


def plausible_size(size: object) -> int | None:
    """Return a size in bytes that a server or a saved file states; None if it cannot be one.

    Example:
        >>> plausible_size(5), plausible_size(-1), plausible_size("5"), plausible_size(10**30)
        (5, None, None, None)
    """
    return size if type(size) is int and 0 <= size <= _MAX_FILE_BYTES else None


def _check_digest(path: Path, name: str, kind: str, expected: str) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    if digest.hexdigest() != expected.lower():
        raise IntegrityError(
            f"its {kind} differs", file=name, found=digest.hexdigest(), expected=expected
        )


def _check_size(path: Path, name: str, expected: int) -> None:
    if (size := path.stat().st_size) != expected:
        raise IntegrityError(
            _WRONG_SIZE, file=name, found=f"{size:,} bytes", expected=f"{expected:,} bytes"
        )


def _check_archive(path: Path, name: str) -> None:
    try:
        if name.lower().endswith(".zip"):
            _read_zip(path)
        elif name.lower().endswith(".tar"):
            _read_tar(path)
        else:
            _read_gzip(path)
    except _DAMAGE_ERRORS as error:
        # A damaged zip may make zipfile seek before the start of the file: EINVAL.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise IntegrityError(
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
    """Read a gzip to its end, where the CRC-32 and the length are checked (RFC 1952)."""
    with igzip.open(path) as file:
        while file.read(_CHUNK_BYTES):
            pass


def _read_tar(path: Path) -> None:
    """Read a tar's headers and the zeros after them: tarfile takes a damaged header for the end."""
    with tarfile.open(path, "r:") as tar:
        members = tar.getmembers()
    end = 0
    if members:
        end = members[-1].offset_data + -(-members[-1].size // _BLOCK_BYTES) * _BLOCK_BYTES
    with path.open("rb") as file:
        file.seek(end)
        if file.read(_BLOCK_BYTES) != bytes(_BLOCK_BYTES):
            raise tarfile.ReadError(f"no end after {len(members):,} members")
