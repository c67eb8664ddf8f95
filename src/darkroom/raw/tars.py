"""Read a tar in place: its headers, each once, in time and memory that grow with its size alone.

Python's tarfile calls itself for every header that stands before another (3,000 are a
RecursionError), walks backwards at a negative size without end, searches a pax header in
quadratic time, and takes a damaged header for the end.

Source:
    pax, IEEE Std 1003.1-2017, "ustar Interchange Format" and "pax Header Block";
    GNU tar 1.35, "Basic Tar Format", "Extensions".
"""

import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from darkroom.project.names import BROKEN, read_errors, safe_name, sizes_by_name
from darkroom.raw import limits
from darkroom.raw.large import LargeFile
from darkroom.raw.members import Members

BLOCK_BYTES = 512
_CHUNK_BYTES = 2**20
_MAX_HEADER_BYTES = 2**20  # of a long name, or of a pax header with its attributes
_MAX_DIGITS = 20
_REGULAR, _LINKS, _FOLDER, _DEVICES = b"\x0007", b"12", b"5", b"346"
_LISTING, _LABEL = b"D", b"V"  # GNU: a folder with the names in it (--incremental); of the archive
_PAX, _GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"xX", b"g", b"L", b"K", b"S"


class Member(NamedTuple):
    """A member: name, bytes, the position of the first, and why it can't be read, or ""."""

    name: str
    size: int
    offset: int
    fault: str


class Tar:
    """A tar's members.

    Args:
        path: The archive, for messages.
        source: Its bytes, uncompressed, or the file that holds them.
    """

    def __init__(self, path: Path, source: bytes | Path) -> None:
        self._path, self._source = path, source
        with read_errors(path, *BROKEN), self._file() as file:
            members = []
            for member in read_members(file):
                members.append(member)
                limits.refuse_count(len(members), path)
        entries = ((member.name, member.size, member.fault) for member in members)
        self.sizes = Members.of_dict(sizes_by_name(path, entries))
        self._offsets = {safe_name(m.name, path): m.offset for m in members}

    def _file(self) -> BinaryIO:
        return self._source.open("rb") if isinstance(self._source, Path) else BytesIO(self._source)

    def read(self, name: str) -> bytes:
        """Return a member's bytes."""
        with self._file() as file:
            file.seek(self._offsets[name])
            return file.read(self.sizes[name])

    def stored(self, name: str) -> LargeFile | None:
        """Return a member, unread; None if the tar is in memory."""
        if not isinstance(self._source, Path):
            return None
        return LargeFile(self._path / name, self._source, self.sizes[name], self._offsets[name])


def read_members(file: BinaryIO) -> Iterator[Member]:
    """Yield the members of a tar that are no folders, in its order.

    Raises:
        tarfile.ReadError: A header is damaged, or the file is cut short.
    """
    end = file.seek(0, 2)
    place, long_name, attributes = 0, b"", dict[bytes, bytes]()
    while header := _read_header(file, place):
        kind, size, data = header[156:157], _number(header[124:136]), place + BLOCK_BYTES
        has_data = kind not in _LINKS + _FOLDER + _DEVICES
        if kind not in _PAX + _GLOBAL + _LONG_NAME + _LONG_LINK:
            size = _decimal(attributes[b"size"]) if b"size" in attributes else size
        place = data + (-(-size // BLOCK_BYTES) * BLOCK_BYTES if has_data else 0)
        if size < 0 or (has_data and data + size > end):
            raise tarfile.ReadError(f"{size:,} bytes are declared, {end - data:,} are there")
        if kind in _PAX:
            attributes = _pax_attributes(_read_data(file, data, size))
        elif kind == _LONG_NAME:
            long_name = _read_data(file, data, size).split(b"\0", 1)[0]
        elif kind == _GLOBAL:
            if {b"path", b"size"} & set(_pax_attributes(_read_data(file, data, size))):
                raise tarfile.ReadError("one name or size for all members")
        elif kind != _LONG_LINK:
            name = attributes.get(b"path") or long_name or _short_name(header)
            is_old_folder = kind == b"\0" and name.endswith(b"/")
            if not (kind in _FOLDER + _LISTING + _LABEL or is_old_folder):
                if b"path" in attributes:
                    name = name.rstrip(b"/")  # as tarfile has it
                text = name.decode("utf-8", "surrogateescape")
                yield Member(text, size, data, _fault(kind, attributes))
            long_name, attributes = b"", {}
    if long_name or attributes:
        raise tarfile.ReadError("it ends after the header of a name")


def _read_header(file: BinaryIO, place: int) -> bytes:
    """Return the header block at a place; b"" at the end of the archive.

    Raises:
        tarfile.ReadError: Its checksum is wrong, it is cut short, or something follows the end.
    """
    file.seek(place)
    header = file.read(BLOCK_BYTES)
    if not header.strip(b"\0"):
        while rest := file.read(_CHUNK_BYTES):
            if rest.strip(b"\0"):  # an archive written after another, say
                raise tarfile.ReadError("something follows its end")
        return b""
    if len(header) < BLOCK_BYTES:
        raise tarfile.ReadError("a header is cut short")
    checked = header[:148] + b" " * 8 + header[156:]
    if (declared := _number(header[148:156])) != (unsigned := sum(checked)):
        signed = unsigned - 256 * sum(byte > 127 for byte in checked)  # of old writers
        if declared != signed:
            raise tarfile.ReadError("a damaged header")
    return header


def _read_data(file: BinaryIO, place: int, size: int) -> bytes:
    if size > _MAX_HEADER_BYTES:
        raise tarfile.ReadError(f"a header of {size:,} bytes")
    file.seek(place)
    return file.read(size)


def _number(field: bytes) -> int:
    """Return a number field: octal digits, or base 256 if the first bit is set."""
    if field[0] & 0x80:
        sign = -(256 ** (len(field) - 1)) if field[0] == 0xFF else 0
        return int.from_bytes(field[1:], "big") + sign
    digits = field.split(b"\0", 1)[0].strip()
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise tarfile.ReadError("a damaged header") from None


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise tarfile.ReadError(f"a size of {digits[:_MAX_DIGITS].decode('latin-1')}")
    return int(digits)


def _short_name(header: bytes) -> bytes:
    name, prefix = (part.split(b"\0", 1)[0] for part in (header[:100], header[345:500]))
    is_posix = header[257:263] == b"ustar\0"
    return prefix + b"/" + name if is_posix and prefix else name


def _pax_attributes(data: bytes) -> dict[bytes, bytes]:
    """Return a pax header's records, each "LENGTH KEY=VALUE\\n"."""
    attributes, place = {}, 0
    while place < len(data) and data[place]:
        digits, blank, _ = data[place : place + 9].partition(b" ")
        end = place + int(digits) if blank and digits.isdigit() else 0
        if not place + len(digits) < end <= len(data):
            raise tarfile.ReadError("a damaged pax header")
        record = data[place + len(digits) + 1 : end]
        key, equals, value = record.partition(b"=")
        if not equals or value[-1:] != b"\n":
            raise tarfile.ReadError("a damaged pax header")
        attributes[key] = value[:-1]
        place = end
    return attributes


def _fault(kind: bytes, attributes: dict[bytes, bytes]) -> str:
    """Return why a member can't be read ("a link"), or ""."""
    if kind in _LINKS:
        return "a link"
    if kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in attributes):
        return "a sparse file"
    return "" if kind in _REGULAR else "a device, pipe or folder"
