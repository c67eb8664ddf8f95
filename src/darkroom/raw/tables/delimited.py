"""Cells separated by commas, semicolons, tabs or bars: CSV, read strictly."""

import csv
import io
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence

from darkroom.errors import DataError

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


def open_lines(data: bytes) -> io.TextIOWrapper:
    """Return the lines of UTF-8 text, each with what ends it: LF, CRLF or CR."""
    return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")


def read_records(data: bytes, file: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the line that each row begins on and its cells; blank lines are left out.

    Raises:
        DataError: Quotes are wrong.
    """
    csv.field_size_limit(sys.maxsize)  # run lengths exceed the default, 131,072 characters
    reader = csv.reader(open_lines(data), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        line = next(itertools.islice(open_lines(data), begins - 1, None), "").rstrip()
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


def refuse_note(first: Sequence[str], file: str, delimiter: str) -> None:
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


def refuse_other_delimiter(
    header: Sequence[str], row: Sequence[str], file: str, delimiter: str
) -> None:
    """Refuse a table of one column whose header and first row hold as many of another delimiter."""
    if len(header) > 1:
        return
    first = delimiter.join(row)
    for other in DELIMITERS:
        if other != delimiter and 0 < header[0].count(other) == first.count(other):
            raise _other_delimiter(file, 1, header[0], other, delimiter)


def _other_delimiter(file: str, row: int, line: str, other: str, delimiter: str) -> DataError:
    return DataError(
        f"the cells are separated by {DELIMITERS[other]}",
        file=file,
        row=row,
        found=repr(line[:80]),
        expected=f"cells separated by {DELIMITERS.get(delimiter, repr(delimiter))}",
        fix=f"write delimiter: {json.dumps(other)}, or save it as expected",
    )


def _delimiter_at_quotes(line: str, delimiter: str) -> str:
    """Return another delimiter that follows a quoted cell of a line; "" if there is none."""
    after = re.search(f'"([{re.escape("".join(DELIMITERS))}])', line)
    return after[1] if after and after[1] != delimiter else ""
