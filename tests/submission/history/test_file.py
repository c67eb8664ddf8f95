"""The history loses no row to another process, a kill, a full disk or damage."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.remote.kaggle.api import Status, Submission
from darkroom.submission.history.file import append_row, read_history, update_scores
from tests.submission.history.rows import LINES, ROW

APPEND = """
import sys
from dataclasses import replace
from pathlib import Path
from darkroom.submission.history.file import append_row
from tests.submission.history.rows import ROW

first = int(sys.argv[2])
for reference in range(first, first + int(sys.argv[3])):
    assert append_row(Path(sys.argv[1]), replace(ROW, reference=reference))
"""
ROOT = Path(__file__).parents[3]


def submission_of(
    status: Status, public: float | None = None, private: float | None = None
) -> Submission:
    return Submission(ROW.reference, ROW.time, "", "a.csv", 1, status, public, private, "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "submissions" / "history.csv"


def start(code: str, *words: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE
    )


def test_rows_are_added_at_the_end(path: Path) -> None:
    rows = [replace(ROW, reference=k) for k in (3, 1, 2)]
    assert read_history(path) == []
    assert [append_row(path, row) for row in rows] == [True] * 3
    assert read_history(path) == rows
    assert path.read_text() == LINES[0] + "".join(
        LINES[1].replace("31415926", str(k)) for k in (3, 1, 2)
    )
    assert [*path.parent.iterdir()] == [path]


def test_a_reference_is_recorded_once(path: Path) -> None:
    append_row(path, ROW)
    assert not append_row(path, replace(ROW, message="another", public=0.1))
    assert read_history(path) == [ROW]


def test_scores_are_updated_by_reference(path: Path) -> None:
    pending = replace(ROW, status="pending", public=None)
    for reference in (1, 2, 3, 4):
        append_row(path, replace(pending, reference=reference))
    scores = {
        1: submission_of("complete", 0.25, 0.75),
        2: submission_of("error"),
        3: submission_of("pending"),
        9: submission_of("complete", 0.1, 0.1),
    }
    assert update_scores(path, scores) == 2
    assert read_history(path) == [
        replace(ROW, reference=1, public=0.25, private=0.75),
        replace(pending, reference=2, status="error"),
        replace(pending, reference=3),
        replace(pending, reference=4),
    ]


def test_a_new_score_replaces_an_old_one_and_none_does_not(path: Path) -> None:
    append_row(path, replace(ROW, public=0.5, private=0.25))
    assert update_scores(path, {ROW.reference: submission_of("complete", 0.125, None)}) == 1
    assert read_history(path) == [replace(ROW, public=0.125, private=0.25)]


def test_nothing_new_writes_nothing(path: Path) -> None:
    append_row(path, ROW)
    before = path.stat().st_ino
    assert update_scores(path, {ROW.reference: submission_of("complete", 0.5)}) == 0
    assert update_scores(path, {}) == 0
    assert path.stat().st_ino == before


def test_without_a_file_there_is_nothing_to_update(path: Path) -> None:
    assert update_scores(path, {1: submission_of("complete")}) == 0
    assert not path.exists()


def test_a_damaged_file_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(damaged := LINES[0] + LINES[1] + LINES[1][:50])
    with pytest.raises(ArtifactError, match="row 3: the history is damaged"):
        read_history(path)
    with pytest.raises(ArtifactError, match="row 3"):
        append_row(path, replace(ROW, reference=1))
    with pytest.raises(ArtifactError, match="row 3"):
        update_scores(path, {ROW.reference: submission_of("complete", 0.1)})
    assert path.read_text() == damaged


def test_an_invalid_row_leaves_the_file_unchanged(path: Path) -> None:
    append_row(path, ROW)
    with pytest.raises(ValueError, match="local: 'nan' is not a number"):
        append_row(path, replace(ROW, reference=1, local=float("nan")))
    assert read_history(path) == [ROW]


def test_a_full_disk_leaves_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_row(path, ROW)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        append_row(path, replace(ROW, reference=1))
    assert caught.value.filename == str(path)
    assert read_history(path) == [ROW]
    assert [*path.parent.iterdir()] == [path]


def test_two_processes_lose_no_row(path: Path) -> None:
    each = 40
    processes = [start(APPEND, path, first, each) for first in (1000, 2000)]
    for process in processes:
        with process:
            _, message = process.communicate(timeout=60)
        assert process.returncode == 0, message.decode()
    references = [row.reference for row in read_history(path)]
    assert sorted(references) == [*range(1000, 1000 + each), *range(2000, 2000 + each)]
    assert [k for k in references if k < 2000] == list(range(1000, 1000 + each))


@pytest.mark.parametrize("moment", ["os.fsync", "Path.replace"])
def test_a_kill_while_writing_leaves_the_file(path: Path, moment: str) -> None:
    append_row(path, ROW)
    before = path.read_bytes()
    kill = f"import os\n{moment} = lambda *_: os.kill(os.getpid(), 9)\n"
    code = APPEND.replace("\nfirst", f"\n{kill}first")
    with start(code, path, 1, 1) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert append_row(path, replace(ROW, reference=2))  # what it left is in nobody's way
    assert [row.reference for row in read_history(path)] == [ROW.reference, 2]
    assert [*path.parent.iterdir()] == [path]


def test_a_waiting_process_reads_the_other_ones_row(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading before the lock would lose the row that another process adds meanwhile."""
    append_row(path, ROW)
    wait = fcntl.flock

    def other_first(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", wait)
        append_row(path, replace(ROW, reference=1))
        wait(handle, how)

    monkeypatch.setattr(fcntl, "flock", other_first)
    append_row(path, replace(ROW, reference=2))
    assert [row.reference for row in read_history(path)] == [ROW.reference, 1, 2]
