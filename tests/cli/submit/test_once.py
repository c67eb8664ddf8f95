"""`darkroom submit`: one submission a file, whatever the network and the list do."""

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
from tests.cli.submit.rig import FIRST, HISTORY, Told, rows
from tests.submission.upload.loopback import SLUG
from tests.support import tiny
from tests.support.loopback import Hang, Kaggle, NoAnswer, Refuse

KILLS = [1, pytest.param(5, marks=pytest.mark.long)]


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
    for words in ("the answer was lost: looking", "the answer to an earlier run was lost: looking"):
        code, out, err = told()
        assert code == 4
        assert "reference" not in out
        assert err.startswith(words)
        assert "submissions/tiny.csv.gz: it may or may not have arrived" in err
        assert not HISTORY.exists()
    folder = Path(f"submissions/.{SLUG}.sending")
    [note] = read_pending(folder, "")
    save_pending(folder, replace(note, time=time.time() - 3600))
    assert told()[0] == 0
    assert len(kaggle.competitions[SLUG].submissions) == 1


def test_another_section_of_the_competition_waits_too(
    root: Path, kaggle: Kaggle, told: Told
) -> None:
    sending = root / f"submissions/.{SLUG}.sending"
    with lock(Upload(SLUG, root / "larger.csv.gz", "0" * 64, sending)):
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
    append_row(HISTORY, replace(row, reference=1, sha256="0" * 64))
    append_row(HISTORY, replace(row, reference=2, name="another"))
    assert f"tiny: submitted: reference {FIRST}\n" in told()[1]


def test_a_file_made_anew_while_it_was_checked_is_not_sent(
    root: Path, kaggle: Kaggle, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, facts, real = root / "submissions/tiny.csv.gz", root / "submissions/tiny.json", check.run

    def run(context: Context) -> None:
        real(context)
        new = gzip.compress(b"not,checked\n")
        told = json.loads(facts.read_text()) | {"sha256": hashlib.sha256(new).hexdigest()}
        tiny.put(file, new)
        tiny.put(facts, json.dumps(told))

    monkeypatch.setattr(check, "run", run)
    code, _, err = told()
    assert code == 6
    assert "submissions/tiny.csv.gz: it changed while it was checked\n" in err
    assert kaggle.competitions[SLUG].submissions == []


@pytest.mark.slow
@pytest.mark.parametrize("kills", KILLS)
def test_killed_after_acceptance_and_run_again(
    root: Path, kaggle: Kaggle, told: Told, kills: int
) -> None:
    held = kaggle.competitions[SLUG].submissions
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
