"""What to do at a Kaggle on loopback whose visitors must keep its secrets."""

import gzip
import os
from pathlib import Path

import pytest

from darkroom import kaggle
from tests.loopback import (
    KEY,
    REFRESH_TOKEN,
    TOKEN,
    WRONG_TOKEN,
)

SLUG, REF = "carvana-image-masking-challenge", "jessicali9530/celeba-dataset"
SECRETS = (TOKEN, WRONG_TOKEN, REFRESH_TOKEN, KEY)


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
