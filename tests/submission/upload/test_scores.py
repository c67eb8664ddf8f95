from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api as client
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.upload import reconcile
from tests.submission.upload.parcels import SLUG, parcel
from tests.support.loopback import Kaggle, Status


def sent(tmp_path: Path) -> int:
    return client.submit(SLUG, parcel(tmp_path, b"rows").path, "first", progress=False)


def test_the_score_is_waited_for_in_growing_pauses(kaggle: Kaggle, tmp_path: Path) -> None:
    slept: list[float] = []
    kaggle.competitions[SLUG].lag, kaggle.competitions[SLUG].pending = 1, 3
    found = reconcile.scored(SLUG, sent(tmp_path), policy=RetryPolicy(sleep=slept.append))
    assert found is not None
    assert (found.status, found.public, found.private) == ("complete", 0.99512, 0.99487)
    assert slept == [5.0, 7.5, 11.25, 16.875]


def test_half_an_hour_at_most(kaggle: Kaggle, tmp_path: Path) -> None:
    slept: list[float] = []
    kaggle.competitions[SLUG].pending = 10_000
    assert reconcile.scored(SLUG, sent(tmp_path), policy=RetryPolicy(sleep=slept.append)) is None
    assert sum(slept) == 1800
    assert max(slept) == 60


def test_an_error_is_an_end_too(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.competitions[SLUG].error = "Wrong header"
    found = reconcile.scored(SLUG, sent(tmp_path), policy=RetryPolicy())
    assert found is not None
    assert (found.status, found.error) == ("error", "Wrong header")


def test_a_server_that_fails_is_asked_again(kaggle: Kaggle, tmp_path: Path) -> None:
    reference = sent(tmp_path)
    kaggle.play("ListSubmissions", Status(500), Status(429))
    assert reconcile.scored(SLUG, reference, policy=RetryPolicy(sleep=lambda _: None)) is not None
    kaggle.always("ListSubmissions", Status(500))
    with pytest.raises(RemoteError, match="the score: gave up after 8 failures"):
        reconcile.scored(SLUG, reference, policy=RetryPolicy(sleep=lambda _: None))
