"""The faults that a server can have. Each is a type, and changes one response."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

from tests.support.loopback import storage
from tests.support.loopback.protocol import Answer, Request, refusal


@dataclass(frozen=True)
class Status:
    """Answers with an error and does nothing; `html`: as a page, else as Kaggle or storage do."""

    code: int
    retry_after: str | None = None
    message: str = "refused for the test"
    html: bool = False


@dataclass(frozen=True)
class Cut:
    """Closes after a share of what this request would be sent, 0 to 1."""

    share: float


@dataclass(frozen=True)
class CutAt:
    """Closes before this byte of the complete body, wherever the range of the request begins."""

    byte: int


@dataclass(frozen=True)
class Stall:
    """Sends a share, says nothing for some seconds, then closes."""

    share: float
    seconds: float


@dataclass(frozen=True)
class Length:
    """Announces another length than the body has, bytes."""

    announced: int


@dataclass(frozen=True)
class Corrupt:
    """Turns over the middle byte of what is sent; the hash is that of the right body."""


@dataclass(frozen=True)
class NoHash:
    """Leaves x-goog-hash out."""


@dataclass(frozen=True)
class NoValidators:
    """Leaves ETag out, and Last-Modified unless it is to stay."""

    keep_last_modified: bool = False


@dataclass(frozen=True)
class IgnoreRange:
    """Sends the complete body with status 200, whatever range was requested."""


@dataclass(frozen=True)
class WrongRange:
    """Sends a range that begins so many bytes before the requested one, and declares that."""

    bytes_before: int


@dataclass(frozen=True)
class NewVersion:
    """Replaces the requested body by another, from this request on."""

    body: bytes


@dataclass(frozen=True)
class Redirect:
    """Answers `count` requests for a body with 302, to the same place or to another URL."""

    count: int = 1
    to: str | None = None


@dataclass(frozen=True)
class Page:
    """Answers 200 with a web page instead of the requested file."""

    html: str = "<!DOCTYPE html><html><head><title>Sign in | Kaggle</title></head></html>"


@dataclass(frozen=True)
class Gzip:
    """Sends the body compressed, and says so in Content-Encoding."""


@dataclass(frozen=True)
class Drip:
    """Sends little at a time."""

    bytes_per_send: int
    pause: float


@dataclass(frozen=True)
class Refuse:
    """Closes at once, without reading a body, doing or answering anything."""


@dataclass(frozen=True)
class NoAnswer:
    """Carries out the request, then closes without a response."""


@dataclass(frozen=True)
class Hang:
    """Carries out the request, and responds only after some seconds."""

    seconds: float


@dataclass(frozen=True)
class CutBody:
    """Reads a share of an upload and closes; nothing is saved."""

    share: float


Fault = (
    Status | Cut | CutAt | Stall | Length | Corrupt | NoHash | NoValidators | IgnoreRange
    | WrongRange | NewVersion | Redirect | Page | Gzip | Drip | Refuse | NoAnswer | Hang | CutBody
)  # fmt: skip


def instead(fault: Fault, request: Request, url: str) -> Answer | None:
    """Return the response that replaces the request, None if the request is to be carried out."""
    match fault:
        case Refuse() | CutBody():
            return Answer(silent=True)
        case Page(html):
            return Answer(200, {"Content-Type": "text/html; charset=utf-8"}, html.encode())
        case Redirect(_, to):
            return Answer(302, {"Location": to or url})
        case Status():
            return _status(fault, request)
    return None


def bend(answer: Answer, fault: Fault) -> Answer:
    """Return the response, changed by a fault."""
    size = len(answer.body)
    match fault:
        case Cut(share):
            answer.cut = int(size * share)
        case CutAt(byte):
            answer.cut = max(0, byte - answer.first)
        case Stall(share, seconds):
            answer.cut, answer.stall = int(size * share), seconds
        case Length(announced):
            answer.length = announced
        case Corrupt() if size:
            spoilt = bytearray(answer.body)
            spoilt[size // 2] ^= 0xFF
            answer.body = bytes(spoilt)
        case NoHash():
            answer.headers.pop("x-goog-hash", None)
        case NoValidators(keep):
            answer.headers.pop("ETag", None)
            if not keep:
                answer.headers.pop("Last-Modified", None)
        case Gzip():
            answer.body = gzip.compress(answer.body, 1, mtime=0)
            answer.headers["Content-Encoding"] = "gzip"
        case Drip(step, pause):
            answer.drip = (step, pause)
        case NoAnswer():
            answer.silent = True
        case Hang(seconds):
            answer.wait = seconds
    return answer


def _status(fault: Status, request: Request) -> Answer:
    if fault.html:
        page = f"<!DOCTYPE html><html><head><title>{fault.message}</title></head></html>"
        answer = Answer(fault.code, {"Content-Type": "text/html; charset=utf-8"}, page.encode())
    elif request.kind in ("storage", "upload"):
        answer = storage.error(fault.code, fault.message)
    else:
        answer = refusal(fault.code, fault.message)
    if fault.retry_after is not None:
        answer.headers["Retry-After"] = fault.retry_after
    return answer
