"""Which of Kaggle's submissions are of a file: those with its mark in file name or description."""

import re
from collections.abc import Collection, Iterable

from darkroom.kaggle import Submission

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
