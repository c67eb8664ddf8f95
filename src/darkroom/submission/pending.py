"""What was on its way when its answer was lost, or the run killed: notes to the next run.

Each submission that Kaggle's list does not show yet has a note of its own, named by its mark.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from darkroom import files
from darkroom.errors import ArtifactError
from darkroom.kaggle.listing import MOST_REFERENCES, whole
from darkroom.submission.marks import is_mark

LATEST_S = 1e11  # s since 1970: as far as a date can tell


@dataclass(frozen=True)
class Note:
    """A submission that Kaggle may hold although its list does not show it yet.

    Attributes:
        mark: What tells the submission from others, in its file name and description.
        time: When it was sent, s since 1970, UTC.
        reference: Kaggle's number of it; None while the answer is out.
        ahead: Submissions that Kaggle counted, less those listed or known of, before it was sent.
    """

    mark: str
    time: float
    reference: int | None = None
    ahead: int = 0


def write(folder: Path, note: Note) -> None:
    """Write a note, in the place of an older one of the same submission."""
    files.write(_path(folder, note.mark), json.dumps(asdict(note)) + "\n")


def clear(folder: Path, mark: str) -> None:
    """Remove the note of a submission: how things stand is known without it."""
    _path(folder, mark).unlink(missing_ok=True)


def read(folder: Path, stem: str = "") -> list[Note]:
    """Return the notes about a file, or all, sorted by mark; none if there is no folder.

    Args:
        folder: Where they lie.
        stem: What the marks of the file begin with.

    Raises:
        ArtifactError: One can't be read.
    """
    notes = [_read(path) for path in folder.glob(f"{stem}*.json")]
    return sorted(notes, key=lambda note: note.mark)


def _path(folder: Path, mark: str) -> Path:
    return folder / f"{mark}.json"


def _read(path: Path) -> Note:
    try:
        told = json.loads(path.read_bytes())
        mark, time, reference = told["mark"], float(told["time"]), told["reference"]
        ahead = told["ahead"]
        if not is_mark(mark) or mark != path.stem:
            raise ValueError(f"mark {mark!r:.60}")
        if not 0 <= time <= LATEST_S:
            raise ValueError(f"time {time}")
        if reference is not None and not whole(reference, MOST_REFERENCES):
            raise ValueError(f"reference {reference!r:.60}")
        if type(ahead) is not int:
            raise ValueError(f"ahead {ahead!r:.60}")
        return Note(mark, time, reference, ahead)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise ArtifactError(
            "it is damaged, and tells no longer what was sent",
            file=path,
            found=repr(error),
            fix="look at your submissions on Kaggle, then delete this file",
        ) from error
