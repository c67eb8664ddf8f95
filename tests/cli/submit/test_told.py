"""`darkroom submit` as its user meets it: words, exit codes, the history."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.cli import submit
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.history.file import HistoryRow
from tests.cli.submit.rig import FIRST, HISTORY, Told, rows
from tests.submission.upload.loopback import SLUG
from tests.support import tiny
from tests.support.committed import commit
from tests.support.loopback import Kaggle, Status


def test_what_a_first_submission_tells(root: Path, kaggle: Kaggle, told: Told) -> None:
    sha = commit(root)
    code, out, err = told()
    assert (code, err) == (0, "")
    lines = [
        r"submissions/tiny\.csv\.gz: valid: 5 rows, every id once, every value legal.*",
        rf"  to +https://www\.kaggle\.com/competitions/{SLUG}",
        r"  rows +5",
        r"  size +[0-9,]{3,7} bytes",
        r"  sha256 +[0-9a-f]{12}",
        r"  fingerprint +[0-9a-f]{12}",
        rf"  commit +{sha[:12]}",
        r"  local score +dice 0\.\d{4}",
        r"  tries today +0 used, 100 left",
        rf"tiny: submitted: reference {FIRST}",
        r"tiny: scored: public 0\.99512, private 0\.99487",
    ]
    assert re.fullmatch("\n".join(lines) + "\n", out), out
    [row] = rows()
    [held] = kaggle.competitions[SLUG].submissions
    assert held.body == (root / "submissions/tiny.csv.gz").read_bytes()
    assert held.description == f"darkroom {held.sha256[:12]}: first"
    assert replace(row, fingerprint="", local=None) == HistoryRow(
        time=held.date,
        name="tiny",
        sha256=held.sha256,
        fingerprint="",
        commit=sha,
        metric="dice",
        local=None,
        message="first",
        reference=FIRST,
        status="complete",
        public=0.99512,
        private=0.99487,
    )
    assert re.fullmatch("[0-9a-f]{64}", row.fingerprint)
    assert row.local is not None


def test_a_dry_run_does_all_but_send(kaggle: Kaggle, told: Told) -> None:
    code, out, _ = told("--dry-run")
    assert code == 0
    assert "tries today  0 used, 100 left\n" in out
    assert out.endswith(
        "tiny: dry run: nothing was sent; without --dry-run it would be submitted\n"
    )
    assert {request.kind for request in kaggle.requests} == {
        "ListSubmissions",
        "GetSubmissionLimits",
    }
    assert not HISTORY.exists()


def test_a_dry_run_knows_what_was_sent_before(kaggle: Kaggle, told: Told) -> None:
    told()
    code, out, _ = told("--dry-run")
    assert code == 0
    when = f"at 2017-09-01 12:00 UTC, reference {FIRST}"
    assert f"tiny: dry run: nothing was sent: this file was submitted {when}; --again" in out


def test_the_score_is_waited_for_if_asked(kaggle: Kaggle, told: Told, slept: list[float]) -> None:
    kaggle.competitions[SLUG].pending = 4
    code, out, err = told()
    assert out.endswith("tiny: `darkroom history tiny` asks for the score\n")
    assert [row.status for row in rows()] == ["pending"]
    assert slept == []
    code, out, err = told("--wait")
    assert code == 0
    assert err == "waiting for the score; Ctrl-C loses nothing\n"
    assert out.endswith("tiny: scored: public 0.99512, private 0.99487\n")
    assert [(row.status, row.public) for row in rows()] == [("complete", 0.99512)]
    assert slept == [5.0, 7.5]


def test_a_score_that_does_not_come(kaggle: Kaggle, told: Told) -> None:
    kaggle.competitions[SLUG].pending = 10_000
    code, out, _ = told("--wait")
    assert code == 0
    assert out.endswith(
        "tiny: it is not scored after half an hour; `darkroom history tiny` asks for the score\n"
    )


def test_an_interrupt_while_waiting_loses_nothing(
    kaggle: Kaggle, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit, "RETRY_POLICY", RetryPolicy(sleep=interrupt))
    kaggle.competitions[SLUG].pending = 3
    assert told("--wait")[0] == 130
    assert [(row.status, row.reference) for row in rows()] == [("pending", FIRST)]


def test_what_kaggle_cannot_score_is_no_success(kaggle: Kaggle, told: Told) -> None:
    kaggle.competitions[SLUG].error = "Evaluation Exception: wrong header"
    for _ in range(2):
        code, _, err = told("--wait")
        assert code == 4
        assert "tiny: Kaggle could not score the submission\n" in err
        assert "  found: Evaluation Exception: wrong header\n" in err
        assert [(row.status, row.public) for row in rows()] == [("error", None)]
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_a_secret_score(kaggle: Kaggle, told: Told) -> None:
    kaggle.competitions[SLUG].private = ""
    assert told()[1].endswith("tiny: scored: public 0.99512\n")
    assert [row.private for row in rows()] == [None]


def test_no_try_is_left(kaggle: Kaggle, told: Told) -> None:
    competition = kaggle.competitions[SLUG]
    competition.allowed = 1
    told()
    code, out, err = told("--again")
    assert code == 4
    assert "tries today  1 used, 0 left\n" in out
    assert err == (
        "by Kaggle's count no tries are left today: it may refuse\n"
        f"darkroom submit tiny: {SLUG}: Kaggle refuses the request\n"
        "  found: 400 Bad Request: Your team has used its daily Submission allowance (1) today, "
        "please try again tomorrow UTC (5.0 hours from now).\n"
        f"  to do: see https://www.kaggle.com/competitions/{SLUG}\n"
    )
    code, out, err = told("--again", "--dry-run")
    assert code == 0
    assert out.endswith("nothing was sent; without --dry-run it would be submitted\n")
    assert err == "by Kaggle's count no tries are left today: it may refuse\n"


def test_a_try_that_kaggle_does_not_count_is_its_own_to_give(kaggle: Kaggle, told: Told) -> None:
    kaggle.competitions[SLUG].told = (5, 0)
    assert told()[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_who_has_no_team_yet_may_submit(kaggle: Kaggle, told: Told) -> None:
    kaggle.competitions[SLUG].told = (0, 0)
    code, out, err = told()
    assert (code, err) == (0, "")
    assert "tries today  0 used, 0 left\n" in out


def test_the_tries_are_asked_for_only_to_send(kaggle: Kaggle, told: Told) -> None:
    told()
    HISTORY.unlink()  # as if it was killed before it wrote it
    asked = len(kaggle.of("GetSubmissionLimits"))
    kaggle.always("GetSubmissionLimits", Status(500))
    assert told("--dry-run")[0] == 0
    code, out, _ = told()
    assert code == 0
    assert "tries today" not in out
    assert [row.reference for row in rows()] == [FIRST]
    assert len(kaggle.of("GetSubmissionLimits")) == asked


def test_an_empty_message(told: Told) -> None:
    code, _, err = told(message=" ")
    assert code == 2
    assert err == (
        "darkroom submit tiny: the message is empty\n"
        '  to do: say what is new: -m "512 px, 5 folds"\n'
    )


def test_a_damaged_history_is_told_before_anything_is_sent(
    root: Path, kaggle: Kaggle, told: Told
) -> None:
    tiny.put(root / HISTORY, "my notes\n")
    code, _, err = told()
    assert code == 6
    assert "submissions/history.csv, row 1: the history is damaged\n" in err
    assert (root / HISTORY).read_text() == "my notes\n"
    assert kaggle.requests == []


def test_a_refusal_is_kaggles_own(kaggle: Kaggle, told: Told) -> None:
    kaggle.play("CreateSubmission", Status(400, message="The competition deadline has passed"))
    code, _, err = told()
    assert code == 4
    assert not HISTORY.exists()
    assert "The competition deadline has passed" in err


def test_uncommitted_says_so(root: Path, told: Told) -> None:
    tiny.edit(root, lambda params: params.update(seed=8))
    code, _, err = told()
    assert code == 2
    assert "what the submission is made from is not committed" in err
    code, out, _ = told("--uncommitted")
    assert code == 0
    assert re.search(r"  commit       [0-9a-f]{12} and uncommitted changes\n", out)
    assert rows()[0].commit.endswith("-dirty")


def test_without_git(root: Path, told: Told) -> None:
    (root / ".git").rename(root / "moved")
    assert told()[0] == 2
    code, out, _ = told("--uncommitted")
    assert code == 0
    assert "  commit       none\n" in out
    assert rows()[0].commit == ""
