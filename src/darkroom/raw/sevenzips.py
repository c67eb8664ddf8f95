"""Unpack a 7z archive whole, to a tar: its members are mostly packed one after another in blocks.

To read one of them, all before it in its block have to be unpacked. So it is done once: a small
archive goes into memory, a large one into a file, once for all processes. Of an archive that holds
nothing but a tar, that tar is the file.

py7zr bounds what a header may declare. Names, counts and sizes are checked by our limits, before
anything is unpacked.
"""

import io
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from darkroom.errors import DarkroomError, DataError
from darkroom.project.names import file_kind, safe_name, sizes_by_name
from darkroom.project.packages import extras_needed
from darkroom.raw import limits
from darkroom.raw.gunzip import unpack_once
from darkroom.raw.tars import BLOCK_BYTES

MAX_IN_MEMORY_BYTES = 4 * 2**20

_FOR_7ZIP = {
    "PasswordRequired": "it is encrypted",
    "UnsupportedCompressionMethodError": "packed in a way that py7zr can't unpack",
}
_UNPACK = "is it the right one? Then unpack it yourself into a folder of its name"


def unpack_7z(path: Path, unpack_folder: Path) -> bytes | Path:
    """Return a tar of the members: its bytes, or a file in `unpack_folder` if they are many.

    Raises:
        DataError: It is damaged, encrypted, beyond the limits, or has members of unsafe names.
        ResourceError: py7zr is not installed; or the disk is full.
    """
    sizes, names = _list(path)
    if sum(sizes.values()) <= MAX_IN_MEMORY_BYTES:
        memory = io.BytesIO()
        _unpack(path, sizes, names, memory)
        return memory.getvalue()
    return unpack_once(path, unpack_folder, lambda out: _unpack(path, sizes, names, out))


def _list(path: Path) -> tuple[dict[str, int], list[str]]:
    """Return the members' sizes by safe name, and their names in the archive."""
    with _Archive(path) as archive:
        members = [each for each in archive.files if not each.is_directory]
        limits.refuse_count(len(members), path)
        names = [each.filename for each in members]
        declared = [int(each.uncompressed or 0) for each in members]
        limits.refuse_ratio(sum(declared), path.stat().st_size, path, _UNPACK)
        faults = [_fault(each) for each in members]
        sizes = sizes_by_name(path, zip(names, declared, faults, strict=True))
        return sizes, [name for name in names if safe_name(name, path) in sizes]


def _unpack(path: Path, sizes: Mapping[str, int], names: Collection[str], out: BinaryIO) -> None:
    is_tar = len(sizes) == 1 and next(iter(sizes)).lower().endswith(".tar")
    with _Archive(path) as archive:
        writer = _TarWriter(out, sizes, bare=is_tar)
        archive.extract(targets=list(names), factory=_factory(writer))
        writer.finish()
    if writer.unwritten:
        raise DataError(
            "a member has no bytes",
            file=path,
            found=", ".join(sorted(writer.unwritten)[:5]),
            expected="a complete archive",
            fix="download it again",
        )
    if not is_tar:
        out.write(bytes(2 * BLOCK_BYTES))


def _fault(member: Any) -> str:
    """Return why a member can't be read ("a link"), or ""."""
    if member.is_symlink or member.is_junction:
        return "a link"
    return file_kind(member.st_fmt or 0)


class _Archive:
    """A 7z archive, open; whatever a damaged one raises becomes a DataError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        folder = "unpack the archive into a folder of its name"
        with extras_needed(file=self._path, instead=folder):
            import py7zr  # noqa: PLC0415  (an extra)
        self._file = self._path.open("rb")
        try:
            self._archive = py7zr.SevenZipFile(self._file)  # a file: no threads read it again
        except BaseException as error:
            self.__exit__(type(error), error)
            raise
        return self._archive

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        self._file.close()
        # A hostile header reaches py7zr's code anywhere: TypeError, KeyError, struct.error, ...
        if isinstance(error, Exception) and not isinstance(error, (DarkroomError, OSError)):
            obstacle = _FOR_7ZIP.get(kind.__name__ if kind else "")
            raise DataError(
                obstacle or "can't be read",
                file=self._path,
                found=error if str(error) else type(error).__name__,
                expected="a complete 7z archive without a password",
                fix="unpack it by 7-Zip into a folder of its name"
                if obstacle
                else "download it again; it is damaged or cut short",
            ) from error


class _TarWriter:
    """Writes members into a tar as they are unpacked, one after the other."""

    def __init__(self, out: BinaryIO, sizes: Mapping[str, int], *, bare: bool) -> None:
        self._out, self._sizes, self._bare = out, sizes, bare
        self.unwritten = set(sizes)
        self._left = 0

    def begin(self, filename: str) -> None:
        """Begin the next member."""
        self.finish()
        name = safe_name(filename, "a member")
        self.unwritten.remove(name)
        self._left = self._sizes[name]
        if not self._bare:
            info = tarfile.TarInfo(name)
            info.size = self._left
            self._out.write(info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape"))

    def write(self, data: bytes) -> int:
        """Write some bytes of the member."""
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("a member has more bytes than declared")
        return self._out.write(data)

    def finish(self) -> None:
        """Fill the last block of the member."""
        if self._left:
            raise ValueError(f"{self._left:,} bytes of a member are missing")
        if not self._bare:
            self._out.write(bytes(-self._out.tell() % BLOCK_BYTES))


def _factory(writer: _TarWriter) -> Any:
    """Return what py7zr asks for a file to write each member to."""
    from py7zr.io import Py7zIO, WriterFactory  # noqa: PLC0415  (an extra)

    class Member(Py7zIO):
        def write(self, s: bytes | bytearray) -> int:
            return writer.write(bytes(s))

        def read(self, size: int | None = None) -> bytes:  # noqa: ARG002
            return b""  # py7zr asks for these, and uses them to read back what was written

        def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002
            return 0

        def flush(self) -> None:
            pass

        def size(self) -> int:
            return 0

    class Factory(WriterFactory):
        def create(self, filename: str) -> Py7zIO:
            writer.begin(filename)
            return Member()

    return Factory()
