"""What to do at a Kaggle on loopback whose visitors must keep its secrets."""

import gzip
import os
from pathlib import Path

import pytest

from darkroom.remote.kaggle import api, request_log
from darkroom.remote.retry import TIMEOUTS_S
from tests.support.loopback import KEY, REFRESH_TOKEN, TOKEN, WRONG_TOKEN
from tests.support.loopback.calls import REF as REF
from tests.support.loopback.calls import SLUG as SLUG

SECRETS = (TOKEN, WRONG_TOKEN, REFRESH_TOKEN, KEY)
SILENCE_S = 1.0  # short, and yet no busy machine keeps an answer of the server back for so long


def submission(folder: Path) -> Path:
    """Write a file to submit, 1 MiB of noise."""
    path = folder / "carvana-0123456789ab.csv.gz"
    path.write_bytes(gzip.compress(os.urandom(1 << 20), 1, mtime=0))
    return path


def send(path: Path) -> int:
    return api.submit(SLUG, path, "darkroom 0123456789ab: first", progress=False)


def limit_silence(monkeypatch: pytest.MonkeyPatch, silence_s: float = SILENCE_S) -> None:
    """Let the clients wait for a silent server no longer than so many seconds."""
    monkeypatch.setattr(request_log, "TIMEOUTS_S", (TIMEOUTS_S[0], silence_s))


def words(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return an error's message, having seen that it and its causes tell no secret."""
    text = str(error.value)
    shown = text + str(error.value.__cause__)
    if not error.value.__suppress_context__:
        shown += str(error.value.__context__)
    assert not any(secret in shown for secret in SECRETS)
    assert "X-Goog-Signature" not in text
    return text
