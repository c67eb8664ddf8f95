"""Kaggle's answers in JSON, read with a look at every type.

kagglesdk takes whatever a field holds, an answer that is no object for an empty one, and fails
over a whole list for one date or status that it cannot read. So the answers are read here.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import requests

from darkroom.errors import RemoteError
from darkroom.remote.disk_space import plausible
from darkroom.remote.kaggle.api_errors import Asked
from darkroom.remote.kaggle.request_log import Wire

MOST_PAGES = 10_000  # of a list
MOST_REFERENCES, MOST_TRIES = 10**18, 10**6
LARGEST_SCORE = 1e15
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_TEXT = 10_000  # characters

Status = Literal["pending", "complete", "error"]
_STATUSES: dict[str, Status] = {"pending": "pending", "complete": "complete", "error": "error"}
_MISREAD = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True)
class Submission:
    """One submission as Kaggle lists it; size in bytes, scores once it is scored.

    Attributes:
        ref: Kaggle's number of it; 0 if it cannot be read.
        date: When it was made, UTC; 1970 if that cannot be read.
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


def answered(wire: Wire, ask: Callable[[], object]) -> dict[str, Any]:
    """Return the JSON object that Kaggle answers, whatever its client makes of it.

    Raises:
        ValueError: It is no JSON object.
        Exception: What the client raises for want of a good answer.
    """
    sent = len(wire.sent)
    try:
        ask()
    except _MISREAD as error:
        is_answered = len(wire.sent) > sent and wire.answer is not None
        if isinstance(error, requests.RequestException) or not is_answered:
            raise
    assert wire.answer is not None
    if wire.answer.status_code >= 400:
        raise requests.HTTPError(response=wire.answer)
    return content(wire.answer)


def content(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; raise ValueError if it is none."""
    try:
        found = json.loads(answer.content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"{type(found).__name__} instead of an object")
    return found


def entries(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Return the objects of a list; raise ValueError if it is none."""
    found = answer.get(key)
    if found is not None and not isinstance(found, list):
        raise ValueError(f"{key}: {type(found).__name__} instead of a list")
    return [entry for entry in found or [] if isinstance(entry, dict)]


def files(answer: dict[str, Any]) -> dict[str, int | None]:
    """Return the names and bytes of a page of files; None for bytes that are not told."""
    return {
        entry["name"]: plausible(entry.get("totalBytes")) or None
        for entry in entries(answer, "files")
        if isinstance(entry.get("name"), str) and entry["name"]
    }


def submissions(answer: dict[str, Any], asked: Asked) -> list[Submission]:
    """Return a page of submissions."""
    return [_submission(entry, asked) for entry in entries(answer, "submissions")]


def _submission(entry: dict[str, Any], asked: Asked) -> Submission:
    status = _text(entry.get("status")).lower().rpartition("_")[2]
    return Submission(
        ref=whole(entry.get("ref"), MOST_REFERENCES) or 0,
        date=_date(entry.get("date")),
        description=_text(entry.get("description")),
        file_name=_text(entry.get("fileName")),
        size=plausible(entry.get("totalBytes")) or 0,
        status=_STATUSES.get(status.removeprefix("submissionstatus"), "pending"),
        public=_score(entry.get("publicScore")),
        private=_score(entry.get("privateScore")),
        error=asked.clean(_text(entry.get("errorDescription"))),
    )


def endless(asked: Asked) -> RemoteError:
    """Return the error of a list that does not end."""
    return RemoteError(
        "Kaggle's list does not end",
        file=asked.name,
        found=f"something new on each of {MOST_PAGES:,} pages",
        fix="run it again later",
    )


def whole(value: object, end: int) -> int | None:
    """Return a value that is a whole number from 0 to below an end; else None."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value < end else None  # type: ignore[operator,return-value]


def _text(value: object) -> str:
    """Return a value that is text, as UTF-8 can hold it; else ""."""
    text = value[:LONGEST_TEXT] if isinstance(value, str) else ""
    return text.encode(errors="replace").decode()


def _date(value: object) -> datetime:
    try:
        date = datetime.fromisoformat(_text(value))
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return EPOCH
    return date if 2000 <= date.year < 3000 else EPOCH


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) and abs(score) <= LARGEST_SCORE else None
