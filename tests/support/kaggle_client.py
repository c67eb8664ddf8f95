"""Calls of Kaggle's clients for tests, with a check that no secret is shown."""

import functools
import gzip
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from darkroom.remote.kaggle import api
from darkroom.remote.retry import TIMEOUTS_S
from tests.support.loopback import KEY, REFRESH_TOKEN, TOKEN, WRONG_TOKEN
from tests.support.loopback.calls import REF as REF
from tests.support.loopback.calls import SLUG as SLUG

SECRETS = (TOKEN, WRONG_TOKEN, REFRESH_TOKEN, KEY)
SILENCE_S = 0.2  # only for a request that the server does not answer: no busy machine matters


@functools.cache
def _noise() -> bytes:
    return gzip.compress(os.urandom(1 << 20), 1, mtime=0)


def submission(folder: Path) -> Path:
    """Write a file to submit, 1 MiB of noise."""
    path = folder / "carvana-0123456789ab.csv.gz"
    path.write_bytes(_noise())
    return path


def send(path: Path) -> int:
    return api.submit(SLUG, path, "darkroom 0123456789ab: first", progress=False)


def shorten_timeout(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Let the first request of a kind time out after SILENCE_S.

    Every request must have been given its time-outs, or a silent server is waited for for ever.
    """
    send, kinds = HTTPAdapter.send, list[str]()

    @functools.wraps(send)
    def send_impatiently(
        adapter: HTTPAdapter,
        request: requests.PreparedRequest,
        stream: bool,
        timeout: object,
        **rest: Any,
    ) -> requests.Response:
        assert timeout == TIMEOUTS_S
        path = urlsplit(request.url or "").path
        folder, name = path.split("/")[1], path.rpartition("/")[2]
        kinds.append(folder if folder in ("storage", "upload") else name)
        is_first = kinds[-1] == kind and kinds.count(kind) == 1
        seconds: Any = (TIMEOUTS_S[0], SILENCE_S) if is_first else timeout
        return send(adapter, request, stream, seconds, **rest)

    monkeypatch.setattr(HTTPAdapter, "send", send_impatiently)


def words(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return an error's message, after a check that it and its causes show no secret."""
    text = str(error.value)
    shown = text + str(error.value.__cause__)
    if not error.value.__suppress_context__:
        shown += str(error.value.__context__)
    assert not any(secret in shown for secret in SECRETS)
    assert "X-Goog-Signature" not in text
    return text
