"""A Kaggle on loopback to submit to, and a clock that only waiting moves."""

from collections.abc import Iterator

import pytest

from tests.loopback import Kaggle
from tests.submission.parcels import kaggle_on_loopback
from tests.submission.scenarios import Clock


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with kaggle_on_loopback() as there:
        yield there


@pytest.fixture
def clock() -> Clock:
    return Clock()
