"""`darkroom submit` records a submission whatever happens to its output."""

import sys

import pytest

from darkroom.submission.history import file as history_file
from tests.cli.submit.rig import FIRST, RunSubmit, rows
from tests.support.loopback import Kaggle, Page
from tests.support.uploads import SLUG


def test_a_score_that_cannot_be_recorded_sends_nothing(
    kaggle: Kaggle, run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise ValueError("local: 'nan' is not a number")

    monkeypatch.setattr(history_file, "encode_rows", refuse)
    code, _, err = run_submit()
    assert code == 6
    assert "submissions/history.csv: it cannot hold a row of this submission\n" in err
    assert kaggle.competitions[SLUG].submissions == []


def test_a_submission_is_recorded_before_it_is_printed(
    kaggle: Kaggle, run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sys.stdout.write

    def write(text: str) -> int:
        if "submitted: " in text:
            raise BrokenPipeError
        return real(text)

    monkeypatch.setattr(sys.stdout, "write", write)
    run_submit()
    assert [row.reference for row in rows()] == [FIRST]


def test_a_closed_stderr(run_submit: RunSubmit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert run_submit()[0] == 0
    assert [row.reference for row in rows()] == [FIRST]


def test_an_answer_without_a_reference_is_an_unknown_outcome(
    kaggle: Kaggle, run_submit: RunSubmit
) -> None:
    kaggle.play("CreateSubmission", Page('{"ref": "abc"}'))
    assert run_submit()[0] == 4
    assert run_submit()[0] == 4, "the note of it keeps the next run from sending"
    assert len(kaggle.requests_of("CreateSubmission")) == 1
