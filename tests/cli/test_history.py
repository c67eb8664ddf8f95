"""`darkroom history` requests missing scores, and shows stored ones in any case."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.cli import history as stage
from darkroom.cli.main import main
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.history.file import HistoryRow, append_row, read_history
from tests.support import tiny
from tests.support.history_rows import ROW
from tests.support.loopback import TOKEN, Competition, Kaggle, Status, Submission

SLUG = "tiny-cars"
DAY = datetime(2017, 9, 27, 12, tzinfo=UTC)
HISTORY, PICTURE = Path("submissions/history.csv"), Path("submissions/tiny_history.png")


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.redirect_clients(monkeypatch)
        server.competitions[SLUG] = Competition()
        yield server


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a project whose competition is Kaggle's, in a terminal of 80 columns."""
    root = tiny.project(tmp_path / "project", "masks")
    tiny.edit(root, lambda params: params["tiny"]["data"].update(kaggle=SLUG))
    monkeypatch.chdir(root)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(stage, "RETRY_POLICY", RetryPolicy(tries=2, sleep=lambda _: None))


def row(reference: int, local: float | None, **values: object) -> HistoryRow:
    row = replace(ROW, name="tiny", reference=reference, local=local, message=f"try {reference}")
    pending = replace(row, time=DAY.replace(day=reference), status="pending", public=None)
    return replace(pending, **values)  # type: ignore[arg-type]


def record(*rows: HistoryRow) -> None:
    for row in rows:
        append_row(HISTORY, row)


def submission_of(reference: int, **values: str) -> Submission:
    return Submission(reference, "darkroom", "tiny.csv.gz", b"", DAY, **values)  # type: ignore[arg-type]


@pytest.fixture
def run_history(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(*options: str, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        assert main(["history", "tiny", *options]) == code
        out, err = capfd.readouterr()
        return out, err

    return run


RunHistory = Callable[..., tuple[str, str]]


def test_nothing_was_submitted(kaggle: Kaggle, run_history: RunHistory) -> None:
    words = "tiny: nothing was submitted yet; `darkroom submit tiny -m MESSAGE` does\n"
    assert run_history() == (words, "")
    record(replace(ROW, name="another"))
    assert run_history() == (words, "")
    assert kaggle.requests == []
    assert not PICTURE.exists()


def test_missing_scores_are_requested_shown_and_stored(
    kaggle: Kaggle, run_history: RunHistory
) -> None:
    record(row(2, 0.75), row(1, 0.5), row(3, 0.625), replace(ROW, name="another", reference=9))
    kaggle.competitions[SLUG].submissions += [
        submission_of(1, status="COMPLETE", public="0.40000", private="0.41000"),
        submission_of(2, status="COMPLETE", public="0.65000", private="0.66000"),
        submission_of(3, status="ERROR", error="the scorer broke"),
    ]
    out, err = run_history()
    assert out.splitlines() == [
        "# time (UTC)       commit     local  public private      gap message",
        "1 2017-09-01 12:00 0123456* 0.50000 0.40000 0.41000 -0.10000 try 1",
        "2 2017-09-02 12:00 0123456* 0.75000 0.65000 0.66000 -0.10000 try 2",
        "3 2017-09-03 12:00 0123456* 0.62500   error                  try 3",
        "*: made from files that were not committed",
        "",
        "public   2 of 3 compared   gap -0.10000 ± 0.00000   rank correlation from 3 on",
        "private  2 of 3 compared   gap -0.09000 ± 0.00000   rank correlation from 3 on",
        "gap: leaderboard minus local, mean ± spread; rank correlation 1: the same order",
        f"picture  {PICTURE}",
    ]
    assert err == ""
    assert PICTURE.read_bytes().startswith(b"\x89PNG")
    assert [
        (row.reference, row.status, row.public, row.private) for row in read_history(HISTORY)
    ] == [
        (2, "complete", 0.65, 0.66),
        (1, "complete", 0.4, 0.41),
        (3, "error", None, None),
        (9, "complete", 0.5, None),
    ]
    request_count = len(kaggle.requests)
    assert run_history() == (out, "")  # all is known now
    assert len(kaggle.requests) == request_count


def test_a_private_score_comes_later(kaggle: Kaggle, run_history: RunHistory) -> None:
    record(row(1, 0.5, status="complete", public=0.25))
    submission = submission_of(1, status="COMPLETE", public="0.25")
    kaggle.competitions[SLUG].submissions.append(submission)
    assert "private  0 of 1 compared\n" in run_history()[0]
    submission.private = "0.375"
    assert "private  1 of 1 compared   gap -0.12500   rank" in run_history()[0]


def test_offline_sends_no_request(kaggle: Kaggle, run_history: RunHistory) -> None:
    record(row(1, 0.5))
    out, err = run_history("--offline")
    assert "0.50000 pending" in out
    assert "public   0 of 1 compared\n" in out
    assert "picture" not in out
    assert err == ""
    assert kaggle.requests == []
    assert not PICTURE.exists()


@pytest.mark.parametrize("name", [None, "owner/cars"])
def test_without_a_competition_no_request_is_sent(
    kaggle: Kaggle, run_history: RunHistory, name: str | None
) -> None:
    tiny.edit(Path(), lambda params: params["tiny"]["data"].update(kaggle=name))
    record(row(1, 0.5))
    out, err = run_history()
    assert "0.50000 pending" in out
    assert (err, kaggle.requests) == ("", [])


def test_stored_scores_are_shown_when_the_server_fails(
    kaggle: Kaggle, run_history: RunHistory
) -> None:
    record(row(1, 0.5, status="complete", public=0.25, private=0.25), row(2, 0.75))
    before = HISTORY.read_bytes()
    kaggle.always("ListSubmissions", Status(500))
    out, err = run_history()
    assert "1 of 2 compared   gap -0.25000" in out
    assert f"picture  {PICTURE}\n" in out
    assert "the missing scores could not be requested: " in err
    assert "gave up after 2 failures in a row" in err
    assert "the server answered 500" in err
    assert TOKEN not in out + err
    assert HISTORY.read_bytes() == before


def test_a_passing_error_is_retried(kaggle: Kaggle, run_history: RunHistory) -> None:
    record(row(1, 0.5))
    kaggle.competitions[SLUG].submissions.append(submission_of(1, status="COMPLETE", public="0.25"))
    kaggle.play("ListSubmissions", Status(503))
    out, err = run_history()
    assert "0.50000 0.25000" in out
    assert "Kaggle's list of submissions: the server answered 503" in err


def test_stored_scores_are_shown_without_an_account(
    kaggle: Kaggle, run_history: RunHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(row(1, 0.5))
    kaggle.redirect_clients(monkeypatch, token=None)
    out, err = run_history()
    assert "0.50000 pending" in out
    assert "the missing scores could not be requested: " in err
    assert "https://www.kaggle.com/settings/api" in err


def test_submissions_that_kaggle_does_not_list_are_named(
    kaggle: Kaggle, run_history: RunHistory
) -> None:
    record(row(1, 0.5), row(2, 0.5), row(3, 0.5, status="complete", public=0.5, private=0.5))
    kaggle.competitions[SLUG].submissions.append(submission_of(2, status="COMPLETE", public="0.25"))
    out, err = run_history()
    assert err == "not in this account's list at Kaggle: 1\n"
    assert "0.50000 0.25000" in out


def test_a_note_says_that_another_metric_is_left_out(run_history: RunHistory) -> None:
    values = {"status": "complete", "public": 0.5, "private": 0.5}
    record(row(1, 0.5, metric="iou", **values), row(2, 0.75, **values))
    out, _ = run_history("--offline")
    assert "public   1 of 2 compared" in out
    assert "local scores of another metric than dice are not compared\n" in out


def test_a_damaged_history_stops_it(kaggle: Kaggle, run_history: RunHistory) -> None:
    record(row(1, 0.5))
    with HISTORY.open("a") as file:
        file.write("2017-")
    before = HISTORY.read_bytes()
    out, err = run_history(code=6)
    assert f"darkroom history tiny: {HISTORY}, row 3: the history is damaged\n" in err
    assert (out, kaggle.requests) == ("", [])
    assert HISTORY.read_bytes() == before


def test_an_unknown_name(run_history: RunHistory, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "tinny"]) == 2
    assert "did you mean 'tiny'?" in capfd.readouterr().err
