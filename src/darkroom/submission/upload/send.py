"""One file, one submission: what Kaggle lists is asked before anything is sent.

A submission is known by the mark in its file name and description, and a file whose mark is
listed is not sent again. CreateSubmission has no key against being sent twice, so when its answer
is lost only the list, which may lag, and the count of all submissions can tell: a note on disk,
written right before the call, keeps the next run from sending until that is settled. The list is
asked once more right before the call, for another clone of the project: only two that call within
the moment between that question and Kaggle's listing of the first both send.
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
from darkroom.submission.upload import pending, reconcile
from darkroom.submission.upload import pending as marks
from darkroom.submission.upload.pending import Note, Parcel
from darkroom.submission.upload.reconcile import Clock

FRESH_ADDRESSES = 2  # for an upload that the storage refuses


@dataclass(frozen=True)
class Found:
    """What is known of a file.

    Attributes:
        mark: Of the submission that is there, "" if nothing tells it; or of the one to send.
        reference: Kaggle's number of the one that is there; None: to be sent.
        submission: As Kaggle lists it; None as well if its list lags.
        is_new: Whether this run sent it.
    """

    mark: str
    reference: int | None = None
    submission: Submission | None = None
    is_new: bool = False


class _AppearedError(RemoteError):
    """Another run has submitted the file since it was looked for."""

    def __init__(self, submission: Submission) -> None:
        super().__init__("another run has submitted it")
        self.submission = submission


def find(
    parcel: Parcel,
    *,
    another: bool,
    policy: RetryPolicy,
    recorded: Collection[int] = (),
    clock: Clock = time.time,
) -> Found:
    """Return whether a file has been submitted, by Kaggle's list, notes of earlier runs or records.

    Args:
        parcel: The file.
        another: Whether a further submission is wanted of a file that has one; one whose outcome
            is not known is settled first.
        policy: Between tries and looks.
        recorded: References of its submissions that are known of, whatever the list says.
        clock: The time, s since 1970.

    Raises:
        RemoteError: Kaggle refused or can't be reached; or an earlier run's answer was lost, and
            it is too early to say that nothing arrived.
        ArtifactError: A note is damaged.
    """
    every = reconcile.asked(parcel, policy)
    listed, entries = reconcile.listed(parcel, every), {each.ref: each for each in every}
    known = dict.fromkeys(recorded, "")  # marks by reference
    for note in pending.read(parcel.folder, marks.stem(parcel.sha256)):
        if note.reference is None:
            there = listed.get(note.mark) or reconcile.settled(parcel, note, every, policy, clock)
            pending.clear(parcel.folder, note.mark)
            if there is not None:
                return Found(note.mark, there.ref, there)
        else:
            known[note.reference] = note.mark
            if note.reference in entries:
                pending.clear(parcel.folder, note.mark)
    known |= {each.ref: mark for mark, each in listed.items()}
    if known and not another:
        newest = max(known)
        return Found(known[newest], newest, entries.get(newest))
    return Found(marks.following(parcel.sha256, known.values()))


def send(
    parcel: Parcel,
    mark: str,
    message: str,
    *,
    policy: RetryPolicy,
    clock: Clock = time.time,
    progress: bool = False,
) -> Found:
    """Upload a file and submit it, once; return it as accepted, or as another run submitted it.

    An upload that was cut is begun anew. CreateSubmission is never repeated after an answer that
    does not say what came of it: then Kaggle's list is looked at, several times.

    Args:
        parcel: The file.
        mark: What the submission is to be known by.
        message: What Kaggle shows beside it.
        policy: Between tries and looks.
        clock: The time, s since 1970.
        progress: Whether to draw a progress bar on stderr.

    Raises:
        RemoteError: Kaggle refused, the tries ran out, or the outcome is not known.
        ArtifactError: The file is no longer the one that was checked.
    """
    with staged(parcel.path, parcel.sha256, mark, parcel.folder / "staged") as path:
        submit = partial(
            api.submit,
            parcel.competition,
            path,
            marks.description(mark, message),
            progress=progress,
            before_create=partial(_look_and_leave_note, parcel, mark, policy, clock),
        )
        try:
            reference = retry(_attempts(parcel, mark, submit), policy, what=path.name)
        except _AppearedError as error:
            return Found(mark, error.submission.ref, error.submission)
        except UnknownOutcomeError as error:
            print("the answer was lost: looking at Kaggle's list", file=sys.stderr, flush=True)
            there = reconcile.awaited(parcel, mark, clock(), policy, error)
            pending.clear(parcel.folder, mark)
            return Found(mark, there.ref, there, is_new=True)
    pending.write(parcel.folder, Note(mark, clock(), reference))
    seen = next((each for each in reconcile.glimpse(parcel) if each.ref == reference), None)
    if seen is not None:
        pending.clear(parcel.folder, mark)
    return Found(mark, reference, seen, is_new=True)


def _look_and_leave_note(parcel: Parcel, mark: str, policy: RetryPolicy, clock: Clock) -> None:
    total = reconcile.told(parcel, policy).total
    every = reconcile.asked(parcel, policy)
    if (there := reconcile.listed(parcel, every).get(mark)) is not None:
        raise _AppearedError(there)
    ahead = reconcile.ahead(parcel, mark, total, every)
    pending.write(parcel.folder, Note(mark, clock(), ahead=ahead))


def _attempts(parcel: Parcel, mark: str, submit: Callable[[], int]) -> Callable[[], int]:
    """Return what tries once and returns Kaggle's reference.

    Of what was refused for certain no note stays.
    """
    refused = 0

    def attempt() -> int:
        nonlocal refused
        try:
            return submit()
        except UnknownOutcomeError:
            raise
        except UploadRefusedError as error:
            refused += 1
            if refused <= FRESH_ADDRESSES:
                raise
            raise RemoteError(
                "the storage behind Kaggle refuses the file",
                file=parcel.path,
                found=str(error),
                fix="run it again later; nothing was submitted",
            ) from None
        except (RemoteError, requests.RequestException):
            pending.clear(parcel.folder, mark)
            raise

    return attempt


@contextmanager
def staged(file: Path, sha256: str, mark: str, folder: Path) -> Iterator[Path]:
    """Yield a file under a name with its mark, its bytes those that were checked.

    Args:
        file: What is to be sent; a link to it will do.
        sha256: What was checked.
        mark: Of the submission.
        folder: Where the file stands under that name; emptied before and removed after.

    Raises:
        ArtifactError: The file is no longer the one that was checked.
    """
    name, dot, rest = file.name.partition(".")
    shutil.rmtree(folder, ignore_errors=True)  # a killed run's
    folder.mkdir(parents=True)
    try:
        path = folder / f"{name}-{mark}{dot}{rest}"
        try:
            path.hardlink_to(file.resolve())
        except OSError:  # not every file system links
            shutil.copyfile(file, path)
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != sha256:
            raise ArtifactError(
                "it changed while it was checked",
                file=file,
                found=f"sha256 {found}",
                expected=f"sha256 {sha256}",
                fix="run the command again",
            )
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)
