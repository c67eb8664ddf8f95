"""A loopback Kaggle, a file to submit to it, and a fake clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.submission.upload.idempotency import Upload
from tests.submission.upload.scenarios import Clock
from tests.support.loopback import Competition, Kaggle
from tests.support.uploads import SLUG, kaggle_on_loopback, upload_of


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with kaggle_on_loopback() as server:
        yield server
        assert server.unused_faults() == []


@pytest.fixture
def competition(kaggle: Kaggle) -> Competition:
    """Return the competition as the server holds it."""
    return kaggle.competitions[SLUG]


@pytest.fixture
def file(tmp_path: Path) -> Upload:
    return upload_of(tmp_path, b"rows")


@pytest.fixture
def clock() -> Clock:
    return Clock()
