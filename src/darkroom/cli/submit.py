"""submit: a checked submission -> Kaggle, once, and a row of the history."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

from darkroom.cli import preflight
from darkroom.cli.preflight import Candidate
from darkroom.errors import ParamsError, RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.kaggle.api import Submission, SubmissionLimits
from darkroom.remote.kaggle.responses import UNKNOWN_DATE
from darkroom.remote.retry import RetryPolicy
from darkroom.stages._context import Context
from darkroom.submission.history import file
from darkroom.submission.history.file import Row
from darkroom.submission.upload import pending, reconcile, send
from darkroom.submission.upload import reconcile as scores
from darkroom.submission.upload.pending import Parcel, alone
from darkroom.submission.upload.send import Found

RETRY_POLICY = RetryPolicy()


def run(
    context: Context,
    message: str,
    wait: bool = False,
    dry_run: bool = False,
    again: bool = False,
    uncommitted: bool = False,
) -> None:
    """Submit a competition's file unless Kaggle has it already, and record it.

    Args:
        context: The competition.
        message: What Kaggle shows beside the submission.
        wait: Whether to stay until it is scored.
        dry_run: Whether to look and tell, but send and record nothing.
        again: Whether to send a file once more that has been submitted.
        uncommitted: Whether the file may be another than the committed parameters make.

    Raises:
        ParamsError: There is no competition to submit to, or something is not committed.
        ArtifactError: The file, or the history, is at fault.
        RemoteError: Kaggle refused, could not be reached, or could not score the file.
        ResourceError: Another run submits this competition, or the disk is full.
    """
    if not message.strip():
        raise ParamsError("the message is empty", fix='say what is new: -m "512 px, 5 folds"')
    name = context.name
    made = preflight.read(context, uncommitted=uncommitted)
    folder = made.paths.submission.with_name(f".{made.competition}.sending")
    here = made.paths.submissions_history
    parcel = Parcel(made.competition, made.paths.submission, made.sha256, folder)
    with alone(parcel):
        recorded = _recorded(made)  # a damaged history stops us before, not after
        found = send.find(parcel, another=again, policy=RETRY_POLICY, recorded=recorded)
        left = _asked(parcel) if found.reference is None else None
        print(_facts(made, left), flush=True)
        if dry_run:
            print(f"{name}: {_would(found)}")
            return
        file.refuse(_row(made, replace(found, reference=1), message), here)
        sent = _sent(parcel, found, message) if found.reference is None else found
        _record(made, sent, message)  # before a word: nobody may be there to hear it
        print(f"{name}: {_outcome(sent)}", flush=True)
    _follow(made, sent, wait=wait)


def _recorded(made: Candidate) -> list[int]:
    """Return the references that the history has of this file in this competition."""
    return [
        row.reference
        for row in file.read(made.paths.submissions_history)
        if row.sha256 == made.sha256 and row.name in made.sections
    ]


def _asked(parcel: Parcel) -> SubmissionLimits:
    """Return what Kaggle tells of the tries; if there are none, say so: it is Kaggle's to refuse.

    It tells two zeros to who has no team yet, and a refusal costs nothing but the time.
    """
    left = reconcile.told(parcel, RETRY_POLICY)
    if left.today > 0 and left.allowed == 0:
        print("by Kaggle's count no tries are left now: it may refuse", file=sys.stderr)
    return left


def _sent(parcel: Parcel, found: Found, message: str) -> Found:
    is_watched = sys.stderr is not None and sys.stderr.isatty()
    return send.send(parcel, found.mark, message, policy=RETRY_POLICY, progress=is_watched)


def _facts(made: Candidate, left: SubmissionLimits | None) -> str:
    commit = made.commit
    dirty = " and uncommitted changes" if commit and commit.changed else ""
    local = "unknown" if made.local is None else f"{made.metric} {made.local:.4f}"
    lines = {
        "to": api.page_url(made.competition),
        "rows": f"{made.rows:,}",
        "size": f"{made.size / 1e6:,.1f} MB" if made.size > 1e6 else f"{made.size:,} bytes",
        "sha256": made.sha256[:12],
        "fingerprint": made.fingerprint[:12],
        "commit": f"{commit.sha[:12]}{dirty}" if commit else "none",
        "local score": local,
    }
    if left is not None:
        lines["tries today"] = f"{left.today} used, {left.allowed} left"
    return "\n".join(f"  {what:<11}  {value}" for what, value in lines.items())


def _would(found: Found) -> str:
    if found.reference is not None:
        return f"dry run: {_outcome(found)}"
    return "dry run: nothing was sent; without --dry-run it would be submitted"


def _outcome(sent: Found) -> str:
    if sent.is_new:
        lag = "" if sent.submission else "; Kaggle's list does not show it yet"
        return f"submitted: reference {sent.reference}{lag}"
    listed = sent.submission
    when = f" at {listed.date:%Y-%m-%d %H:%M} UTC" if listed and listed.date > UNKNOWN_DATE else ""
    return (
        f"nothing was sent: this file was submitted{when}, reference {sent.reference}; "
        "--again submits it once more"
    )


def _record(made: Candidate, sent: Found, message: str) -> None:
    """Add the row of a submission, unless it is there."""
    row = _row(made, sent, message)
    if not file.append(made.paths.submissions_history, row) and sent.submission:
        _update(made, sent.submission)


def _row(made: Candidate, sent: Found, message: str) -> Row:
    listed = sent.submission
    assert sent.reference is not None
    return Row(
        time=listed.date if listed and listed.date > UNKNOWN_DATE else datetime.now(UTC),
        name=made.paths.name,
        sha256=made.sha256,
        fingerprint=made.fingerprint,
        commit=str(made.commit or ""),
        metric=made.metric,
        local=made.local,
        message=pending.message(listed) if listed else message,
        reference=sent.reference,
        status=listed.status if listed else "pending",
        public=listed.public if listed else None,
        private=listed.private if listed else None,
    )


def _update(made: Candidate, submission: Submission) -> None:
    file.update(made.paths.submissions_history, {submission.ref: submission})


def _follow(made: Candidate, sent: Found, *, wait: bool) -> None:
    """Tell the score if it is there, or is waited for."""
    name, now = made.paths.name, sent.submission
    assert sent.reference is not None
    if wait and (now is None or now.status == "pending"):
        print("waiting for the score; Ctrl-C loses nothing", file=sys.stderr, flush=True)
        now = scores.scored(made.competition, sent.reference, policy=RETRY_POLICY)
        if now is not None:
            _update(made, now)
    if now is None or now.status == "pending":
        late = "it is not scored after half an hour; " if wait else ""
        print(f"{name}: {late}`darkroom history {name}` asks for the score")
    elif now.status == "error":
        raise RemoteError(
            "Kaggle could not score the submission",
            found=now.error or "no reason given",
            fix=f"see {api.submissions_url(made.competition)}",
        )
    else:
        sides = (("public", now.public), ("private", now.private))
        known = [f"{side} {value}" for side, value in sides if value is not None]
        print(f"{name}: scored: {', '.join(known) or 'Kaggle does not show it yet'}")
