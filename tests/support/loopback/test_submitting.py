"""Kaggle's side of a submission, as the loopback server plays it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from tests.support.loopback import (
    Competition,
    CutBody,
    Kaggle,
    NoAnswer,
    Refuse,
    Status,
    Submission,
)
from tests.support.loopback.calls import BODY, SLUG, call


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with Kaggle() as kaggle:
        kaggle.competitions[SLUG] = Competition()
        yield kaggle
        assert kaggle.unused_faults() == []


def ask(kaggle: Kaggle, method: str, **body: Any) -> requests.Response:
    return call(kaggle, method, competitionName=SLUG, **body)


def place(kaggle: Kaggle, size: int) -> dict[str, str]:
    """Return the token and the URL given out for a file of a size, bytes."""
    answer = ask(kaggle, "StartSubmissionUpload", fileName="masks.csv.gz", contentLength=size)
    return dict(answer.json())


def create(kaggle: Kaggle, token: str, description: str = "") -> requests.Response:
    return ask(kaggle, "CreateSubmission", blobFileTokens=token, submissionDescription=description)


def submit(kaggle: Kaggle, description: str) -> requests.Response:
    """Submit as Kaggle's client does: a place, the file, the submission."""
    given = place(kaggle, len(BODY))
    requests.put(given["createUrl"], data=BODY, timeout=5).raise_for_status()
    return create(kaggle, given["token"], description)


def listed(kaggle: Kaggle, **paging: Any) -> list[dict[str, Any]]:
    return list(ask(kaggle, "ListSubmissions", **paging).json()["submissions"])


def test_a_submission_is_seen_late_then_pending_then_scored(kaggle: Kaggle) -> None:
    competition = kaggle.competitions[SLUG]
    competition.lag, competition.pending = 2, 1
    assert submit(kaggle, "one").json()["ref"] == 20_000_001
    assert [listed(kaggle), listed(kaggle, page=1)] == [[], []]
    (row,) = listed(kaggle)
    assert (row["status"], "publicScore" in row) == ("PENDING", False)
    assert listed(kaggle, page=2) == []  # a further page is of the same listing
    (row,) = listed(kaggle)
    assert (row["status"], row["privateScore"]) == ("COMPLETE", "0.99487")


def test_a_submission_that_cannot_be_scored(kaggle: Kaggle) -> None:
    kaggle.competitions[SLUG].error = "Submission must have 100064 rows"
    submit(kaggle, "one")
    (row,) = listed(kaggle)
    assert (row["status"], row["errorDescription"]) == ("ERROR", "Submission must have 100064 rows")


def test_the_list_is_paged_newest_first(kaggle: Kaggle) -> None:
    made = [submit(kaggle, str(number)).json()["ref"] for number in range(5)]
    pages = [listed(kaggle, page=page, pageSize=2) for page in (1, 2, 3, 4)]
    assert [[row["ref"] for row in page] for page in pages] == [
        made[:2:-1],
        made[2:0:-1],
        made[:1],
        [],
    ]
    refused = ask(kaggle, "StartSubmissionUpload")
    assert "used its daily Submission allowance (5)" in refused.json()["message"]


def test_a_closed_competition_takes_nothing(kaggle: Kaggle) -> None:
    kaggle.competitions[SLUG].open = False
    assert ask(kaggle, "StartSubmissionUpload").status_code == 400


def test_only_a_whole_file_is_kept(kaggle: Kaggle) -> None:
    given = place(kaggle, size=10)
    assert requests.put(given["createUrl"], data=b"nine char", timeout=5).status_code == 400
    assert requests.put(given["createUrl"].split("?")[0], data=b"x", timeout=5).status_code == 403
    assert "was not uploaded" in create(kaggle, given["token"]).json()["message"]
    assert kaggle.competitions[SLUG].submissions == []


def test_a_submission_refused_is_not_made_and_one_unanswered_is(kaggle: Kaggle) -> None:
    kaggle.play("CreateSubmission", Status(500), NoAnswer())
    assert submit(kaggle, "one").status_code == 500
    assert kaggle.competitions[SLUG].submissions == []
    with pytest.raises(requests.ConnectionError):
        submit(kaggle, "two")
    assert [made.description for made in kaggle.competitions[SLUG].submissions] == ["two"]


def test_submissions_from_before_are_listed(kaggle: Kaggle) -> None:
    before = Submission(
        7, "old", "old.csv", b"", datetime(2017, 8, 1, tzinfo=UTC), "COMPLETE", "0.9"
    )
    kaggle.competitions[SLUG].submissions.append(before)
    assert [(row["ref"], row["publicScore"]) for row in listed(kaggle)] == [(7, "0.9")]


def test_uploads_that_do_not_arrive(kaggle: Kaggle) -> None:
    body = BODY * 100
    given = place(kaggle, len(body))
    kaggle.play("upload", Refuse(), CutBody(0.25), CutBody(1.0))
    for _ in range(3):
        with pytest.raises(requests.ConnectionError):
            requests.put(given["createUrl"], data=body, timeout=5)
        assert create(kaggle, given["token"]).status_code == 400
    received = [request.bytes_received for request in kaggle.requests_of("upload")]
    assert received == [0, 2_500_000, 10_000_000]


def test_uploads_that_are_refused_and_that_are_not_answered(kaggle: Kaggle) -> None:
    given = place(kaggle, len(BODY))
    kaggle.play("upload", Status(503, retry_after="1"), NoAnswer())
    answer = requests.put(given["createUrl"], data=BODY, timeout=5)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert create(kaggle, given["token"]).status_code == 400
    with pytest.raises(requests.ConnectionError):
        requests.put(given["createUrl"], data=BODY, timeout=5)
    assert create(kaggle, given["token"]).status_code == 200
