"""Which of Kaggle's submissions are of a file: those with its mark in file name or description."""

import json
import re
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from darkroom.errors import ArtifactError, ResourceError
from darkroom.project import files
from darkroom.remote.kaggle.api import Submission
from darkroom.remote.kaggle.responses import MAX_REFERENCE, whole_number

_DIGITS = 12
_COUNT = "(?:-[1-9][0-9]{0,8})?"
_MARKED = re.compile(rf"darkroom ([0-9a-f]{{{_DIGITS}}}{_COUNT}): ?")


def stem(sha256: str) -> str:
    """Return what the marks of a file begin with: `0123456789ab`; its first mark."""
    return sha256[:_DIGITS]


def is_mark(text: object) -> bool:
    """Return whether a value is a mark."""
    return isinstance(text, str) and bool(re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}{_COUNT}", text))


def following(sha256: str, known: Collection[str]) -> str:
    """Return the first mark that is not known yet: `0123456789ab`, `0123456789ab-2`.

    Args:
        sha256: Of the file.
        known: The mark of each of its submissions, "" for those whose mark nothing tells.
    """
    if not known:
        return stem(sha256)
    last = max(int(mark.partition("-")[2] or 1) for mark in known)
    return f"{stem(sha256)}-{1 + max(last, len(known))}"


def description(mark: str, message: str) -> str:
    """Return what Kaggle is to show beside a submission."""
    return f"darkroom {mark}: {message}"


def message(submission: Submission) -> str:
    """Return what a submission was sent with, without its mark."""
    return _MARKED.sub("", submission.description, count=1)


def names(mark: str, submission: Submission) -> bool:
    """Return whether a submission was sent under a mark, by its file's name."""
    return bool(_in_name(mark).search(submission.file_name))


def _in_name(mark: str) -> re.Pattern[str]:
    return re.compile(rf"-({mark})(?:\.|$)")


def of(sha256: str, submissions: Iterable[Submission]) -> dict[str, Submission]:
    """Return the submissions of a file by mark, in the order given.

    On Kaggle's pages a description can be edited, a file's name can't: it decides.
    """
    mark = f"{stem(sha256)}{_COUNT}"
    named, described = _in_name(mark), re.compile(f"darkroom ({mark}): ?")
    found = [
        (named.search(each.file_name) or described.match(each.description), each)
        for each in submissions
    ]
    return {match[1]: each for match, each in found if match}


@dataclass(frozen=True)
class Parcel:
    """What is to be submitted.

    Attributes:
        competition: Kaggle's name of it.
        path: The submission.
        sha256: Of its bytes.
        folder: The competition's, kept between runs: a lock, notes about what is on its way,
            the file as named for Kaggle.
    """

    competition: str
    path: Path
    sha256: str
    folder: Path


def alone(parcel: Parcel) -> AbstractContextManager[None]:
    """Keep a second run that submits this competition out: both would find nothing, and send.

    Raises:
        ResourceError: There is one.
    """

    def refuse() -> None:
        raise ResourceError(
            "another `darkroom submit` of this competition is under way",
            fix="wait until it has ended",
        )

    return files.alone(parcel.folder / "lock", busy=refuse)


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
        if reference is not None and not whole_number(reference, MAX_REFERENCE):
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
