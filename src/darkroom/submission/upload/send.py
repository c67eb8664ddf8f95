"""Submit a file exactly once: find it, send it if it is not there, wait for its score.

1. `find_submission` asks Kaggle's list, the records of earlier runs and the history. A file whose
   key is there is not sent again.
2. `send_submission` uploads the file and calls CreateSubmission, which is never repeated after an
   unknown outcome. A record on disk, written right before the call, keeps the next run from
   sending until the outcome is reconciled. The list is read once more right before the call, for
   another clone of the project: both send only if the other's call falls between this reading and
   the moment when Kaggle lists the first.
3. `wait_for_score` polls the list until Kaggle has scored the submission.
"""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests

from darkroom.errors import ArtifactError, RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.kaggle.api import Submission, UnknownOutcomeError, UploadRefusedError
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.submission.upload.idempotency import (
    PendingUpload,
    Upload,
    description_of,
    first_key,
    next_key,
    read_pending,
    remove_pending,
    save_pending,
)
from darkroom.submission.upload.reconcile import (
    Clock,
    count_submissions,
    count_unlisted,
    list_once,
    list_submissions,
    listed_by_key,
    reconcile,
    wait_until_listed,
)

REFUSED_UPLOADS = 2  # retried with a new address, when the storage refuses the file
FIRST_PAUSE_S, LONGEST_PAUSE_S, PATIENCE_S = 5.0, 60.0, 1800.0


@dataclass(frozen=True)
class UploadState:
    """Whether a file has been submitted.

    Attributes:
        key: Of the submission that is there, "" if it is not known; or of the one to send.
        reference: Kaggle's number of the one that is there; None: it is to be sent.
        submission: As Kaggle lists it; None as well if its list lags.
        is_new: Whether this run sent it.
    """

    key: str
    reference: int | None = None
    submission: Submission | None = None
    is_new: bool = False


class _SentByAnotherRunError(RemoteError):
    """Another run has submitted the file since it was looked for."""

    def __init__(self, submission: Submission) -> None:
        super().__init__("another run has submitted it")
        self.submission = submission


def find_submission(
    upload: Upload,
    *,
    resend: bool,
    policy: RetryPolicy,
    recorded: Collection[int] = (),
    clock: Clock = time.time,
) -> UploadState:
    """Return whether a file has been submitted, by Kaggle's list, earlier runs or the history.

    Args:
        upload: The file.
        resend: Whether to submit a file again that has been submitted; a submission whose
            outcome is unknown is reconciled first.
        policy: Between tries.
        recorded: References of its submissions in the history, whatever the list says.
        clock: The time, s since 1970.

    Raises:
        RemoteError: Kaggle refused or could not be reached; or the answer to an earlier run was
            lost, and it is too early to say that nothing arrived.
        ArtifactError: A record is damaged.
    """
    submissions = list_submissions(upload, policy)
    listed = listed_by_key(upload, submissions)
    by_reference = {submission.ref: submission for submission in submissions}
    keys = dict.fromkeys(recorded, "")  # by reference
    for pending in read_pending(upload.folder, first_key(upload.sha256)):
        if pending.reference is None:
            submission = listed.get(pending.key) or reconcile(
                upload, pending, submissions, policy, clock
            )
            remove_pending(upload.folder, pending.key)
            if submission is not None:
                return UploadState(pending.key, submission.ref, submission)
        else:
            keys[pending.reference] = pending.key
            if pending.reference in by_reference:
                remove_pending(upload.folder, pending.key)
    keys |= {submission.ref: key for key, submission in listed.items()}
    if keys and not resend:
        newest = max(keys)
        return UploadState(keys[newest], newest, by_reference.get(newest))
    return UploadState(next_key(upload.sha256, keys.values()))


def send_submission(
    upload: Upload,
    key: str,
    message: str,
    *,
    policy: RetryPolicy,
    clock: Clock = time.time,
    progress: bool = False,
) -> UploadState:
    """Upload a file and submit it, once; return it as accepted, or as another run submitted it.

    An interrupted upload starts again. CreateSubmission is not repeated after an answer that does
    not say whether it was accepted: then Kaggle's list is read, several times.

    Args:
        upload: The file.
        key: Of the submission.
        message: What Kaggle shows beside it.
        policy: Between tries.
        clock: The time, s since 1970.
        progress: Whether to draw a progress bar on stderr.

    Raises:
        RemoteError: Kaggle refused, the tries ran out, or the outcome is not known.
        ArtifactError: The file is no longer the one that was checked.
    """
    with staged(upload, key) as path:
        submit = partial(
            api.submit, upload.competition, path, description_of(key, message), progress=progress
        )
        return send_once(upload, key, submit, policy=policy, clock=clock)


def send_once(
    upload: Upload,
    key: str,
    submit: Callable[..., int],
    *,
    policy: RetryPolicy,
    clock: Clock = time.time,
) -> UploadState:
    """Call a function that submits, and reconcile a lost answer; see `send_submission`.

    Args:
        upload: What is submitted.
        key: Of the submission.
        submit: Sends it once and returns Kaggle's reference; it takes `before_create`.
        policy: Between tries.
        clock: The time, s since 1970.
    """
    before_create = partial(_save_before_create, upload, key, policy, clock)
    attempt = _attempt(upload, key, partial(submit, before_create=before_create))
    try:
        reference = retry(attempt, policy, what=upload.path.name)
    except _SentByAnotherRunError as error:
        return UploadState(key, error.submission.ref, error.submission)
    except UnknownOutcomeError as error:
        print("the answer was lost: looking at Kaggle's list", file=sys.stderr, flush=True)
        submission = wait_until_listed(upload, key, clock(), policy, error)
        remove_pending(upload.folder, key)
        return UploadState(key, submission.ref, submission, is_new=True)
    save_pending(upload.folder, PendingUpload(key, clock(), reference))
    listed = next((each for each in list_once(upload) if each.ref == reference), None)
    if listed is not None:
        remove_pending(upload.folder, key)
    return UploadState(key, reference, listed, is_new=True)


def _save_before_create(upload: Upload, key: str, policy: RetryPolicy, clock: Clock) -> None:
    """Write the record of an upload, unless another run has submitted the file meanwhile."""
    total = count_submissions(upload, policy).total
    submissions = list_submissions(upload, policy)
    if (submission := listed_by_key(upload, submissions).get(key)) is not None:
        raise _SentByAnotherRunError(submission)
    unlisted = count_unlisted(upload, key, total, submissions)
    save_pending(upload.folder, PendingUpload(key, clock(), unlisted=unlisted))


def _attempt(upload: Upload, key: str, submit: Callable[[], int]) -> Callable[[], int]:
    """Return a function that submits once, for retries; it returns Kaggle's reference.

    The record is removed after a certain refusal, and kept after an unknown outcome.
    """
    refusals = 0

    def attempt() -> int:
        nonlocal refusals
        try:
            return submit()
        except UnknownOutcomeError:
            raise
        except UploadRefusedError as error:
            refusals += 1
            if refusals <= REFUSED_UPLOADS:
                raise
            raise RemoteError(
                "the storage behind Kaggle refuses the file",
                file=upload.path,
                found=str(error),
                fix="run it again later; nothing was submitted",
            ) from None
        except (RemoteError, requests.RequestException):
            remove_pending(upload.folder, key)
            raise

    return attempt


@contextmanager
def staged(upload: Upload, key: str) -> Iterator[Path]:
    """Yield the file under a name with its key, after checking that its bytes are the same.

    Raises:
        ArtifactError: The file is no longer the one that was checked.
    """
    folder = upload.folder / "staged"
    stem, dot, suffix = upload.path.name.partition(".")
    shutil.rmtree(folder, ignore_errors=True)  # of a killed run
    folder.mkdir(parents=True)
    try:
        path = folder / f"{stem}-{key}{dot}{suffix}"
        try:
            path.hardlink_to(upload.path.resolve())
        except OSError:  # not every file system has links
            shutil.copyfile(upload.path, path)
        with path.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 != upload.sha256:
            raise ArtifactError(
                "it changed while it was checked",
                file=upload.path,
                found=f"sha256 {sha256}",
                expected=f"sha256 {upload.sha256}",
                fix="run the command again",
            )
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_score(competition: str, reference: int, *, policy: RetryPolicy) -> Submission | None:
    """Return a submission once it is scored or failed; None after half an hour.

    Raises:
        RemoteError: Kaggle refused, or could not be reached for too long.
    """
    for pause_s in pauses(PATIENCE_S):
        submissions = retry(lambda: api.list_submissions(competition), policy, what="the score")
        submission = next((each for each in submissions if each.ref == reference), None)
        if submission is not None and submission.status != "pending":
            return submission
        policy.sleep(pause_s)
    return None


def pauses(patience_s: float) -> Iterator[float]:
    """Yield pauses, s, that grow by half and add up to the patience."""
    pause_s, left_s = FIRST_PAUSE_S, patience_s
    while left_s > 0:
        yield min(pause_s, left_s)
        left_s -= pause_s
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)
