"""Data sets and notebooks of the account, by kaggle's client: push them, watch a run, submit it.

Errors are those of `darkroom.remote.kaggle.api`, and so is what is retried: nothing here.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import requests

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api_errors, responses
from darkroom.remote.kaggle.api import reference, unknown_outcome_error
from darkroom.remote.kaggle.api_errors import SITE, RequestInfo, page_url
from darkroom.remote.kaggle.session import open_session
from darkroom.remote.retry import TransientError

CREATE = "CreateCodeSubmission"
RunState = Literal["pending", "complete", "error"]
_ENDED: dict[str, RunState] = {
    "COMPLETE": "complete",
    "ERROR": "error",
    "CANCEL_ACKNOWLEDGED": "error",
}


def notebook_url(ref: str) -> str:
    """Return the address of a notebook's page."""
    return f"{SITE}/code/{ref}"


def account_name() -> str:
    """Return Kaggle's name of the account that is set up here."""
    with open_session(RequestInfo("the account", SITE)) as session:
        api = session.api()
        name = api.config_values.get("username")
        if not name:
            # The client asks in `authenticate` only, which prints, and exits where there is none.
            name = api._introspect_token(api.config_values["token"])
        if not name:
            raise api_errors.bad_login_error(session.info.login, "a token of no account")
        return str(name)


def dataset_state(ref: str) -> tuple[int, str]:
    """Return a data set's version, and what Kaggle does with it: "ready", "failed" ...

    (0, "absent"): there is none of the account.
    """
    with open_session(RequestInfo(ref, page_url(ref))) as session:
        try:
            text = session.api().dataset_status(ref, format="json(status,current_version_number)")
        except requests.HTTPError as error:
            # What is not there is refused as what is another's would be.
            if error.response is not None and error.response.status_code in (403, 404):
                return 0, "absent"
            raise
        state = json.loads(text)
        return int(state["current_version_number"]), str(state["status"])


def push_dataset(folder: Path, ref: str, *, is_new: bool, notes: str) -> None:
    """Upload the files of a folder as a private data set, or as its next version.

    Args:
        folder: With dataset-metadata.json.
        ref: "owner/name".
        is_new: Whether there is none yet.
        notes: What Kaggle shows beside a version.
    """
    with open_session(RequestInfo(ref, page_url(ref))) as session:
        api = session.api()
        api.config_values["username"] = ref.partition("/")[0]
        api._upload_file = partial(_upload_file, api._upload_file)
        if is_new:
            response = api.dataset_create_new(str(folder), quiet=True)
        else:
            response = api.dataset_create_version(str(folder), notes, quiet=True)
        if response.error:
            raise _refusal(session.info, response.error)


def _upload_file(upload: Callable[..., object], name: str, *arguments: Any) -> object:
    """Upload a file; the client would leave out one that does not arrive, and go on."""
    uploaded = upload(name, *arguments)
    if uploaded is None:
        raise TransientError(f"the file {name} did not reach Kaggle")
    return uploaded


def push_notebook(folder: Path, ref: str) -> int:
    """Save a notebook, whose run begins, and return the number of its version.

    Args:
        folder: With kernel-metadata.json.
        ref: "owner/name".
    """
    with open_session(RequestInfo(ref, notebook_url(ref))) as session:
        response = session.api().kernels_push(str(folder))
        for kind in ("dataset", "competition"):
            if sources := getattr(response, f"invalid_{kind}_sources"):
                raise _refusal(session.info, f"no access to the {kind} {', '.join(sources)}")
        if response.error:
            raise _refusal(session.info, response.error)
        version = responses.whole_number(response.version_number, responses.MAX_VERSION)
        if not version:
            raise ValueError("no version number")
        return version


def run_state(ref: str) -> tuple[RunState, str]:
    """Return how far a notebook's last run is, and Kaggle's message where it failed."""
    with open_session(RequestInfo(ref, notebook_url(ref))) as session:
        response = session.api().kernels_status(ref)
        return _ENDED.get(response.status.name, "pending"), session.info.clean(
            response.failure_message or ""
        )


def is_running(ref: str) -> bool:
    """Return whether a run of a notebook is under way; not where there is no such notebook."""
    with open_session(RequestInfo(ref, notebook_url(ref))) as session:
        try:
            return session.api().kernels_status(ref).status.name not in _ENDED
        except (ValueError, requests.HTTPError):  # the client has words of its own for 403
            answer = session.log.response
            if answer is not None and answer.status_code in (403, 404):
                return False
            raise


def run_log(ref: str) -> list[str]:
    """Return the lines that a notebook's last run printed, without empty ones."""
    with open_session(RequestInfo(ref, notebook_url(ref))) as session:
        text = _log_text(session.api().kernels_logs(ref))
        return [session.info.clean(line) for line in text.splitlines() if line.strip()]


def _log_text(log: str) -> str:
    """Return a log as text; Kaggle keeps a list of {"stream_name", "time", "data"}."""
    try:
        entries: list[dict[str, Any]] = json.loads(log)
        return "".join(str(entry["data"]) for entry in entries)
    except (ValueError, LookupError, TypeError, RecursionError):
        return log


def submit_run(
    slug: str,
    ref: str,
    version: int,
    file_name: str,
    description: str,
    *,
    before_create: Callable[[], None] = lambda: None,
) -> int:
    """Submit a version of a notebook, once, and return Kaggle's reference; see `api.submit`."""
    with open_session(RequestInfo(slug, page_url(slug))) as session:
        log = session.log
        log.hooks[CREATE] = before_create
        try:
            response = session.api().competition_submit_code(
                file_name, description, slug, ref, version, quiet=True
            )
            return reference(response.ref)
        except Exception:
            is_refused = log.sent[-1:] == [CREATE] and api_errors.had_no_effect(log)
            if CREATE in log.sent and not is_refused:
                raise unknown_outcome_error(session, slug) from None
            raise


def _refusal(info: RequestInfo, message: str) -> RemoteError:
    return RemoteError(
        "Kaggle refuses it", file=info.name, found=info.clean(message), fix=f"see {info.page}"
    )
