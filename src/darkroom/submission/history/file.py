"""submissions/history.csv: what was submitted, from what, and how it was scored.

The file is replaced whole or not at all, by one process at a time, and never if it is damaged.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from darkroom.errors import ArtifactError
from darkroom.project import files
from darkroom.remote.kaggle.api import Submission
from darkroom.submission.history import rows as records
from darkroom.submission.history.rows import Row as Row


def read(path: Path) -> list[Row]:
    """Return the rows in the order in which they were added; none if there is no file.

    Raises:
        ArtifactError: The file is damaged; names the line at fault.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    return records.rows_of(data, path)


def refuse(row: Row, path: Path) -> None:
    """Refuse a row that the file could not take: known before it is too late.

    Raises:
        ArtifactError: A value is not what its column holds.
    """
    try:
        records.text_of([row])
    except ValueError as error:
        raise ArtifactError(
            "it could not take a row of this submission", file=path, found=str(error)
        ) from error


def append(path: Path, row: Row) -> bool:
    """Add a row unless its reference is there already; return whether it was added.

    Raises:
        ArtifactError: The file is damaged; it is left as it is.
        ValueError: A value is not what its column holds: a time without a zone, say.
    """
    with _alone(path.parent):
        rows = read(path)
        if any(row.reference == other.reference for other in rows):
            return False
        files.write(path, records.text_of([*rows, row]))
        return True


def update(path: Path, scores: Mapping[int, Submission]) -> int:
    """Take over what Kaggle says of submissions, by reference; return how many rows changed.

    A score that Kaggle no longer tells stays; references that are not in the file are left out.

    Raises:
        ArtifactError: The file is damaged; it is left as it is.
    """
    with _alone(path.parent):
        rows = read(path)
        newer = [
            _scored(row, scores[row.reference]) if row.reference in scores else row for row in rows
        ]
        changed = sum(old != new for old, new in zip(rows, newer, strict=True))
        if changed:
            files.write(path, records.text_of(newer))
        return changed


def _scored(row: Row, now: Submission) -> Row:
    return replace(
        row,
        status=now.status,
        public=row.public if now.public is None else now.public,
        private=row.private if now.private is None else now.private,
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that of several processes one reads and writes and the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with files.alone(folder):
        yield
