import gzip
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.images.rle import Runs
from darkroom.index.card import Card, CellsDigest
from darkroom.submission import check as module
from darkroom.submission.cell_checks import Limits
from darkroom.submission.check import Report, check_submission
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.specs import get_metric

IDS = ["a.jpg", "b.jpg", "c.jpg"]
UNPACK = "unpack it, and check the .csv in it; a workbook: save it as .csv"
GOOD = b"img,rle_mask\na.jpg,1 2 9 4\nb.jpg,\nc.jpg,12 1\n"


MASKS = Card("segmentation", header=("img", "rle_mask"))


def check(
    path: Path,
    card: Card,
    ids: Sequence[str],
    metric: str = "",
    *,
    ours: bool = True,
    **limits: Any,
) -> Report:
    spec = get_metric(metric, card.task)
    return check_submission(path, card, spec, ids, Limits(**limits), ours=ours)


def check_masks(path: Path, data: bytes, ids: Sequence[str] = IDS, **options: Any) -> Report:
    path.write_bytes(data)
    return check(path, options.pop("card", MASKS), ids, sizes=dict.fromkeys(ids, (3, 4)), **options)


def faults_of(report: Report) -> list[str]:
    return [str(fault) for fault in report.faults]


def plain(tmp_path: Path, data: bytes, ids: Sequence[str] = IDS) -> list[str]:
    report = check_masks(tmp_path / "x.csv", data, ids)
    assert report.ok == (report.fault_count == 0) == (not report.faults)
    return faults_of(report)


def zipped(tmp_path: Path, data: bytes) -> list[str]:
    return faults_of(check_masks(tmp_path / "x.csv.gz", data))


def values_report(
    tmp_path: Path, card: Card, values: Sequence[str], metric: str = "", **options: Any
) -> Report:
    """Return the report of a file of these values, in rows 2, 3, 4 ..."""
    path = tmp_path / "x.csv"
    lines = [f"{row},{value}\n" for row, value in enumerate(values)]
    path.write_text(",".join(card.header) + "\n" + "".join(lines))
    return check(path, card, [str(row) for row in range(len(lines))], metric, **options)


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
        ("x.zip", b"PK\x03\x04", "a zip archive", UNPACK),
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
    card = Card("multiclass", ("y",), ("a,b", "c"), header=("id", "y,z"))
    assert check(path, card, ids) == Report(4, (), 0, {"share of a,b": 1.0, "share of c": 0.0})


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


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (GOOD.replace(b",", b";"), "the cells must be parted by commas"),
        (GOOD.replace(b",", b"\t"), "the cells must be parted by commas"),
        (
            b",img,rle_mask\n0,a.jpg,\n1,b.jpg,\n2,c.jpg,\n",
            "leave the first column out; pandas does with index=False",
        ),
    ],
)
def test_a_fault_of_every_row_is_told_once(tmp_path: Path, data: bytes, hint: str) -> None:
    (fault,) = plain(tmp_path, data)
    assert fault.startswith("row 1: the header is ")
    assert fault.endswith(f", expected 'img,rle_mask': {hint}")


def test_a_file_without_a_header(tmp_path: Path) -> None:
    faults = plain(tmp_path, GOOD.partition(b"\n")[2])
    assert faults[0].endswith("expected 'img,rle_mask': it is a row, and there is no header")
    assert faults[1:] == ["'a.jpg' is missing"]


@pytest.mark.parametrize("key", ["b", " b.jpg", "b.jpg ", "test/b.jpg", "b.png", "b.jpg.jpg"])
def test_the_id_that_is_meant_is_named(tmp_path: Path, key: str) -> None:
    faults = plain(tmp_path, GOOD.replace(b"b.jpg", key.encode()))
    assert faults[0] == f"row 3: {key!r} is not an id of the test set; is it 'b.jpg'?"


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
    missing = [f"{name!r} is missing" for name in IDS]
    packed_twice = ["the gzip holds a gzip file, expected a table of text", *missing]
    assert zipped(tmp_path, gzip.compress(data)) == packed_twice


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
    assert check(path, MASKS, ["a"], sizes={"a": (200, 300)}).ok


def test_twenty_faults_are_shown_and_all_counted(tmp_path: Path) -> None:
    ids = [str(number) for number in range(50)]
    report = check_masks(tmp_path / "x.csv", b"img,rle_mask\n" + b"z,1 1\n" * 30, ids)
    assert len(report.faults) == module.MAX_FAULTS == 20
    assert report.fault_count == 80
    assert [fault.row for fault in report.faults] == list(range(2, 22))
    assert report.rows == 30


def test_two_labels(tmp_path: Path) -> None:
    card = Card("binary", ("y",), header=("id", "y"), label_values=("-1", "1"))
    report = values_report(tmp_path, card, ["-1", "1", "1", "0"])
    assert faults_of(report) == ["row 5: y: '0' is not one of '-1, 1'"]
    assert report.facts == {"share of -1": 1 / 3, "share of 1": 2 / 3}


def test_many_label_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,bald,young\n1,-1,1\n2,1,+1\n")
    header, targets = ("id", "bald", "young"), ("bald", "young")
    card = Card("multilabel", targets, header=header, label_values=("-1", "1"))
    report = check(path, card, ["1", "2"])
    assert faults_of(report) == ["row 3: young: '+1' is not one of '-1, 1'"]


def test_regression_over_folds(tmp_path: Path) -> None:
    card = Card("regression", ("y",), header=("id", "y"))
    values = ["1", "-2.5", "3e2", ".5", "nan", "inf", "1e999", "1_0", "0x1", "١"]
    report = values_report(tmp_path, card, [*values, " 7 "])
    assert [fault.row for fault in report.faults] == [6, 7, 8, 9, 10, 11]
    assert "row 6: y: 'nan' is not a finite number" in faults_of(report)
    assert report.facts == {"least": -2.5, "greatest": 300.0}
    report = values_report(tmp_path, card, ["0", "-0.5"], "rmsle")
    assert faults_of(report) == ["row 3: y: '-0.5' is not a finite number of 0 or more"]


def test_probabilities_need_not_sum_to_1(tmp_path: Path) -> None:
    card = Card("binary", ("y",), header=("id", "y"))
    values = ["0.5", "1e-9", "1", "0", "1.5", "-0.1", "yes", ""]
    report = values_report(tmp_path, card, values, "roc_auc")
    assert faults_of(report) == [
        f"row {row}: y: '{value}' is not a probability, 0 to 1"
        for row, value in enumerate(values[4:], 6)
    ]
    assert report.facts == {"least": 0.0, "mean": pytest.approx(0.375), "greatest": 1.0}
    path = tmp_path / "x.csv"
    path.write_text("id,b,a\n1,0.9,0.8\n")
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "b", "a"))
    report = check(path, card, ["1"], "log_loss")
    assert report.ok
    assert report.warnings == (
        "1 image has probabilities that do not sum to 1: some judges rescale them, others refuse "
        "them",
    )


def test_images_whose_classes_do_not_sum_to_1_are_counted(tmp_path: Path) -> None:
    header = ("key", "p")
    card = Card("multiclass", ("y",), ("a", "b"), header=header, keys=("{id}_{label}",))
    path = tmp_path / "x.csv"
    path.write_text("key,p\n1_a,0.25\n2_b,0\n2_a,0\n1_b,0.7504\n3_a,1\n3_b,1\n")
    report = check(path, card, ["1", "2", "3"], "log_loss", ours=False)
    assert report.ok
    assert report.warnings[0].startswith("2 images have probabilities that do not sum to 1")
    path.write_text("key,p\n1_a,0.25\n1_b,0.75\n")
    assert check(path, card, ["1"], "log_loss").warnings == ()


def test_answers_where_probabilities_are_judged_are_warned_of(tmp_path: Path) -> None:
    card = Card("binary", ("y",), header=("id", "y"))
    words = "every cell is 0 or 1: answers, where probabilities are judged"
    assert values_report(tmp_path, card, ["0", "1.0", "1"], "roc_auc").warnings == (words,)
    assert values_report(tmp_path, card, ["0", "1", "0.999"], "roc_auc").warnings == ()


def test_answers_that_are_all_alike_are_warned_of(tmp_path: Path) -> None:
    card = Card("binary", ("y",), header=("id", "y"))
    halves = values_report(tmp_path, card, ["0.5"] * 10, "roc_auc")
    assert halves.warnings == ("every answer is 0.5",)
    assert values_report(tmp_path, card, ["0.5"] * 9, "roc_auc").warnings == ()
    assert values_report(tmp_path, card, ["1"] * 10).warnings == ("every answer is '1'",)
    assert values_report(tmp_path, card, [*"1111111110"]).warnings == ()


def test_images_that_the_index_left_out_are_repeated_where_no_sample_names_them(
    tmp_path: Path,
) -> None:
    declared = {"test rows left out by where": 3, "train rows left out by where": 5}
    card = Card("regression", ("y",), header=("id", "y"), declared=declared)
    warning = "3 test rows left out by where: an image that they alone name has no row here"
    assert values_report(tmp_path, card, ["1", "2"]).warnings == (warning,)
    card = replace(card, sample=CellsDigest().text)
    assert values_report(tmp_path, card, ["1", "2"]).warnings == ()


def test_numbers_beyond_those_of_training_are_warned_of(tmp_path: Path) -> None:
    card = Card("regression", ("y",), header=("id", "y"))
    report = values_report(tmp_path, card, ["1", "-8.8", "109.8", "-9", "110"], reach=(1.0, 100.0))
    assert report.ok
    assert report.warnings == ("2 numbers are far from those of training, 1 to 100",)


def test_an_image_of_two_classes_or_none_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,a,b,c\n1,0,1,0\n2,0,0,0\n3,1,1,0\n4,0,0,7\n")
    card = Card("multiclass", ("y",), ("a", "b", "c"), header=("id", "a", "b", "c"))
    assert faults_of(check(path, card, ["1", "2", "3", "4"], "accuracy")) == [
        "row 5: c: '7' is not one of '0, 1'",
        "row 3: '2' is of 0 classes, expected one",
        "row 4: '3' is of 2 classes, expected one",
        "row 5: '4' is of 0 classes, expected one",
    ]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("hat tie", None),
        (" tie  hat ", None),
        ("hat hat", "'hat' stands in it twice"),
        ("hat cap", "'cap' is not one of 'hat, tie'"),
        ("hat,tie", None),  # of the CSV: two cells
        ("", "no label, expected at least one"),
    ],
)
def test_labels_of_one_cell(tmp_path: Path, cell: str, fault: str | None) -> None:
    card = Card("multilabel", ("hat", "tie"), header=("id", "tags"))
    faults = faults_of(values_report(tmp_path, card, [cell]))
    if "," in cell:
        assert faults == ["row 2: 3 columns, expected 2"]
    else:
        assert faults == ([] if fault is None else [f"row 2: tags: {fault}"])
    assert values_report(tmp_path, card, [""], empty_labels=True).ok


def test_labels_with_another_separator(tmp_path: Path) -> None:
    card = Card("multilabel", ("red hat", "tie"), header=("id", "tags"), separator=";")
    assert values_report(tmp_path, card, ["red hat;tie", "tie"]).ok
    assert not values_report(tmp_path, card, ["red hat tie"]).ok


def test_the_nearest_of_many_labels_is_named(tmp_path: Path) -> None:
    card = Card("multiclass", ("y",), tuple(f"w_{n:02}" for n in range(20)), header=("id", "y"))
    report = values_report(tmp_path, card, ["w_07", "w07"])
    words = "row 3: y: 'w07' is not one of the 20 labels; did you mean 'w_07'?"
    assert faults_of(report) == [words]
    assert report.facts == {"different labels": 1}


def test_the_nearest_label_is_looked_for_in_the_first_faults_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[str] = []
    monkeypatch.setattr(
        "darkroom.submission.cell_checks.nearest_name", lambda word, _: words.append(word)
    )
    card = Card("multiclass", ("y",), tuple(f"w_{n:02}" for n in range(20)), header=("id", "y"))
    assert values_report(tmp_path, card, ["x"] * 50).fault_count == 50
    assert len(words) == module.MAX_FAULTS


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("a b c", None),
        ("c", None),
        ("a b c d", "4 labels, expected at most 3"),
        ("a a", "'a' stands in it twice"),
        ("a x", "'x' is not one of 'a, b, c, d'"),
        ("", "no label, expected at least one"),
    ],
)
def test_rankings(tmp_path: Path, cell: str, fault: str | None) -> None:
    card = Card("multiclass", ("y",), ("a", "b", "c", "d"), header=("id", "y"))
    faults = faults_of(values_report(tmp_path, card, [cell], "map@3"))
    assert faults == ([] if fault is None else [f"row 2: y: {fault}"])


def test_a_label_with_its_score(tmp_path: Path) -> None:
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "y"))
    report = values_report(tmp_path, card, ["a 0.5", "b 7", "a", "a b", "x 1", "0.5 a", ""], "gap")
    assert faults_of(report) == [
        "row 4: y: 1 words, expected a label and its score",
        "row 5: y: the score 'b' is not a finite number",
        "row 6: y: 'x' is not one of 'a, b'",
        "row 7: y: the score 'a' is not a finite number",
    ]
    assert report.facts == {"share of a": 0.5, "share of b": 0.5}


def test_grades_are_those_of_training(tmp_path: Path) -> None:
    card = Card("regression", ("y",), header=("id", "y"))
    report = values_report(
        tmp_path, card, ["0", "2", "1.7", "3"], "quadratic_kappa", grades=("0", "1", "2")
    )
    assert [fault.row for fault in report.faults] == [4, 5]


def test_the_judges_own_sample_is_right_whatever_it_holds(tmp_path: Path) -> None:
    digest = CellsDigest()
    for row in (["id", "y"], ["0", "0.5"], ["1", ""], ["1", "?"]):
        digest.add(row)
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "y"), sample=digest.text)
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbf"id",y\r\n0, 0.5\r\n1,\r\n\r\n1,?\r\n')
    report = check(path, card, ["0", "1"], ours=False)
    assert report == Report(4, (), 0, {}, is_sample=True)
    for wrong in ("id,y\n0,0.5\n1,\n1,a\n", "id,y\n0,0.5\n1,\n", "id,y\n0,0.5\n1,a\n"):
        path.write_text(wrong)
        assert not check(path, card, ["0", "1"], ours=False).ok
    path.write_text("id,y\n1,b\n0,a\n")
    assert check(path, card, ["0", "1"], ours=False).ok


def test_a_judge_finds_rows_and_columns_by_name(tmp_path: Path) -> None:
    data = b"rle_mask,img\n1 2,c.jpg\n,a.jpg\n12 1,b.jpg\n"
    assert check_masks(tmp_path / "x.csv", data, ours=False).ok
    assert not check_masks(tmp_path / "x.csv", data).ok
    faults = faults_of(check_masks(tmp_path / "x.csv", b"rle_mask,img\n", []))
    assert faults == ["row 1: the header is 'rle_mask,img', expected 'img,rle_mask'"]
    wrong = data.replace(b"12 1", b"12 2")
    (fault,) = check_masks(tmp_path / "x.csv", wrong, ours=False).faults
    assert str(fault).startswith("row 4: rle_mask: a run goes past the last pixel, 12")


LONG = Card("segmentation", ("a", "b"), header=("id", "class", "rle"), keys=("{id}", "{label}"))


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ("x,a,\nx,b,1 2\ny,a,\ny,b,\n", []),
        ("x,a,\nx,b,1 2\ny,a,\n", ["'y,b' is missing"]),
        (
            "x,a,\nx,a,\ny,a,\ny,b,\n",
            [
                "row 3: 'x,a' is already in row 2; write all runs of a mask in one cell",
                "'x,b' is missing",
            ],
        ),
        (
            "x,a,\nx,c,\nx,b,\ny,a,\ny,b,\n",
            ["row 3: 'x,c' is not an id of the test set"],
        ),
        (
            "x,b,\nx,a,\ny,a,\ny,b,\n",
            ["row 3: 'x,a' is out of order, it belongs before 'x,b'"],
        ),
    ],
)
def test_a_row_for_each_image_and_label(tmp_path: Path, rows: str, faults: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"id,class,rle\n{rows}")
    sizes = {"x": (3, 4), "y": (3, 4)}
    assert faults_of(check(path, LONG, ["x", "y"], sizes=sizes)) == faults
    theirs = check(path, LONG, ["y", "x"], sizes=sizes, ours=False)
    assert faults_of(theirs) == [fault for fault in faults if "out of order" not in fault]


OBJECTS = Card("segmentation", header=("img", "rle"), runs=Runs("column", empty="-1", size=(3, 4)))


@pytest.mark.parametrize(
    ("rows", "faults"),
    [
        ("a,1 2\na,3 4\nb,-1\n", []),
        ("a,1 2\n", ["'b' is missing"]),
        ("a,1 2\na,-1\nb,-1\n", ["row 3: an empty mask beside other rows of 'a'"]),
        ("a,-1\na,-1\nb,1 1\n", ["row 2: an empty mask beside other rows of 'a'"]),
        ("a,1 3\na,7 2\na,3 1\nb,-1\n", ["row 4: its object overlaps that of row 2"]),
        (
            "a,1 9\nb,1 9\na,5 1\n",
            [
                "row 4: 'a' is out of order, it belongs before 'b'",
                "row 4: its object overlaps that of row 2",
            ],
        ),
        (
            "a,\nb,1 1 1 1\n",
            [
                "row 2: rle: an empty cell; expected: '-1' for an empty mask",
                "row 3: rle: a run begins before the one before it ends; found:",
            ],
        ),
    ],
)
def test_rows_of_objects(tmp_path: Path, rows: str, faults: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"img,rle\n{rows}")
    report = check(path, OBJECTS, ["a", "b"], "iou_precision")
    shown = faults_of(report)
    assert [line[: len(f)] for line, f in zip(shown, faults, strict=True)] == faults
    if report.ok:
        assert report.facts == {"empty share": 0.5, "objects an image": 1.0}


def test_a_pipe_is_read_once() -> None:
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(GOOD)
        sizes = dict.fromkeys(IDS, (3, 4))
        assert check(Path(f"/dev/fd/{reader}"), MASKS, IDS, sizes=sizes).ok
    finally:
        os.close(reader)


def test_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv.gz", tmp_path):
        with pytest.raises(ArtifactError, match=r"cannot be read\n  found: (No such|Is a dir)"):
            check(path, Card("regression", ("y",), header=("id", "y")), [])


def test_masks_without_a_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no size is given for b"):
        check(tmp_path, MASKS, ["b"], sizes={"a": (1, 1)})


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
