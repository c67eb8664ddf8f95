"""Watching over a client that brings its own sessions: timeouts, no retries, what was sent."""

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
from darkroom.remote.https import is_safe
from darkroom.remote.retry import TIMEOUTS_S, causes, reason, safe_place, status_words


@dataclass
class Wire:
    """What went over the wire under watch, and what the client printed.

    Attributes:
        sent: The last part of each request's path, noted before it goes out.
        before: What to call before a request of that name goes out.
        answer: The last request's answer, if there was one.
        error: What the last request raised, if it did.
        is_shut: Whether requests fail at once instead of going out.
    """

    sent: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)
    answer: requests.Response | None = None
    error: Exception | None = None
    printed: io.StringIO = field(default_factory=io.StringIO)
    is_shut: bool = False

    @property
    def never_left(self) -> bool:
        """Whether the last request found no connection to go out over."""
        error = self.error
        return isinstance(error, requests.ConnectTimeout) or (
            error is not None and causes(error, NewConnectionError)
        )

    @property
    def end(self) -> str:
        """How the last request ended if it ended badly, in words without its address."""
        if self.error is not None:
            return reason(self.error)
        if self.answer is not None and self.answer.status_code >= 300:
            return f"the server answered {status_words(self.answer.status_code)}"
        return ""


@contextmanager
def watched() -> Iterator[Wire]:
    """Yield a record of every request that goes out through requests while the block runs.

    Whoever sends it, a request without timeouts gets TIMEOUTS_S, urllib3 sends it once instead
    of up to ten times over minutes, and what is printed to stdout is kept back. A redirect out of
    https is not followed, save to this machine itself, nor is one to nowhere an answer.
    """
    wire, send = Wire(), HTTPAdapter.send

    def once(
        adapter: HTTPAdapter,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        **rest: Any,
    ) -> requests.Response:
        if wire.is_shut:
            raise requests.ConnectionError("nothing may be sent now")
        url = request.url or ""
        if not is_safe(url):
            raise _open_address(url)
        name = urlsplit(url).path.rsplit("/", 1)[-1]
        wire.before.get(name, lambda: None)()
        wire.sent.append(name)
        wire.answer = wire.error = None
        adapter.max_retries = Retry(0, read=False)
        try:
            wire.answer = send(adapter, request, stream, timeout or TIMEOUTS_S, **rest)
        except Exception as error:
            wire.error = error
            raise
        if 300 <= wire.answer.status_code < 400 and not wire.answer.is_redirect:
            # The clients refuse from 400 on, and would take this for an empty list.
            raise requests.HTTPError(status_words(wire.answer.status_code), response=wire.answer)
        return wire.answer

    HTTPAdapter.send = once  # type: ignore[assignment,method-assign]
    try:
        with redirect_stdout(wire.printed):
            yield wire
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


def _open_address(url: str) -> RemoteError:
    return RemoteError(
        "Kaggle leads to an address that is not encrypted: nobody vouches for what is there",
        found=safe_place(url),
        expected="https://…",
        fix="run it again; if it stays so, see what stands between here and Kaggle: a proxy, or a "
        "network's login",
    )


@contextmanager
def environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change the environment while the block runs; None takes a variable out."""
    before = {name: os.environ.get(name) for name in changes}

    def put(values: Mapping[str, str | None]) -> None:
        for name, value in values.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    put(changes)
    try:
        yield
    finally:
        put(before)
