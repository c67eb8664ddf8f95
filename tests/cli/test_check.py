"""What `check` takes from the index: labels, grades, sizes."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from darkroom.cli.check import check_file
from darkroom.cli.main import main
from darkroom.index.card import Card, Runs
from darkroom.index.table import Index, write_index
from darkroom.project.paths import Layout
from darkroom.submission.check import Report
from tests.support import tiny

LABELS = Card("multilabel", ("hat", "tie"), header=("id", "tags"), metric="samples_f1")
GRADES = Card("regression", ("grade",), header=("id", "grade"), metric="quadratic_kappa")


def project(root: Path, card: Card, train: list[list[float]]) -> Layout:
    """Write the index of these training targets and two test images, x and y."""
    parts = ["train"] * len(train) + ["test"] * 2
    ids = [*map(str, range(len(train))), "x", "y"]
    rows = pd.DataFrame({"id": ids, "part": parts, "image": ids})
    for name in ("mask", "group", "official"):
        rows[name] = ""
    rows["digest"], rows["mask_digest"] = "0" * 32, ""
    for place, name in enumerate(card.targets):
        rows[name] = [row[place] for row in train] + [float("nan")] * 2
    paths = Layout("tiny", root)
    write_index(Index(rows, card), paths.index, paths.card)
    return paths


def report(paths: Layout, *cells: str) -> Report:
    path = paths.root / "theirs.csv"
    lines = [f"{name},{cell}\n" for name, cell in zip("xy", cells, strict=True)]
    header = "id,tags\n" if "tags" in paths.card.read_text() else "id,grade\n"
    path.write_text(header + "".join(lines))
    return check_file(paths, path, ours=False)


def test_an_empty_cell_of_labels_is_legal_where_a_training_image_has_no_label(
    tmp_path: Path,
) -> None:
    some = project(tmp_path / "some", LABELS, [[1, 0], [0, 1]])
    assert report(some, "hat", "hat tie").ok
    assert not report(some, "hat", "").ok
    unknown = float("nan")
    rows = [[0.0, 0.0], [0.4, 0.5], [unknown, 0.0], [unknown, unknown]]
    for number, row in enumerate(rows):
        paths = project(tmp_path / str(number), LABELS, [[1.0, 1.0], row])
        assert report(paths, "hat", "").ok, row


def test_grades_are_the_whole_numbers_between_those_of_training(tmp_path: Path) -> None:
    paths = project(tmp_path, GRADES, [[1], [float("nan")], [3], [4]])
    assert report(paths, "1", "2").ok  # 2 lies between them
    assert [fault.row for fault in report(paths, "0", "5").faults] == [2, 3]
    assert not report(paths, "1", "2.5").ok


def test_numbers_are_held_against_the_range_of_training(tmp_path: Path) -> None:
    card = replace(GRADES, metric="rmse")
    paths = project(tmp_path, card, [[1], [float("nan")], [4]])
    assert report(paths, "1", "4").warnings == ()
    assert report(paths, "1", "5").warnings == ("1 number is far from those of training, 1 to 4",)


def test_masks_of_a_size_of_their_own_need_no_image(tmp_path: Path) -> None:
    runs = Runs("column", empty="-", size=(2, 3))
    card = Card("segmentation", header=("id", "tags"), runs=runs)
    rows = pd.DataFrame({"id": ["0", "x", "y"], "part": ["train", "test", "test"]})
    rows["image"], rows["mask"], rows["digest"] = rows["id"], "rle:column", "0" * 32
    rows["group"] = rows["official"] = rows["mask_digest"] = ""
    columns = ["id", "part", "image", "mask", "group", "official", "digest", "mask_digest"]
    paths = Layout("tiny", tmp_path)
    write_index(Index(rows[columns], card), paths.index, paths.card)
    assert report(paths, "1 6", "-").ok
    assert [fault.row for fault in report(paths, "2 6", "").faults] == [2, 3]


def test_warnings_and_the_sample_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.project(tmp_path, "binary")
    monkeypatch.chdir(root)
    ids = [line.split(",")[0] for line in (root / "source/test.csv").read_text().split()[1:]]
    files = {"sample.csv": "0.5", "ours.csv": "1"}
    for name, cell in files.items():
        tiny.put(root / f"source/{name}", "image,green\n" + "".join(f"{i},{cell}\n" for i in ids))
    changes = {"metric": "roc_auc", "like": "sample.csv", "header": []}
    tiny.edit(root, lambda params: params["tiny"]["data"].update(changes))
    tiny.run("fetch", "index")
    capsys.readouterr()
    for name in files:
        assert main(["check", "tiny", f"source/{name}"]) == 0
    sample, valid, warning = capsys.readouterr().out.splitlines()
    assert sample == "source/sample.csv: valid: 5 rows, the competition's own sample submission"
    assert valid.startswith("source/ours.csv: valid: 5 rows, every id once, every value legal, ")
    words = "every cell is 0 or 1: answers, where probabilities are judged"
    assert warning == f"source/ours.csv: warning: {words}"
