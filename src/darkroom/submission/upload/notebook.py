"""Submit a notebook exactly once: push its data set and itself, wait for its run, submit that.

What was pushed is recorded in the competition's folder: another run of the command goes on.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from darkroom.errors import RemoteError
from darkroom.project import files
from darkroom.remote.kaggle import notebooks
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.submission.upload.idempotency import Upload, description_of
from darkroom.submission.upload.send import UploadState, pauses, send_once

RUN_PATIENCE_S = 13 * 3600.0  # Kaggle ends a session after 12 hours
START_PATIENCE_S = 300.0
DATASET_PATIENCE_S = 3600.0
LOG_LINES = 15


@dataclass(frozen=True)
class Notebook:
    """A notebook to submit.

    Attributes:
        ref: Its name on Kaggle and that of its data set, "owner/name".
        dataset: The folder of the data set's files.
        kernel: The folder of the notebook.
        output: The file that its run writes.
    """

    ref: str
    dataset: Path
    kernel: Path
    output: str


@dataclass(frozen=True)
class _Pushed:
    """What Kaggle has of a notebook.

    Attributes:
        ref: Its name.
        sha256: Of all its files.
        has_dataset: Whether the data set is there.
        version: Of the notebook; 0: it is to be pushed.
        has_begun: Whether a run of this version was seen before its end.
        is_behind: Whether the run of an older version was under way when it was pushed, and has
            not been seen to end.
    """

    ref: str
    sha256: str
    has_dataset: bool = False
    version: int = 0
    has_begun: bool = False
    is_behind: bool = False


def send_notebook(
    upload: Upload, key: str, message: str, notebook: Notebook, *, policy: RetryPolicy
) -> UploadState:
    """Push a notebook with its data set, wait until it has run, and submit it, once.

    Args:
        upload: What is submitted; its sha256 is that of all files of the notebook.
        key: Of the submission.
        message: What Kaggle shows beside it.
        notebook: The notebook.
        policy: Between tries.

    Raises:
        RemoteError: Kaggle refused, could not be reached, or the run failed or took too long.
    """
    pushed = _read(upload, notebook)
    if not pushed.has_dataset:
        _push_dataset(notebook, message, policy)
        pushed = _save(upload, replace(pushed, has_dataset=True))
    if not pushed.version:
        is_behind, version = retry(partial(_push, notebook), policy, what=notebook.ref)
        pushed = _save(upload, replace(pushed, version=version, is_behind=is_behind))
    url = notebooks.notebook_url(notebook.ref)
    print(f"version {pushed.version} of the notebook runs: {url}", flush=True)
    ended = _wait_for_run(upload, pushed, policy)
    if ended is None:
        raise RemoteError(
            f"the notebook has not ended after {RUN_PATIENCE_S / 3600:.0f} hours",
            file=notebook.ref,
            details=[url],
            fix="run the same command again: it goes on waiting, and pushes nothing anew",
        )
    state, failure = ended
    if state != "complete":
        # The next run of the command pushes it again.
        _save(upload, replace(pushed, version=0, has_begun=False, is_behind=False))
        raise _run_error(notebook, failure, policy)
    submit = partial(
        notebooks.submit_run,
        upload.competition,
        notebook.ref,
        pushed.version,
        notebook.output,
        description_of(key, message),
    )
    return send_once(upload, key, submit, policy=policy)


def _push(notebook: Notebook) -> tuple[bool, int]:
    """Push a notebook; return whether an older version's run was under way, and the version.

    That may be the version of a try just before, whose answer was lost.
    """
    is_behind = notebooks.is_running(notebook.ref)
    return is_behind, notebooks.push_notebook(notebook.kernel, notebook.ref)


def _push_dataset(notebook: Notebook, message: str, policy: RetryPolicy) -> None:
    """Push a data set, and wait until Kaggle can mount it."""
    ref = notebook.ref
    before, _ = retry(partial(notebooks.dataset_state, ref), policy, what=ref)
    print(f"pushing the data set {ref}", flush=True)
    push = partial(notebooks.push_dataset, notebook.dataset, ref, is_new=before == 0, notes=message)
    retry(push, policy, what=ref)

    def is_ready() -> bool:
        version, state = notebooks.dataset_state(ref)
        if version > before and state == "failed":
            raise RemoteError("Kaggle could not unpack the data set", file=ref, fix="run it again")
        return version > before and state == "ready"

    if not _wait(is_ready, DATASET_PATIENCE_S, policy, "the data set"):
        raise RemoteError(
            "Kaggle does not show the data set after an hour", file=ref, fix="run it again later"
        )


def _wait_for_run(
    upload: Upload, pushed: _Pushed, policy: RetryPolicy
) -> tuple[notebooks.RunState, str] | None:
    """Return how the run of a pushed version ended, and why it failed; None: not in time.

    Kaggle shows the state of a notebook's last run, and no version beside it. Just after a push it
    may be that of the version before. So an end counts once a run was seen before its end, or where
    none begins for START_PATIENCE_S: then it was too short to be seen. Where an older run was still
    going at the push, its end comes first, and then the begin of this one.
    """
    get_state = partial(notebooks.run_state, pushed.ref)
    has_begun = pushed.has_begun or pushed.version == 1  # the first has no other before it
    is_behind = pushed.is_behind
    waited_s = 0.0  # for a begin
    for pause_s in pauses(RUN_PATIENCE_S):
        state, failure = retry(get_state, policy, what="the notebook")
        if state != "pending":
            if has_begun or waited_s >= START_PATIENCE_S:
                return state, failure
            if is_behind:
                is_behind = False
                pushed = _save(upload, replace(pushed, is_behind=False))
            if not waited_s:
                print("Kaggle still shows an earlier run; waiting for this one", flush=True)
            waited_s += pause_s
        elif not (has_begun or is_behind):
            has_begun = True
            pushed = _save(upload, replace(pushed, has_begun=True))
        policy.sleep(pause_s)
    return None


def _run_error(notebook: Notebook, failure: str, policy: RetryPolicy) -> RemoteError:
    lines = retry(partial(notebooks.run_log, notebook.ref), policy, what="the notebook's log")
    return RemoteError(
        "the notebook failed on Kaggle",
        file=notebook.ref,
        found=failure or None,
        details=lines[-LOG_LINES:],
        fix=f"see {notebooks.notebook_url(notebook.ref)}; nothing was submitted",
    )


def _wait(has_ended: Callable[[], bool], patience_s: float, policy: RetryPolicy, what: str) -> bool:
    """Ask again and again; return whether it ended in time."""
    for pause_s in pauses(patience_s):
        if retry(has_ended, policy, what=what):
            return True
        policy.sleep(pause_s)
    return False


def _read(upload: Upload, notebook: Notebook) -> _Pushed:
    """Return what an earlier run pushed of these files; nothing, if it pushed others."""
    nothing = _Pushed(notebook.ref, upload.sha256)
    try:
        pushed = _Pushed(**json.loads(_record(upload).read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return nothing  # the worst that follows is another version
    is_same = (pushed.ref, pushed.sha256) == (nothing.ref, nothing.sha256)
    return pushed if is_same else nothing


def _save(upload: Upload, pushed: _Pushed) -> _Pushed:
    files.write(_record(upload), json.dumps(asdict(pushed)) + "\n")
    return pushed


def _record(upload: Upload) -> Path:
    return upload.folder / "notebook"
