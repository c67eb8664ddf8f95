"""Wait for the score of a submission."""

from pathlib import Path

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.kaggle import api as client
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.upload.send import wait_for_score
from tests.submission.upload.loopback import SLUG, upload_of
from tests.support.loopback import Kaggle, Status


def submit(tmp_path: Path) -> int:
    return client.submit(SLUG, upload_of(tmp_path, b"rows").path, "first", progress=False)


def test_the_score_is_waited_for_in_growing_pauses(kaggle: Kaggle, tmp_path: Path) -> None:
    slept: list[float] = []
    kaggle.competitions[SLUG].lag, kaggle.competitions[SLUG].pending = 1, 3
    submission = wait_for_score(SLUG, submit(tmp_path), policy=RetryPolicy(sleep=slept.append))
    assert submission is not None
    assert (submission.status, submission.public, submission.private) == (
        "complete",
        0.99512,
        0.99487,
    )
    assert slept == [5.0, 7.5, 11.25, 16.875]


def test_the_wait_ends_after_half_an_hour(kaggle: Kaggle, tmp_path: Path) -> None:
    slept: list[float] = []
    kaggle.competitions[SLUG].pending = 10_000
    assert wait_for_score(SLUG, submit(tmp_path), policy=RetryPolicy(sleep=slept.append)) is None
    assert sum(slept) == 1800
    assert max(slept) == 60


def test_a_failed_submission_ends_the_wait(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.competitions[SLUG].error = "Wrong header"
    submission = wait_for_score(SLUG, submit(tmp_path), policy=RetryPolicy())
    assert submission is not None
    assert (submission.status, submission.error) == ("error", "Wrong header")


def test_a_server_error_is_retried(kaggle: Kaggle, tmp_path: Path) -> None:
    reference = submit(tmp_path)
    kaggle.play("ListSubmissions", Status(500), Status(429))
    assert wait_for_score(SLUG, reference, policy=RetryPolicy(sleep=lambda _: None)) is not None
    kaggle.always("ListSubmissions", Status(500))
    with pytest.raises(RemoteError, match="the score: gave up after 8 failures"):
        wait_for_score(SLUG, reference, policy=RetryPolicy(sleep=lambda _: None))
