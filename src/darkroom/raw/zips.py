"""Read a zip's members in place; `darkroom.raw.zip_directory` reads and checks its directory."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from darkroom.project.names import (
    BROKEN,
    file_kind,
    is_junk,
    path_fault,
    read_errors,
    safe_name,
    sizes_by_name,
)
from darkroom.raw.large import LargeFile
from darkroom.raw.members import Ints, Members
from darkroom.raw.parts import Parts, is_part, open_parts
from darkroom.raw.zip_directory import LOCAL_BYTES, UTF8, Directory, decode_name, read_directory

_LOCAL_MAGIC = b"PK\x03\x04"
_LOCAL_LENGTHS = struct.Struct("<2H")  # of the name and the extra field, at byte 26
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # a member, strongly, the directory
_PATCHED = 0x20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_EXTRA_BYTES = 64  # of a local header, read with its member; where there are more, read again
_SPAN_BYTES = 2**20
# All that `safe_name` changes or refuses, and all junk; and a few names besides.
_ODD = r"^$|^/|^.:|\\|//|(^|/)\.|[\x00-\x1f\x7f]|__MACOSX|Thumbs\.db$|desktop\.ini$"


class Zip:
    """A zip's members, stored or deflated.

    Attributes:
        sizes: In bytes, by name.
    """

    def __init__(self, path: Path) -> None:
        directory = read_directory(path)
        self._path, self._file = path, Parts(path)
        with read_errors(path, *BROKEN):
            self.sizes, rows = _files(directory, path)
        self._packed_bytes, self._starts = directory.packed_bytes[rows], directory.starts[rows]
        self._crcs, self._flags = directory.crcs[rows], directory.flags[rows]
        self._is_deflated = directory.methods[rows] != zipfile.ZIP_STORED
        # The few names that differ from those in the zip, which its local headers repeat.
        self._stored_names = _other_names(directory, rows, self.sizes.names)

    def read(self, name: str) -> bytes:
        """Return a member's bytes.

        Raises:
            zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError: It is damaged.
        """
        return self._read(self._place(name))

    def read_span(self, places: Sequence[int]) -> Iterator[bytes]:
        """Yield the bytes of members by their places in `sizes`, which lie in this order.

        Raises:
            zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError: One is damaged.
        """
        first = int(self._starts[places[0]])
        size = int(self._starts[places[-1]] + self._packed_bytes[places[-1]]) - first
        if size > 2 * _SPAN_BYTES and size > 2 * int(self._packed_bytes[places].sum()):
            yield from map(self._read, places)
            return
        data = self._file.read_at(size + LOCAL_BYTES + 2 * _EXTRA_BYTES, first)
        starts = (self._starts[places] - first).tolist()
        for place, start in zip(places, starts, strict=True):
            yield self._unpacked(place, data, start)

    def spans(self, places: Ints) -> Iterator[Ints]:
        """Yield positions in `places`, in groups of members that lie together, for `read_span`."""
        order = np.argsort(self._starts[places], kind="stable")
        blocks = self._starts[places[order]] // _SPAN_BYTES
        yield from np.split(order, np.flatnonzero(np.diff(blocks)) + 1)

    def stored(self, name: str) -> LargeFile | None:
        """Return a member, unread; None if it is compressed.

        Raises:
            zipfile.BadZipFile: Its header is not that of the directory.
        """
        place = self._place(name)
        size = self.sizes[name]
        if self._is_deflated[place] or self._packed_bytes[place] != size:
            return None
        start = int(self._starts[place])
        header = self._file.read_at(LOCAL_BYTES + 2**16, start)
        start += self._header_bytes(place, header, 0)
        return LargeFile(self._path / name, self._path, size, start, int(self._crcs[place]))

    def _place(self, name: str) -> int:
        place = self.sizes.place(name)
        if place < 0:
            raise KeyError(name)
        return place

    def _stored_name(self, place: int) -> bytes:
        return self._stored_names.get(place) or self.sizes.names[place].as_py().encode()

    def _read(self, place: int) -> bytes:
        size = LOCAL_BYTES + len(self._stored_name(place)) + int(self._packed_bytes[place])
        start = int(self._starts[place])
        return self._unpacked(place, self._file.read_at(size + _EXTRA_BYTES, start), 0)

    def _header_bytes(self, place: int, data: bytes, start: int) -> int:
        """Return the length of a member's local header, compared with the directory."""
        if len(data) - start < LOCAL_BYTES:
            raise zipfile.BadZipFile("Truncated file header")
        if data[start : start + 4] != _LOCAL_MAGIC:
            raise zipfile.BadZipFile("Bad magic number for file header")
        if self._flags[place] & _PATCHED:
            raise NotImplementedError("compressed patched data (flag bit 5)")
        name_bytes, extra_bytes = _LOCAL_LENGTHS.unpack_from(data, start + 26)
        name = data[start + LOCAL_BYTES : start + LOCAL_BYTES + name_bytes]
        if name != (own := self._stored_name(place)):
            text = self.sizes.names[place].as_py() if place in self._stored_names else own.decode()
            raise zipfile.BadZipFile(f"File name in directory {text!r} and header {name!r} differ.")
        return int(LOCAL_BYTES + name_bytes + extra_bytes)

    def _unpacked(self, place: int, data: bytes, start: int) -> bytes:
        """Return the bytes of a member whose local header stands at `start` of some data."""
        begin = start + self._header_bytes(place, data, start)
        packed_bytes, size = int(self._packed_bytes[place]), int(self.sizes.sizes[place])
        packed = data[begin : begin + packed_bytes]
        if len(packed) < packed_bytes:
            further = int(self._starts[place]) + begin - start
            packed = self._file.read_at(packed_bytes, further)
        if len(packed) < packed_bytes:
            raise EOFError
        if self._is_deflated[place]:
            packed = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, size + 1)
        content = packed[:size]  # no more than declared, which stops a zip bomb
        if zlib.crc32(content) != self._crcs[place]:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {self.sizes.names[place].as_py()!r}")
        return content


def open_zip(path: Path) -> zipfile.ZipFile:
    """Return a zip, opened and checked as a whole; its members are not read yet.

    Raises:
        DataError: It is damaged, one part of a split zip, or beyond the limits; or members overlap.
    """
    read_directory(path)
    with read_errors(path, *BROKEN):
        return zipfile.ZipFile(open_parts(path) if is_part(path.name) else path)


def members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members that are no folders.

    zipfile cuts names at a NUL, turns backslashes on some systems, and of two members of one name
    keeps the last: `orig_filename` is what the archive says.
    """
    return [info for info in archive.infolist() if not info.orig_filename.endswith("/")]


def member_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name; see `decode_name`."""
    name = info.orig_filename
    is_utf8 = info.flag_bits & UTF8 or name.isascii()
    return name if is_utf8 else decode_name(name.encode("cp437"), info.flag_bits)


def _files(directory: Directory, path: Path) -> tuple[Members, Ints]:
    """Return the members that are files and no junk, and the row of each in the directory.

    Raises:
        DataError: A member can't be read, appears twice, or has an unsafe name.
        UnicodeDecodeError: A name is not UTF-8, as the zip says.
    """
    names = _decoded(directory)
    is_file = pc.invert(pc.ends_with(names, "/")).to_numpy(zero_copy_only=False)
    rows, names = np.flatnonzero(is_file), names.filter(pa.array(is_file))
    is_odd = pc.match_substring_regex(names, _ODD).to_numpy(zero_copy_only=False)
    odd = names.filter(pa.array(is_odd)).to_pylist()
    if not any(map(path_fault, odd)):
        plain = [None if is_junk(safe_name(name, path)) else safe_name(name, path) for name in odd]
        names = pc.replace_with_mask(names, is_odd, pa.array(plain, pa.large_string()))
        is_member = names.is_valid().to_numpy(zero_copy_only=False)
        rows = rows[is_member]
        members = Members(names.drop_null(), directory.bytes[rows])
        if not _has_fault(directory, rows) and not members.has_twins:
            return members, rows[members.order]
    rows = np.flatnonzero(is_file)
    sizes = sizes_by_name(path, _entries(directory, rows))
    raise AssertionError(f"{path}: none of {len(sizes)} members is at fault")


def _has_fault(directory: Directory, rows: Ints) -> bool:
    """Return whether one of some members can't be read, as `_fault` says why."""
    kinds = directory.attributes[rows] >> 16 & 0o170000
    is_plain = np.isin(kinds, (0, stat.S_IFREG)) & (directory.flags[rows] & _ENCRYPTED == 0)
    return not (is_plain & np.isin(directory.methods[rows], _METHODS)).all()


def _entries(directory: Directory, rows: Ints) -> Iterator[tuple[str, int, str]]:
    """Yield name, size in bytes and fault of some members, for `sizes_by_name`."""
    for row in rows.tolist():
        flags, method = int(directory.flags[row]), int(directory.methods[row])
        name = decode_name(directory.names[row].as_py(), flags)
        fault = _fault(flags, method, int(directory.attributes[row]))
        yield name, int(directory.bytes[row]), fault


def _fault(flags: int, method: int, attributes: int) -> str:
    """Return why a member can't be read ("encrypted"), or ""."""
    if flags & _ENCRYPTED:
        return "encrypted"
    if method not in _METHODS:
        return f"compressed by method {method}, not stored or deflated"
    return file_kind(attributes >> 16)


def _other_names(directory: Directory, rows: Ints, names: pa.Array) -> dict[int, bytes]:
    """Return the names in the zip that differ from ours, by their place in `names`."""
    stored = directory.names.take(pa.array(rows))
    is_other = pc.not_equal(stored, names.cast(pa.large_binary()))
    places = np.flatnonzero(is_other.to_numpy(zero_copy_only=False)).tolist()
    return {place: stored[place].as_py() for place in places}


def _decoded(directory: Directory) -> pa.Array:
    """Return the names of all entries as text."""
    names = directory.names
    if np.frombuffer(names.buffers()[2] or b"", np.uint8).max(initial=0) < 0x80:
        return names.cast(pa.large_string())
    pairs = zip(names.to_pylist(), directory.flags.tolist(), strict=True)
    return pa.array([decode_name(raw, flags) for raw, flags in pairs], pa.large_string())
