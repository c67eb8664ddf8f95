"""`darkroom history`: Kaggle is asked for what is lacking, and what is known is shown anyway."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.cli import history as stage
from darkroom.cli.main import main
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.history.file import HistoryRow, append_row, read_history
from tests.submission.history.rows import ROW
from tests.support import tiny
from tests.support.loopback import TOKEN, Competition, Kaggle, Status, Submission

SLUG = "tiny-cars"
DAY = datetime(2017, 9, 27, 12, tzinfo=UTC)
HISTORY, PICTURE = Path("submissions/history.csv"), Path("submissions/tiny_history.png")


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.lead(monkeypatch)
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


def sent(reference: int, local: float | None, **known: object) -> HistoryRow:
    row = replace(ROW, name="tiny", reference=reference, local=local, message=f"try {reference}")
    pending = replace(row, time=DAY.replace(day=reference), status="pending", public=None)
    return replace(pending, **known)  # type: ignore[arg-type]


def record(*rows: HistoryRow) -> None:
    for row in rows:
        append_row(HISTORY, row)


def listed(reference: int, **known: str) -> Submission:
    return Submission(reference, "darkroom", "tiny.csv.gz", b"", DAY, **known)  # type: ignore[arg-type]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(*options: str, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        assert main(["history", "tiny", *options]) == code
        out, err = capfd.readouterr()
        return out, err

    return run


Told = Callable[..., tuple[str, str]]


def test_nothing_was_submitted(kaggle: Kaggle, told: Told) -> None:
    words = "tiny: nothing was submitted yet; `darkroom submit tiny -m MESSAGE` does\n"
    assert told() == (words, "")
    record(replace(ROW, name="another"))
    assert told() == (words, "")
    assert kaggle.requests == []
    assert not PICTURE.exists()


def test_scores_that_lacked_are_asked_for_shown_and_kept(kaggle: Kaggle, told: Told) -> None:
    record(sent(2, 0.75), sent(1, 0.5), sent(3, 0.625), replace(ROW, name="another", reference=9))
    kaggle.competitions[SLUG].submissions += [
        listed(1, status="COMPLETE", public="0.40000", private="0.41000"),
        listed(2, status="COMPLETE", public="0.65000", private="0.66000"),
        listed(3, status="ERROR", error="the scorer broke"),
    ]
    out, err = told()
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
    asked = len(kaggle.requests)
    assert told() == (out, "")  # all is known now
    assert len(kaggle.requests) == asked


def test_a_private_score_comes_later(kaggle: Kaggle, told: Told) -> None:
    record(sent(1, 0.5, status="complete", public=0.25))
    mine = listed(1, status="COMPLETE", public="0.25")
    kaggle.competitions[SLUG].submissions.append(mine)
    assert "private  0 of 1 compared\n" in told()[0]
    mine.private = "0.375"
    assert "private  1 of 1 compared   gap -0.12500   rank" in told()[0]


def test_offline_nobody_is_asked(kaggle: Kaggle, told: Told) -> None:
    record(sent(1, 0.5))
    out, err = told("--offline")
    assert "0.50000 pending" in out
    assert "public   0 of 1 compared\n" in out
    assert "picture" not in out
    assert err == ""
    assert kaggle.requests == []
    assert not PICTURE.exists()


@pytest.mark.parametrize("name", [None, "owner/cars"])
def test_without_a_competition_nobody_is_asked(
    kaggle: Kaggle, told: Told, name: str | None
) -> None:
    tiny.edit(Path(), lambda params: params["tiny"]["data"].update(kaggle=name))
    record(sent(1, 0.5))
    out, err = told()
    assert "0.50000 pending" in out
    assert (err, kaggle.requests) == ("", [])


def test_a_server_that_fails_leaves_what_is_known(kaggle: Kaggle, told: Told) -> None:
    record(sent(1, 0.5, status="complete", public=0.25, private=0.25), sent(2, 0.75))
    before = HISTORY.read_bytes()
    kaggle.always("ListSubmissions", Status(500))
    out, err = told()
    assert "1 of 2 compared   gap -0.25000" in out
    assert f"picture  {PICTURE}\n" in out
    assert "the missing scores could not be requested: " in err
    assert "gave up after 2 failures in a row" in err
    assert "the server answered 500" in err
    assert TOKEN not in out + err
    assert HISTORY.read_bytes() == before


def test_a_moment_of_trouble_is_waited_out(kaggle: Kaggle, told: Told) -> None:
    record(sent(1, 0.5))
    kaggle.competitions[SLUG].submissions.append(listed(1, status="COMPLETE", public="0.25"))
    kaggle.play("ListSubmissions", Status(503))
    out, err = told()
    assert "0.50000 0.25000" in out
    assert "Kaggle's list of submissions: the server answered 503" in err


def test_an_account_that_is_refused_leaves_what_is_known(
    kaggle: Kaggle, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(sent(1, 0.5))
    kaggle.lead(monkeypatch, token=None)
    out, err = told()
    assert "0.50000 pending" in out
    assert "the missing scores could not be requested: " in err
    assert "https://www.kaggle.com/settings/api" in err


def test_submissions_of_another_account_are_named(kaggle: Kaggle, told: Told) -> None:
    record(sent(1, 0.5), sent(2, 0.5), sent(3, 0.5, status="complete", public=0.5, private=0.5))
    kaggle.competitions[SLUG].submissions.append(listed(2, status="COMPLETE", public="0.25"))
    out, err = told()
    assert err == "not in this account's list at Kaggle: 1\n"
    assert "0.50000 0.25000" in out


def test_another_metric_is_said_to_be_left_out(told: Told) -> None:
    known = {"status": "complete", "public": 0.5, "private": 0.5}
    record(sent(1, 0.5, metric="iou", **known), sent(2, 0.75, **known))
    out, _ = told("--offline")
    assert "public   1 of 2 compared" in out
    assert "local scores of another metric than dice are not compared\n" in out


def test_a_damaged_history_stops_it(kaggle: Kaggle, told: Told) -> None:
    record(sent(1, 0.5))
    with HISTORY.open("a") as file:
        file.write("2017-")
    before = HISTORY.read_bytes()
    out, err = told(code=6)
    assert f"darkroom history tiny: {HISTORY}, row 3: the history is damaged\n" in err
    assert (out, kaggle.requests) == ("", [])
    assert HISTORY.read_bytes() == before


def test_a_name_that_is_not_there(told: Told, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "tinny"]) == 2
    assert "did you mean 'tiny'?" in capfd.readouterr().err
