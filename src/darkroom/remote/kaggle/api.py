"""Kaggle, through its own clients: kagglehub to fetch, kaggle to submit.

Each function makes its calls once. What may pass (a cut, a timeout, 429, 5xx) is raised as
requests raises it, for the caller to try again; a refusal is a RemoteError that says what to do.
The clients are imported when first used, and say nothing of their own on stdout.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import requests

from darkroom.errors import ParamsError, RemoteError
from darkroom.remote.disk_space import MOST_VERSIONS, plausible
from darkroom.remote.download import Opener
from darkroom.remote.https import is_safe
from darkroom.remote.kaggle import api_errors, responses
from darkroom.remote.kaggle.api_errors import Asked
from darkroom.remote.kaggle.api_errors import page as page
from darkroom.remote.kaggle.api_errors import submissions_page as submissions_page
from darkroom.remote.kaggle.responses import Status as Status
from darkroom.remote.kaggle.responses import Submission as Submission
from darkroom.remote.kaggle.session import Call, calling
from darkroom.remote.retry import PassingError, safe_place, status_words

PAGE_SIZE = 200  # the most that Kaggle lists at a time
START, CREATE = "StartSubmissionUpload", "CreateSubmission"
Told = dict[str, Any]
Ask = Callable[[], Told]


@dataclass(frozen=True)
class Remaining:
    """Submissions of the account's team, those aside that could not be scored.

    Attributes:
        today: Sent since midnight UTC.
        allowed: Still allowed now.
        total: Sent ever; None: what Kaggle tells can't be read.
    """

    today: int
    allowed: int
    total: int | None


class UploadRefusedError(PassingError):
    """The storage refuses the file: another address may help, but not for ever."""


class UnknownOutcomeError(RemoteError):
    """A submission was sent and its answer lost: only the list of submissions can tell."""


def competition_files(
    slug: str, page_by: Callable[[Ask], Told] = lambda ask: ask()
) -> dict[str, int | None]:
    """Return every file of a competition, and its size in bytes, None if that is not told.

    Args:
        slug: The competition.
        page_by: Asks for one page, of up to `PAGE_SIZE` files; it may try again what may pass.

    Raises:
        RemoteError: Kaggle refuses, or there is no account.
        requests.RequestException: What may pass: a cut, a timeout, 429, 5xx.
    """
    from kagglesdk.competitions.types.competition_api_service import (  # noqa: PLC0415
        ApiListDataFilesRequest,
    )

    listed: dict[str, int | None] = {}
    with calling(Asked(slug, page(slug))) as call, call.hub() as client:
        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, PAGE_SIZE
        ask = client.competitions.competition_api_client.list_data_files
        for _ in range(responses.MOST_PAGES):
            answer = page_by(lambda: responses.answered(call.wire, lambda: ask(request)))
            new = responses.files(answer)
            if not new.keys() - listed.keys():
                return listed
            listed |= new
            token = answer.get("nextPageToken")
            if not token or not isinstance(token, str):
                return listed
            request.page_token = token
        raise responses.endless(call.asked)


def competition_file(slug: str, name: str) -> Opener:
    """Return what opens one file of a competition as a stream, as often as it is called.

    It takes request headers (Range, If-Range) that also reach the storage behind Kaggle, and
    returns an answer of 200, 206 or 416; it raises what `competition_files` raises.
    """

    def ask(client: Any) -> Any:
        from kagglesdk.competitions.types.competition_api_service import (  # noqa: PLC0415
            ApiDownloadDataFileRequest,
        )

        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = slug, name
        return client.competitions.competition_api_client.download_data_file(request)

    asked = Asked(slug, page(slug))
    return _opener(replace(asked, name=asked.clean(f"{slug}/{name}")), ask)


def competition_bundle(slug: str) -> Opener:
    """Return what opens all files of a competition as one zip.

    See `competition_file` for what it takes, returns and raises.
    """

    def ask(client: Any) -> Any:
        from kagglesdk.competitions.types.competition_api_service import (  # noqa: PLC0415
            ApiDownloadDataFilesRequest,
        )

        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        return client.competitions.competition_api_client.download_data_files(request)

    return _opener(Asked(f"all files of {slug}", page(slug)), ask)


def dataset_version(ref: str) -> tuple[str, int | None]:
    """Return a data set's name with its version, and the bytes that Kaggle lists for it.

    Args:
        ref: "owner/name" for the current version, or "owner/name/versions/2". Bytes are told of
            the current version only, and unpacked: its zip is of another size.

    Raises:
        ParamsError: The name is not of that shape.
        RemoteError, requests.RequestException: As `competition_files`.
    """
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest  # noqa: PLC0415

    owner, name, version = _parts(ref)
    with calling(Asked(ref, page(ref)), is_public=True) as call, call.hub() as client:
        request = ApiGetDatasetRequest()
        request.owner_slug, request.dataset_slug = owner, name
        ask = client.datasets.dataset_api_client.get_dataset
        found = responses.answered(call.wire, lambda: ask(request))
        current = responses.whole(found.get("currentVersionNumber"), MOST_VERSIONS)
        if not current:
            raise ValueError("no number of its version")
    size = plausible(found.get("totalBytes")) or None if version in (None, current) else None
    return f"{owner}/{name}/versions/{version or current}", size


def dataset_bundle(ref: str) -> Opener:
    """Return what opens a whole data set as one zip; a public one needs no account.

    See `competition_file` for what it takes, returns and raises.
    """
    owner, name, version = _parts(ref)

    def ask(client: Any) -> Any:
        from kagglesdk.datasets.types.dataset_api_service import (  # noqa: PLC0415
            ApiDownloadDatasetRequest,
        )

        request = ApiDownloadDatasetRequest()
        request.owner_slug, request.dataset_slug = owner, name
        request.dataset_version_number = version
        return client.datasets.dataset_api_client.download_dataset(request)

    return _opener(Asked(ref, page(ref)), ask, is_public=True)


def remaining(slug: str) -> Remaining:
    """Return how many submissions were sent, and how many are allowed now.

    Raises:
        RemoteError, requests.RequestException: As `competition_files`.
    """
    with calling(Asked(slug, page(slug))) as call:
        api = call.api()
        told = responses.answered(call.wire, lambda: api.competition_get_submission_limits(slug))
        today, allowed = (
            responses.whole(told.get(key), responses.MOST_TRIES) or 0
            for key in ("numToday", "numAllowedNow")
        )
        total = responses.whole(told.get("numTotal", 0), responses.MOST_TRIES)
        return Remaining(today, allowed, total)


def submissions(slug: str) -> list[Submission]:
    """Return every submission of the account's team, newest first.

    Raises:
        RemoteError, requests.RequestException: As `competition_files`.
    """
    found: dict[int | tuple[str, str], Submission] = {}
    with calling(Asked(slug, page(slug))) as call:
        api = call.api()
        for number in range(1, responses.MOST_PAGES + 1):
            ask = partial(
                api.competition_submissions, slug, page_number=number, page_size=PAGE_SIZE
            )
            listed = responses.submissions(responses.answered(call.wire, ask), call.asked)
            # Those without a number are told apart by what else they show.
            new = {(one.ref or (one.file_name, one.description)): one for one in listed}
            if not new.keys() - found.keys():
                return sorted(found.values(), key=lambda one: (one.date, one.ref), reverse=True)
            found |= new
        raise responses.endless(call.asked)


def submit(
    slug: str,
    path: Path,
    description: str,
    *,
    progress: bool,
    before_create: Callable[[], None] = lambda: None,
) -> int:
    """Send a file as a submission, once, and return Kaggle's reference of it.

    Args:
        slug: The competition.
        path: The file; Kaggle shows its name.
        description: What Kaggle lists beside it.
        progress: Whether to draw a bar of the upload on stderr.
        before_create: Called when the file is there, right before the one call that submits it.

    Raises:
        PassingError: The file did not get there; nothing was submitted. UploadRefusedError if
            the storage refused it.
        UnknownOutcomeError: It was submitted, or it was not: the answer is lost.
        RemoteError: Kaggle refuses; nothing was submitted.
        requests.RequestException: What may pass, before anything was submitted.
    """
    with calling(Asked(slug, page(slug))) as call:
        call.wire.before[CREATE] = before_create
        try:
            answer = call.api().competition_submit(str(path), description, slug, quiet=not progress)
            if CREATE not in call.wire.sent:
                raise _unsent(call)
            return _reference(answer.ref)
        except Exception:
            is_refused = call.wire.sent[-1:] == [CREATE] and api_errors.is_sure(call.wire)
            if CREATE in call.wire.sent and not is_refused:
                raise _lost(call, slug) from None
            raise


def _reference(told: object) -> int:
    reference = responses.whole(told, responses.MOST_REFERENCES)
    if not reference:
        raise ValueError("no reference")
    return reference


def _unsent(call: Call) -> Exception:
    """Return the error of a file that did not get to where Kaggle wants it."""
    answer, clean = call.wire.answer, call.asked.clean
    if answer is not None and call.wire.sent[-1:] == [START]:  # and nothing after it
        url = responses.content(answer).get("createUrl")
        if not isinstance(url, str) or not is_safe(url):
            return RemoteError(
                "Kaggle names no address that the file can be sent to",
                file=call.asked.name,
                found=clean(safe_place(url)) if url and isinstance(url, str) else "none",
                expected="https://…",
                fix="run it again later; nothing was submitted",
            )
    why = call.wire.end or clean(call.wire.printed.getvalue())
    status = 0 if answer is None else answer.status_code
    words = f"the file did not reach Kaggle: {why or f'it answered {status_words(status)}'}"
    is_refused = 300 <= status < 500 and status not in (408, 429)
    return UploadRefusedError(words) if is_refused else PassingError(words)


def _lost(call: Call, slug: str) -> UnknownOutcomeError:
    return UnknownOutcomeError(
        "the submission was sent, but Kaggle's answer was lost: it may have arrived or not",
        file=call.asked.name,
        found=call.wire.end or "an answer without a reference",
        fix=f"look at {submissions_page(slug)} before it is sent again",
    )


def _opener(asked: Asked, ask: Callable[[Any], Any], *, is_public: bool = False) -> Opener:
    def open_stream(headers: Mapping[str, str]) -> requests.Response:
        with calling(asked, is_public=is_public) as call, call.hub() as client:
            # No public way leads to the headers; requests keeps them through the redirect.
            client.http_client()._session.headers.update(headers)
            try:
                answer = ask(client)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != 416:
                    raise
                answer = error.response
            assert isinstance(answer, requests.Response)
            return answer

    return open_stream


def _parts(ref: str) -> tuple[str, str, int | None]:
    """Return owner, name and version of "owner/name" or "owner/name/versions/2"."""
    found = re.fullmatch(r"([^/\s]+)/([^/\s]+)(?:/versions/([1-9][0-9]*))?", ref)
    if not found:
        raise ParamsError(
            "it is not the name of a data set", found=ref, expected="owner/name[/versions/2]"
        )
    return found[1], found[2], int(found[3]) if found[3] else None
