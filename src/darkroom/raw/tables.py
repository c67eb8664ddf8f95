"""Read tables of text strictly: cells keep the file's text, and a broken file is refused."""

import csv
import io
import itertools
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import DataError
from darkroom.project.names import (
    describe_bytes,
    list_names,
    nearest_name,
    pick_name,
    read_errors,
)
from darkroom.raw import limits
from darkroom.raw.archives import Archives
from darkroom.raw.gunzip import read_gzip

SUFFIXES = ("", ".zip", ".gz")
DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}

_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|tiff?|bmp|webp)$", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        file: The file, for messages.
        header: The names of the columns, stripped.
        rows: Text by row and column, every row as long as the header.
        lines: The line of the file that each row begins on, from 1 (the header's).
    """

    file: str
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def position(self, column: int | str) -> int:
        """Return the position of a column given by position (from 0) or by name.

        Raises:
            DataError: There is no such column; the message lists the columns.
        """
        if isinstance(column, int):
            if 0 <= column < len(self.header):
                return column
        elif column in self.header:
            return self.header.index(column)
        near = nearest_name(column, self.header) if isinstance(column, str) else None
        is_it = f"is it {near!r}? Columns" if near else "columns"
        raise DataError(
            f"no column {column!r}",
            file=self.file,
            row=1,
            found=f"{len(self.header)} columns: {', '.join(map(repr, self.header))}",
            expected=repr(column) if isinstance(column, str) else "a position from 0",
            fix=f"{is_it} are given by name, or by position from 0; "
            "if there is only one, check the delimiter",
        )

    def column(self, column: int | str) -> list[str]:
        """Return the cells of a column given by position (from 0) or by name."""
        place = self.position(column)
        return [row[place] for row in self.rows]

    def unique_names(self, column: int | str) -> list[str]:
        """Return a column of file names or ids, none of them empty or repeated.

        Raises:
            DataError: A cell is empty or repeated (the message lists the rows); or the header is
                missing.
        """
        cells = self.names(column)
        check_unique(cells, self.lines, self.file)
        return cells

    def names(self, column: int | str) -> list[str]:
        """Return a column of file names or ids, none of them empty; see `unique_names`."""
        place = self.position(column)
        if _IMAGE_NAME.search(self.header[place]):
            raise DataError(
                "the first row is data, not a header",
                file=self.file,
                row=1,
                found=self.header[place],
                expected="the names of the columns",
                fix="put a line of column names before it",
            )
        cells = self.column(place)
        what = f"column {self.header[place] or place} is empty"
        refuse_rows(self, [n for n, cell in enumerate(cells) if not cell], what)
        refuse_long(self, cells, f"column {self.header[place] or place}")
        return cells


def read_table(folder: Path, name: str, delimiter: str = ",") -> Table:
    """Read a table with a header: a plain file, or the only one in a zip of its name.

    A byte order mark, CRLF, LF or CR, quoted cells, blank lines and a missing final newline are
    all accepted.

    Raises:
        DataError: The file is absent, empty, not UTF-8 text (an HTML page under its name, say),
            wrongly quoted; has a column name twice, or a row with more or fewer cells.
    """
    file, text = read_text(folder, name)
    records = read_records(text, file, delimiter)
    _, first = next(records)
    _refuse_note(first, file, delimiter)
    header = tuple(cell.strip() for cell in first)
    _check_header(header, file)
    twice = sorted(name for name, count in Counter(header).items() if name and count > 1)
    if twice:
        raise DataError(
            "a column name comes twice",
            file=file,
            row=1,
            found=", ".join(twice),
            expected="each name once",
            fix="rename one of the columns; if this is data, put a line of column names before it",
        )
    lines: list[int] = []
    rows: list[list[str]] = []
    for line, cells in records:
        if not lines:
            _refuse_other_delimiter(header, cells, file, delimiter)
        check_width(cells, len(header), file, line)
        lines.append(line)
        rows.append(cells)
    if not rows:
        raise DataError(
            "a header and no rows", file=file, found="1 line", expected="one row an image"
        )
    return Table(file, header, rows, lines)


def read_text(folder: Path, name: str) -> tuple[str, str]:
    """Return a text file's path for messages, and its text; packed by zip or gzip, or not.

    What a file holds counts, not its name: some clients save a zip under the table's own name.
    """
    path = folder / pick_name(list_names(folder), name, suffixes=SUFFIXES, file=folder)
    with read_errors(path), path.open("rb") as file:
        kind = describe_bytes(file.read(512))
    archives, entry = Archives(folder, folder), path.name  # a zip is never unpacked to a file
    if kind == "a zip archive":
        inside = archives.paths(entry)
        if len(inside) > 1:
            raise DataError(
                "a zip of one table holds more",
                file=path,
                found=", ".join(inside[:5]),
                expected=f"{name.removesuffix('.zip')} alone",
                fix="pack the table by itself",
            )
        entry = inside[0]
    if kind == "a gzip file":
        data = read_gzip(path, limits.MAX_MEMBER_BYTES + 1)
        limits.refuse_ratio(len(data), path.stat().st_size, path, "is it the right file?")
        if len(data) > limits.MAX_MEMBER_BYTES:
            raise DataError(
                "too large to be read",
                file=path,
                found=f"more than {limits.MAX_MEMBER_BYTES:,} bytes",
                expected=f"at most {limits.MAX_MEMBER_BYTES:,} bytes",
            )
        return str(path), _decoded(data, str(path))
    return str(folder / entry), _decoded(archives.read(entry), str(folder / entry))


def read_records(text: str, file: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins on and its cells; blank lines are left out.

    Raises:
        DataError: Quotes are wrong.
    """
    csv.field_size_limit(sys.maxsize)  # run lengths exceed the default, 131,072 characters
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        lines = io.StringIO(text, newline="")  # counts lines as csv does
        line = next(itertools.islice(lines, begins - 1, None), "").rstrip()
        if other := _delimiter_at_quotes(line, delimiter):
            raise _other_delimiter(file, begins, line, other, delimiter) from error
        raise DataError(
            "wrongly quoted",
            file=file,
            row=begins,
            found=error,
            expected='cells like "a, ""b"""',
            fix="correct the row, or download the file again",
        ) from error


def _refuse_note(first: Sequence[str], file: str, delimiter: str) -> None:
    """Refuse a first line `sep=;`, in which Excel notes the delimiter."""
    if first[0].strip().lower().startswith("sep="):
        raise DataError(
            "the first line is a note for Excel, not a header",
            file=file,
            row=1,
            found=delimiter.join(first),
            expected="the names of the columns",
            fix="delete this line",
        )


def _refuse_other_delimiter(
    header: Sequence[str], row: Sequence[str], file: str, delimiter: str
) -> None:
    """Refuse a table of one column whose header and first row hold as many of another delimiter."""
    if len(header) > 1:
        return
    first = delimiter.join(row)
    for other in DELIMITERS:
        if other != delimiter and 0 < header[0].count(other) == first.count(other):
            raise _other_delimiter(file, 1, header[0], other, delimiter)


def _other_delimiter(file: str, row: int, found: str, other: str, delimiter: str) -> DataError:
    return DataError(
        f"the cells are separated by {DELIMITERS[other]}",
        file=file,
        row=row,
        found=repr(found[:80]),
        expected=f"cells separated by {DELIMITERS.get(delimiter, repr(delimiter))}",
        fix=f"write delimiter: {json.dumps(other)} (format csv), or save it as expected",
    )


def _delimiter_at_quotes(line: str, delimiter: str) -> str:
    """Return another delimiter that follows a quoted cell of a line; "" if there is none."""
    after = re.search(f'"([{re.escape("".join(DELIMITERS))}])', line)
    return after[1] if after and after[1] != delimiter else ""


def check_width(cells: Sequence[str], width: int, file: str, line: int) -> None:
    """Refuse a row of another length than the header's."""
    if len(cells) != width:
        raise DataError(
            "a row of another length than the header",
            file=file,
            row=line,
            found=f"{len(cells)} cells: {' | '.join(cells)[:100]}",
            expected=f"{width} cells",
            fix="correct the row, or download the file again: it may be cut short",
        )


def check_unique(names: Sequence[str], lines: Sequence[int], file: str) -> None:
    """Refuse names that come twice, listing their rows."""
    first: dict[str, int] = {}
    twice = []
    for name, line in zip(names, lines, strict=True):
        if name in first:
            twice.append(f"rows {first[name]} and {line}: {name}")
        else:
            first[name] = line
    if twice:
        raise DataError(
            f"{len(twice)} rows repeat an id",
            file=file,
            details=twice,
            expected="one row an image",
            fix="remove the repeated rows, or choose a column of distinct ids",
        )


def refuse_rows(table: Table, places: Sequence[int], what: str, **words: str) -> None:
    """Raise DataError for the rows at some positions (from 0), unless there are none."""
    if places:
        raise DataError(
            what,
            file=table.file,
            row=table.lines[places[0]],
            found=f"{len(places)} of {len(table.rows)} rows: "
            + ", ".join(str(table.lines[place]) for place in places[:10])
            + (", …" if len(places) > 10 else ""),
            **words,
        )


def refuse_long(table: Table, cells: Sequence[str], what: str) -> None:
    """Raise DataError for cells that are too long to name something: an image, a class."""
    longest = limits.MAX_NAME_CHARACTERS
    refuse_rows(
        table,
        limits.overlong(cells),
        f"{what} holds a text of more than {longest:,} characters",
        expected=f"at most {longest:,} characters",
        fix="is it the right column? Check quotes and the delimiter",
    )


def _check_header(header: Sequence[str], file: str) -> None:
    if len(header) > limits.MAX_COLUMNS:
        raise DataError(
            "more columns than any table of images",
            file=file,
            row=1,
            found=f"{len(header):,} columns",
            expected=f"at most {limits.MAX_COLUMNS:,}",
            fix="is it the right file? Check the delimiter",
        )
    if long := limits.overlong(header):
        raise DataError(
            "a column's name is too long",
            file=file,
            row=1,
            found=f"{len(header[long[0]]):,} characters: {header[long[0]][:80]}",
            expected=f"at most {limits.MAX_NAME_CHARACTERS:,} characters",
            fix="is there a line of column names? Check the delimiter",
        )


def _is_bare_utf_16(data: bytes) -> bool:
    """Return whether every other byte is a NUL, as those of English text are."""
    return any(data[::2]) != any(data[1::2])


def _decoded(data: bytes, file: str) -> str:
    kind = describe_bytes(data[:512])
    if kind == "text" and b"\0" in data:
        kind = "binary data"
    if kind == "binary data" and _is_bare_utf_16(data):
        kind = "UTF-16 text without its mark"
    if kind != "text":
        raise DataError(
            "not a table",
            file=file,
            found=kind,
            expected="a table of text, UTF-8",
            fix="save it as UTF-8" if "UTF-16" in kind else "download it again",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "not UTF-8 text",
            file=file,
            row=data[: error.start].count(b"\n") + 1,
            found=f"byte 0x{data[error.start]:02x}",
            expected="UTF-8",
            fix="save it as UTF-8",
        ) from error
    if not text.strip():
        raise DataError(
            "the file is empty",
            file=file,
            found="blank lines",
            expected="a table of text, UTF-8",
            fix="download it again",
        )
    return text
