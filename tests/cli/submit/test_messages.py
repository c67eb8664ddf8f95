"""The output, the exit codes and the history row of `darkroom submit`."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.cli import submit
from darkroom.remote.retry import RetryPolicy
from darkroom.submission.history.file import HistoryRow
from tests.cli.submit.rig import FIRST, HISTORY, RunSubmit, rows
from tests.support import tiny
from tests.support.committed import commit
from tests.support.loopback import Kaggle, Status
from tests.support.uploads import SLUG


def test_the_output_of_a_first_submission(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    sha = commit(root)
    code, out, err = run_submit()
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
    [submission] = kaggle.competitions[SLUG].submissions
    assert submission.body == (root / "submissions/tiny.csv.gz").read_bytes()
    assert submission.description == f"darkroom {submission.sha256[:12]}: first"
    assert replace(row, fingerprint="", local=None) == HistoryRow(
        time=submission.date,
        name="tiny",
        sha256=submission.sha256,
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


def test_a_dry_run_does_all_but_send(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    code, out, _ = run_submit("--dry-run")
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


def test_a_dry_run_knows_what_was_sent_before(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    run_submit()
    code, out, _ = run_submit("--dry-run")
    assert code == 0
    when = f"at 2017-09-01 12:00 UTC, reference {FIRST}"
    assert f"tiny: dry run: nothing was sent: this file was submitted {when}; --again" in out


def test_wait_waits_for_the_score(
    kaggle: Kaggle, run_submit: RunSubmit, slept: list[float]
) -> None:
    kaggle.competitions[SLUG].pending = 4
    code, out, err = run_submit()
    assert out.endswith("tiny: `darkroom history tiny` asks for the score\n")
    assert [row.status for row in rows()] == ["pending"]
    assert slept == []
    code, out, err = run_submit("--wait")
    assert code == 0
    assert err == "waiting for the score; Ctrl-C loses nothing\n"
    assert out.endswith("tiny: scored: public 0.99512, private 0.99487\n")
    assert [(row.status, row.public) for row in rows()] == [("complete", 0.99512)]
    assert slept == [5.0, 7.5]


def test_a_score_that_does_not_come(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.competitions[SLUG].pending = 10_000
    code, out, _ = run_submit("--wait")
    assert code == 0
    assert out.endswith(
        "tiny: it is not scored after half an hour; `darkroom history tiny` asks for the score\n"
    )


def test_an_interrupt_while_waiting_loses_nothing(
    kaggle: Kaggle, run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit, "RETRY_POLICY", RetryPolicy(sleep=interrupt))
    kaggle.competitions[SLUG].pending = 3
    assert run_submit("--wait")[0] == 130
    assert [(row.status, row.reference) for row in rows()] == [("pending", FIRST)]


def test_a_failed_submission_is_an_error(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.competitions[SLUG].error = "Evaluation Exception: wrong header"
    for _ in range(2):
        code, _, err = run_submit("--wait")
        assert code == 4
        assert "tiny: Kaggle could not score the submission\n" in err
        assert "  found: Evaluation Exception: wrong header\n" in err
        assert [(row.status, row.public) for row in rows()] == [("error", None)]
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_a_private_score_that_is_not_shown_yet(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.competitions[SLUG].private = ""
    assert run_submit()[1].endswith("tiny: scored: public 0.99512\n")
    assert [row.private for row in rows()] == [None]


def test_no_try_is_left(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    competition = kaggle.competitions[SLUG]
    competition.allowed = 1
    run_submit()
    code, out, err = run_submit("--again")
    assert code == 4
    assert "tries today  1 used, 0 left\n" in out
    assert err == (
        "by Kaggle's count no tries are left today: it may refuse\n"
        f"darkroom submit tiny: {SLUG}: Kaggle refuses the request\n"
        "  found: 400 Bad Request: Your team has used its daily Submission allowance (1) today, "
        "please try again tomorrow UTC (5.0 hours from now).\n"
        f"  to do: see https://www.kaggle.com/competitions/{SLUG}\n"
    )
    code, out, err = run_submit("--again", "--dry-run")
    assert code == 0
    assert out.endswith("nothing was sent; without --dry-run it would be submitted\n")
    assert err == "by Kaggle's count no tries are left today: it may refuse\n"


def test_a_submission_is_sent_even_if_kaggle_counts_no_try_left(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    kaggle.competitions[SLUG].stated_limits = (5, 0)
    assert run_submit()[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_a_submission_without_a_team(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.competitions[SLUG].stated_limits = (0, 0)
    code, out, err = run_submit()
    assert (code, err) == (0, "")
    assert "tries today  0 used, 0 left\n" in out


def test_the_limits_are_requested_only_before_an_upload(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    run_submit()
    HISTORY.unlink()  # as if it was killed before it wrote it
    request_count = len(kaggle.requests_of("GetSubmissionLimits"))
    kaggle.always("GetSubmissionLimits", Status(500))
    assert run_submit("--dry-run")[0] == 0
    code, out, _ = run_submit()
    assert code == 0
    assert "tries today" not in out
    assert [row.reference for row in rows()] == [FIRST]
    assert len(kaggle.requests_of("GetSubmissionLimits")) == request_count


def test_an_empty_message(run_submit: RunSubmit) -> None:
    code, _, err = run_submit(message=" ")
    assert code == 2
    assert err == (
        "darkroom submit tiny: the message is empty\n"
        '  to do: say what is new: -m "512 px, 5 folds"\n'
    )


def test_a_damaged_history_stops_before_anything_is_sent(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    tiny.put(root / HISTORY, "my notes\n")
    code, _, err = run_submit()
    assert code == 6
    assert "submissions/history.csv, row 1: the history is damaged\n" in err
    assert (root / HISTORY).read_text() == "my notes\n"
    assert kaggle.requests == []


def test_a_refusal_is_shown_in_kaggles_words(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.play("CreateSubmission", Status(400, message="The competition deadline has passed"))
    code, _, err = run_submit()
    assert code == 4
    assert not HISTORY.exists()
    assert "The competition deadline has passed" in err


def test_uncommitted_changes_are_shown(root: Path, run_submit: RunSubmit) -> None:
    tiny.edit(root, lambda params: params.update(seed=8))
    code, _, err = run_submit()
    assert code == 2
    assert "what the submission is made from is not committed" in err
    code, out, _ = run_submit("--uncommitted")
    assert code == 0
    assert re.search(r"  commit       [0-9a-f]{12} and uncommitted changes\n", out)
    assert rows()[0].commit.endswith("-dirty")


def test_without_git(root: Path, run_submit: RunSubmit) -> None:
    (root / ".git").rename(root / "moved")
    assert run_submit()[0] == 2
    code, out, _ = run_submit("--uncommitted")
    assert code == 0
    assert "  commit       none\n" in out
    assert rows()[0].commit == ""
