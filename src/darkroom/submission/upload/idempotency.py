"""Recognise what was sent before: the idempotency key of a submission, and records on disk.

Kaggle's CreateSubmission has no idempotency key, so ours is part of the file name and of the
description: the start of the file's sha256, with a number from the second submission of a file
on. Kaggle's list may lag, so an upload that it does not show yet has a record in a folder.
"""

import json
import re
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import ArtifactError, ResourceError
from darkroom.project import files
from darkroom.remote.kaggle.api import Submission
from darkroom.remote.kaggle.responses import MAX_REFERENCE, whole_number

LATEST_S = 1e11  # s since 1970: as far as a date can be represented
_DIGITS = 12
_COUNT = "(?:-[1-9][0-9]{0,8})?"
_KEY = rf"[0-9a-f]{{{_DIGITS}}}{_COUNT}"


@dataclass(frozen=True)
class Upload:
    """A file to submit.

    Attributes:
        competition: Kaggle's name of it.
        path: The submission.
        sha256: Of its bytes.
        folder: The competition's, kept between runs: a lock, records of pending uploads, and
            the file under its name for Kaggle.
    """

    competition: str
    path: Path
    sha256: str
    folder: Path


def lock(upload: Upload) -> AbstractContextManager[None]:
    """Return a lock on the competition: two runs at once would find nothing sent, and both send.

    Raises:
        ResourceError: Another run holds it.
    """

    def refuse() -> None:
        raise ResourceError(
            "another `darkroom submit` of this competition is under way",
            fix="wait until it has ended",
        )

    return files.lock(upload.folder / "lock", busy=refuse)


def first_key(sha256: str) -> str:
    """Return the key of a file's first submission, with which all its keys begin.

    Example:
        >>> first_key("0123456789abcdef")
        '0123456789ab'
    """
    return sha256[:_DIGITS]


def next_key(sha256: str, used: Collection[str]) -> str:
    """Return the key of a file's next submission.

    Example:
        >>> next_key("0123456789abcdef", ["0123456789ab"])
        '0123456789ab-2'

    Args:
        sha256: Of the file.
        used: The key of each of its submissions, "" for those whose key is not known.
    """
    if not used:
        return first_key(sha256)
    last = max(int(key.partition("-")[2] or 1) for key in used)
    return f"{first_key(sha256)}-{1 + max(last, len(used))}"


def description_of(key: str, message: str) -> str:
    """Return the description that Kaggle shows beside a submission."""
    return f"darkroom {key}: {message}"


def message_of(submission: Submission) -> str:
    """Return the message that a submission was sent with, without its key."""
    return re.sub(rf"darkroom {_KEY}: ?", "", submission.description, count=1)


def is_named_with(key: str, submission: Submission) -> bool:
    """Return whether the name of a submission's file has a key."""
    return bool(_in_file_name(key).search(submission.file_name))


def submissions_by_key(sha256: str, submissions: Iterable[Submission]) -> dict[str, Submission]:
    """Return the submissions of a file by key, in the order given.

    The file name decides: a description can be edited on Kaggle's pages.
    """
    key = f"{first_key(sha256)}{_COUNT}"
    in_file_name, in_description = _in_file_name(key), re.compile(f"darkroom ({key}): ?")
    matches = [
        (
            in_file_name.search(submission.file_name)
            or in_description.match(submission.description),
            submission,
        )
        for submission in submissions
    ]
    return {match[1]: submission for match, submission in matches if match}


def _in_file_name(key: str) -> re.Pattern[str]:
    return re.compile(rf"-({key})(?:\.|$)")


@dataclass(frozen=True)
class PendingUpload:
    """The record of a submission that Kaggle may hold although its list does not show it yet.

    Attributes:
        key: Its idempotency key.
        time: When it was sent, s since 1970, UTC.
        reference: Kaggle's number of it; None while Kaggle has not answered.
        unlisted: How many submissions Kaggle counted before it was sent, less those that were
            listed or had a record.
    """

    key: str
    time: float
    reference: int | None = None
    unlisted: int = 0


def save_pending(folder: Path, pending: PendingUpload) -> None:
    """Write a record, in the place of an older one of the same key."""
    values = {
        "mark": pending.key,
        "time": pending.time,
        "reference": pending.reference,
        "ahead": pending.unlisted,
    }
    files.write(_record(folder, pending.key), json.dumps(values) + "\n")


def remove_pending(folder: Path, key: str) -> None:
    """Remove a record, if there is one: the submission is listed, or never arrived."""
    _record(folder, key).unlink(missing_ok=True)


def read_pending(folder: Path, first_key: str = "") -> list[PendingUpload]:
    """Return the records, sorted by key; none if there is no folder.

    Args:
        folder: Where they lie.
        first_key: Of the file that they are about; empty: of all files.

    Raises:
        ArtifactError: A record is damaged.
    """
    records = [_read_record(path) for path in files.matching_files(folder, f"{first_key}*.json")]
    return sorted(records, key=lambda pending: pending.key)


def _record(folder: Path, key: str) -> Path:
    return folder / f"{key}.json"


def _read_record(path: Path) -> PendingUpload:
    try:
        values = json.loads(path.read_bytes())
        key, time, reference = values["mark"], float(values["time"]), values["reference"]
        unlisted = values["ahead"]
        if not isinstance(key, str) or not re.fullmatch(_KEY, key) or key != path.stem:
            raise ValueError(f"mark {key!r:.60}")
        if not 0 <= time <= LATEST_S:
            raise ValueError(f"time {time}")
        if reference is not None and not whole_number(reference, MAX_REFERENCE):
            raise ValueError(f"reference {reference!r:.60}")
        if type(unlisted) is not int:
            raise ValueError(f"ahead {unlisted!r:.60}")
        return PendingUpload(key, time, reference, unlisted)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise ArtifactError(
            "it is damaged: it no longer says what was sent",
            file=path,
            found=error,
            fix="look at your submissions on Kaggle, then delete this file",
        ) from error
