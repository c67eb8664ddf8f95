"""Read the directory of a zip into flat arrays, after checks that zipfile does not make.

zipfile makes half a kilobyte of objects a member. It does not compare the number of entries with
the end record's, so that a damaged length hides members; up to Python 3.11.7 it reads members that
overlap, so that a small file unpacks to any size; and it sets no limits.

Source:
    APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

import struct
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.project.names import BROKEN, join_advice, read_errors
from darkroom.raw import limits
from darkroom.raw.parts import is_part, open_parts, part_names

LOCAL_BYTES = 30  # of a member's header, without its name
UTF8 = 0x800  # the flag of a name

_END, _END_BYTES = b"PK\x05\x06", 22
_END64, _END64_BYTES = b"PK\x06\x06", 56
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_MAX_COMMENT_BYTES = 65535
_MAX_VERSION = 63  # of the format that a member needs, times ten
_FURTHEST = 2**61  # beyond all files; sums of two stay below 2**63
_LARGE = 2**32 - 1  # in place of a number that stands in the extra field for ZIP64
_BLOCK_BYTES = 2**22
_UNPACK = "is it the right one? Then unpack it yourself into a folder of its name"

_ENTRY = np.dtype(
    [
        ("magic", "S4"),
        ("made_by", "<u2"),
        ("version", "<u2"),
        ("flags", "<u2"),
        ("method", "<u2"),
        ("time", "<u4"),
        ("crc", "<u4"),
        ("packed_bytes", "<u4"),
        ("bytes", "<u4"),
        ("name_bytes", "<u2"),
        ("extra_bytes", "<u2"),
        ("comment_bytes", "<u2"),
        ("disk", "<u2"),
        ("internal", "<u2"),
        ("attributes", "<u4"),
        ("start", "<u4"),
    ]
)
_ENTRY_MAGIC = b"PK\x01\x02"


class _EndRecord(NamedTuple):
    members: int
    is_zip64: bool
    is_split: bool
    place: int  # of the record itself
    directory_bytes: int
    directory_start: int


@dataclass(frozen=True)
class Directory:
    """The entries of a zip, in its order, folders too.

    Attributes:
        names: Arrow binary, as the zip has them.
        bytes: int64, the size of each member.
        packed_bytes: int64, in the zip.
        starts: int64, the place of each member's header in the file.
        crcs: uint32, the CRC-32 of each member's bytes.
        methods: uint16, of compression.
        flags: uint16.
        attributes: uint32, of the file system.
    """

    names: pa.LargeBinaryArray
    bytes: NDArray[np.int64]
    packed_bytes: NDArray[np.int64]
    starts: NDArray[np.int64]
    crcs: NDArray[np.uint32]
    methods: NDArray[np.uint16]
    flags: NDArray[np.uint16]
    attributes: NDArray[np.uint32]


def read_directory(path: Path) -> Directory:
    """Return the entries of a zip, checked as a whole; its members are not read.

    Raises:
        DataError: It is damaged, one part of a split zip, or beyond the limits; or members overlap.
    """
    with read_errors(path, *BROKEN), open_parts(path) as file:
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
        start = end.place - end.directory_bytes  # other bytes may stand before the zip
        if start < 0:
            raise zipfile.BadZipFile("Bad offset for central directory")
        file.seek(start)
        parts, count = [_entries(b"", [], 0)], 0
        for data, places in _blocks(file, end.directory_bytes):
            parts.append(_entries(data, places, shift=start - end.directory_start))
            count += len(places)
            limits.refuse_count(count, path)
        expected = end.members if end.is_zip64 else end.members % 2**16
        if (count if end.is_zip64 else count % 2**16) != expected:
            # Some writers let the 16 bits of a plain zip's count overflow.
            raise zipfile.BadZipFile(f"{count:,} members for {end.members:,} declared")
        directory = _joined(parts)
        begins, ends = directory.starts.min(initial=0), _ends(directory).max(initial=0)
        if begins < 0 or ends > start:
            raise zipfile.BadZipFile("A member lies outside of the file, or in its directory")
    limits.refuse_ratio(int(directory.bytes.sum(dtype=np.float64)), size, path, _UNPACK)
    _refuse_overlaps(directory, path)
    return directory


def decode_name(raw: bytes, flags: int) -> str:
    """Return a member's name: UTF-8 also where the zip does not say so.

    macOS and Info-ZIP leave the flag out. Names of code page 437 that are valid UTF-8 by chance
    are rare: two box-drawing characters or accents would have to stand in a certain order.

    Raises:
        UnicodeDecodeError: It is not UTF-8, and the zip says so.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        if flags & UTF8:
            raise
        return raw.decode("cp437")


def _blocks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, list[int]]]:
    """Yield the bytes of a directory in blocks of whole entries, with where each entry begins."""
    lengths, rest = struct.Struct("<3H"), b""
    while size:
        block = file.read(min(size, _BLOCK_BYTES))
        size = size - len(block) if block else 0
        data, places, place = rest + block, [], 0
        while len(data) - place >= _ENTRY.itemsize:
            if data[place : place + 4] != _ENTRY_MAGIC:
                raise zipfile.BadZipFile("Bad magic number for central directory")
            following = place + _ENTRY.itemsize + sum(lengths.unpack_from(data, place + 28))
            if following > len(data):
                break
            places.append(place)
            place = following
        yield data, places
        rest = data[place:]
    if rest:
        raise zipfile.BadZipFile("Truncated central directory")


def _entries(data: bytes, places: list[int], shift: int) -> Directory:
    """Return the entries at some places of a block; their members lie `shift` bytes further."""
    begins = np.array(places, np.int64)
    cells = np.frombuffer(data, np.uint8)[begins[:, None] + np.arange(_ENTRY.itemsize)]
    entries = np.ascontiguousarray(cells).view(_ENTRY).reshape(-1)
    if (newest := entries["version"].max(initial=0)) > _MAX_VERSION:
        raise NotImplementedError(f"zip file version {newest / 10:.1f}")
    wide = {name: entries[name].astype(np.int64) for name in ("bytes", "packed_bytes", "start")}
    begins += _ENTRY.itemsize
    ends = begins + entries["name_bytes"]
    for row in np.flatnonzero(entries["extra_bytes"]).tolist():
        begin = int(ends[row])
        _read_extra(data[begin : begin + int(entries["extra_bytes"][row])], wide, row)
    pairs = zip(begins.tolist(), ends.tolist(), strict=True)
    return Directory(
        names=pa.array([data[begin:end] for begin, end in pairs], pa.large_binary()),
        bytes=wide["bytes"],
        packed_bytes=wide["packed_bytes"],
        starts=wide["start"] + shift,
        crcs=entries["crc"].copy(),
        methods=entries["method"].copy(),
        flags=entries["flags"].copy(),
        attributes=entries["attributes"].copy(),
    )


def _joined(parts: Sequence[Directory]) -> Directory:
    arrays = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Directory)
        if field.name != "names"
    }
    return Directory(names=pa.concat_arrays([part.names for part in parts]), **arrays)


def _read_extra(extra: bytes, columns: dict[str, NDArray[np.int64]], row: int) -> None:
    """Put the numbers of ZIP64's extra field in place of those that are too large for 32 bits."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if length + 4 > len(extra):
            raise zipfile.BadZipFile(f"Corrupt extra field {kind:04x} (size={length})")
        numbers = _numbers(extra[4 : 4 + length])
        large = ("bytes", "packed_bytes", "start") if kind == 1 else ()
        for name in large:
            if columns[name][row] == _LARGE:
                columns[name][row] = next(numbers)
        extra = extra[4 + length :]


def _numbers(data: bytes) -> Iterator[int]:
    for place in range(0, len(data) - 7, 8):
        number = int.from_bytes(data[place : place + 8], "little")
        if number >= _FURTHEST:
            raise zipfile.BadZipFile("Corrupt zip64 extra field: a number beyond all files")
        yield number
    raise zipfile.BadZipFile("Corrupt zip64 extra field")


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


def _read_end(file: BinaryIO) -> _EndRecord | None:
    """Return the end record, found where zipfile finds it; None if there is none."""
    size = file.seek(0, 2)
    first = max(0, size - _END_BYTES - _MAX_COMMENT_BYTES - _LOCATOR_BYTES - _END64_BYTES)
    file.seek(first)
    tail = file.read()
    place = len(tail) - _END_BYTES
    if tail[place : place + 4] != _END or tail[-2:] != b"\0\0":
        place = tail.rfind(_END)
    if place < 0 or len(tail) < place + _END_BYTES:
        return None
    disk, start, _, count, length, offset = struct.unpack_from("<4H2L", tail, place + 4)
    located = place - _LOCATOR_BYTES
    place64 = located - _END64_BYTES
    if place64 < 0 or tail[located : located + 4] != _LOCATOR or tail[place64:][:4] != _END64:
        return _EndRecord(count, False, bool(disk or start), first + place, length, offset)
    disk, _, disks = struct.unpack_from("<LQL", tail, located + 4)
    if disk or disks > 1:
        raise zipfile.BadZipFile("zipfiles that span multiple disks are not supported")
    disk, start, _, count, length, offset = struct.unpack_from("<2L4Q", tail, place64 + 16)
    return _EndRecord(count, True, bool(disk or start), first + place64, length, offset)


def _ends(directory: Directory) -> NDArray[np.int64]:
    """Return where each member ends at the earliest: an extra field may follow its name."""
    name_bytes = np.diff(np.frombuffer(directory.names.buffers()[1], np.int64))
    ends = directory.starts + LOCAL_BYTES + name_bytes + directory.packed_bytes
    return np.asarray(ends, np.int64)


def _refuse_overlaps(directory: Directory, path: Path) -> None:
    """Raise DataError if a member begins before the one before it has ended."""
    order = np.argsort(directory.starts, kind="stable")
    overlaps = np.flatnonzero(_ends(directory)[order][:-1] > directory.starts[order][1:])
    if len(overlaps):
        pair = [
            decode_name(directory.names[row].as_py(), int(directory.flags[row]))
            for row in order[overlaps[0] : overlaps[0] + 2].tolist()
        ]
        raise DataError(
            "its members overlap",
            file=path,
            found=" and ".join(pair),
            expected="members one after another",
            fix="pack it again",
        )
