"""Tables of text: what separates cells, whether there is a header, how many rows are declared."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from darkroom.errors import DataError
from darkroom.project.names import describe_bytes
from darkroom.raw.tables.delimited import (
    DELIMITERS,
    open_lines,
    read_records,
    refuse_note,
    refuse_other_delimiter,
)
from darkroom.raw.tables.table import Columns, EmptyTableError, Table, check_header, check_width

BLANKS = " "
"""The delimiter of cells that are separated by one blank or more."""

UNNAMED = "image_id"
"""What the first column is called where a table of blanks has no name for it, as in CelebA's
official list; its mirror on Kaggle has this one."""

_COUNT = re.compile("[0-9]{1,9}")  # of rows; str.isdigit() would accept "²" too
_FEW_TEXTS = 10_000  # of labels and measures; ids that come once would fill the memory
_SUFFIXES = {".tsv": "\t", ".tab": "\t", ".txt": BLANKS}

Record = tuple[int, list[str]]


def read_text_table(
    data: bytes,
    file: str,
    *,
    delimiter: str | None,
    columns: Sequence[str] | None,
    choice: Columns,
) -> Table:
    """Read a table of text; see `darkroom.raw.tables.read_table`."""
    declared, header, records = open_records(data, file, delimiter, columns)
    places = choice.places(header)
    rows: list[list[str]] = []
    lines: list[int] = []
    texts: dict[str, str] = {}  # each once: millions of rows have the same few labels
    for line, cells in records:
        check_width(cells, len(header), file, line)
        cells = cells if places is None else [cells[place] for place in places]
        get = texts.setdefault if len(texts) < _FEW_TEXTS else texts.get
        rows.append([get(cell, cell) for cell in cells])
        lines.append(line)
    _check_count(file, declared, len(rows))
    one_a_row = range(lines[0], lines[0] + len(lines)) if lines else range(0)
    numbers = one_a_row if lines == [*one_a_row] else lines
    return choice.table(file, header, rows, numbers, declared=declared)


def open_records(
    data: bytes, file: str, delimiter: str | None, columns: Sequence[str] | None
) -> tuple[int | None, tuple[str, ...], Iterator[Record]]:
    """Return the number of rows that are declared, the names of the columns, and the rows.

    A row is the line that it begins on, and its cells.
    """
    check_text(data, file)
    if delimiter is None:
        delimiter = usual_delimiter(data, file)
    declared, records = _take_count(_records(data, file, delimiter))
    return declared, *_take_header(records, file, delimiter, columns)


def usual_delimiter(data: bytes, file: str) -> str:
    """Return what separates the cells, by the file's name and, in a .txt, its first lines."""
    name = file.lower()
    usual = next((separator for end, separator in _SUFFIXES.items() if name.endswith(end)), ",")
    if usual != BLANKS:
        return usual
    first = [line.strip() for line in islice(open_lines(data), 4)]
    first = [line for line in first if line and not _COUNT.fullmatch(line)]
    return next(
        (each for each in ("\t", *DELIMITERS) if all(each in line for line in first)), usual
    )


def _records(data: bytes, file: str, delimiter: str) -> Iterator[Record]:
    """Yield the line that each row begins on and its cells; blank lines are left out."""
    if delimiter != BLANKS:
        return read_records(data, file, delimiter)
    split = ((line, row.split()) for line, row in enumerate(open_lines(data), 1))
    return ((line, cells) for line, cells in split if cells)


def _take_count(records: Iterator[Record]) -> tuple[int | None, Iterator[Record]]:
    """Return the number of rows on a first line of its own, if there is one, and the others."""
    first = list(islice(records, 2))
    if len(first) == 2:
        (_, alone), (_, cells) = first
        if len(alone) == 1 < len(cells) and _COUNT.fullmatch(alone[0].strip()):
            return int(alone[0]), chain(first[1:], records)
    return None, chain(first, records)


def _take_header(
    records: Iterator[Record], file: str, delimiter: str, columns: Sequence[str] | None
) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the names of the columns and the rows.

    Args:
        records: All rows, the header among them.
        file: For messages.
        delimiter: What separates the cells.
        columns: The names, for a table without a header. A first row of just these is a header.
    """
    first = list(islice(records, 2))
    cells = first[0][1]
    header = tuple(cell.strip() for cell in cells)
    if columns is not None:
        rest = first[1:] if header == tuple(columns) else first
        if rest and len(rest[0][1]) != len(columns):
            raise DataError(
                "a row of another length than `columns`",
                file=file,
                row=rest[0][0],
                found=f"{len(rest[0][1])} cells: {' | '.join(rest[0][1])[:100]}",
                expected=f"{len(columns)}: {', '.join(columns)}"[:200],
                fix="name each column of the file in `columns`; check the delimiter",
            )
        check_header(columns, file)
        return tuple(columns), chain(rest, records)
    refuse_note(cells, file, delimiter)
    if delimiter == BLANKS and len(first) == 2 and len(first[1][1]) == len(header) + 1:
        header = (UNNAMED if UNNAMED not in header else "", *header)
    check_header(header, file)
    if len(first) == 1:
        raise EmptyTableError(file)
    if delimiter != BLANKS:
        refuse_other_delimiter(header, first[1][1], file, delimiter)
    return header, chain(first[1:], records)


def _check_count(file: str, declared: int | None, rows: int) -> None:
    """Raise if there are fewer rows than declared: the file may be cut short after a row.

    More rows than declared are accepted; the audit reports both numbers.
    """
    if declared is not None and rows < declared:
        raise DataError(
            "fewer rows than the file declares",
            file=file,
            found=f"{rows:,} rows",
            expected=f"{declared:,} rows, as its first line says",
            fix="download it again; if rows were left out on purpose, correct the first line",
        )


def _is_bare_utf_16(data: bytes) -> bool:
    """Return whether every other byte is a NUL, as those of English text are."""
    return any(data[::2]) != any(data[1::2])


def check_text(data: bytes, file: str) -> None:
    """Raise DataError for a file that is no text, not UTF-8, or blank; the message says what."""
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
