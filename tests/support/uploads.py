"""A loopback Kaggle, and files to submit to it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from darkroom.submission.upload.idempotency import Upload
from tests.support.loopback import TOKEN, Competition, Kaggle
from tests.support.loopback.calls import SLUG as SLUG


@contextmanager
def kaggle_on_loopback(token: str | None = TOKEN) -> Iterator[Kaggle]:
    """Yield a Kaggle that holds one competition, the clients led to it."""
    with Kaggle() as kaggle, pytest.MonkeyPatch.context() as patch:
        kaggle.redirect_clients(patch, token)
        kaggle.competitions[SLUG] = Competition(allowed=100)
        yield kaggle


def upload_of(folder: Path, data: bytes) -> Upload:
    """Return a file to submit, written to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "carvana.csv.gz"
    path.write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    return Upload(SLUG, path, sha256, folder / ".carvana.sending")
