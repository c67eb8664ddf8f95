"""`darkroom submit` as its user meets it: words, exit codes, the history, and one submission."""

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom import provenance
from darkroom.cli import main
from darkroom.remote.waits import Waits
from darkroom.stages import check, submit
from darkroom.submission import history, pending, upload
from darkroom.submission.history import Row
from darkroom.submission.upload import Parcel
from tests.loopback import TOKEN, Hang, Kaggle, NoAnswer, Refuse, Status
from tests.stages import tiny
from tests.stages.committed import commit
from tests.stages.damage import Project
from tests.submission.parcels import SLUG, kaggle_on_loopback

HISTORY = Path("submissions/history.csv")
FIRST = 20_000_001  # the reference of a first submission
KILLS = 5


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with kaggle_on_loopback() as there:
        yield there


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Take the waiting out; return what was waited, s."""
    waited: list[float] = []
    monkeypatch.setattr(submit, "WAITS", Waits(sleep=waited.append))
    return waited


@pytest.fixture
def root(project: Project, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a submission, all of it committed and up to date."""
    made = project("masks")
    tiny.edit(made, lambda params: params[tiny.NAME]["data"].update(kaggle=SLUG))
    tiny.put(made / ".gitignore", "/submissions/\n/reports/\n/data/\n/models/\n/.darkroom/\n")
    commit(made)
    monkeypatch.setattr(provenance, "outdated", lambda *_: [])
    return made


Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def told(root: Path, capfd: pytest.CaptureFixture[str]) -> Told:
    """Return a function that runs `darkroom submit tiny -m first` and returns code and words."""

    def run(*options: str, message: str = "first") -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(["submit", tiny.NAME, "-m", message, *options])
        out, err = capfd.readouterr()
        assert TOKEN not in out + err
        assert "Signature" not in out + err
        assert "Traceback" not in err
        return code, out, err

    return run


def rows() -> list[Row]:
    return history.read(HISTORY)


def test_what_a_first_submission_tells(root: Path, kaggle: Kaggle, told: Told) -> None:
    sha = commit(root)
    code, out, err = told()
    assert (code, err) == (0, "")
    lines = [
        r"submissions/tiny\.csv\.gz: right: 5 rows, every id once, every value legal.*",
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
    assert replace(row, fingerprint="", local=None) == Row(
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


def test_a_second_run_sends_nothing(kaggle: Kaggle, told: Told) -> None:
    told()
    code, out, _ = told(message="second")
    assert code == 0
    assert out.endswith(
        "tiny: nothing was sent: this file was submitted at 2017-09-01 12:00 UTC, "
        f"reference {FIRST}; --again submits it once more\n"
        "tiny: scored: public 0.99512, private 0.99487\n"
    )
    assert len(kaggle.competitions[SLUG].submissions) == 1
    assert [row.message for row in rows()] == ["first"]


def test_again_sends_it_once_more(kaggle: Kaggle, told: Told) -> None:
    told()
    assert told("--again", message="second")[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 2
    assert [(row.message, row.reference) for row in rows()] == [
        ("first", FIRST),
        ("second", FIRST + 1),
    ]


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

    monkeypatch.setattr(submit, "WAITS", Waits(sleep=interrupt))
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


def test_a_list_that_lags(kaggle: Kaggle, told: Told) -> None:
    kaggle.competitions[SLUG].lag = 1
    _, out, _ = told()
    assert f"tiny: submitted: reference {FIRST}; Kaggle's list does not show it yet\n" in out
    assert [(row.status, row.message) for row in rows()] == [("pending", "first")]
    told(message="second")
    assert [(row.status, row.message) for row in rows()] == [("complete", "first")]


def test_a_lost_answer_is_found_in_the_list(kaggle: Kaggle, told: Told) -> None:
    kaggle.play("CreateSubmission", NoAnswer())
    code, out, err = told()
    assert code == 0
    assert err == "the answer was lost: looking at Kaggle's list\n"
    assert f"tiny: submitted: reference {FIRST}\n" in out
    assert [row.reference for row in rows()] == [FIRST]


def test_an_outcome_that_nobody_knows_is_no_success(kaggle: Kaggle, told: Told) -> None:
    kaggle.play("CreateSubmission", Refuse())
    for words in ("the answer was lost: looking", "an earlier run lost its answer: looking"):
        code, out, err = told()
        assert code == 4
        assert "reference" not in out
        assert err.startswith(words)
        assert "submissions/tiny.csv.gz: it may or may not have arrived" in err
        assert not HISTORY.exists()
    folder = Path(f"submissions/.{SLUG}.sending")
    [note] = pending.read(folder, "")
    pending.write(folder, replace(note, time=time.time() - 3600))
    assert told()[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_another_section_of_the_competition_waits_too(
    root: Path, kaggle: Kaggle, told: Told
) -> None:
    sending = root / f"submissions/.{SLUG}.sending"
    with upload.alone(Parcel(SLUG, root / "larger.csv.gz", "0" * 64, sending)):
        code, _, err = told()
    assert code == 5
    assert "another `darkroom submit` of this competition is under way" in err
    assert kaggle.requests == []


def test_what_the_history_has_is_not_sent_whatever_the_list_says(
    root: Path, kaggle: Kaggle, told: Told
) -> None:
    told()
    kaggle.competitions[SLUG].submissions.clear()
    code, out, _ = told(message="second")
    assert code == 0
    assert out.endswith(
        f"tiny: nothing was sent: this file was submitted, reference {FIRST}; "
        "--again submits it once more\n"
        "tiny: `darkroom history tiny` asks for the score\n"
    )
    assert [row.message for row in rows()] == ["first"]
    assert kaggle.competitions[SLUG].submissions == []


def test_what_the_history_has_of_other_files_and_competitions_is_no_matter(
    root: Path, kaggle: Kaggle, told: Told
) -> None:
    told()
    kaggle.competitions[SLUG].submissions.clear()
    [row] = rows()
    HISTORY.unlink()
    history.append(HISTORY, replace(row, reference=1, sha256="0" * 64))
    history.append(HISTORY, replace(row, reference=2, name="another"))
    assert f"tiny: submitted: reference {FIRST}\n" in told()[1]


def test_a_file_made_anew_while_it_was_checked_is_not_sent(
    root: Path, kaggle: Kaggle, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, facts, real = root / "submissions/tiny.csv.gz", root / "submissions/tiny.json", check.run

    def run(name: str) -> None:
        real(name)
        new = gzip.compress(b"not,checked\n")
        told = json.loads(facts.read_text()) | {"sha256": hashlib.sha256(new).hexdigest()}
        tiny.put(file, new)
        tiny.put(facts, json.dumps(told))

    monkeypatch.setattr(check, "run", run)
    code, _, err = told()
    assert code == 6
    assert "submissions/tiny.csv.gz: it changed while it was checked\n" in err
    assert kaggle.competitions[SLUG].submissions == []


def test_no_try_is_left(kaggle: Kaggle, told: Told) -> None:
    competition = kaggle.competitions[SLUG]
    competition.allowed = 1
    told()
    code, out, err = told("--again")
    assert code == 4
    assert "tries today  1 used, 0 left\n" in out
    assert err == (
        "by Kaggle's count no tries are left now: it may refuse\n"
        f"darkroom submit tiny: {SLUG}: Kaggle refuses the request\n"
        "  found: 400 Bad Request: Your team has used its daily Submission allowance (1) today, "
        "please try again tomorrow UTC (5.0 hours from now).\n"
        f"  to do: see https://www.kaggle.com/competitions/{SLUG}\n"
    )
    code, out, err = told("--again", "--dry-run")
    assert code == 0
    assert out.endswith("nothing was sent; without --dry-run it would be submitted\n")
    assert err == "by Kaggle's count no tries are left now: it may refuse\n"


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


@pytest.mark.slow
def test_killed_after_acceptance_and_run_again(root: Path, kaggle: Kaggle, told: Told) -> None:
    held = kaggle.competitions[SLUG].submissions
    command = [sys.executable, "-m", "darkroom.cli", "submit", "tiny", "-m", "x", "--uncommitted"]
    for number in range(1, KILLS + 1):
        kaggle.play("CreateSubmission", Hang(60))
        with subprocess.Popen(
            [*command, *(["--again"] if number > 1 else [])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        ) as child:
            while len(held) < number:
                assert child.poll() is None
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
        assert len(rows()) == number - 1
        code, out, _ = told()
        assert code == 0
        assert f"reference {FIRST + number - 1}" in out
        assert len(held) == number
        assert [row.message for row in rows()] == ["x"] * number
