import csv
import errno
import gzip
import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import DataError
from darkroom.project.checked_json import read_json
from darkroom.submission.writer import Writer, facts_path, format_line

HEADER = ["img", "rle_mask"]


def write(path: Path, rows: list[list[str]]) -> None:
    with Writer(path, HEADER, facts={"threshold": 0.5}) as writer:
        for row in rows:
            writer.write(row)


def interrupt(path: Path) -> None:
    with Writer(path, HEADER) as writer:
        writer.write(["a", "2 2"])
        raise KeyboardInterrupt


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_the_file_and_its_facts(tmp_path: Path) -> None:
    path = tmp_path / "submissions" / "carvana.csv.gz"
    write(path, [["a.jpg", "1 1"], ["b.jpg", ""]])
    data = path.read_bytes()
    assert gzip.decompress(data) == b"img,rle_mask\na.jpg,1 1\nb.jpg,\n"
    assert read_json(tmp_path / "submissions" / "carvana.json", absent="", fix="") == {
        "bytes": len(data),
        "images": 2,
        "rows": 2,
        "sha256": hashlib.sha256(data).hexdigest(),
        "threshold": 0.5,
    }
    assert names_in(tmp_path) == ["carvana.csv.gz", "carvana.json"]


def test_a_plain_file_has_the_same_rows(tmp_path: Path) -> None:
    rows = [[f"{row:06}", "1 1 " * 500] for row in range(200)]
    for name in ("a.csv", "a.csv.gz"):
        with Writer(tmp_path / name, HEADER) as writer:
            for row in rows:
                writer.write(row)
    plain = (tmp_path / "a.csv").read_bytes()
    assert plain.startswith(b"img,rle_mask\n000000,1 1 ")
    assert plain == gzip.decompress((tmp_path / "a.csv.gz").read_bytes())
    assert names_in(tmp_path) == ["a.csv", "a.csv.gz"]  # and no facts, where none are given


def test_the_gzip_has_one_member_without_name_or_time(tmp_path: Path) -> None:
    write(tmp_path / "x.csv.gz", [[f"{row:06}", "1 1 " * 500] for row in range(5_000)])
    data = (tmp_path / "x.csv.gz").read_bytes()
    assert data[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"  # deflate, no flags, time 0
    assert int.from_bytes(data[-4:], "little") == len(gzip.decompress(data))  # all in the last


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [[f"{row}.jpg", f"{row + 1} 7"] for row in range(30_000)]
    write(tmp_path / "a.csv.gz", rows)
    write(tmp_path / "b.csv.gz", rows)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_an_exception_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    write(path, [["a", "1 1"]])
    before = path.read_bytes(), facts_path(path).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        interrupt(path)
    assert (path.read_bytes(), facts_path(path).read_bytes()) == before
    assert names_in(tmp_path) == ["x.csv.gz", "x.json"]


def test_a_kill_between_the_two_files_leaves_facts_that_do_not_match(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.csv.gz"
    write(path, [["a", "1 1"]])
    before, replace = path.read_bytes(), Path.replace

    def killed(source: Path, target: Path) -> Path:
        if target == path:
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(path, [["b", "1 1"]])
    assert path.read_bytes() == before
    sha256 = json.loads(facts_path(path).read_text())["sha256"]
    assert sha256 != hashlib.sha256(before).hexdigest()


@pytest.mark.parametrize("file", ["x.csv.gz", "x.json"])
def test_a_full_disk_leaves_both_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    path = tmp_path / "x.csv.gz"
    write(path, [["a", "1 1"]])
    before, fsync = (path.read_bytes(), facts_path(path).read_bytes()), os.fsync

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == f"{file}.part":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write(path, [["b", "1 1"]])
    assert caught.value.filename == str(tmp_path / file)
    assert (path.read_bytes(), facts_path(path).read_bytes()) == before
    assert names_in(tmp_path) == ["x.csv.gz", "x.json"]


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 3: .*\n  found: 3\n  expected: 2: img, rle_mask"):
        write(tmp_path / "x.csv.gz", [["a", "1 1"], ["b", "1", "1"]])
    assert names_in(tmp_path) == []


def test_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds a line break\n  found: 'b\\n'"):
        write(tmp_path / "x.csv.gz", [["a", "b\n"]])
    assert names_in(tmp_path) == []


def test_quotes() -> None:
    assert format_line(["a,b", 'say "x"', "", "plain"]) == '"a,b","say ""x""",,plain'
    assert format_line([""]) == '""'


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), min_size=1
    )
)
def test_lines_read_back_with_the_csv_module(row: list[str]) -> None:
    assert list(csv.reader(io.StringIO(format_line(row) + "\n", newline=""), strict=True)) == [row]
