"""`darkroom submit` submits a file once, whatever the network and the list do."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.cli import check
from darkroom.stages._context import Context
from darkroom.submission.history.file import append_row
from darkroom.submission.upload.idempotency import Upload, lock, read_pending, save_pending
from tests.cli.submit.rig import FIRST, HISTORY, RunSubmit, rows
from tests.support import tiny
from tests.support.loopback import Hang, Kaggle, NoAnswer, Refuse
from tests.support.uploads import SLUG

KILLS = [1, pytest.param(5, marks=pytest.mark.long)]


def test_a_second_run_sends_nothing(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    run_submit()
    code, out, _ = run_submit(message="second")
    assert code == 0
    assert out.endswith(
        "tiny: nothing was sent: this file was submitted at 2017-09-01 12:00 UTC, "
        f"reference {FIRST}; --again submits it once more\n"
        "tiny: scored: public 0.99512, private 0.99487\n"
    )
    assert len(kaggle.competitions[SLUG].submissions) == 1
    assert [row.message for row in rows()] == ["first"]


def test_again_submits_the_file_again(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    run_submit()
    assert run_submit("--again", message="second")[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 2
    assert [(row.message, row.reference) for row in rows()] == [
        ("first", FIRST),
        ("second", FIRST + 1),
    ]


def test_a_submission_that_the_list_does_not_show_yet(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    kaggle.competitions[SLUG].lag = 1
    _, out, _ = run_submit()
    assert f"tiny: submitted: reference {FIRST}; Kaggle's list does not show it yet\n" in out
    assert [(row.status, row.message) for row in rows()] == [("pending", "first")]
    run_submit(message="second")
    assert [(row.status, row.message) for row in rows()] == [("complete", "first")]


def test_a_lost_answer_is_found_in_the_list(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.play("CreateSubmission", NoAnswer())
    code, out, err = run_submit()
    assert code == 0
    assert err == "the answer was lost: looking at Kaggle's list\n"
    assert f"tiny: submitted: reference {FIRST}\n" in out
    assert [row.reference for row in rows()] == [FIRST]


def test_an_unknown_outcome_is_a_failure(kaggle: Kaggle, run_submit: RunSubmit) -> None:
    kaggle.play("CreateSubmission", Refuse())
    for words in ("the answer was lost: looking", "the answer to an earlier run was lost: looking"):
        code, out, err = run_submit()
        assert code == 4
        assert "reference" not in out
        assert err.startswith(words)
        assert "submissions/tiny.csv.gz: it may or may not have arrived" in err
        assert not HISTORY.exists()
    folder = Path(f"submissions/.{SLUG}.sending")
    [note] = read_pending(folder, "")
    save_pending(folder, replace(note, time=time.time() - 3600))
    assert run_submit()[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_the_lock_covers_all_sections_of_a_competition(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    sending = root / f"submissions/.{SLUG}.sending"
    with lock(Upload(SLUG, root / "larger.csv.gz", "0" * 64, sending)):
        code, _, err = run_submit()
    assert code == 5
    assert "another `darkroom submit` of this competition is under way" in err
    assert kaggle.requests == []


def test_a_file_in_the_history_is_not_sent_whatever_the_list_says(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    run_submit()
    kaggle.competitions[SLUG].submissions.clear()
    code, out, _ = run_submit(message="second")
    assert code == 0
    assert out.endswith(
        f"tiny: nothing was sent: this file was submitted, reference {FIRST}; "
        "--again submits it once more\n"
        "tiny: `darkroom history tiny` asks for the score\n"
    )
    assert [row.message for row in rows()] == ["first"]
    assert kaggle.competitions[SLUG].submissions == []


def test_other_files_and_competitions_of_the_history_do_not_matter(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    run_submit()
    kaggle.competitions[SLUG].submissions.clear()
    [row] = rows()
    HISTORY.unlink()
    append_row(HISTORY, replace(row, reference=1, sha256="0" * 64))
    append_row(HISTORY, replace(row, reference=2, name="another"))
    assert f"tiny: submitted: reference {FIRST}\n" in run_submit()[1]


def test_a_file_that_changes_during_the_check_is_not_sent(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, facts, real = root / "submissions/tiny.csv.gz", root / "submissions/tiny.json", check.run

    def run(context: Context) -> None:
        real(context)
        new = gzip.compress(b"not,checked\n")
        new_facts = json.loads(facts.read_text()) | {"sha256": hashlib.sha256(new).hexdigest()}
        tiny.put(file, new)
        tiny.put(facts, json.dumps(new_facts))

    monkeypatch.setattr(check, "run", run)
    code, _, err = run_submit()
    assert code == 6
    assert "submissions/tiny.csv.gz: it changed while it was checked\n" in err
    assert kaggle.competitions[SLUG].submissions == []


@pytest.mark.slow
@pytest.mark.parametrize("kills", KILLS)
def test_killed_after_acceptance_and_run_again(
    root: Path, kaggle: Kaggle, run_submit: RunSubmit, kills: int
) -> None:
    submissions = kaggle.competitions[SLUG].submissions
    command = [
        sys.executable,
        "-m",
        "darkroom.cli.main",
        "submit",
        "tiny",
        "-m",
        "x",
        "--uncommitted",
    ]
    for number in range(1, kills + 1):
        kaggle.play("CreateSubmission", Hang(60))
        with subprocess.Popen(
            [*command, *(["--again"] if number > 1 else [])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        ) as child:
            while len(submissions) < number:
                assert child.poll() is None
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
        assert len(rows()) == number - 1
        code, out, _ = run_submit()
        assert code == 0
        assert f"reference {FIRST + number - 1}" in out
        assert len(submissions) == number
        assert [row.message for row in rows()] == ["x"] * number
