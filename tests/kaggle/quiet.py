"""A Kaggle on loopback whose visitors must keep its secrets, and what to do there."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from requests.adapters import HTTPAdapter

from darkroom import kaggle
from tests.loopback import (
    KEY,
    REFRESH_TOKEN,
    TOKEN,
    WRONG_TOKEN,
    Competition,
    Dataset,
    Kaggle,
)

SLUG, REF = "carvana-image-masking-challenge", "jessicali9530/celeba-dataset"
SECRETS = (TOKEN, WRONG_TOKEN, REFRESH_TOKEN, KEY)


@contextmanager
def quiet_kaggle(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Kaggle]:
    """Yield a server with a competition and a data set, the clients of this process led to it.

    Afterwards no secret may have been printed, nothing at all on stdout, no request may have
    gone elsewhere, and requests must be as it was.
    """
    with Kaggle() as server:
        server.lead(monkeypatch)
        server.competitions[SLUG] = Competition({"train.zip": b"0123456789", "a.csv": b"id\n"})
        server.datasets[REF] = Dataset(version=2, bundle=b"new zip", older={1: b"old"})
        yield server
        out, err = capfd.readouterr()
        assert out == ""
        assert not any(secret in err for secret in SECRETS)
        assert server.of("outside") == []
        assert server.unplayed() == []
    assert HTTPAdapter.send.__module__ == "requests.adapters"


def submission(folder: Path) -> Path:
    """Write a file to submit, 1 MiB of noise."""
    path = folder / "carvana-0123456789ab.csv.gz"
    path.write_bytes(gzip.compress(os.urandom(1 << 20), 1, mtime=0))
    return path


def send(path: Path) -> int:
    return kaggle.submit(SLUG, path, "darkroom 0123456789ab: first", progress=False)


def words(error: pytest.ExceptionInfo[BaseException]) -> str:
    """Return an error's message, having seen that it and its causes tell no secret."""
    text = str(error.value)
    shown = text + str(error.value.__cause__)
    if not error.value.__suppress_context__:
        shown += str(error.value.__context__)
    assert not any(secret in shown for secret in SECRETS)
    assert "X-Goog-Signature" not in text
    return text
