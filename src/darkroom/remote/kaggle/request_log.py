"""Log and limit the requests of a client that has its own sessions: timeouts, no retries."""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError
from urllib3.util.retry import Retry

from darkroom.errors import RemoteError
from darkroom.remote.https import is_safe_url
from darkroom.remote.retry import TIMEOUTS_S, is_caused_by, public_address, reason, status_words


@dataclass
class RequestLog:
    """The requests that were sent, the last response, and what the client printed.

    Attributes:
        sent: The last part of each request's path, written before the request is sent.
        hooks: Functions by that name, called before such a request is sent.
        response: The last request's response, if there was one.
        error: What the last request raised, if it did.
        printed: What the client printed to stdout.
        is_blocked: Whether requests fail at once instead of being sent.
    """

    sent: list[str] = field(default_factory=list)
    hooks: dict[str, Callable[[], None]] = field(default_factory=dict)
    response: requests.Response | None = None
    error: Exception | None = None
    printed: io.StringIO = field(default_factory=io.StringIO)
    is_blocked: bool = False

    @property
    def is_unsent(self) -> bool:
        """Whether the last request was never sent, because no connection could be made."""
        error = self.error
        return isinstance(error, requests.ConnectTimeout) or (
            error is not None and is_caused_by(error, NewConnectionError)
        )

    @property
    def failure(self) -> str:
        """Why the last request failed, in words without its address; "" if it did not fail."""
        if self.error is not None:
            return reason(self.error)
        if self.response is not None and self.response.status_code >= 300:
            return f"the server answered {status_words(self.response.status_code)}"
        return ""


@contextmanager
def log_requests() -> Iterator[RequestLog]:
    """Log every request that is sent through `requests` while the block runs.

    Each request gets TIMEOUTS_S if it has no timeouts, and urllib3 sends it once instead of up to
    ten times over minutes. Output to stdout is captured. A redirect that leaves https raises
    RemoteError (this machine itself is allowed), and a redirect without a target raises HTTPError.
    """
    log, send = RequestLog(), HTTPAdapter.send

    def send_once(
        adapter: HTTPAdapter,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        **rest: Any,
    ) -> requests.Response:
        if log.is_blocked:
            raise requests.ConnectionError("requests are blocked now")
        url = request.url or ""
        if not is_safe_url(url):
            raise _unencrypted_error(url)
        name = urlsplit(url).path.rsplit("/", 1)[-1]
        log.hooks.get(name, lambda: None)()
        log.sent.append(name)
        log.response = log.error = None
        adapter.max_retries = Retry(0, read=False)
        try:
            log.response = send(adapter, request, stream, timeout or TIMEOUTS_S, **rest)
        except Exception as error:
            log.error = error
            raise
        # 308 with Content-Range says how much of an upload is there: the client goes on from it.
        is_progress = log.response.status_code == 308 and "Content-Range" in request.headers
        is_redirect = log.response.is_redirect or is_progress
        if 300 <= log.response.status_code < 400 and not is_redirect:
            # The clients raise from 400 on, and would take this response for an empty list.
            raise requests.HTTPError(status_words(log.response.status_code), response=log.response)
        return log.response

    HTTPAdapter.send = send_once  # type: ignore[assignment,method-assign]
    try:
        with redirect_stdout(log.printed):
            yield log
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


def _unencrypted_error(url: str) -> RemoteError:
    return RemoteError(
        "Kaggle redirects to an address that is not encrypted, so anybody could change the bytes",
        found=public_address(url),
        expected="https://…",
        fix="run it again; if the error stays, check what is between this machine and Kaggle: a "
        "proxy, or a network's login",
    )


@contextmanager
def changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change the environment while the block runs; None removes a variable."""
    original = {name: os.environ.get(name) for name in changes}

    def set_variables(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    set_variables(changes)
    try:
        yield
    finally:
        set_variables(original)
