"""Asking again: what may pass by itself, how long to wait for it, and when to give up."""

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlsplit

import requests
from tqdm import tqdm
from urllib3.exceptions import NameResolutionError, ProtocolError

from darkroom.errors import RemoteError

T = TypeVar("T")

KEPT = ": what is here is kept"
AGAIN = f"run it again{KEPT}"
UNREADABLE = "an address that can't be read"
TIMEOUTS_S = (10.0, 60.0)  # to connect, and between two arrivals
_CUTS = (ProtocolError, ConnectionResetError, BrokenPipeError)
_PASSING_STATUSES = (408, 429)  # and all from 500 on
_LINE_FAULTS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


class PassingError(Exception):
    """A fault that may be gone at the next try; its text says in a few words what it is."""


@dataclass(frozen=True)
class Waits:
    """How long to wait between tries: twice as long each time, with an end.

    Attributes:
        first: Seconds before the second try.
        longest: Seconds that a wait grows to.
        tries: Failures in a row, without a byte gained, before giving up.
        patience: Seconds; a server that asks for a longer pause is not waited for.
        sleep: What waits.
    """

    first: float = 1.0
    longest: float = 60.0
    tries: int = 8
    patience: float = 900.0
    sleep: Callable[[float], None] = time.sleep

    def pause_s(self, failures: int, asked_s: float | None) -> float:
        """Return the seconds to wait after so many failures; never less than what was asked."""
        return max(min(self.first * 2.0 ** min(failures - 1, 99), self.longest), asked_s or 0.0)


def is_passing(error: Exception) -> bool:
    """Return whether the same request may succeed later.

    True if the connection failed or was cut, if nothing came in time, and for the statuses
    408, 429 and 5xx; a certificate that is not trusted stays so.
    """
    if isinstance(error, requests.HTTPError):
        status = _status(error)
        return status in _PASSING_STATUSES or status >= 500
    if isinstance(error, requests.exceptions.SSLError) and _distrusted(error):
        return False
    return isinstance(error, (PassingError, *_LINE_FAULTS))


def again(
    work: Callable[[], T],
    waits: Waits,
    *,
    what: str,
    gained: Callable[[], int] = lambda: 0,
    kept: str = "",
) -> T:
    """Return what `work` returns, called again after each passing error.

    Args:
        work: One try.
        waits: How long to wait in between, and how often.
        what: The file or request, for messages.
        gained: What the tries have brought so far, in bytes; when it has grown, failures are
            counted anew.
        kept: What is said behind "run it again" when giving up: `KEPT` where something is.

    Raises:
        RemoteError: Out of tries, or the server asks for a pause beyond `waits.patience`.
        Exception: Whatever else `work` raises, as it is.
    """
    failures, most = 0, gained()
    while True:
        try:
            return work()
        except Exception as error:
            if not is_passing(error):
                raise
            if gained() > most:
                failures, most = 0, gained()
            failures += 1
            pause_s = _next_pause(error, waits, failures, what, kept)
            words = reason(error)
        line = f"{what}: {words}; again in {_spoken(pause_s)} ({failures} of {waits.tries})"
        tqdm.write(line, file=sys.stderr)  # above a progress bar, if there is one
        waits.sleep(pause_s)


def _next_pause(error: Exception, waits: Waits, failures: int, what: str, kept: str) -> float:
    """Return the seconds to wait. Errors of requests hold signed addresses: none is chained."""
    asked_s = None
    if isinstance(error, requests.RequestException) and error.response is not None:
        error.response.close()
        asked_s = retry_after_s(error.response)
    if asked_s is not None and asked_s > waits.patience:
        raise RemoteError(
            f"{reason(error)}, and asks for a long pause",
            file=what,
            found=f"a pause of {_spoken(asked_s)}",
            expected=f"at most {_spoken(waits.patience)}",
            fix=f"run it again after that pause{kept}",
        ) from None
    if failures >= waits.tries:
        raise RemoteError(
            f"gave up after {failures} failures in a row",
            file=what,
            found=reason(error),
            fix=f"run it again{kept}",
        ) from None
    return waits.pause_s(failures, asked_s)


def retry_after_s(response: requests.Response) -> float | None:
    """Return the seconds that an answer asks to wait; None if it does not say.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3); a date is compared with
    the answer's own Date, so that a wrong clock here does no harm.
    """
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", text):
        return float(text)
    if (until := http_date(text)) is None:
        return None
    now = http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def http_date(text: str) -> datetime | None:
    """Return the time that an HTTP header gives, in UTC; None if it gives none."""
    try:
        told = parsedate_to_datetime(text)
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def reason(error: Exception) -> str:
    """Return in a few words why a request failed, without its address."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {status_words(_status(error))}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "the server's certificate is not trusted"
            if _distrusted(error)
            else "the encrypted connection broke"
        )
    if isinstance(error, requests.TooManyRedirects):
        return "the server redirects without end"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or causes(error, *_CUTS):
        return "the connection was cut"
    if causes(error, NameResolutionError):
        return "the server's name is not known (is the network up?)"
    if isinstance(error, requests.ConnectionError):
        return "the server could not be reached"
    if isinstance(error, PassingError):
        return str(error)
    return f"the request failed ({type(error).__name__})"


def causes(error: BaseException, *kinds: type[Exception]) -> bool:
    """Return whether an error of requests carries one of urllib3: `args[0]`, or its reason."""
    inner = error.args[0] if error.args else None
    cause = getattr(inner, "reason", None)
    cause = getattr(cause, "original_error", cause)  # any error over a proxy is called the proxy's
    return isinstance(inner, kinds) or isinstance(cause, kinds)


def status_words(status: int) -> str:
    """Return "503 Service Unavailable" for 503."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status}"


def safe_place(url: str) -> str:
    """Return an address as messages may show it: scheme://host/path, no user, no query."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return UNREADABLE
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _status(error: requests.HTTPError) -> int:
    return error.response.status_code if error.response is not None else 0


def _distrusted(error: Exception) -> bool:
    return "certificate" in str(error).lower()


def _spoken(seconds: float) -> str:
    """Return "90 s", "15 min" or "3 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
