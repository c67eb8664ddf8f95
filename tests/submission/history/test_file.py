"""The history loses no row: not to another process, a kill, a full disk, nor to damage."""

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
from darkroom.submission.history import file
from tests.submission.history.test_rows import LINES, ROW

APPEND = """
import sys
from dataclasses import replace
from pathlib import Path
from darkroom.submission.history import file
from tests.submission.history.test_rows import ROW

first = int(sys.argv[2])
for reference in range(first, first + int(sys.argv[3])):
    assert file.append(Path(sys.argv[1]), replace(ROW, reference=reference))
"""
ROOT = Path(__file__).parents[3]


def told(status: Status, public: float | None = None, private: float | None = None) -> Submission:
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
    assert file.read(path) == []
    assert [file.append(path, row) for row in rows] == [True] * 3
    assert file.read(path) == rows
    assert path.read_text() == LINES[0] + "".join(
        LINES[1].replace("31415926", str(k)) for k in (3, 1, 2)
    )
    assert [*path.parent.iterdir()] == [path]


def test_what_is_recorded_is_not_recorded_again(path: Path) -> None:
    file.append(path, ROW)
    assert not file.append(path, replace(ROW, message="another", public=0.1))
    assert file.read(path) == [ROW]


def test_scores_are_taken_over_by_reference(path: Path) -> None:
    pending = replace(ROW, status="pending", public=None)
    for reference in (1, 2, 3, 4):
        file.append(path, replace(pending, reference=reference))
    scores = {
        1: told("complete", 0.25, 0.75),
        2: told("error"),
        3: told("pending"),
        9: told("complete", 0.1, 0.1),
    }
    assert file.update(path, scores) == 2
    assert file.read(path) == [
        replace(ROW, reference=1, public=0.25, private=0.75),
        replace(pending, reference=2, status="error"),
        replace(pending, reference=3),
        replace(pending, reference=4),
    ]


def test_a_new_score_replaces_an_old_one_and_none_does_not(path: Path) -> None:
    file.append(path, replace(ROW, public=0.5, private=0.25))
    assert file.update(path, {ROW.reference: told("complete", 0.125, None)}) == 1
    assert file.read(path) == [replace(ROW, public=0.125, private=0.25)]


def test_nothing_new_writes_nothing(path: Path) -> None:
    file.append(path, ROW)
    before = path.stat().st_ino
    assert file.update(path, {ROW.reference: told("complete", 0.5)}) == 0
    assert file.update(path, {}) == 0
    assert path.stat().st_ino == before


def test_without_a_file_there_is_nothing_to_update(path: Path) -> None:
    assert file.update(path, {1: told("complete")}) == 0
    assert not path.exists()


def test_a_damaged_file_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(damaged := LINES[0] + LINES[1] + LINES[1][:50])
    with pytest.raises(ArtifactError, match="row 3: the history is damaged"):
        file.read(path)
    with pytest.raises(ArtifactError, match="row 3"):
        file.append(path, replace(ROW, reference=1))
    with pytest.raises(ArtifactError, match="row 3"):
        file.update(path, {ROW.reference: told("complete", 0.1)})
    assert path.read_text() == damaged


def test_a_row_that_is_none_leaves_the_file(path: Path) -> None:
    file.append(path, ROW)
    with pytest.raises(ValueError, match="local: 'nan' is not a number"):
        file.append(path, replace(ROW, reference=1, local=float("nan")))
    assert file.read(path) == [ROW]


def test_a_full_disk_leaves_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.append(path, ROW)

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        file.append(path, replace(ROW, reference=1))
    assert caught.value.filename == str(path)
    assert file.read(path) == [ROW]
    assert [*path.parent.iterdir()] == [path]


def test_two_processes_lose_no_row(path: Path) -> None:
    each = 40
    processes = [start(APPEND, path, first, each) for first in (1000, 2000)]
    for process in processes:
        with process:
            _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told.decode()
    references = [row.reference for row in file.read(path)]
    assert sorted(references) == [*range(1000, 1000 + each), *range(2000, 2000 + each)]
    assert [k for k in references if k < 2000] == list(range(1000, 1000 + each))


@pytest.mark.parametrize("moment", ["os.fsync", "Path.replace"])
def test_a_kill_while_writing_leaves_the_file(path: Path, moment: str) -> None:
    file.append(path, ROW)
    before = path.read_bytes()
    kill = f"import os\n{moment} = lambda *_: os.kill(os.getpid(), 9)\n"
    code = APPEND.replace("\nfirst", f"\n{kill}first")
    with start(code, path, 1, 1) as process:
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == before
    assert file.append(path, replace(ROW, reference=2))  # what it left is in nobody's way
    assert [row.reference for row in file.read(path)] == [ROW.reference, 2]
    assert [*path.parent.iterdir()] == [path]


def test_a_waiting_process_sees_what_the_other_wrote(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading before the lock would lose the row that another process adds meanwhile."""
    file.append(path, ROW)
    wait = fcntl.flock

    def other_first(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", wait)
        file.append(path, replace(ROW, reference=1))
        wait(handle, how)

    monkeypatch.setattr(fcntl, "flock", other_first)
    file.append(path, replace(ROW, reference=2))
    assert [row.reference for row in file.read(path)] == [ROW.reference, 1, 2]
