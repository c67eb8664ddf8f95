"""submit: a checked submission, or a notebook -> Kaggle, exactly once, and a row of the history."""

import sys
from dataclasses import replace
from datetime import UTC, datetime

from darkroom.cli import bundle
from darkroom.cli.preflight import checks
from darkroom.cli.preflight.checks import SubmissionFile
from darkroom.errors import ParamsError, RemoteError
from darkroom.remote.kaggle import api
from darkroom.remote.kaggle.api import Submission, SubmissionLimits
from darkroom.remote.kaggle.responses import UNKNOWN_DATE
from darkroom.remote.retry import RetryPolicy
from darkroom.stages._context import Context
from darkroom.submission.history.file import (
    HistoryRow,
    append_row,
    read_history,
    require_writable,
    update_scores,
)
from darkroom.submission.upload.idempotency import Upload, lock, message_of
from darkroom.submission.upload.notebook import Notebook, send_notebook
from darkroom.submission.upload.reconcile import count_submissions
from darkroom.submission.upload.send import (
    UploadState,
    find_submission,
    send_submission,
    wait_for_score,
)

RETRY_POLICY = RetryPolicy()


def run(
    context: Context,
    message: str,
    wait: bool = False,
    dry_run: bool = False,
    again: bool = False,
    uncommitted: bool = False,
    notebook: bool = False,
) -> None:
    """Submit a competition's file or notebook unless Kaggle has it already, and record it.

    Args:
        context: The competition.
        message: What Kaggle shows beside the submission.
        wait: Whether to wait for the score.
        dry_run: Whether to stop before anything is sent or recorded.
        again: Whether to submit a file again that has been submitted.
        uncommitted: Whether to accept a file that the committed parameters do not reproduce.
        notebook: Whether to push a notebook, wait until it has run, and submit that.

    Raises:
        ParamsError: There is no competition to submit to, or something is not committed.
        ArtifactError: The file or the history is damaged or out of date.
        RemoteError: Kaggle refused, could not be reached, or could not score the file.
        ResourceError: Another run is submitting to this competition, or the disk is full.
    """
    if not message.strip():
        raise ParamsError("the message is empty", fix='say what is new: -m "512 px, 5 folds"')
    if notebook:
        with bundle.prepared(context, RETRY_POLICY, uncommitted=uncommitted) as (file, kernel):
            state = _submit(file, kernel, message, dry_run=dry_run, again=again)
    else:
        file = checks.verify_submission(context, uncommitted=uncommitted)
        state = _submit(file, None, message, dry_run=dry_run, again=again)
    if state is not None:
        _report_score(file, state, wait=wait)


def _submit(
    file: SubmissionFile, notebook: Notebook | None, message: str, *, dry_run: bool, again: bool
) -> UploadState | None:
    """Submit what is not submitted yet, and record it; return its state, None of a dry run."""
    name = file.paths.name
    folder = file.paths.submission.with_name(f".{file.competition}.sending")
    path = notebook.kernel.parent if notebook else file.paths.submission
    upload = Upload(file.competition, path, file.sha256, folder)
    with lock(upload):
        recorded = _recorded_references(file)  # raises for a damaged history before the upload
        state = find_submission(upload, resend=again, policy=RETRY_POLICY, recorded=recorded)
        remaining = _read_remaining(upload) if state.reference is None else None
        print(_format_facts(file, remaining), flush=True)
        if dry_run:
            print(f"{name}: dry run: {_format_plan(state)}")
            return None
        row = _history_row(file, replace(state, reference=1), message)
        require_writable(row, file.paths.submissions_history)
        if state.reference is None and notebook:
            state = send_notebook(upload, state.key, message, notebook, policy=RETRY_POLICY)
        elif state.reference is None:
            is_watched = sys.stderr is not None and sys.stderr.isatty()
            state = send_submission(
                upload, state.key, message, policy=RETRY_POLICY, progress=is_watched
            )
        _record(file, state, message)  # before printing: a closed pipe must not lose the row
        print(f"{name}: {_format_outcome(state)}", flush=True)
    return state


def _recorded_references(file: SubmissionFile) -> list[int]:
    """Return the references of this file in this competition, from the history."""
    return [
        row.reference
        for row in read_history(file.paths.submissions_history)
        if row.sha256 == file.sha256 and row.name in file.sections
    ]


def _read_remaining(upload: Upload) -> SubmissionLimits:
    """Return Kaggle's count of the tries left; print a warning if there are none.

    The upload goes on: Kaggle reports two zeros before the first submission of a team, and a
    refusal costs only time.
    """
    remaining = count_submissions(upload, RETRY_POLICY)
    if remaining.today > 0 and remaining.allowed == 0:
        print("by Kaggle's count no tries are left today: it may refuse", file=sys.stderr)
    return remaining


def _format_facts(file: SubmissionFile, remaining: SubmissionLimits | None) -> str:
    commit = file.commit
    dirty = " and uncommitted changes" if commit and commit.changed else ""
    local = "unknown" if file.local is None else f"{file.metric} {file.local:.4f}"
    lines = {
        "to": api.page_url(file.competition),
        "rows": f"{file.rows:,}" if file.rows else "",
        "size": f"{file.size / 1e6:,.1f} MB" if file.size > 1e6 else f"{file.size:,} bytes",
        "sha256": file.sha256[:12],
        "fingerprint": file.fingerprint[:12],
        "commit": f"{commit.sha[:12]}{dirty}" if commit else "none",
        "local score": local,
    }
    if remaining is not None:
        lines["tries today"] = f"{remaining.today} used, {remaining.allowed} left"
    return "\n".join(f"  {name:<11}  {value}" for name, value in lines.items() if value)


def _format_plan(state: UploadState) -> str:
    if state.reference is not None:
        return _format_outcome(state)
    return "nothing was sent; without --dry-run it would be submitted"


def _format_outcome(state: UploadState) -> str:
    if state.is_new:
        lag = "" if state.submission else "; Kaggle's list does not show it yet"
        return f"submitted: reference {state.reference}{lag}"
    listed = state.submission
    when = f" at {listed.date:%Y-%m-%d %H:%M} UTC" if listed and listed.date > UNKNOWN_DATE else ""
    return (
        f"nothing was sent: this file was submitted{when}, reference {state.reference}; "
        "--again submits it once more"
    )


def _record(file: SubmissionFile, state: UploadState, message: str) -> None:
    """Add a submission to the history, or update its scores if it is there."""
    row = _history_row(file, state, message)
    if not append_row(file.paths.submissions_history, row) and state.submission:
        _update_scores(file, state.submission)


def _history_row(file: SubmissionFile, state: UploadState, message: str) -> HistoryRow:
    listed = state.submission
    assert state.reference is not None
    return HistoryRow(
        time=listed.date if listed and listed.date > UNKNOWN_DATE else datetime.now(UTC),
        name=file.paths.name,
        sha256=file.sha256,
        fingerprint=file.fingerprint,
        commit=str(file.commit or ""),
        metric=file.metric,
        local=file.local,
        message=message_of(listed) if listed else message,
        reference=state.reference,
        status=listed.status if listed else "pending",
        public=listed.public if listed else None,
        private=listed.private if listed else None,
    )


def _update_scores(file: SubmissionFile, submission: Submission) -> None:
    update_scores(file.paths.submissions_history, {submission.ref: submission})


def _report_score(file: SubmissionFile, state: UploadState, *, wait: bool) -> None:
    """Print the score, after waiting for it if `wait` is set."""
    name, submission = file.paths.name, state.submission
    assert state.reference is not None
    if wait and (submission is None or submission.status == "pending"):
        print("waiting for the score; Ctrl-C loses nothing", file=sys.stderr, flush=True)
        submission = wait_for_score(file.competition, state.reference, policy=RETRY_POLICY)
        if submission is not None:
            _update_scores(file, submission)
    if submission is None or submission.status == "pending":
        late = "it is not scored after half an hour; " if wait else ""
        print(f"{name}: {late}`darkroom history {name}` asks for the score")
    elif submission.status == "error":
        raise RemoteError(
            "Kaggle could not score the submission",
            found=submission.error or "no reason given",
            fix=f"see {api.submissions_url(file.competition)}",
        )
    else:
        leaderboards = (("public", submission.public), ("private", submission.private))
        scores = [f"{board} {score}" for board, score in leaderboards if score is not None]
        print(f"{name}: scored: {', '.join(scores) or 'Kaggle does not show it yet'}")
