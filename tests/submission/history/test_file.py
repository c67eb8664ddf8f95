"""The history loses no row to another process, a kill, a full disk or damage, nor in its text."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.remote.kaggle.api import Status, Submission
from darkroom.submission.history.file import (
    COLUMNS,
    HistoryRow,
    append_row,
    decode_rows,
    encode_rows,
    read_history,
    update_scores,
)
from tests.support.history_rows import LINES, ROW

APPEND = """
import sys
from dataclasses import replace
from pathlib import Path
from darkroom.submission.history.file import append_row
from tests.support.history_rows import ROW

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


@pytest.mark.slow
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


PATH = Path("submissions/history.csv")
MESSAGES = (
    "",
    "512 px, 5 folds",
    'the "big" one',
    "first line\nsecond\r\nthird\rfourth\n",
    "=1+1",
    "'=1+1",
    "''=1+1",
    "+1",
    "-m",
    "@cars",
    "\t=1",
    "\r=1",
    "'",
    "'quoted'",
    " blanks ",
    "Überblendung 日本語 \U0001f697",
    "nul \0 here",
)


def back(row: HistoryRow) -> HistoryRow:
    (decoded,) = decode_rows(encode_rows([row]), PATH)
    return decoded


def test_the_text_of_a_row() -> None:
    assert encode_rows([ROW]).decode() == "".join(LINES)
    assert encode_rows([]).decode() == LINES[0]
    assert decode_rows("".join(LINES).encode(), PATH) == [ROW]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_read_back_unchanged(message: str) -> None:
    assert back(replace(ROW, message=message)).message == message


@given(
    message=st.text(st.characters(exclude_categories=["Cs"])),
    local=st.none() | st.floats(-1e15, 1e15),
    time=st.datetimes(
        min_value=datetime(2010, 1, 1),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=9))]),
    ),
)
def test_a_row_is_read_back_to_the_second(
    message: str, local: float | None, time: datetime
) -> None:
    row = replace(ROW, message=message, local=local, time=time.replace(microsecond=0))
    assert back(row) == row


def test_rows_of_several_lines_are_read_back() -> None:
    rows = [replace(ROW, message=text, reference=k) for k, text in enumerate(MESSAGES)]
    assert decode_rows(encode_rows(rows), PATH) == rows


@pytest.mark.parametrize("message", ["=1+1", "+1", "-1", "@a", "\t=1", "'=1"])
def test_a_message_is_not_a_formula_in_a_spreadsheet(message: str) -> None:
    text = encode_rows([replace(ROW, message=message)]).decode()
    assert f",'{message}," in text


def test_times_are_written_in_utc_to_the_second() -> None:
    japan = timezone(timedelta(hours=9))
    row = replace(ROW, time=datetime(2020, 1, 1, 8, 30, 5, 999_999, tzinfo=japan))
    assert encode_rows([row]).decode().splitlines()[1].startswith("2019-12-31T23:30:05Z,")


def test_years_before_1000_are_read_back() -> None:
    row = replace(ROW, time=datetime(1, 1, 1, tzinfo=UTC))
    assert back(row) == row


def test_invalid_utf8_of_a_command_line_is_escaped() -> None:
    assert back(replace(ROW, message="caf\udce9")).message == r"caf\udce9"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time": datetime(2020, 1, 1)}, "has no zone"),
        ({"local": float("nan")}, "local: 'nan' is not a number"),
        ({"public": float("inf")}, "public: 'inf' is not a number"),
        ({"public": 1.1e15}, r"public: '1100000000000000.0' is not a number to 1e\+15"),
        (
            {"time": datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))},
            "out of range in UTC",
        ),
        ({"sha256": "AB"}, "sha256: 'AB' is not 64 hexadecimal digits"),
        ({"reference": -1}, "reference: '-1' is not a number"),
        ({"status": "COMPLETE"}, "status: 'COMPLETE' is not one of pending, complete, error"),
    ],
)
def test_a_row_that_could_not_be_read_back_is_refused(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        encode_rows([replace(ROW, **change)])  # type: ignore[arg-type]


def test_a_byte_order_mark_and_crlf_are_accepted() -> None:
    text = "".join(LINES).replace("\n", "\r\n")
    assert decode_rows(text.encode("utf-8-sig"), PATH) == [ROW]


HEAD, LINE = LINES
DAMAGES = {
    "nothing": ("", 1, "found: nothing"),
    "another header": (LINE, 1, "expected: time,name,sha256"),
    "a column more": (HEAD.replace("\n", ",note\n"), 1, "private,note"),
    "a cell less": (HEAD + LINE.replace(",dice", ""), 2, "found: 11 cells\n  expected: 12 cells"),
    "cut in a row": (HEAD + LINE + LINE[:60], 3, "found: 3 cells"),
    "cut in the last cell": (HEAD + LINE.rstrip() + "0.99", 2, "an end after '0.99'"),
    "cut in the header": (HEAD[:-1], 1, "expected: a line end after the last row"),
    "a blank line": (HEAD + "\n" + LINE, 2, "found: 0 cells"),
    "an open quote": (HEAD + LINE.replace("U-Net", '"U-Net'), 2, "expected: cells quoted"),
    "after a row of two lines": (HEAD + LINE.replace("U-Net", '"U\nNet"') + "x\n", 4, "1 cells"),
    "a conflict of git": (HEAD + "<<<<<<< HEAD\n" + LINE, 2, "found: 1 cells"),
    "a reference twice": (HEAD + LINE + LINE, 3, "reference 31415926, as in row 2"),
    "no time": (HEAD + LINE.replace("2017-09-27T", "27.9.2017 "), 2, "found: time '27.9.2017 "),
    "no zone": (HEAD + LINE.replace("01Z", "01"), 2, "expected: a time as 2017-09-27T23:59:00Z"),
    "no digits": (HEAD + LINE.replace("abab", "wxyz"), 2, "expected: 64 hexadecimal digits"),
    "a comma for a point": (HEAD + LINE.replace("0.9966", '"0,9966"'), 2, "found: local '0,9966'"),
    "no number": (
        HEAD + LINE.replace("0.9966", "nan"),
        2,
        "expected: a number to 1e+15, or",
    ),
    "too large": (HEAD + LINE.replace("0.9966", "1e308"), 2, "expected: a number to 1e+15"),
    "beyond time": (
        HEAD + LINE.replace("2017-09-27T23:59:01Z", "9999-12-31T23:59:59-12:00"),
        2,
        "found: time '9999-12-31T23:59:59-12:00'",
    ),
    "no reference": (HEAD + LINE.replace("31415926", "3.1e7"), 2, "found: reference '3.1e7'"),
    "no status": (HEAD + LINE.replace("complete", "done"), 2, "found: status 'done'"),
}


@pytest.mark.parametrize(("text", "row", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_row_is_refused_with_its_line(text: str, row: int, words: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        decode_rows(text.encode(), PATH)
    message = str(caught.value)
    assert message.startswith(f"{PATH}, row {row}: the history is damaged\n")
    assert words in message
    assert "to do: repair the file by hand" in message


def test_invalid_utf8_is_refused_with_its_line() -> None:
    data = "".join(LINES).encode().replace(b"U-Net", b"U-N\xe9t")
    with pytest.raises(ArtifactError, match=r"row 2: the history is damaged\n  found: byte 0xe9"):
        decode_rows(data, PATH)


def test_every_cut_of_a_file_is_refused_or_ends_with_a_whole_row() -> None:
    whole = encode_rows([ROW, replace(ROW, reference=2, message="two\nlines, 'n all")])
    for end in range(len(whole)):
        try:
            rows = decode_rows(whole[:end], PATH)
        except ArtifactError:
            continue
        assert encode_rows(rows) == whole[:end]


def test_a_header_and_no_rows() -> None:
    assert decode_rows(",".join(COLUMNS).encode() + b"\n", PATH) == []
