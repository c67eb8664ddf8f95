"""Retry with exponential backoff: which errors are transient, how long to wait, when to give up."""

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

KEPT = ": what is already downloaded is kept"
RUN_AGAIN = f"run it again{KEPT}"
UNREADABLE_ADDRESS = "an address that can't be read"
TIMEOUTS_S = (10.0, 60.0)  # to connect, and between two reads
_CUT_ERRORS = (ProtocolError, ConnectionResetError, BrokenPipeError)
_TRANSIENT_STATUSES = (408, 429)  # and all from 500 on
_CONNECTION_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


class TransientError(Exception):
    """An error that may not happen at the next try. Its text says in a few words what it is."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff: each wait is twice as long as the one before, up to a limit.

    Attributes:
        first_wait_s: Seconds before the second try.
        longest_wait_s: The most seconds between two tries.
        tries: Failures in a row, without a new byte received, before giving up.
        longest_pause_s: Give up when a server asks (Retry-After) for more seconds than this.
        sleep: RetryPolicy for some seconds.

    Example:
        >>> policy = RetryPolicy(first_wait_s=1.0, longest_wait_s=5.0)
        >>> [policy.wait_s(failures, None) for failures in (1, 2, 3, 4)]
        [1.0, 2.0, 4.0, 5.0]
    """

    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    tries: int = 8
    longest_pause_s: float = 900.0
    sleep: Callable[[float], None] = time.sleep

    def wait_s(self, failures: int, retry_after_s: float | None) -> float:
        """Return the seconds to wait after so many failures, at least what the server asks for."""
        backoff_s = self.first_wait_s * 2.0 ** min(failures - 1, 99)
        return max(min(backoff_s, self.longest_wait_s), retry_after_s or 0.0)


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed later.

    True if the connection failed, was cut or timed out, and for the statuses 408, 429 and 5xx.
    False for a certificate that is not trusted.
    """
    if isinstance(error, requests.HTTPError):
        status = _status(error)
        return status in _TRANSIENT_STATUSES or status >= 500
    if isinstance(error, requests.exceptions.SSLError) and _is_untrusted(error):
        return False
    return isinstance(error, (TransientError, *_CONNECTION_ERRORS))


def retry(
    work: Callable[[], T],
    policy: RetryPolicy,
    *,
    what: str,
    received_bytes: Callable[[], int] = lambda: 0,
    hint: str = "",
) -> T:
    """Call `work` until it succeeds, with backoff after each transient error; return its result.

    Args:
        work: One try.
        policy: How long to wait between tries, and how many there are.
        what: The file or request, for messages.
        received_bytes: The bytes that all tries have received so far. When they grow, the count
            of failures starts again.
        hint: Follows "run it again" in the error when giving up: `KEPT` after a download.

    Raises:
        RemoteError: Out of tries, or the server asks for a pause beyond `policy.longest_pause_s`.
        Exception: Whatever else `work` raises, as it is.
    """
    failures, most_bytes = 0, received_bytes()
    while True:
        try:
            return work()
        except Exception as error:
            if not is_transient(error):
                raise
            if received_bytes() > most_bytes:
                failures, most_bytes = 0, received_bytes()
            failures += 1
            wait_s = _next_wait_s(error, policy, failures, what, hint)
            words = reason(error)
        line = f"{what}: {words}; retry in {_duration(wait_s)} ({failures} of {policy.tries})"
        tqdm.write(line, file=sys.stderr)  # above a progress bar, if there is one
        policy.sleep(wait_s)


def _next_wait_s(
    error: Exception, policy: RetryPolicy, failures: int, what: str, hint: str
) -> float:
    """Return the seconds to wait, or raise RemoteError when it is time to give up."""
    pause_s = None
    if isinstance(error, requests.RequestException) and error.response is not None:
        error.response.close()
        pause_s = retry_after_s(error.response)
    # Errors of requests hold signed addresses, so none is chained ("from None").
    if pause_s is not None and pause_s > policy.longest_pause_s:
        raise RemoteError(
            f"{reason(error)}, and asks for a long pause",
            file=what,
            found=f"a pause of {_duration(pause_s)}",
            expected=f"at most {_duration(policy.longest_pause_s)}",
            fix=f"run it again after that pause{hint}",
        ) from None
    if failures >= policy.tries:
        raise RemoteError(
            f"gave up after {failures} failures in a row",
            file=what,
            found=reason(error),
            fix=f"run it again{hint}",
        ) from None
    return policy.wait_s(failures, pause_s)


def retry_after_s(response: requests.Response) -> float | None:
    """Return the seconds that a response asks to wait, None if it has no Retry-After.

    Retry-After is a number of seconds or a date (RFC 9110, 10.2.3). A date is compared with the
    Date of the same response, so a wrong clock on this machine does not matter.
    """
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", text):
        return float(text)
    if (until := parse_http_date(text)) is None:
        return None
    now = parse_http_date(response.headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def parse_http_date(text: str) -> datetime | None:
    """Return the time of an HTTP header in UTC, None if it is no date.

    Example:
        >>> parse_http_date("Mon, 24 Jul 2017 14:00:00 +0200").isoformat()
        '2017-07-24T12:00:00+00:00'
    """
    try:
        moment = parsedate_to_datetime(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def reason(error: Exception) -> str:
    """Return in a few words why a request failed, without its address (it may hold a signature)."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {status_words(_status(error))}"
    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return (
            "the server's certificate is not trusted"
            if _is_untrusted(error)
            else "the encrypted connection broke"
        )
    if isinstance(error, requests.TooManyRedirects):
        return "the server redirects without end"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or is_caused_by(
        error, *_CUT_ERRORS
    ):
        return "the connection was cut"
    if is_caused_by(error, NameResolutionError):
        return "the server's name is not known (is the network up?)"
    if isinstance(error, requests.ConnectionError):
        return "the server could not be reached"
    if isinstance(error, TransientError):
        return str(error)
    return f"the request failed ({type(error).__name__})"


def is_caused_by(error: BaseException, *kinds: type[Exception]) -> bool:
    """Return whether an error of requests wraps one of urllib3: as `args[0]`, or as its reason."""
    inner = error.args[0] if error.args else None
    cause = getattr(inner, "reason", None)
    cause = getattr(cause, "original_error", cause)  # over a proxy, a ProxyError wraps it
    return isinstance(inner, kinds) or isinstance(cause, kinds)


def status_words(status: int) -> str:
    """Return a status with its phrase.

    Example:
        >>> status_words(503)
        '503 Service Unavailable'
    """
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status}"


def public_address(url: str) -> str:
    """Return an address as messages may show it: without user, password, query and fragment.

    Example:
        >>> public_address("https://me:secret@h.org:8443/a.zip?signature=abc")
        'https://h.org:8443/a.zip'
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return UNREADABLE_ADDRESS
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _status(error: requests.HTTPError) -> int:
    return error.response.status_code if error.response is not None else 0


def _is_untrusted(error: Exception) -> bool:
    return "certificate" in str(error).lower()


def _duration(seconds: float) -> str:
    """Return "90 s", "15 min" or "3 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
