"""A Kaggle on loopback whose visitors must keep its secrets, and a file for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from requests.adapters import HTTPAdapter

from tests.support.kaggle_client import REF, SECRETS, SLUG, submission
from tests.support.loopback import Competition, Dataset, Kaggle


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Kaggle]:
    """Yield a server with a competition and a data set, which the clients of this process use.

    Afterwards no secret may have been printed, nothing at all on stdout, no request may have
    gone elsewhere, and requests must be as it was.
    """
    with Kaggle() as server:
        server.redirect_clients(monkeypatch)
        server.competitions[SLUG] = Competition({"train.zip": b"0123456789", "a.csv": b"id\n"})
        server.datasets[REF] = Dataset(version=2, bundle=b"new zip", older={1: b"old"})
        yield server
        out, err = capfd.readouterr()
        assert out == ""
        assert not any(secret in err for secret in SECRETS)
        assert server.requests_of("outside") == []
        assert server.unused_faults() == []
    assert HTTPAdapter.send.__module__ == "requests.adapters"


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """Return a file to submit."""
    return submission(tmp_path)
