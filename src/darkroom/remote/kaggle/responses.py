"""Parse Kaggle's JSON responses, and check the type of every field.

kagglesdk does not check types, takes a response that is no object for an empty one, and fails for
a whole list if one date or status is invalid. So the responses are parsed here.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import requests

from darkroom.errors import RemoteError
from darkroom.remote.kaggle.api_errors import RequestInfo
from darkroom.remote.kaggle.request_log import RequestLog
from darkroom.remote.verify import plausible_size

MAX_PAGES = 10_000  # of a list
MAX_REFERENCE, MAX_SUBMISSIONS, MAX_VERSION = 10**18, 10**6, 10**9
MAX_SCORE = 1e15
UNKNOWN_DATE = datetime(1970, 1, 1, tzinfo=UTC)
MAX_LETTERS = 10_000

Status = Literal["pending", "complete", "error"]
_STATUSES: dict[str, Status] = {"pending": "pending", "complete": "complete", "error": "error"}
_PARSE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Submission:
    """One submission as Kaggle lists it; size in bytes, scores once it is scored.

    Attributes:
        ref: Kaggle's number of it; 0 if it is invalid.
        date: When it was made, UTC; 1970 if it is invalid.
    """

    ref: int
    date: datetime
    description: str
    file_name: str
    size: int
    status: Status
    public: float | None
    private: float | None
    error: str


def request_json(log: RequestLog, send_request: Callable[[], object]) -> dict[str, Any]:
    """Let a client send a request, and return the response's JSON object.

    Errors of the client while it parses a response are ignored: it is parsed here.

    Raises:
        ValueError: The response is no JSON object.
        Exception: What the client raises if there is no response.
    """
    sent = len(log.sent)
    try:
        send_request()
    except _PARSE_ERRORS as error:
        has_response = len(log.sent) > sent and log.response is not None
        if isinstance(error, requests.RequestException) or not has_response:
            raise
    assert log.response is not None
    if log.response.status_code >= 400:
        raise requests.HTTPError(response=log.response)
    return json_object(log.response)


def json_object(response: requests.Response) -> dict[str, Any]:
    """Return the JSON object of a response; raise ValueError if it is none."""
    try:
        value = json.loads(response.content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError(f"{type(value).__name__} instead of an object")
    return value


def parse_objects(response: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects in the list at a key; raise ValueError if it is no list."""
    values = response.get(key)
    if values is not None and not isinstance(values, list):
        raise ValueError(f"{key}: {type(values).__name__} instead of a list")
    return [value for value in values or [] if isinstance(value, dict)]


def parse_files(response: dict[str, Any]) -> dict[str, int | None]:
    """Return sizes in bytes by name, of one page of files; None for a size that is not given."""
    return {
        entry["name"]: plausible_size(entry.get("totalBytes")) or None
        for entry in parse_objects(response, "files")
        if isinstance(entry.get("name"), str) and entry["name"]
    }


def parse_submissions(response: dict[str, Any], info: RequestInfo) -> list[Submission]:
    """Return the submissions of one page."""
    return [_submission(entry, info) for entry in parse_objects(response, "submissions")]


def _submission(entry: dict[str, Any], info: RequestInfo) -> Submission:
    status = _text(entry.get("status")).lower().rpartition("_")[2]
    return Submission(
        ref=whole_number(entry.get("ref"), MAX_REFERENCE) or 0,
        date=_date(entry.get("date")),
        description=_text(entry.get("description")),
        file_name=_text(entry.get("fileName")),
        size=plausible_size(entry.get("totalBytes")) or 0,
        status=_STATUSES.get(status.removeprefix("submissionstatus"), "pending"),
        public=_score(entry.get("publicScore")),
        private=_score(entry.get("privateScore")),
        error=info.clean(_text(entry.get("errorDescription"))),
    )


def endless_list_error(info: RequestInfo) -> RemoteError:
    """Return the error of a list that does not end."""
    return RemoteError(
        "Kaggle's list does not end",
        file=info.name,
        found=f"new entries on each of {MAX_PAGES:,} pages",
        fix="run it again later",
    )


def whole_number(value: object, end: int) -> int | None:
    """Return a value that is an integer from 0 to below `end`; else None.

    Example:
        >>> whole_number(7, 10), whole_number(10, 10), whole_number(True, 10), whole_number("7", 10)
        (7, None, None, None)
    """
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < end else None  # type: ignore[operator,return-value]


def _text(value: object) -> str:
    """Return a value that is text, its lone surrogates replaced; else ""."""
    text = value[:MAX_LETTERS] if isinstance(value, str) else ""
    return text.encode(errors="replace").decode()


def _date(value: object) -> datetime:
    try:
        date = datetime.fromisoformat(_text(value))
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return UNKNOWN_DATE
    return date if 2000 <= date.year < 3000 else UNKNOWN_DATE


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) and abs(score) <= MAX_SCORE else None
