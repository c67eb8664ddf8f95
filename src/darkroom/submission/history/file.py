"""submissions/history.csv: what was submitted, from which code, and how it was scored.

The file is replaced atomically, by one process at a time, and never if it is damaged. Empty cells
stand for unknown values. A text that a spreadsheet would run as a formula gets an apostrophe
before it, which reading removes.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

from darkroom.errors import ArtifactError
from darkroom.project import files
from darkroom.remote.kaggle.api import Status, Submission
from darkroom.remote.kaggle.responses import MAX_SCORE

_MAX_CELL = 1 << 24  # characters
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_REPAIR = "repair the file by hand; if git has it, `git diff` and `git log -p` show what it was"


@dataclass(frozen=True)
class HistoryRow:
    """One submission.

    Attributes:
        time: When it was sent; aware, kept to the second in UTC.
        name: The competition in params.yaml.
        sha256: Of the file, 64 hexadecimal digits.
        fingerprint: Of the prediction; empty if it is not known.
        commit: Git's, 40 hexadecimal digits, with `-dirty` if files differed from it; or empty.
        metric: What the local score measures.
        local: The score on the validation images, None if there is none.
        message: Sent with the submission, any text.
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


COLUMNS = tuple(field.name for field in fields(HistoryRow))


def read_history(path: Path) -> list[HistoryRow]:
    """Return the rows in the order in which they were added; none if there is no file.

    Raises:
        ArtifactError: The file is damaged; names the line at fault.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return decode_rows(data, path)


def require_writable(row: HistoryRow, path: Path) -> None:
    """Raise ArtifactError if the file could not hold a row: to know it before the upload."""
    try:
        encode_rows([row])
    except ValueError as error:
        raise ArtifactError(
            "it cannot hold a row of this submission", file=path, found=str(error)
        ) from error


def append_row(path: Path, row: HistoryRow) -> bool:
    """Add a row unless its reference is there already; return whether it was added.

    Raises:
        ArtifactError: The file is damaged; it is left as it is.
        ValueError: A value does not fit its column: a time without a zone, say.
    """
    with _locked(path.parent):
        rows = read_history(path)
        if any(row.reference == other.reference for other in rows):
            return False
        files.write(path, encode_rows([*rows, row]))
        return True


def update_scores(path: Path, submissions: Mapping[int, Submission]) -> int:
    """Store the status and scores that Kaggle lists; return how many rows changed.

    Args:
        path: Of the history.
        submissions: By reference. Those that are not in the history are ignored, and a score
            that Kaggle no longer lists stays.

    Raises:
        ArtifactError: The file is damaged; it is left as it is.
    """
    with _locked(path.parent):
        rows = read_history(path)
        updated = [_updated(row, submissions.get(row.reference)) for row in rows]
        changed = sum(old != new for old, new in zip(rows, updated, strict=True))
        if changed:
            files.write(path, encode_rows(updated))
        return changed


def _updated(row: HistoryRow, submission: Submission | None) -> HistoryRow:
    if submission is None:
        return row
    return replace(
        row,
        status=submission.status,
        public=row.public if submission.public is None else submission.public,
        private=row.private if submission.private is None else submission.private,
    )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder: one process reads and writes while the others wait."""
    files.make_folder(folder)
    with files.lock(folder):
        yield


def encode_rows(rows: Iterable[HistoryRow]) -> bytes:
    """Return rows as the bytes of a history file.

    Raises:
        ValueError: A value does not fit its column: a time without a zone, a score that is
            not finite.
    """
    lines = [",".join(map(_quoted, cells)) for cells in (COLUMNS, *map(_cells, rows))]
    # A message from a command line may hold bytes that are not text: escape them, and keep the row.
    return "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")


def decode_rows(data: bytes, path: Path) -> list[HistoryRow]:
    """Return the rows of a history file.

    Args:
        data: Its bytes; a byte order mark and CRLF are accepted.
        path: Its path, for messages.

    Raises:
        ArtifactError: It is damaged; names the line at fault.
    """
    line_of: dict[int, int] = {}  # by reference
    rows = []
    for line, row in _rows(_text(data, path), path):
        if row.reference in line_of:
            found = f"reference {row.reference}, as in row {line_of[row.reference]}"
            raise _damaged(path, line, found, "each reference once")
        line_of[row.reference] = line
        rows.append(row)
    return rows


def _cells(row: HistoryRow) -> list[str]:
    if row.time.tzinfo is None:
        raise ValueError(f"time: {row.time} has no zone")
    cells = [
        _time_cell(row.time),
        _escape_formula(row.name),
        row.sha256,
        row.fingerprint,
        row.commit,
        _escape_formula(row.metric),
        _number_cell(row.local),
        _escape_formula(row.message),
        str(row.reference),
        row.status,
        _number_cell(row.public),
        _number_cell(row.private),
    ]
    for column, cell in zip(COLUMNS, cells, strict=True):
        _value(column, cell)  # raises ValueError for what could not be read again
    return cells


def _time_cell(time: datetime) -> str:
    try:  # strftime would drop the leading zeros of a year
        return f"{time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
    except OverflowError:
        raise ValueError(f"time: {time} is out of range in UTC") from None


def _quoted(cell: str) -> str:
    # Not csv.writer, which leaves a lone carriage return bare, which no reader accepts.
    return '"' + cell.replace('"', '""') + '"' if re.search('[",\r\n]', cell) else cell


def _number_cell(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _escape_formula(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text


def _unescape(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _text(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _damaged(path, line, f"byte 0x{data[error.start]:02x}", "UTF-8") from error


def _rows(text: str, path: Path) -> Iterator[tuple[int, HistoryRow]]:
    """Yield each row with the line that it begins on, counted from 1."""
    csv.field_size_limit(_MAX_CELL)
    table = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(table, [])
        if tuple(header) != COLUMNS:
            raise _damaged(path, 1, ",".join(header)[:200] or "nothing", ",".join(COLUMNS))
        line = table.line_num + 1
        for cells in table:
            yield line, _row(cells, path, line)
            line = table.line_num + 1
    except csv.Error as error:
        raise _damaged(path, line, error, "cells quoted as in a CSV") from error
    if not text.endswith("\n"):
        found = f"an end after {text.rsplit(',', 1)[-1]!r}"
        raise _damaged(path, text.count("\n") + 1, found, "a line end after the last row")


def _row(cells: Sequence[str], path: Path, line: int) -> HistoryRow:
    if len(cells) != len(COLUMNS):
        raise _damaged(path, line, f"{len(cells)} cells", f"{len(COLUMNS)} cells")
    values = {}
    for column, cell in zip(COLUMNS, cells, strict=True):
        try:
            values[column] = _value(column, cell)
        except ValueError as error:
            found = f"{column} {cell[:100]!r}"
            raise _damaged(path, line, found, _COLUMNS[column][1]) from error
    return HistoryRow(**values)


def _value(column: str, cell: str) -> Any:
    """Return the value of a cell, or raise ValueError."""
    parse, expected = _COLUMNS[column]
    try:
        return parse(cell)
    except ValueError as error:
        raise ValueError(f"{column}: {cell[:100]!r} is not {expected}") from error


def _time(cell: str) -> datetime:
    time = datetime.fromisoformat(cell)
    if time.tzinfo is None:
        raise ValueError("no zone")
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("out of range in UTC") from error


def _number(cell: str) -> float | None:
    value = float(cell) if cell else None
    if value is not None and not (math.isfinite(value) and abs(value) <= MAX_SCORE):
        raise ValueError("not a score")
    return value


def _reference(cell: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", cell):
        raise ValueError("not a number")
    return int(cell)


def _status(cell: str) -> Status:
    if cell not in get_args(Status):
        raise ValueError("not a status")
    return cast(Status, cell)


def _matching(pattern: str) -> Callable[[str], str]:
    def parse(cell: str) -> str:
        if not re.fullmatch(pattern, cell):
            raise ValueError("no match")
        return cell

    return parse


_SCORE = (_number, f"a number to {MAX_SCORE:g}, or nothing")
_COLUMNS: dict[str, tuple[Callable[[str], object], str]] = {
    "time": (_time, "a time as 2017-09-27T23:59:00Z"),
    "name": (_unescape, "a name"),
    "sha256": (_matching("[0-9a-f]{64}"), "64 hexadecimal digits"),
    "fingerprint": (_matching("[0-9a-f]*"), "hexadecimal digits, or nothing"),
    "commit": (_matching("([0-9a-f]{40,64}(-dirty)?)?"), "40 hexadecimal digits, or nothing"),
    "metric": (_unescape, "a name"),
    "local": _SCORE,
    "message": (_unescape, "text"),
    "reference": (_reference, "a number"),
    "status": (_status, "one of " + ", ".join(get_args(Status))),
    "public": _SCORE,
    "private": _SCORE,
}


def _damaged(path: Path, line: int, found: object, expected: str) -> ArtifactError:
    return ArtifactError(
        "the history is damaged", file=path, row=line, found=found, expected=expected, fix=_REPAIR
    )
