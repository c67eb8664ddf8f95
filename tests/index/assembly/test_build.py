"""A table of training images and one to predict: ids, paths, targets, masks; what is refused."""

import gc
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import DarkroomError, DataError, ParamsError
from darkroom.index.assembly import part
from darkroom.index.assembly.build import build_index
from darkroom.index.table import Index
from darkroom.params.data import Data
from darkroom.raw.archives import Archives
from darkroom.raw.sources.required import required_files
from darkroom.raw.tables import Table, read_table
from tests.support.packed import zip_of
from tests.support.realdata import REALDATA, needs_realdata

TRAIN = {"table": "train.csv", "image": "train.zip/t/{img}.png", "targets": ["label"]}
TEST = {"table": "test.csv", "image": "test.zip/{img}.png"}
DATA: dict[str, Any] = {
    "source": "raw",
    "task": "multiclass",
    "train": TRAIN,
    "test": TEST,
    "header": ["id", "label"],
}
MASKED = {"table": "train.csv", "image": "train.zip/t/{img}.png", "mask": "train.zip/t/{label}.png"}
RUNS = {"table": "train.csv", "image": "train.zip/t/{img}.png", "rle": "label"}
BOTH = TRAIN | {"targets": ["label", "car"]}


def draw(raw: Path, labels: list[str], name: str = "label") -> Path:
    rows = [f"{n:03},{label},{n % 2}\n" for n, label in enumerate(labels)]
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "train.csv").write_text(f"img,{name},car\n" + "".join(rows))
    (raw / "test.csv").write_text("img\nb\na\n")
    zip_of(raw / "train.zip", {f"t/{n:03}.png": b"%d" % n for n in range(len(labels))})
    zip_of(raw / "test.zip", {"a.png": b"a", "b.png": b"b"})
    return raw


def section(**changes: Any) -> Data:
    return Data.model_validate(DATA | changes)


def index_of(raw: Path, **changes: Any) -> Index:
    return build_index(Archives(raw, raw / "spool"), section(**changes))


def refused(raw: Path, kind: type[DarkroomError] = DataError, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        index_of(raw, **changes)
    return str(caught.value)


def test_multiclass(tmp_path: Path) -> None:
    index = index_of(draw(tmp_path, ["dog", "cat", "dog"]))
    assert index.rows["id"].tolist() == ["000", "001", "002", "b", "a"]
    assert index.rows["image"].tolist()[2:4] == ["train.zip/t/002.png", "test.zip/b.png"]
    assert index.card.classes == ("cat", "dog")
    assert index.rows["label"].tolist()[:3] == [1.0, 0.0, 1.0]
    assert np.isnan(index.rows["label"].tolist()[3:]).all()
    assert index.card.declared == {"train images": 3, "test images": 2}
    assert (index.card.keys, index.card.header) == (("{id}",), ("id", "label"))


def test_parts_of_one_table_read_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw(tmp_path, ["dog", "cat", "dog", "cat"])
    names: list[str] = []

    def counted(archives: Archives, name: str, **options: Any) -> Table:
        names.append(name)
        return read_table(archives, name, **options)

    monkeypatch.setattr(part, "read_table", counted)
    parts = {
        "train": TRAIN | {"where": {"img": ["000", "001"]}},
        "valid": {"where": {"img": "002"}},
        "test": TRAIN | {"where": {"img": "003"}},
    }
    index = index_of(tmp_path, **parts)
    assert index.rows["id"].tolist() == ["000", "001", "002", "003"]
    assert index.rows["official"].tolist() == ["train", "train", "valid", "test"]
    assert names == ["train.csv"]
    assert gc.isenabled()
    other = TRAIN | {"table": {"table": "train.csv", "columns": ["img", "label", "car"]}}
    index_of(tmp_path, **(parts | {"test": other | {"where": {"img": "003"}}}))
    assert names == ["train.csv"] * 3


def test_columns_by_position_and_a_group(tmp_path: Path) -> None:
    draw(tmp_path, ["10", "2", "2"])
    train = TRAIN | {"image": "train.zip/t/{0}.png", "targets": [1], "group": 2}
    index = index_of(tmp_path, train=train)
    assert index.card.classes == ("2", "10")
    assert index.rows["group"].tolist() == ["0", "1", "0", "", ""]
    rows = index_of(tmp_path, train=TRAIN | {"group": "{img[0:2]}-{car}"}).rows
    assert rows["group"].tolist() == ["00-0", "00-1", "00-0", "", ""]


def test_binary_and_multilabel_and_regression(tmp_path: Path) -> None:
    draw(tmp_path, ["True", "False"])
    index = index_of(tmp_path, task="binary")
    assert index.card.label_values == ("False", "True")
    assert index.rows["label"].tolist()[:2] == [1.0, 0.0]
    draw(tmp_path, ["1", "0"])
    both = {"train": BOTH, "header": ["id", "label", "car"]}
    index = index_of(tmp_path, task="multilabel", **both)
    assert index.card.targets == ("label", "car")
    assert index.rows["car"].tolist()[:2] == [0.0, 1.0]
    draw(tmp_path, ["1.25", "-3e2"])
    index = index_of(tmp_path, task="regression")
    assert index.rows["label"].tolist()[:2] == [1.25, -300.0]


def test_columns_that_are_called_by_numbers(tmp_path: Path) -> None:
    draw(tmp_path, ["x"] * 4)
    (tmp_path / "train.csv").write_text("img,0,1\n000,0,1\n001,1,0\n002,0,1\n003,1,0\n")
    (tmp_path / "sample.csv").write_text("id,1,0\na,0.5,0.5\nb,0.5,0.5\n")
    keys: dict[str, Any] = TRAIN | {"targets": ["0", "1"]}
    index = index_of(tmp_path, train=keys, like="sample.csv", header=[], metric="log_loss")
    assert (index.card.classes, index.card.answers) == (("0", "1"), ("1", "0"))
    (tmp_path / "sample.csv").write_text("id,0,1\na,0,0\nb,0,0\n")
    index = index_of(tmp_path, train=keys, like="sample.csv", header=[], task="multilabel")
    assert index.card.answers == ("0", "1")
    keys |= {"targets": "0", "where": {"1": "1"}}
    few = index_of(tmp_path, train=keys, task="regression")
    assert few.rows["id"].tolist()[:2] == ["000", "002"]
    assert "1 is two columns" in refused(tmp_path, train=TRAIN | {"targets": 1}, task="regression")


def test_what_label_cells_mean(tmp_path: Path) -> None:
    draw(tmp_path, ["dog", "cat", "fox"])
    meanings = {"dog": 0, "fox": 0, "cat": 1}
    index = index_of(tmp_path, task="binary", values=meanings)
    assert index.rows["label"].tolist()[:3] == [0.0, 1.0, 0.0]
    assert index.card.label_values == ("dog", "cat")
    index = index_of(tmp_path, values={"dog": "pet", "cat": "pet", "fox": "wild"})
    assert index.card.classes == ("pet", "wild")
    assert index.rows["label"].tolist()[:3] == [0.0, 0.0, 1.0]
    assert "target label holds 'fox'" in refused(tmp_path, values={"dog": "x", "cat": "y"})
    index = index_of(tmp_path, values={"dog": "x", "cat": "y", "fox": None})
    assert index.rows["id"].tolist() == ["000", "001", "b", "a"]
    assert index.card.declared["train rows of an unknown class"] == 1
    index = index_of(
        draw(tmp_path, ["1", "-1", "0"]), task="binary", values={0: 0, 1: 1, "-1": None}
    )
    assert np.isnan(index.rows["label"][1])
    assert index.card.declared["train targets that are unknown"] == 1


def test_of_two_texts_the_latter_in_order_is_present(tmp_path: Path) -> None:
    index = index_of(draw(tmp_path, ["dog", "cat"]), task="binary")
    assert index.card.label_values == ("cat", "dog")
    assert index.rows["label"].tolist()[:2] == [1.0, 0.0]
    words = refused(tmp_path, task="binary", header=["id", "Cat"])
    assert "named like the label that means absent\n  found: the column 'Cat'; 'dog' is" in words
    auc: dict[str, Any] = {"task": "binary", "metric": "roc_auc"}
    words = refused(tmp_path, **auc)
    assert "roc_auc is of one of two labels, and which of them is present is not said" in words
    assert "say it by data.values: {cat: 0, dog: 1}, or the other way round" in words
    assert index_of(tmp_path, **auc, header=["id", "DOG"]).card.label_values == ("cat", "dog")
    index = index_of(tmp_path, **auc, values={"dog": 0, "cat": 1})
    assert index.rows["label"].tolist()[:2] == [0.0, 1.0]
    same = index_of(tmp_path, task="binary", metric="macro_f1").card.label_values
    assert same == ("cat", "dog"), "which is present makes no difference"
    index = index_of(tmp_path, task="binary", header=["id", "Cat"], values={"cat": 1, "dog": 0})
    assert index.card.label_values == ("dog", "cat")


def test_the_header_names_the_targets_in_any_order_and_nothing_else(tmp_path: Path) -> None:
    draw(tmp_path, ["1", "0"])
    both: dict[str, Any] = {"train": BOTH, "task": "multilabel"}
    card = index_of(tmp_path, **both, header=["id", "car", "label"]).card
    assert (card.targets, card.header) == (("label", "car"), ("id", "car", "label"))
    assert index_of(tmp_path, **both, header=["id", "*"]).card.header == ("id", "label", "car")
    words = refused(tmp_path, **both, header=["id", "cars", "label"])
    assert "the submission's header lacks what is learned\n  found: 1: car\n" in words
    assert "is 'car' the column 'cars'?" in words
    words = refused(tmp_path, **both, header=["id", "pred_1", "pred_2"])
    assert "is 'label' the column 'pred_1'?" in words, "in its place: none is like it"


def test_targets_of_another_table_in_another_order_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, ["1", "0"])
    (tmp_path / "test.csv").write_text("img,car,label\nb,1,0\na,1,0\n")
    both = {"train": BOTH, "header": ["id", "label", "car"], "task": "multilabel"}
    test = TEST | {"targets": ["car", "label"]}
    words = refused(tmp_path, ParamsError, **both, test=test)
    assert (
        "data.test.targets are others than data.train.targets, or in another order\n"
        "  found: car, label\n  expected: label, car\n" in words
    )
    rows = index_of(tmp_path, **both, test=TEST | {"targets": ["label", "car"]}).rows
    assert rows[["label", "car"]].to_numpy()[2:].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    words = refused(tmp_path, ParamsError, **both, test=TEST | {"targets": ["label"]})
    assert "data.test.targets has other targets than data.train.targets\n  found: 1" in words


def test_positions_that_mean_another_column_in_another_table_are_refused(tmp_path: Path) -> None:
    draw(tmp_path, ["1", "0"])
    (tmp_path / "train.csv").write_text("img,label,car\n000,1,0\n001,0,1\n")
    (tmp_path / "test.csv").write_text("img,car,label\nb,1,0\na,1,0\n")
    named = {"x": 1, "y": 2}
    keys = {"train": BOTH | {"targets": named}, "header": ["id", "x", "y"], "task": "multilabel"}
    words = refused(tmp_path, ParamsError, **keys, test=TEST | {"targets": named})
    assert "in another order\n  found: car, label\n  expected: label, car\n" in words
    (tmp_path / "test.csv").write_text("img,label,car\nb,1,0\na,1,0\n")
    rows = index_of(tmp_path, **keys, test=TEST | {"targets": named}).rows
    assert rows[["x", "y"]].to_numpy()[2:].tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_a_weight_is_of_the_target_as_its_table_names_it(tmp_path: Path) -> None:
    draw(tmp_path, ["1.5", "2"], name="height")
    weighted: dict[str, Any] = {"task": "regression", "metric": "weighted_r2"}
    weighted["weights"] = {"height": 3}
    card = index_of(tmp_path, train=TRAIN | {"targets": ["height"]}, **weighted).card
    assert (card.targets, card.weights) == (("height_target",), {"height_target": 3})
    named: dict[str, Any] = {"metric": "weighted_log_loss", "weights": {"id": 2, "b": 1}}
    draw(tmp_path, ["id", "b"])
    assert index_of(tmp_path, **named, header=["x", "id", "b"]).card.weights == {"id": 2, "b": 1}


def test_a_target_may_have_the_name_of_a_column_of_the_index(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"], name="mask")
    index = index_of(tmp_path, train=TRAIN | {"targets": "mask"})
    assert index.card.targets == ("mask_target",)


def test_a_star_is_every_column_that_nothing_else_uses(tmp_path: Path) -> None:
    draw(tmp_path, ["1", "0"])
    (tmp_path / "train.csv").write_text(
        "img,label,w,car,s\n000,1,1,0,a\n001,0,0,1,a\n002,0,1,1,b\n"
    )
    train = TRAIN | {"targets": "*", "where": {"s": "a"}}
    card = index_of(tmp_path, train=train, task="multilabel", header=["id", "*"]).card
    assert card.targets == ("label", "w", "car")
    words = refused(tmp_path, ParamsError, train=train | {"targets": "x*"})
    assert "data.train.targets: no column is like x*" in words


def test_an_official_validation_table(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "valid.csv").write_text("img,label\nv,y\n")
    zip_of(tmp_path / "valid.zip", {"v.png": b"v"})
    rows = index_of(tmp_path, valid={"table": "valid.csv", "image": "valid.zip/{img}.png"}).rows
    assert rows["official"].tolist() == ["train", "train", "valid", "test", "test"]
    assert rows["part"].tolist() == ["train"] * 3 + ["test"] * 2
    (tmp_path / "valid.csv").write_text("img,label\n001,y\n")
    words = refused(tmp_path, valid={"table": "valid.csv"})
    assert "valid.csv, row 2: 1 ids of the training table come again\n  001" in words
    (tmp_path / "valid.csv").write_text("img,label\nv,z\n")
    words = refused(tmp_path, valid={"table": "valid.csv", "image": "valid.zip/{img}.png"})
    assert "valid.csv, row 2: target label holds 'z', which no training row has" in words


@pytest.mark.parametrize(("groups", "twin"), [("1 1.0 2", "1.0"), ("1 2 '1 '", "1 ")])
def test_a_group_that_is_written_in_two_ways_is_refused(
    tmp_path: Path, groups: str, twin: str
) -> None:
    draw(tmp_path, ["dog", "cat", "dog"])
    cells = shlex.split(groups)
    lines = [f"{n:03},{'dc'[n % 2]},{cell}\n" for n, cell in enumerate(cells)]
    (tmp_path / "train.csv").write_text("img,label,who\n" + "".join(lines))
    words = refused(tmp_path, train=TRAIN | {"group": "who"})
    assert f"data.train.group holds {twin!r}, which is '1' elsewhere" in words


def test_rows_without_a_group_are_counted(tmp_path: Path) -> None:
    draw(tmp_path, ["dog", "cat", "dog"])
    (tmp_path / "train.csv").write_text("img,label,who\n000,d,a\n001,c,\n002,d,\n")
    index = index_of(tmp_path, train=TRAIN | {"group": "who"})
    assert index.rows["group"].tolist() == ["a", "", "", "", ""]
    assert index.card.declared["train rows without a group, which may stand in any fold"] == 2


def test_a_validation_table_without_the_group_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, ["dog", "cat", "dog"])
    (tmp_path / "valid.csv").write_text("img,label\n002,dog\n")
    train = TRAIN | {"group": "car", "where": {"img": "!002"}}
    words = refused(tmp_path, train=train, valid={"table": "valid.csv", "where": {}})
    assert "valid.csv: data.valid has no columns for the group" in words
    assert "expected: car\n" in words
    valid: dict[str, Any] = {"table": "valid.csv", "where": {}, "group": None}
    index = index_of(tmp_path, train=train, valid=valid)
    assert index.rows["group"].tolist() == ["0", "1", "", "", ""]


def test_test_labels_that_are_known_are_kept(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "test.csv").write_text("img,label\nb,y\na,\n")
    test = TEST | {"targets": "label"}
    labels = index_of(tmp_path, test=test).rows["label"].tolist()[2:]
    assert labels[0] == 1.0
    assert np.isnan(labels[1])
    (tmp_path / "test.csv").write_text("img,label\nb,yy\na,\n")
    words = refused(tmp_path, test=test)
    assert "test.csv, row 2: target label holds 'yy', which no training row has" in words
    assert "expected: one of x, y\n  to do: is it 'y'?" in words


def test_masks_by_file(tmp_path: Path) -> None:
    masked: dict[str, Any] = {"task": "segmentation", "train": MASKED, "header": ["id", "rle"]}
    rows = index_of(draw(tmp_path, ["001", "000"]), **masked).rows
    assert rows["mask"].tolist() == ["train.zip/t/001.png", "train.zip/t/000.png", "", ""]
    assert (rows["mask_digest"] != "").tolist() == [True, True, False, False]
    draw(tmp_path, ["001", ""])
    assert "training images without a mask: 1 of 4 rows" in refused(tmp_path, **masked)
    draw(tmp_path, ["001", "007"])
    words = refused(tmp_path, **masked)
    assert "train.csv, row 3: 1 rows without their mask\n  row 3: train.zip/t/007.png" in words
    assert "if an empty mask has no file, end it in .*" in words
    few = MASKED | {"mask": "train.zip/t/{label}.*"}
    index = index_of(tmp_path, **(masked | {"train": few}))
    assert index.rows["mask"].tolist() == ["train.zip/t/001.png", "[[]]", "", ""]
    assert index.card.declared["train masks that are not there"] == 1
    draw(tmp_path, ["000", "../001"])
    words = refused(tmp_path, **masked)
    assert "train.csv, row 3: 1 rows whose data.train.mask is not a path inside" in words


def test_one_file_for_all_masks_is_refused(tmp_path: Path) -> None:
    draw(tmp_path, ["001", "000"])
    for mask in ("train.zip/t/000.png", {"a": "train.zip/t/000.png", "b": "x/{label}.png"}):
        train = MASKED | {"mask": mask}
        with pytest.raises(ParamsError, match=r"names no column\n  found: train.zip/t/000\.png"):
            index_of(tmp_path, task="segmentation", train=train, header=["id", "rle"])


def test_masks_by_run_lengths(tmp_path: Path) -> None:
    train = RUNS | {"runs": {"order": "row"}}
    data: dict[str, Any] = {"task": "segmentation", "train": train, "header": ["id", "rle"]}
    index = index_of(draw(tmp_path, ["1 3 10 2", "", "-1"]), **data)
    assert index.rows["mask"].tolist()[:3] == ["rle:row 1 3 10 2", "rle:row", "rle:row"]
    assert index.card.runs.order == "column"
    for bad in ("1 3 10", "0 3", "1,3", "5 2 6 1"):
        draw(tmp_path, ["1 3", f'"{bad}"'])
        words = refused(tmp_path, **data)
        assert "train.csv, row 3: run lengths that can't be read" in words
        assert "found: 1 of 2 rows: 3" in words


def test_an_id_column_of_its_own(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text("img,label,key\n000,x,1e5\n001,y,007\n")
    rows = index_of(tmp_path, train=TRAIN | {"id": "key"}, test=TEST | {"id": "img"}).rows
    assert rows["id"].tolist() == ["007", "1e5", "b", "a"]
    rows = index_of(tmp_path, train=TRAIN | {"id": "{img}-{key}"}, test=TEST | {"id": "img"}).rows
    assert rows["id"].tolist()[:2] == ["000-1e5", "001-007"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("img,label,c\n000,x,1\n000,y,1\n", "1 rows repeat an id\n  rows 2 and 3: 000"),
        ("img,label,c\n000,x,1\n,y,1\n", "row 3: column img is empty"),
        (
            "img,lable,c\n000,x,1\n",
            "row 1: no column 'label'\n  found: 3 columns: 'img', 'lable', 'c'\n"
            "  expected: 'label', which data.train.targets names\n  to do: is it 'lable'?",
        ),
        ("img,label,c\n000,x,1\n001,,1\n", "row 3: target label is empty for images to train on"),
        ("img,label,c\n000,x,1\n001,x,1\n", "wrong number of classes for the task multiclass"),
        ("img\n000\n", "row 1: no column 'label'\n  found: 1 columns: 'img'"),
        (
            "img,label,c\n000,x,1\n009,y,1\n",
            "row 3: 1 rows without their image\n  row 3: train.zip/t/009.png",
        ),
        (
            "img,label,c\n000,x,1\n001, x,1\n",
            "row 3: target label holds ' x', which is 'x' apart from blanks\n  found: 1 of 2 rows",
        ),
    ],
)
def test_a_broken_table_is_refused(tmp_path: Path, table: str, words: str) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text(table)
    assert words in refused(tmp_path)


def test_rows_of_other_files_are_left_out_and_counted(tmp_path: Path) -> None:
    draw(tmp_path, ["dog", "cat", "dog"])
    junk = ".DS_Store,,\n000,dog,0\n001,cat,1\na/Thumbs.db,x,\n.DS_Store,,\n002,dog,0\n"
    (tmp_path / "train.csv").write_text("img,label,car\n" + junk)
    assert "3 rows without their image" in refused(tmp_path)
    train = TRAIN | {"where": {"img": ["!.DS_Store", "!*.db"]}}
    index = index_of(tmp_path, train=train)
    assert index.rows["id"].tolist() == ["000", "001", "002", "b", "a"]
    assert index.card.classes == ("cat", "dog")
    assert index.card.declared["train rows left out by where"] == 3
    (tmp_path / "train.csv").write_text("img,label,car\n" + junk + "003,dog,0\n")
    assert "train.csv, row 8: 1 rows without their image" in refused(tmp_path, train=train)
    index = index_of(tmp_path, train=train | {"missing": "skip"})
    assert index.card.declared["train rows without their image"] == 1
    assert index.rows["id"].tolist() == ["000", "001", "002", "b", "a"]
    test = TEST | {"where": {"img": ["003", "!a"]}}
    words = refused(tmp_path, ParamsError, train=train | {"missing": "skip"}, test=test)
    assert "data.test.where.img leaves no row\n  found: 003, !a; the column holds a, b" in words


@pytest.mark.parametrize(
    ("cells", "pattern", "near"), [("True False", "true", "True"), ("1.0 0.0", 1, "1.0")]
)
def test_a_pattern_that_cells_are_like_but_for_their_writing_is_named(
    tmp_path: Path, cells: str, pattern: str | int, near: str
) -> None:
    words = refused(
        draw(tmp_path, cells.split()), ParamsError, train=TRAIN | {"where": {"label": pattern}}
    )
    assert words.endswith(f"to do: write it as the cells are written: {near!r}")


def test_a_row_of_the_sample_submission_is_never_left_out(tmp_path: Path) -> None:
    draw(tmp_path, ["dog", "cat"])
    (tmp_path / "sample.csv").write_text("id,label\na,dog\nzz,dog\n")
    test = {"image": "test.zip/{id}.png", "missing": "skip"}
    words = refused(tmp_path, header=[], like="sample.csv", test=test)
    assert "sample.csv, row 3: 1 rows without their image" in words


def test_only_rows_that_are_like_a_pattern_are_taken(tmp_path: Path) -> None:
    draw(tmp_path, ["dog", "cat", "cat", "fox", "doe", "ant"])
    where = {"label": ["d*", "c*", "!doe"], "car": ["0", "1"]}
    index = index_of(tmp_path, train=TRAIN | {"where": where})
    assert index.rows["id"].tolist() == ["000", "001", "002", "b", "a"]
    assert index.card.declared["train rows left out by where"] == 3


def test_a_row_twice_with_the_same_cells_is_taken_once(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text("img,label,seen\n000,x,1\n001,y,2\n000,x,3\n")
    index = index_of(tmp_path)
    assert index.rows["id"].tolist() == ["000", "001", "b", "a"]
    assert index.card.declared["train rows that repeat another"] == 1
    (tmp_path / "test.csv").write_text("img\nb\na\nb\n")
    assert "1 rows repeat an id\n  rows 2 and 4: b" in refused(tmp_path)


def test_several_rows_may_be_of_one_image_if_they_have_ids(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text("img,label,key\n000,x,p\n000,y,q\n")
    own: dict[str, Any] = {"train": TRAIN | {"id": "key"}, "test": TEST | {"id": "img"}}
    assert index_of(tmp_path, **own).rows["id"].tolist()[:2] == ["p", "q"]
    (tmp_path / "train.csv").write_text("img,label,key\n000,x,p\n001,y,p\n")
    words = refused(tmp_path, **own)
    assert "rows of one id that are of different images" in words
    assert "set data.train.id to what each image has of its own" in words


@pytest.mark.parametrize(
    ("task", "words"), [("multiclass", "is '1' elsewhere"), ("binary", "0 or 1")]
)
def test_a_label_written_as_another_number_is_named_with_its_row(
    tmp_path: Path, task: str, words: str
) -> None:
    draw(tmp_path, ["1", "0", "1"])
    (tmp_path / "test.csv").write_text("img,label\nb,1.0\na,\n")
    message = refused(tmp_path, test=TEST | {"targets": ["label"]}, task=task)
    assert "test.csv, row 2: target label holds '1.0'" in message
    assert words in message


def test_a_label_of_ten_thousand_letters_is_refused(tmp_path: Path) -> None:
    words = refused(draw(tmp_path, ["x", "y" * 10_000]))
    assert "row 3: target label holds a text of more than 1,000 characters" in words
    assert len(words) < 1000


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("../x", "a path with .."),
        ("a\\x", "a path with a backslash"),
        ("/data/x", "an absolute path"),
    ],
)
def test_an_unsafe_cell_is_reported_with_its_row(tmp_path: Path, cell: str, fault: str) -> None:
    draw(tmp_path, ["x", "y"])
    (tmp_path / "train.csv").write_text(f"img,label\n000,x\n{cell},y\n")
    image = "{img}" if fault == "an absolute path" else "train.zip/t/{img}.png"
    (tmp_path / "000").write_bytes(b"0")
    words = refused(tmp_path, train=TRAIN | {"image": image})
    assert "train.csv, row 3: 1 rows whose data.train.image is not a path inside" in words
    assert f"found: {fault}: " in words
    assert words.endswith("to do: correct the cell")


def test_a_table_without_a_header_does_not_lose_its_first_image(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y", "x"])
    (tmp_path / "train.csv").write_text("000,x,1\n001,y,1\n002,x,1\n")
    by_position = TRAIN | {"image": "train.zip/t/{0}.png", "targets": [1]}
    words = refused(tmp_path, train=by_position)
    assert "train.csv, row 1: the first row is data, not a header\n" in words
    assert "found: train.zip/t/000.png is an image" in words
    (tmp_path / "test.csv").write_text("b\na\n")
    table = {"table": "train.csv", "columns": ["img", "label", "c"]}
    headless = {"table": {"table": "test.csv", "columns": ["img"]}, "image": "test.zip/{img}.png"}
    rows = index_of(tmp_path, train=TRAIN | {"table": table}, test=headless).rows
    assert rows["id"].tolist() == ["000", "001", "002", "b", "a"]


def test_a_header_that_names_an_image_is_taken_by_its_name(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y", "x"])
    (tmp_path / "train.csv").write_text("a0,label,c\n001,y,1\n002,x,1\n")
    assert len(index_of(tmp_path, train=TRAIN | {"image": "train.zip/t/{a0}.png"}).rows) == 4


@pytest.mark.parametrize("value", ["1e39", "-3.5e38", "1e999", "inf"])
def test_a_number_that_float32_can_not_hold_is_refused(tmp_path: Path, value: str) -> None:
    words = refused(draw(tmp_path, ["1.5", value]), task="regression")
    assert f"train.csv, row 3: target label holds '{value}'\n  found: 1 of 2 rows: 3" in words


def test_the_error_for_an_absent_image_names_the_nearest(tmp_path: Path) -> None:
    draw(tmp_path, ["x", "y"])
    words = refused(tmp_path, train=TRAIN | {"image": "train.zip/{img}.png"})
    assert "2 rows without their image\n  row 2: train.zip/000.png" in words
    assert "2 others, the nearest t/000.png" in words
    assert "to do: correct data.train.image or the table" in words
    words = refused(tmp_path, ParamsError, train=TRAIN | {"image": "img"})
    assert "data.train.image names no column\n  found: img" in words
    assert "to do: write {img}" in words


def test_required_files_are_tables_and_containers() -> None:
    names = ["train.csv.zip", "test.csv", "train.zip", "test.zip", "other.zip"]
    expected = ["test.csv", "test.zip", "train.csv.zip", "train.zip"]
    assert required_files(names, section()) == expected
    assert required_files(names, section(train=TRAIN | {"image": "{img}/x"})) == sorted(names)
    sampled = section(header=[], like="sample.csv")
    assert required_files([*names, "sample.csv.zip"], sampled) == sorted(
        [*expected, "sample.csv.zip"]
    )
    with pytest.raises(DataError, match=r"train\.zip is missing"):
        required_files(["train.csv", "test.csv", "trains", "test.zip"], section())


def test_a_path_that_no_file_system_accepts_is_refused(tmp_path: Path) -> None:
    raw = draw(tmp_path, ["a", "b"])
    (raw / "train").mkdir()
    (raw / "train.zip").unlink()
    (raw / "train/001.png").write_bytes(b"1")
    (raw / "train.csv").write_text(f"img,label\n{'9' * 300}/000,a\n001,b\n")
    words = refused(raw, train=TRAIN | {"image": "train/{img}.png"})
    assert "row 2: 1 rows without their image" in words
    assert len(words) < 3000


@needs_realdata
def test_real_nuclei_by_mask_files_and_by_run_lengths() -> None:
    raw = REALDATA / "nuclei"
    files = {"table": "train.csv", "image": "train.zip/{image}", "mask": "train_masks.zip/{1}"}
    runs = {
        "table": "train_masks_column_major.csv",
        "image": "train.zip/train/{0}",
        "id": "train/{0}",
        "rle": "rle_mask",
    }
    test = {"table": "test.csv", "image": "test.zip/{image}", "id": "image"}
    common: dict[str, Any] = {"task": "segmentation", "test": test, "header": ["Id", "rle"]}
    by_file, by_runs = (index_of(raw, train=train, **common).rows for train in (files, runs))
    assert by_file["part"].value_counts().to_dict() == {"train": 120, "test": 39}
    same = ["part", "id", "image", "digest"]
    assert by_file[same].equals(by_runs[same])
    assert by_runs["mask"].iloc[0].startswith("rle:column 9 10 266 9 522 9")
    assert by_file["mask"].iloc[0].startswith("train_masks.zip/train_masks/00071198d059ba7f")
    assert by_file["id"].iloc[0].startswith("train/00071198d059ba7f")
