"""What Kaggle lists of a file, and what came of a submission whose answer was lost.

Kaggle's list may lag behind what it took. What it has not listed after ten minutes counts as
never arrived, unless Kaggle's own count has grown by more than the list; after a day, in any case.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import requests

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.kaggle.api import Submission, SubmissionLimits
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.submission.upload import pending
from darkroom.submission.upload import pending as marks
from darkroom.submission.upload.pending import Note, Parcel

SETTLED_S, CERTAIN_S = 600.0, 86_400.0
_LATER = "it looks first, and sends the file only if it is not there"
Clock = Callable[[], float]


def asked(parcel: Parcel, policy: RetryPolicy) -> list[Submission]:
    """Return what Kaggle lists; raise RemoteError if it cannot be asked."""
    return retry(
        lambda: api.list_submissions(parcel.competition), policy, what="the list of submissions"
    )


def told(parcel: Parcel, policy: RetryPolicy) -> SubmissionLimits:
    """Return what Kaggle counts; raise RemoteError if it cannot be asked.

    To be asked before the list when something is sent, after it when something is settled: what
    arrives in between must not hide what is lost.
    """
    return retry(lambda: api.submission_limits(parcel.competition), policy, what="the tries left")


def ahead(parcel: Parcel, mark: str, total: int | None, every: Collection[Submission]) -> int:
    """Return how many submissions Kaggle counts that it does not list and nobody here sent.

    Args:
        parcel: The file, in whose folder are notes of what was sent.
        mark: Of the submission that is about to be sent.
        total: Kaggle's count.
        every: Kaggle's list.

    Raises:
        ArtifactError: A note is damaged.
    """
    return (total or 0) - _scorable(every) - len(_unlisted(parcel, mark, every))


def _unlisted(parcel: Parcel, mark: str, every: Collection[Submission]) -> list[Note]:
    """Return the notes about other submissions that Kaggle does not list."""
    return [
        note
        for note in pending.read(parcel.folder)
        if note.mark != mark
        and not any(each.ref == note.reference or marks.names(note.mark, each) for each in every)
    ]


def _scorable(every: Iterable[Submission]) -> int:
    return sum(each.status != "error" for each in every)


def glimpse(parcel: Parcel) -> list[Submission]:
    """Return what Kaggle lists now; if it can't be asked, nothing."""
    try:
        return api.list_submissions(parcel.competition)
    except (RemoteError, requests.RequestException):
        return []


def listed(parcel: Parcel, every: Iterable[Submission]) -> dict[str, Submission]:
    """Return the submissions of the file by mark; raise RemoteError if one has no number."""
    found = marks.of(parcel.sha256, every)
    if any(not each.ref for each in found.values()):
        raise RemoteError(
            "Kaggle lists it, but without a number that can be read",
            file=parcel.path,
            details=[api.submissions_url(parcel.competition)],
            fix="run it again later; nothing is sent until it can be read",
        )
    return found


def awaited(
    parcel: Parcel, mark: str, since: float, policy: RetryPolicy, cause: Exception | None = None
) -> Submission:
    """Return a submission as soon as Kaggle lists it; raise RemoteError after the last look.

    Args:
        parcel: The file.
        mark: What the submission is known by.
        since: When it was sent, s since 1970.
        policy: Between looks.
        cause: Why it is looked for.
    """
    for look in range(policy.tries):
        policy.sleep(policy.wait_s(look + 1, None))
        there = listed(parcel, glimpse(parcel)).get(mark)
        if there is not None:
            return there
    late = _local(since + SETTLED_S)
    raise RemoteError(
        "it may or may not have arrived: the answer was lost, and Kaggle does not list it yet",
        file=parcel.path,
        details=[api.submissions_url(parcel.competition)],
        fix=f"run the same command again after {late:%H:%M}: {_LATER}",
    ) from cause


def settled(
    parcel: Parcel,
    note: Note,
    every: Collection[Submission],
    policy: RetryPolicy,
    clock: Clock = time.time,
) -> Submission | None:
    """Return the submission that a note is about, None if it never arrived; raise if unsure.

    Args:
        parcel: The file.
        note: What an earlier run left; Kaggle does not list what it is about.
        every: Kaggle's list.
        policy: Between tries and looks.
        clock: The time, s since 1970.

    Raises:
        RemoteError: It is too early to say, or Kaggle's count says that something has arrived.
    """
    now = clock()
    if now >= note.time + CERTAIN_S:
        return None
    if now >= note.time + SETTLED_S:
        _refuse_more_than_listed(parcel, note, every, policy)
        return None
    if note.time > now + SETTLED_S:  # the clock was set back since
        note = replace(note, time=now)
        pending.write(parcel.folder, note)
    print("an earlier run lost its answer: looking at Kaggle's list", file=sys.stderr, flush=True)
    return awaited(parcel, note.mark, note.time, policy)


def _refuse_more_than_listed(
    parcel: Parcel, note: Note, every: Collection[Submission], policy: RetryPolicy
) -> None:
    total = told(parcel, policy).total
    known = sum(each.reference is not None for each in _unlisted(parcel, note.mark, every))
    if total is not None and total - _scorable(every) - known <= note.ahead:
        return
    raise RemoteError(
        "the answer to an earlier upload was lost, and Kaggle counts a submission that it does not "
        "list: it may be this one",
        file=parcel.path,
        found="a count that cannot be read" if total is None else None,
        details=[api.submissions_url(parcel.competition)],
        fix="run the same command again later, at the latest after "
        f"{_local(note.time + CERTAIN_S):%Y-%m-%d %H:%M}: {_LATER}",
    )


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).astimezone()


FIRST_S, LONGEST_S = 5.0, 60.0
PATIENCE_S = 1800.0


def scored(competition: str, reference: int, *, policy: RetryPolicy) -> Submission | None:
    """Return a submission once it is scored or refused by the scorer; None after half an hour.

    Raises:
        RemoteError: Kaggle refused, or could not be reached for too long.
    """
    for pause in _pauses():
        every = retry(lambda: api.list_submissions(competition), policy, what="the score")
        there = next((each for each in every if each.ref == reference), None)
        if there is not None and there.status != "pending":
            return there
        policy.sleep(pause)
    return None


def _pauses() -> Iterator[float]:
    """Yield pauses, s, that grow by half and together last the patience."""
    pause, left = FIRST_S, PATIENCE_S
    while left > 0:
        yield min(pause, left)
        left -= pause
        pause = min(pause * 1.5, LONGEST_S)
