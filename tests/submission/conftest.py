"""A Kaggle on loopback, a file to submit to it, and a clock that only waiting moves."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.submission.upload.pending import Parcel
from tests.submission.upload.parcels import SLUG, kaggle_on_loopback, parcel
from tests.submission.upload.scenarios import Clock
from tests.support.loopback import Competition, Kaggle


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with kaggle_on_loopback() as there:
        yield there
        assert there.unplayed() == []


@pytest.fixture
def held(kaggle: Kaggle) -> Competition:
    """Return the competition as the server holds it."""
    return kaggle.competitions[SLUG]


@pytest.fixture
def file(tmp_path: Path) -> Parcel:
    return parcel(tmp_path, b"rows")


@pytest.fixture
def clock() -> Clock:
    return Clock()
