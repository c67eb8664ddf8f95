"""Read a zip in place, after checks that zipfile does not make.

zipfile trusts the central directory: it does not compare the number of its entries with the end
record's, so that a damaged length hides members; up to Python 3.11.7 it reads members that overlap,
so that a small file unpacks to any size; and it sets no limits.

Source:
    APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import struct
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from darkroom.errors import DataError
from darkroom.project.names import (
    BROKEN,
    file_kind,
    join_advice,
    read_errors,
    safe_name,
    sizes_by_name,
)
from darkroom.raw import limits
from darkroom.raw.large import LargeFile
from darkroom.raw.parts import is_part, open_parts, part_names

_END, _END_BYTES = b"PK\x05\x06", 22
_END64, _END64_BYTES = b"PK\x06\x06", 56
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_MAX_COMMENT_BYTES = 65535
_LOCAL_BYTES = 30  # of a member's header, without its name
_UTF8 = 0x800  # the flag of a name
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # a member, strongly, the directory
_UNPACK = "is it the right one? Then unpack it yourself into a folder of its name"


class _EndRecord(NamedTuple):
    members: int
    is_zip64: bool
    is_split: bool


class Zip:
    """A zip's members, stored or deflated."""

    def __init__(self, path: Path) -> None:
        self._path, self._zip = path, open_zip(path)
        infos = members(self._zip)
        entries = ((member_name(info), info.file_size, _fault(info)) for info in infos)
        self.sizes = sizes_by_name(path, entries)
        self._infos = {safe_name(member_name(info), path): info for info in infos}

    def read(self, name: str) -> bytes:
        """Return a member's bytes, and one more if it has more than declared."""
        with self._zip.open(self._infos[name]) as file:
            return file.read(self.sizes[name] + 1)  # the limit stops a zip bomb

    def stored(self, name: str) -> LargeFile | None:
        """Return a member, unread; None if it is compressed.

        Raises:
            zipfile.BadZipFile: Its header is not that of the directory.
        """
        info = self._infos[name]
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            return None
        self._zip.open(info).close()  # compares the two headers
        with open_parts(self._path) as file:
            file.seek(info.header_offset)
            name_bytes, extra_bytes = struct.unpack_from("<2H", file.read(_LOCAL_BYTES), 26)
        start = info.header_offset + _LOCAL_BYTES + name_bytes + extra_bytes
        return LargeFile(self._path / name, self._path, info.file_size, start, info.CRC)


def open_zip(path: Path) -> zipfile.ZipFile:
    """Return a zip, opened and checked as a whole; its members are not read yet.

    Raises:
        DataError: It is damaged, one part of a split zip, or beyond the limits; or members overlap.
    """
    with read_errors(path, *BROKEN):
        with open_parts(path) as file:
            size = file.seek(0, 2)
            end = _read_end(file)
        if end is None:
            raise _no_end(path, size)
        if end.is_split:
            raise DataError(
                "one part of a split zip",
                file=path,
                found="an end record of another part",
                expected="the whole archive in one file",
                fix=join_advice(path.name),
            )
        limits.refuse_count(end.members, path)
        archive = zipfile.ZipFile(open_parts(path) if is_part(path.name) else path)
    try:
        _check_members(archive, end, path, size)
    except BaseException:
        archive.close()
        raise
    return archive


def _no_end(path: Path, size: int) -> DataError:
    length = f"{size:,} bytes"
    if is_part(path.name):
        names = part_names(path)
        following = f"{path.name[:-3]}{len(names) + 1:03}"
        return DataError(
            "the zip in parts has no end",
            file=path,
            found=f"{length} in {len(names)} parts, the last of them {names[-1]}",
            expected=f"a part {following}, or a complete last one",
            fix=f"download {following} and what follows; if there is none, {names[-1]} again",
        )
    return DataError(
        "the zip has no end",
        file=path,
        found=length,
        expected="a complete file",
        fix=f"download it again; if it is the first of its parts, {join_advice(path.name)}",
    )


def _check_members(archive: zipfile.ZipFile, end: _EndRecord, path: Path, size: int) -> None:
    infos = archive.infolist()
    with read_errors(path, *BROKEN):
        expected = end.members if end.is_zip64 else end.members % 2**16
        if (len(infos) if end.is_zip64 else len(infos) % 2**16) != expected:
            # Some writers let the 16 bits of a plain zip's count overflow.
            raise zipfile.BadZipFile(f"{len(infos):,} members for {end.members:,} declared")
    limits.refuse_count(len(infos), path)
    limits.refuse_ratio(sum(info.file_size for info in infos), size, path, _UNPACK)
    _refuse_overlaps(infos, path)


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members that are no folders.

    zipfile cuts names at a NUL, turns backslashes on some systems, and of two members of one name
    keeps the last: `orig_filename` is what the archive says.
    """
    return [info for info in archive.infolist() if not info.orig_filename.endswith("/")]


def member_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name: UTF-8 also where the zip does not say so.

    macOS and Info-ZIP leave the flag out. Names of code page 437 that are valid UTF-8 by chance
    are rare: two box-drawing characters or accents would have to stand in a certain order.
    """
    name = info.orig_filename
    if info.flag_bits & _UTF8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _fault(info: zipfile.ZipInfo) -> str:
    """Return why a member can't be read ("encrypted"), or ""."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"compressed by method {info.compress_type}, not stored or deflated"
    return file_kind(info.external_attr >> 16)


def _read_end(file: BinaryIO) -> _EndRecord | None:
    """Return the end record, found where zipfile finds it; None if there is none."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_BYTES - _MAX_COMMENT_BYTES - _LOCATOR_BYTES - _END64_BYTES))
    tail = file.read()
    place = len(tail) - _END_BYTES
    if tail[place : place + 4] != _END or tail[-2:] != b"\0\0":
        place = tail.rfind(_END)
    if place < 0 or len(tail) < place + _END_BYTES:
        return None
    disk, start, _, count = struct.unpack_from("<4H", tail, place + 4)
    located = place - _LOCATOR_BYTES
    place64 = located - _END64_BYTES
    if place64 < 0 or tail[located : located + 4] != _LOCATOR:
        return _EndRecord(count, False, bool(disk or start))
    if tail[place64 : place64 + 4] != _END64:
        return _EndRecord(count, False, bool(disk or start))
    disk, start, _, count = struct.unpack_from("<2L2Q", tail, place64 + 16)
    return _EndRecord(count, True, bool(disk or start))


def _refuse_overlaps(infos: list[zipfile.ZipInfo], path: Path) -> None:
    """Raise DataError if a member begins before the one before it has ended."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, following in pairwise(ordered):
        end = info.header_offset + _LOCAL_BYTES + len(info.orig_filename) + info.compress_size
        if end > following.header_offset:
            raise DataError(
                "its members overlap",
                file=path,
                found=f"{info.orig_filename} and {following.orig_filename}",
                expected="members one after another",
                fix="pack it again",
            )
