"""Calls of Kaggle's API: list and download files with kagglehub, submit with kaggle.

Each function sends its requests once. Transient errors (a cut, a timeout, 429, 5xx) are raised as
requests raises them, for the caller to retry; a permanent error is a RemoteError that says what to
do. The clients are imported when first used, and print nothing to stdout.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import requests

from darkroom.errors import ParamsError, RemoteError
from darkroom.remote.download import Opener
from darkroom.remote.https import is_safe_url
from darkroom.remote.kaggle import api_errors, responses
from darkroom.remote.kaggle.api_errors import RequestInfo
from darkroom.remote.kaggle.api_errors import page_url as page_url
from darkroom.remote.kaggle.api_errors import submissions_url as submissions_url
from darkroom.remote.kaggle.responses import Status as Status
from darkroom.remote.kaggle.responses import Submission as Submission
from darkroom.remote.kaggle.session import Session, open_session
from darkroom.remote.retry import TransientError, public_address, status_words
from darkroom.remote.verify import plausible_size

PAGE_SIZE = 200  # the most that Kaggle lists on one page
START, CREATE = "StartSubmissionUpload", "CreateSubmission"
JsonObject = dict[str, Any]
FetchPage = Callable[[], JsonObject]


@dataclass(frozen=True)
class SubmissionLimits:
    """Submissions of the account's team, without those that could not be scored.

    Attributes:
        today: Sent since midnight UTC.
        allowed: Still allowed now.
        total: Sent so far; None if Kaggle's number is invalid.
    """

    today: int
    allowed: int
    total: int | None


class UploadRefusedError(TransientError):
    """The storage refuses the file. Another upload address may help, but only a few times."""


class UnknownOutcomeError(RemoteError):
    """A submission was sent and its response lost: only the list of submissions can tell."""


def list_competition_files(
    slug: str, retry_page: Callable[[FetchPage], JsonObject] = lambda fetch_page: fetch_page()
) -> dict[str, int | None]:
    """Return the sizes in bytes of all files of a competition by name; None: size not given.

    Args:
        slug: The competition.
        retry_page: Calls a function that fetches one page of up to `PAGE_SIZE` files; it may call
            it again after a transient error.

    Raises:
        RemoteError: Kaggle refuses, or there is no account.
        requests.RequestException: A transient error: a cut, a timeout, 429, 5xx.
    """
    from kagglesdk.competitions.types.competition_api_service import (  # noqa: PLC0415
        ApiListDataFilesRequest,
    )

    sizes: dict[str, int | None] = {}
    with open_session(RequestInfo(slug, page_url(slug))) as session, session.hub() as client:
        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, PAGE_SIZE
        send = client.competitions.competition_api_client.list_data_files
        for _ in range(responses.MAX_PAGES):
            page = retry_page(lambda: responses.request_json(session.log, lambda: send(request)))
            new = responses.parse_files(page)
            if not new.keys() - sizes.keys():
                return sizes
            sizes |= new
            token = page.get("nextPageToken")
            if not token or not isinstance(token, str):
                return sizes
            request.page_token = token
        raise responses.endless_list_error(session.info)


def competition_file_opener(slug: str, name: str) -> Opener:
    """Return a function that opens one file of a competition as a stream, a new one a call.

    It takes request headers (Range, If-Range), which also reach the storage behind Kaggle, and
    returns a response of 200, 206 or 416. It raises what `list_competition_files` raises.
    """

    def request_file(client: Any) -> Any:
        from kagglesdk.competitions.types.competition_api_service import (  # noqa: PLC0415
            ApiDownloadDataFileRequest,
        )

        request = ApiDownloadDataFileRequest()
        request.competition_name, request.file_name = slug, name
        return client.competitions.competition_api_client.download_data_file(request)

    info = RequestInfo(slug, page_url(slug))
    return _opener(replace(info, name=info.clean(f"{slug}/{name}")), request_file)


def competition_bundle_opener(slug: str) -> Opener:
    """Return a function that opens all files of a competition as one zip.

    See `competition_file_opener` for what it takes, returns and raises.
    """

    def request_bundle(client: Any) -> Any:
        from kagglesdk.competitions.types.competition_api_service import (  # noqa: PLC0415
            ApiDownloadDataFilesRequest,
        )

        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        return client.competitions.competition_api_client.download_data_files(request)

    return _opener(RequestInfo(f"all files of {slug}", page_url(slug)), request_bundle)


def dataset_version(ref: str) -> tuple[str, int | None]:
    """Return a data set's name with its version, and its size in bytes, None if not given.

    Args:
        ref: "owner/name" for the current version, or "owner/name/versions/2". Kaggle gives the
            size of the current version only, and unpacked: its zip has another size.

    Raises:
        ParamsError: The name does not have that form.
        RemoteError, requests.RequestException: As `list_competition_files`.
    """
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest  # noqa: PLC0415

    owner, name, version = _split_ref(ref)
    info = RequestInfo(ref, page_url(ref))
    with open_session(info, is_public=True) as session, session.hub() as client:
        request = ApiGetDatasetRequest()
        request.owner_slug, request.dataset_slug = owner, name
        send = client.datasets.dataset_api_client.get_dataset
        dataset = responses.request_json(session.log, lambda: send(request))
        current = responses.whole_number(dataset.get("currentVersionNumber"), responses.MAX_VERSION)
        if not current:
            raise ValueError("no version number")
    is_current = version in (None, current)
    size = plausible_size(dataset.get("totalBytes")) or None if is_current else None
    return f"{owner}/{name}/versions/{version or current}", size


def dataset_bundle_opener(ref: str) -> Opener:
    """Return a function that opens a data set as one zip; a public one needs no account.

    See `competition_file_opener` for what it takes, returns and raises.
    """
    owner, name, version = _split_ref(ref)

    def request_bundle(client: Any) -> Any:
        from kagglesdk.datasets.types.dataset_api_service import (  # noqa: PLC0415
            ApiDownloadDatasetRequest,
        )

        request = ApiDownloadDatasetRequest()
        request.owner_slug, request.dataset_slug = owner, name
        request.dataset_version_number = version
        return client.datasets.dataset_api_client.download_dataset(request)

    return _opener(RequestInfo(ref, page_url(ref)), request_bundle, is_public=True)


def submission_limits(slug: str) -> SubmissionLimits:
    """Return how many submissions were sent, and how many are allowed now.

    Raises:
        RemoteError, requests.RequestException: As `list_competition_files`.
    """
    with open_session(RequestInfo(slug, page_url(slug))) as session:
        api = session.api()
        limits = responses.request_json(
            session.log, lambda: api.competition_get_submission_limits(slug)
        )
        today, allowed = (
            responses.whole_number(limits.get(key), responses.MAX_SUBMISSIONS) or 0
            for key in ("numToday", "numAllowedNow")
        )
        total = responses.whole_number(limits.get("numTotal", 0), responses.MAX_SUBMISSIONS)
        return SubmissionLimits(today, allowed, total)


def list_submissions(slug: str) -> list[Submission]:
    """Return all submissions of the account's team, newest first.

    Raises:
        RemoteError, requests.RequestException: As `list_competition_files`.
    """
    by_key: dict[int | tuple[str, str], Submission] = {}
    with open_session(RequestInfo(slug, page_url(slug))) as session:
        api = session.api()
        for number in range(1, responses.MAX_PAGES + 1):
            send = partial(
                api.competition_submissions, slug, page_number=number, page_size=PAGE_SIZE
            )
            page = responses.request_json(session.log, send)
            # Submissions without a valid reference are distinguished by name and description.
            new = {
                (each.ref or (each.file_name, each.description)): each
                for each in responses.parse_submissions(page, session.info)
            }
            if not new.keys() - by_key.keys():
                return sorted(by_key.values(), key=lambda each: (each.date, each.ref), reverse=True)
            by_key |= new
        raise responses.endless_list_error(session.info)


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
        progress: Whether to draw a progress bar of the upload on stderr.
        before_create: Called after the upload, right before the one request that submits it.

    Raises:
        TransientError: The upload failed; nothing was submitted. UploadRefusedError if the
            storage refused it.
        UnknownOutcomeError: It may have been submitted: the response is lost.
        RemoteError: Kaggle refuses; nothing was submitted.
        requests.RequestException: A transient error, before anything was submitted.
    """
    with open_session(RequestInfo(slug, page_url(slug))) as session:
        log = session.log
        log.hooks[CREATE] = before_create
        try:
            response = session.api().competition_submit(
                str(path), description, slug, quiet=not progress
            )
            if CREATE not in log.sent:
                raise _upload_error(session)
            return reference(response.ref)
        except Exception:
            is_refused = log.sent[-1:] == [CREATE] and api_errors.had_no_effect(log)
            if CREATE in log.sent and not is_refused:
                raise unknown_outcome_error(session, slug) from None
            raise


def reference(value: object) -> int:
    """Return Kaggle's number of a submission; raise ValueError if it is none."""
    number = responses.whole_number(value, responses.MAX_REFERENCE)
    if not number:
        raise ValueError("no reference")
    return number


def _upload_error(session: Session) -> Exception:
    """Return the error of a file that was not uploaded."""
    log, clean = session.log, session.info.clean
    if log.response is not None and log.sent[-1:] == [START]:  # no upload after it
        url = responses.json_object(log.response).get("createUrl")
        if not isinstance(url, str) or not is_safe_url(url):
            return RemoteError(
                "Kaggle gave no usable upload address",
                file=session.info.name,
                found=clean(public_address(url)) if url and isinstance(url, str) else "none",
                expected="https://…",
                fix="run it again later; nothing was submitted",
            )
    failure = log.failure or clean(log.printed.getvalue())
    status = 0 if log.response is None else log.response.status_code
    words = f"the file did not reach Kaggle: {failure or f'it answered {status_words(status)}'}"
    is_refused = 300 <= status < 500 and status not in (408, 429)
    return UploadRefusedError(words) if is_refused else TransientError(words)


def unknown_outcome_error(session: Session, slug: str) -> UnknownOutcomeError:
    """Return the error of a submission whose response is lost."""
    return UnknownOutcomeError(
        "the submission was sent, but Kaggle's response was lost: it may have arrived or not",
        file=session.info.name,
        found=session.log.failure or "a response without a reference",
        fix=f"look at {submissions_url(slug)} before it is sent again",
    )


def _opener(info: RequestInfo, send: Callable[[Any], Any], *, is_public: bool = False) -> Opener:
    def open_stream(headers: Mapping[str, str]) -> requests.Response:
        with open_session(info, is_public=is_public) as session, session.hub() as client:
            # There is no public way to set headers; requests keeps these through the redirect.
            client.http_client()._session.headers.update(headers)
            try:
                response = send(client)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != 416:
                    raise
                response = error.response
            assert isinstance(response, requests.Response)
            return response

    return open_stream


def _split_ref(ref: str) -> tuple[str, str, int | None]:
    """Return owner, name and version of "owner/name" or "owner/name/versions/2"."""
    match = re.fullmatch(r"([^/\s]+)/([^/\s]+)(?:/versions/([1-9][0-9]*))?", ref)
    if not match:
        raise ParamsError(
            "it is not the name of a data set", found=ref, expected="owner/name[/versions/2]"
        )
    return match[1], match[2], int(match[3]) if match[3] else None
