import gzip
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.params.section import TaskName
from darkroom.submission import check as module
from darkroom.submission.check import Report, check_submission
from darkroom.submission.writer import Writer

IDS = ["a.jpg", "b.jpg", "c.jpg"]
GOOD = b"img,rle_mask\na.jpg,1 2 9 4\nb.jpg,\nc.jpg,12 1\n"


def check_masks(path: Path, data: bytes, ids: Sequence[str] = IDS) -> Report:
    path.write_bytes(data)
    sizes = [(3, 4)] * len(ids)
    return check_submission(
        path, header=["img", "rle_mask"], ids=ids, kind="segmentation", sizes=sizes
    )


def faults_of(report: Report) -> list[str]:
    return [str(fault) for fault in report.faults]


def plain(tmp_path: Path, data: bytes, ids: Sequence[str] = IDS) -> list[str]:
    report = check_masks(tmp_path / "x.csv", data, ids)
    assert report.ok == (report.fault_count == 0) == (not report.faults)
    return faults_of(report)


def zipped(tmp_path: Path, data: bytes) -> list[str]:
    return faults_of(check_masks(tmp_path / "x.csv.gz", data))


def values_report(
    tmp_path: Path, kind: TaskName, values: str, labels: Sequence[str] = ()
) -> Report:
    path = tmp_path / "x.csv"
    lines = [f"{row},{value}\n" for row, value in enumerate(values.split())]
    path.write_text("id,y\n" + "".join(lines))
    ids = [str(row) for row in range(len(lines))]
    return check_submission(path, header=["id", "y"], ids=ids, kind=kind, labels=labels)


def test_a_good_submission(tmp_path: Path) -> None:
    report = check_masks(tmp_path / "x.csv", GOOD)
    assert report == Report(3, (), 0, {"empty share": 1 / 3})
    assert report.ok


@pytest.mark.parametrize(
    "data", [GOOD.replace(b"\n", b"\r\n"), GOOD[:-1], GOOD.replace(b"b.jpg,", b'"b.jpg",""')]
)
def test_other_spellings_of_the_same_row_are_accepted(tmp_path: Path, data: bytes) -> None:
    assert plain(tmp_path, data) == []


@pytest.mark.parametrize(
    ("name", "data", "content", "fix"),
    [
        ("x.zip", b"PK\x03\x04", "a zip archive", "unpack it, and check the .csv in it"),
        ("x.csv", gzip.compress(GOOD, mtime=0), "a gzip file", "rename it to end in .csv.gz"),
        ("x.csv", GOOD.decode().encode("utf-16"), "UTF-16 text", "save it as UTF-8"),
        ("x.png", b"\x89PNG", "a PNG image", "name the file that is to be uploaded"),
    ],
    ids=["zip", "gzip", "utf-16", "png"],
)
def test_another_kind_of_file_is_reported_once(
    tmp_path: Path, name: str, data: bytes, content: str, fix: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        check_masks(tmp_path / name, data)
    assert str(caught.value) == (
        f"{tmp_path / name}: not a submission\n  found: {content}\n"
        "  expected: a table of text, UTF-8: .csv, or .csv.gz if it is compressed\n"
        f"  to do: {fix}"
    )


def test_what_the_writer_writes_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    ids = ["plain", "com,ma", 'quo"te', "ünï"]
    with Writer(path, ["id", "y,z"]) as writer:
        for name in ids:
            writer.write([name, "a,b"])
    report = check_submission(
        path, header=["id", "y,z"], ids=ids, kind="multiclass", labels=["a,b"]
    )
    assert report == Report(4, (), 0, {"share of a,b": 1.0})


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [
        (b"img,", b"id,", ["row 1: the header is 'id,rle_mask', expected 'img,rle_mask'"]),
        (b"b.jpg,\n", b"", ["'b.jpg' is missing"]),
        (b"b.jpg", b"d.jpg", ["row 3: 'd.jpg' is not an id of the test set", "'b.jpg' is missing"]),
        (b"c.jpg", b"a.jpg", ["row 4: 'a.jpg' is already in row 2", "'c.jpg' is missing"]),
        (b"b.jpg,\n", b"b.jpg\n", ["row 3: 1 columns, expected 2"]),
        (b"b.jpg,\n", b"b.jpg,,\n", ["row 3: 3 columns, expected 2"]),
        (b"b.jpg,\n", b"b.jpg,\n\n", ["row 4: an empty line"]),
        (b"b.jpg,", b'b.jpg,"', ["row 3: quotes do not match in 'b.jpg,\"'", "'b.jpg' is missing"]),
        (b"b.jpg,\n", b"b.jpg,\r\n", ["row 3: some lines end in LF and some in CR LF"]),
        (b"img", b"\xef\xbb\xbfimg", ["row 1: a byte-order mark before the header"]),
        (b"b.jpg,", b"b.jpg,\xff", ["row 3: bytes that are not UTF-8"]),
        (b"b.jpg,", b"b.jpg,\r2", ["row 3: a carriage return within a line"]),
        (b"12 1", b"12 2", ["row 4: rle_mask: a run goes past the last pixel, 12"]),
        (b"9 4", b"2 4", ["row 2: rle_mask: a run begins before the one before it ends"]),
        (b"12 1", b"12", ["row 4: rle_mask: a run-length text holds a number without its pair"]),
        (b"12 1", b"0 1", ["row 4: rle_mask: a start or a length is below 1"]),
        (b"12 1", b"12 x", ["row 4: rle_mask: a run-length text holds foreign characters"]),
    ],
)
def test_each_fault_is_reported(tmp_path: Path, old: bytes, new: bytes, faults: list[str]) -> None:
    lines = plain(tmp_path, GOOD.replace(old, new, 1))
    assert [line[: len(fault)] for line, fault in zip(lines, faults, strict=False)] == faults
    values_only = [line for line in lines[len(faults) :] if "foreign characters" not in line]
    assert values_only == []


def test_rows_out_of_order(tmp_path: Path) -> None:
    data = b"img,rle_mask\na.jpg,\nc.jpg,\nb.jpg,\n"
    message = "row 4: 'b.jpg' is out of order, it belongs before 'c.jpg'"
    assert plain(tmp_path, data) == [message]


def test_an_empty_file(tmp_path: Path) -> None:
    missing = [f"{name!r} is missing" for name in IDS]
    assert plain(tmp_path, b"") == ["the file is empty", *missing]
    assert zipped(tmp_path, b"") == ["the file is empty", *missing]
    assert zipped(tmp_path, gzip.compress(b"")) == ["the file is empty", *missing]


def test_damage_to_gzip(tmp_path: Path) -> None:
    data = gzip.compress(GOOD)
    broken = bytearray(data)
    broken[-6] ^= 1
    assert zipped(tmp_path, data) == []
    assert zipped(tmp_path, GOOD)[0] == "the name ends in .gz but the file is not gzip"
    assert zipped(tmp_path, data[:-1]) == ["the gzip is cut off: it ends before its end"]
    assert "'c.jpg' is missing" in zipped(tmp_path, data[:-20])
    assert "the gzip is damaged: Error -3" in zipped(tmp_path, bytes(broken))[0]
    assert zipped(tmp_path, data + data) == ["a second gzip member after the end of the gzip"]
    assert zipped(tmp_path, data + b"\0") == ["other bytes after the end of the gzip"]


def test_a_decompression_bomb_of_one_line_is_not_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.submission.lines.MAX_LINE_BYTES", 1 << 16)
    faults = zipped(tmp_path, gzip.compress(GOOD + b"1 " * (1 << 21)))
    assert faults == ["row 5: a line of more than 65536 bytes"]


def test_a_value_longer_than_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    runs = " ".join(f"{start} 1" for start in range(1, 60_000, 2))
    assert len(runs) > 131_072
    path = tmp_path / "x.csv"
    path.write_text(f"img,rle_mask\na,{runs}\n")
    sizes = {"a": (200, 300)}
    report = check_submission(
        path, header=["img", "rle_mask"], ids=["a"], kind="segmentation", sizes=sizes
    )
    assert report.ok


def test_twenty_faults_are_shown_and_all_counted(tmp_path: Path) -> None:
    ids = [str(number) for number in range(50)]
    report = check_masks(tmp_path / "x.csv", b"img,rle_mask\n" + b"z,1 1\n" * 30, ids)
    assert len(report.faults) == module.MAX_FAULTS == 20
    assert report.fault_count == 80
    assert [fault.row for fault in report.faults] == list(range(2, 22))
    assert report.rows == 30


def test_two_labels(tmp_path: Path) -> None:
    report = values_report(tmp_path, "binary", "-1 1 1 0", ["-1", "1"])
    assert faults_of(report) == ["row 5: y: '0' is not one of '-1, 1'"]
    assert report.facts == {"share of -1": 1 / 3, "share of 1": 2 / 3}


def test_many_label_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,bald,young\n1,-1,1\n2,1,+1\n")
    report = check_submission(
        path, header=["id", "bald", "young"], ids=["1", "2"], kind="multilabel", labels=["-1", "1"]
    )
    assert faults_of(report) == ["row 3: young: '+1' is not one of '-1, 1'"]


def test_regression_over_folds(tmp_path: Path) -> None:
    report = values_report(tmp_path, "regression", "1 -2.5 3e2 .5 nan inf 1e999 1_0 0x1 ١")
    assert [fault.row for fault in report.faults] == [6, 7, 8, 9, 10, 11]
    assert "row 6: y: 'nan' is not a finite number" in faults_of(report)
    assert report.facts == {"least": -2.5, "greatest": 300.0}


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv.gz", tmp_path):
        with pytest.raises(ArtifactError, match=r"cannot be read\n  found: (No such|Is a dir)"):
            check_submission(path, header=["id"], ids=[], kind="regression")


def test_a_missing_argument_for_the_kind_of_value(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="against the sizes"):
        check_submission(tmp_path, header=["id"], ids=[], kind="segmentation")
    with pytest.raises(ValueError, match="no size is given for b"):
        check_submission(
            tmp_path, header=["id"], ids=["b"], kind="segmentation", sizes={"a": (1, 1)}
        )
    with pytest.raises(ValueError, match="texts of their labels"):
        check_submission(tmp_path, header=["id"], ids=[], kind="binary")


@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from([b"img,rle_mask", b"a.jpg", b",", b'"', b"\n", b"\r", b"1 2", b"\xff"])
        ).map(b"".join),
    ),
    name=st.sampled_from(["x.csv", "x.csv.gz"]),
    zip_it=st.booleans(),
    cut=st.integers(0, 60),
    flip=st.integers(0, 10_000),
)
def test_no_bytes_crash_the_check(
    data: bytes, name: str, zip_it: bool, cut: int, flip: int
) -> None:
    if zip_it:
        data = gzip.compress(data)
    if data and flip % 2:
        place = flip % len(data)
        data = data[:place] + bytes([data[place] ^ (1 << flip % 8)]) + data[place + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = check_masks(Path(folder) / name, data[: len(data) - cut])
        except ArtifactError:  # of a kind that its first bytes tell
            assert name == "x.csv"
            return
    assert not report.ok or name == "x.csv" or data[:2] == b"\x1f\x8b"
    assert report.fault_count >= len(report.faults)
