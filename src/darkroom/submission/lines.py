"""Read the lines of a CSV file, plain or gzip, from any bytes; faults are returned, not raised.

Every line is a row: a quoted value may hold commas and quotes but no line break, so that one
unbalanced quote cannot hide the rest of the file. gzip is read by zlib, not by the library that
wrote it.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from darkroom.project.names import describe_bytes

TEXT_KINDS = ("text", "binary data", "an empty file")
"""What bytes may be called that are checked row by row."""
MAX_LINE_BYTES = 1 << 26  # six times the text of the worst 1918x1280 mask
_CHUNK_BYTES = 1 << 20
_MAGIC = b"\x1f\x8b"
_GZIP = 31  # window bits that ask for a gzip member
_BOM = b"\xef\xbb\xbf"
_SHOWN_CHARACTERS = 60
_FIELD = re.compile(r'"((?:[^"]++|"")*+)"|([^",]*+)')


@dataclass(frozen=True)
class Fault:
    """What is wrong, and in which row: counted from 1, the header; None: the whole file."""

    row: int | None
    what: str

    def __str__(self) -> str:
        return self.what if self.row is None else f"row {self.row}: {self.what}"


@dataclass(frozen=True)
class Line:
    """A line of text without its end, counted from 1."""

    number: int
    text: str


def read_lines(path: Path) -> Iterator[Line | Fault]:
    """Yield the lines and the faults of a file, which is gzip if its name ends in `.gz`.

    Memory is bounded by the longest line allowed. A fault of the whole file is the last item.

    Raises:
        OSError: The file cannot be opened or read.
    """
    with path.open("rb") as file:
        chunks = _read_gzip(file) if path.name.endswith(".gz") else _read_plain(file)
        yield from _lines(chunks)


def split_fields(text: str) -> list[str] | None:
    """Return the values of a CSV line; None if its quotes do not match.

    Example:
        >>> split_fields('a,"b, c"')
        ['a', 'b, c']
    """
    if '"' not in text:
        return text.split(",")
    values: list[str] = []
    end = 0
    while match := _FIELD.match(text, end):
        quoted, bare = match.groups()
        values.append(bare if quoted is None else quoted.replace('""', '"'))
        end = match.end() + 1
        if end > len(text):
            return values
        if text[end - 1] != ",":
            return None
    return None


def quote(text: str) -> str:
    """Return a text in quotes, cut if it is long.

    Example:
        >>> quote("a" * 99) == repr("a" * 60 + "…")
        True
    """
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "…"
    return repr(text)


def _read_plain(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_BYTES):
        yield chunk


def _read_gzip(file: IO[bytes]) -> Iterator[bytes | Fault]:
    """Yield the content of a gzip file of one member, at most a chunk at a time."""
    data = file.read(_CHUNK_BYTES)
    if data and not data.startswith(_MAGIC):
        yield Fault(None, "the name ends in .gz but the file is not gzip")
        return
    member = zlib.decompressobj(_GZIP)
    begins = True
    while data and not member.eof:
        try:
            content = member.decompress(data, _CHUNK_BYTES)
            if begins and (kind := describe_bytes(content)) not in TEXT_KINDS:
                yield Fault(None, f"the gzip holds {kind}, expected a table of text")
                return
            begins = not content
            yield content
        except zlib.error as error:
            yield Fault(None, f"the gzip is damaged: {error}")
            return
        data = b"" if member.eof else member.unconsumed_tail or file.read(_CHUNK_BYTES)
    if not member.eof and file.tell():
        yield member.flush()
        yield Fault(None, "the gzip is cut off: it ends before its end")
    elif rest := member.unused_data or file.read(2):
        what = "a second gzip member" if rest.startswith(_MAGIC) else "other bytes"
        yield Fault(None, f"{what} after the end of the gzip")


def _lines(chunks: Iterator[bytes] | Iterator[bytes | Fault]) -> Iterator[Line | Fault]:
    reader = _Reader()
    rest = b""
    last: Fault | None = None
    for chunk in chunks:
        if isinstance(chunk, Fault):
            last = chunk
            break
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield from reader.decode(line, ended=True)
        if len(rest) > MAX_LINE_BYTES:
            last = Fault(reader.number + 1, f"a line of more than {MAX_LINE_BYTES} bytes")
            break
    if rest and last is None:
        yield from reader.decode(rest, ended=False)
    if last is not None:
        yield last
    elif reader.number == 0:
        yield Fault(None, "the file is empty")


class _Reader:
    """Decodes lines, counts them, and compares how they end."""

    def __init__(self) -> None:
        self.number = 0
        self._carriage: bool | None = None
        self._mixed = False

    def decode(self, line: bytes, *, ended: bool) -> Iterator[Line | Fault]:
        self.number += 1
        if self.number == 1 and line.startswith(_BOM):
            yield Fault(1, "a byte-order mark before the header")
            line = line.removeprefix(_BOM)
        if ended:
            yield from self._check_ending(line)
            line = line.removesuffix(b"\r")
        if b"\r" in line:
            yield Fault(self.number, "a carriage return within a line")
        text = line.decode("utf-8", "replace")
        if "\ufffd" in text and not _is_utf8(line):
            yield Fault(self.number, "bytes that are not UTF-8")
        yield Line(self.number, text)

    def _check_ending(self, line: bytes) -> Iterator[Fault]:
        carriage = line.endswith(b"\r")
        if self._carriage is None:
            self._carriage = carriage
        elif carriage != self._carriage and not self._mixed:
            self._mixed = True
            yield Fault(self.number, "some lines end in LF and some in CR LF")


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
