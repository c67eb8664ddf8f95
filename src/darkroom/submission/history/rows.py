"""The rows of submissions/history.csv, as values and as text.

Empty cells stand for what is not known. A text that a spreadsheet would take for a formula has
an apostrophe before it, which reading takes off again.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

from darkroom.errors import ArtifactError
from darkroom.remote.kaggle.api import Status
from darkroom.remote.kaggle.responses import MAX_SCORE

_LONGEST_CELL = 1 << 24  # characters
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MEND = "mend the file by hand; if git has it, `git diff` and `git log -p` show how it was"


@dataclass(frozen=True)
class Row:
    """One submission.

    Attributes:
        time: When it was sent; aware, kept to the second in UTC.
        name: The competition in params.yaml.
        sha256: Of the file, 64 hexadecimal digits.
        fingerprint: Of what predicted it; empty if that is not known.
        commit: Git's, 40 hexadecimal digits, with `-dirty` if files differed from it; or empty.
        metric: What the local score measures.
        local: The score on the validation images, None if there is none.
        message: What the submission was sent with, any text.
        reference: Kaggle's number of it.
        status: Whether Kaggle has scored it, or could not.
        public: Score on the public leaderboard, None if not known.
        private: Score on the private leaderboard, None if not known.
    """

    time: datetime
    name: str
    sha256: str
    fingerprint: str
    commit: str
    metric: str
    local: float | None
    message: str
    reference: int
    status: Status
    public: float | None = None
    private: float | None = None


COLUMNS = tuple(field.name for field in fields(Row))


def text_of(rows: Iterable[Row]) -> bytes:
    """Return the file of some rows.

    Raises:
        ValueError: A value is not what its column holds: a time without a zone, a score that
            is no finite number.
    """
    lines = [",".join(map(_quoted, cells)) for cells in (COLUMNS, *map(_cells, rows))]
    # A command line may hold bytes that are no text; the record of a submission is worth more.
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def rows_of(data: bytes, path: Path) -> list[Row]:
    """Return the rows of a file.

    Args:
        data: Its bytes; a byte order mark and CRLF are taken too.
        path: Its path, for messages.

    Raises:
        ArtifactError: It is damaged; names the line at fault.
    """
    first: dict[int, int] = {}
    rows = []
    for line, row in _rows(_text(data, path), path):
        if row.reference in first:
            found = f"reference {row.reference}, as in row {first[row.reference]}"
            raise _damage(path, line, found, "each reference once")
        first[row.reference] = line
        rows.append(row)
    return rows


def _cells(row: Row) -> list[str]:
    if row.time.tzinfo is None:
        raise ValueError(f"time: {row.time} has no zone")
    cells = [
        _shown_time(row.time),
        _guarded(row.name),
        row.sha256,
        row.fingerprint,
        row.commit,
        _guarded(row.metric),
        _number_cell(row.local),
        _guarded(row.message),
        str(row.reference),
        row.status,
        _number_cell(row.public),
        _number_cell(row.private),
    ]
    for column, cell in zip(COLUMNS, cells, strict=True):
        _value(column, cell)  # what could not be read again is not written
    return cells


def _shown_time(time: datetime) -> str:
    try:  # strftime would drop a year's noughts
        return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    except OverflowError:
        raise ValueError(f"time: {time} is beyond what UTC tells") from None


def _quoted(cell: str) -> str:
    # Not csv.writer, which leaves a lone carriage return bare, which no reader takes.
    return '"' + cell.replace('"', '""') + '"' if re.search('[",\r\n]', cell) else cell


def _number_cell(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _guarded(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _bare(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _damage(path, line, f"byte 0x{data[error.start]:02x}", "UTF-8") from error


def _rows(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    """Yield each row with the line that it begins on, counted from 1."""
    csv.field_size_limit(_LONGEST_CELL)
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(table, [])
        if tuple(header) != COLUMNS:
            raise _damage(path, 1, ",".join(header)[:200] or "nothing", ",".join(COLUMNS))
        line = table.line_num + 1
        for cells in table:
            yield line, _row(cells, path, line)
            line = table.line_num + 1
    except csv.Error as error:
        raise _damage(path, line, error, "cells quoted as in a CSV") from error
    if not text.endswith("\n"):
        found = f"an end after {text.rsplit(',', 1)[-1]!r}"
        raise _damage(path, text.count("\n") + 1, found, "a line end after the last row")


def _row(cells: Sequence[str], path: Path, line: int) -> Row:
    if len(cells) != len(COLUMNS):
        raise _damage(path, line, f"{len(cells)} cells", f"{len(COLUMNS)} cells")
    values = {}
    for column, cell in zip(COLUMNS, cells, strict=True):
        try:
            values[column] = _value(column, cell)
        except ValueError as error:
            found = f"{column} {cell[:100]!r}"
            raise _damage(path, line, found, _READERS[column][1]) from error
    return Row(**values)


def _value(column: str, cell: str) -> Any:
    """Return what a cell holds, or raise ValueError."""
    read_cell, expected = _READERS[column]
    try:
        return read_cell(cell)
    except ValueError as error:
        raise ValueError(f"{column}: {cell[:100]!r} is not {expected}") from error


def _time(cell: str) -> datetime:
    time = datetime.fromisoformat(cell)
    if time.tzinfo is None:
        raise ValueError("no zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("beyond what UTC tells") from error


def _number(cell: str) -> float | None:
    value = float(cell) if cell else None
    if value is not None and not (math.isfinite(value) and abs(value) <= MAX_SCORE):
        raise ValueError("no score")
    return value


def _reference(cell: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", cell):
        raise ValueError("no number")
    return int(cell)


def _status(cell: str) -> Status:
    if cell not in get_args(Status):
        raise ValueError("no status")
    return cast(Status, cell)


def _matching(pattern: str) -> Callable[[str], str]:
    def read_cell(cell: str) -> str:
        if not re.fullmatch(pattern, cell):
            raise ValueError("no match")
        return cell

    return read_cell


_SCORE = (_number, f"a number to {MAX_SCORE:g}, or nothing")
_READERS: dict[str, tuple[Callable[[str], object], str]] = {
    "time": (_time, "a time as 2017-09-27T23:59:00Z"),
    "name": (_bare, "a name"),
    "sha256": (_matching("[0-9a-f]{64}"), "64 hexadecimal digits"),
    "fingerprint": (_matching("[0-9a-f]*"), "hexadecimal digits, or nothing"),
    "commit": (_matching("([0-9a-f]{40,64}(-dirty)?)?"), "40 hexadecimal digits, or nothing"),
    "metric": (_bare, "a name"),
    "local": _SCORE,
    "message": (_bare, "text"),
    "reference": (_reference, "a number"),
    "status": (_status, "one of " + ", ".join(get_args(Status))),
    "public": _SCORE,
    "private": _SCORE,
}


def _damage(path: Path, line: int, found: object, expected: str) -> ArtifactError:
    return ArtifactError(
        "the history is damaged", file=path, row=line, found=found, expected=expected, fix=_MEND
    )
