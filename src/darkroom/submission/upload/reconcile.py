"""Reconcile a pending upload, whose answer was lost, with what Kaggle lists and counts.

Kaggle's list may lag behind what it has accepted. A submission that is not listed after ten
minutes counts as lost, unless Kaggle's own count has grown by more than the list; after a day,
in any case.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import UTC, datetime

import requests

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.kaggle.api import Submission, SubmissionLimits
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.submission.upload.idempotency import (
    PendingUpload,
    Upload,
    is_named_with,
    read_pending,
    save_pending,
    submissions_by_key,
)

SETTLED_S, CERTAIN_S = 600.0, 86_400.0
_RERUN = "the file is sent only if Kaggle does not list it"
Clock = Callable[[], float]


def list_submissions(upload: Upload, policy: RetryPolicy) -> list[Submission]:
    """Return Kaggle's list, with retries; raise RemoteError if there is no answer."""
    return retry(
        lambda: api.list_submissions(upload.competition), policy, what="the list of submissions"
    )


def list_once(upload: Upload) -> list[Submission]:
    """Return Kaggle's list, without retries; an empty list if there is no answer."""
    try:
        return api.list_submissions(upload.competition)
    except (RemoteError, requests.RequestException):
        return []


def count_submissions(upload: Upload, policy: RetryPolicy) -> SubmissionLimits:
    """Return Kaggle's counts, with retries; raise RemoteError if there is no answer.

    Before an upload, count first and list second; to reconcile, list first and count second.
    Otherwise a submission that arrives between the two requests could hide one that is lost.
    """
    return retry(lambda: api.submission_limits(upload.competition), policy, what="the tries left")


def listed_by_key(upload: Upload, submissions: Iterable[Submission]) -> dict[str, Submission]:
    """Return the file's submissions by key; raise RemoteError if one has no reference."""
    by_key = submissions_by_key(upload.sha256, submissions)
    if any(not submission.ref for submission in by_key.values()):
        raise RemoteError(
            "Kaggle lists it, but without a number that can be read",
            file=upload.path,
            details=[api.submissions_url(upload.competition)],
            fix="run it again later; nothing is sent until it can be read",
        )
    return by_key


def count_unlisted(
    upload: Upload, key: str, total: int | None, submissions: Collection[Submission]
) -> int:
    """Return how many submissions Kaggle counts that are neither listed nor have a record.

    Args:
        upload: The file, in whose folder the records are.
        key: Of the submission that is about to be sent.
        total: Kaggle's count.
        submissions: Kaggle's list.

    Raises:
        ArtifactError: A record is damaged.
    """
    return (total or 0) - _counted(submissions) - len(_unlisted_records(upload, key, submissions))


def _counted(submissions: Iterable[Submission]) -> int:
    """Return how many listed submissions are in Kaggle's count: it leaves out failed ones."""
    return sum(submission.status != "error" for submission in submissions)


def _unlisted_records(
    upload: Upload, key: str, submissions: Collection[Submission]
) -> list[PendingUpload]:
    """Return the records of other submissions that Kaggle does not list."""
    return [
        pending
        for pending in read_pending(upload.folder)
        if pending.key != key
        and not any(
            submission.ref == pending.reference or is_named_with(pending.key, submission)
            for submission in submissions
        )
    ]


def wait_until_listed(
    upload: Upload, key: str, sent_s: float, policy: RetryPolicy, cause: Exception | None = None
) -> Submission:
    """Return a submission as soon as Kaggle lists it; raise RemoteError after the last try.

    Args:
        upload: The file.
        key: Of the submission.
        sent_s: When it was sent, s since 1970.
        policy: Between tries.
        cause: Why the answer to the upload is unknown.
    """
    for attempt in range(policy.tries):
        policy.sleep(policy.wait_s(attempt + 1, None))
        submission = listed_by_key(upload, list_once(upload)).get(key)
        if submission is not None:
            return submission
    settled = _local_time(sent_s + SETTLED_S)
    raise RemoteError(
        "it may or may not have arrived: the answer was lost, and Kaggle does not list it yet",
        file=upload.path,
        details=[api.submissions_url(upload.competition)],
        fix=f"run the same command again after {settled:%H:%M}: {_RERUN}",
    ) from cause


def reconcile(
    upload: Upload,
    pending: PendingUpload,
    submissions: Collection[Submission],
    policy: RetryPolicy,
    clock: Clock = time.time,
) -> Submission | None:
    """Return the submission of a pending upload, or None if it never arrived.

    Args:
        upload: The file.
        pending: The record of an earlier run; Kaggle does not list its key.
        submissions: Kaggle's list.
        policy: Between tries.
        clock: The time, s since 1970.

    Raises:
        RemoteError: It is too early to decide, or Kaggle's count says that something arrived.
    """
    now = clock()
    if now >= pending.time + CERTAIN_S:
        return None
    if now >= pending.time + SETTLED_S:
        _require_no_more_than_listed(upload, pending, submissions, policy)
        return None
    if pending.time > now + SETTLED_S:  # the clock was set back since
        pending = replace(pending, time=now)
        save_pending(upload.folder, pending)
    print(
        "the answer to an earlier run was lost: looking at Kaggle's list",
        file=sys.stderr,
        flush=True,
    )
    return wait_until_listed(upload, pending.key, pending.time, policy)


def _require_no_more_than_listed(
    upload: Upload, pending: PendingUpload, submissions: Collection[Submission], policy: RetryPolicy
) -> None:
    """Raise RemoteError if Kaggle's count has grown by more than its list since the upload."""
    total = count_submissions(upload, policy).total
    records = _unlisted_records(upload, pending.key, submissions)
    accepted = sum(record.reference is not None for record in records)
    if total is not None and total - _counted(submissions) - accepted <= pending.unlisted:
        return
    raise RemoteError(
        "the answer to an earlier upload was lost, and Kaggle counts a submission that it does not "
        "list: it may be this one",
        file=upload.path,
        found="a count that cannot be read" if total is None else None,
        details=[api.submissions_url(upload.competition)],
        fix="run the same command again later, at the latest after "
        f"{_local_time(pending.time + CERTAIN_S):%Y-%m-%d %H:%M}: {_RERUN}",
    )


def _local_time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).astimezone()
