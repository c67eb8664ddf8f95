"""Labels, targets, columns and files that are named twice, in two ways, or in no way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.index.assembly.test_kinds import column, index_of, refused, write

IMAGES = {"im": "1.png 2.png 3.png", "test": "8.png 9.png"}
TAGS: dict[str, Any] = {
    "task": "multilabel",
    "train": {"table": "train.csv", "image": "im/{id}.png", "targets": "tags"},
    "test": {"image": "test/{id}.png"},
    "like": "sample.csv",
    "row": "{id}_{label}",
}
LONG = "key,value\n9_b,0\n9_a,0\n8_b,0\n8_a,0\n"


@pytest.mark.parametrize("targets", ["[ab]", [2, 1], ["b", "a"], ["a", 2]])
def test_keys_of_the_sample_name_targets_by_any_form(tmp_path: Path, targets: Any) -> None:
    table = "id,a,b\n1,0,1\n2,1,1\n3,0,0\n"
    write(tmp_path, {"train.csv": table, "sample.csv": LONG}, IMAGES)
    index = index_of(tmp_path, **TAGS | {"train": TAGS["train"] | {"targets": targets}})
    assert (column(index, "a"), column(index, "b")) == ([0.0, 1.0, 0.0], [1.0, 1.0, 0.0])
    assert sorted(index.card.targets) == ["a", "b"]
    assert column(index, "id", "test") == ["9", "8"]


def test_keys_of_the_sample_name_labels_that_share_a_cell(tmp_path: Path) -> None:
    table = "id,tags\n1,b\n2,a b\n3,\n"
    write(tmp_path, {"train.csv": table, "sample.csv": LONG}, IMAGES)
    index = index_of(tmp_path, **TAGS, separator=" ")
    assert (index.card.targets, index.card.keys) == (("a", "b"), ("{id}_{label}",))
    assert (column(index, "a"), column(index, "b")) == ([0.0, 1.0, 0.0], [1.0, 1.0, 0.0])
    write(tmp_path, {"sample.csv": LONG.replace("8_a", "8_c")}, {})
    assert "{label} being one of a, b" in refused(tmp_path, **TAGS, separator=" ")


@pytest.mark.parametrize("targets", [["a", "a"], ["b", "a", 1], [1, "a"]])
def test_a_target_twice_is_refused(tmp_path: Path, targets: Any) -> None:
    write(tmp_path, {"train.csv": "id,a,b\n1,0,1\n2,1,1\n3,0,0\n", "sample.csv": LONG}, IMAGES)
    words = refused(tmp_path, **TAGS | {"train": TAGS["train"] | {"targets": targets}})
    assert "data.train.targets: a column comes twice\n  found: " in words


WIDE = TAGS | {
    "row": "{id}",
    "like": None,
    "header": ["id", "tags"],
    "test": {"files": "test/*.png"},
}


def test_labels_that_may_be_one_are_counted(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "id,tags\n1,a\n2,A b\n3,b c\n"}, IMAGES)
    what = "labels that differ in the case or form of letters alone, such as A, a"
    assert index_of(tmp_path, **WIDE, separator=" ").card.declared[what] == 2
    one = {"task": "multiclass", "metric": "accuracy"}
    what = "labels that differ in the case or form of letters alone, such as A b, a b"
    write(tmp_path, {"train.csv": "id,tags\n1,a b\n2,A b\n3,b c\n"}, {})
    assert index_of(tmp_path, **WIDE | one).card.declared[what] == 2
    write(tmp_path, {"train.csv": "id,tags\n1,a b\n2,ab\n3,b c\n"}, {})
    assert [*index_of(tmp_path, **WIDE | one).card.declared] == ["train images", "test images"]


def test_the_cell_of_many_labels_may_be_long(tmp_path: Path) -> None:
    names = [f"species_{number:03}" for number in range(120)]
    write(tmp_path, {"train.csv": f"id,tags\n1,{' '.join(names)}\n2,species_000\n3,\n"}, IMAGES)
    assert index_of(tmp_path, **WIDE, separator=" ").card.targets == tuple(names)


def test_a_separator_that_parts_too_little_is_counted(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": 'id,tags\n1,"a,b"\n2,a c-a\n3,b c\n'}, IMAGES)
    declared = index_of(tmp_path, **WIDE, separator=" ").card.declared
    assert declared["labels that hold others, as if data.separator were wrong, such as 'a,b'"] == 1


@pytest.mark.parametrize("task", ["multiclass", "binary", "multilabel"])
def test_a_label_of_two_lines_is_refused_with_its_row(tmp_path: Path, task: str) -> None:
    write(tmp_path, {"train.csv": 'id,tags\n1,a\n2,"b\nc"\n3,a\n'}, IMAGES)
    separator = {"separator": ";"} if task == "multilabel" else {}
    words = refused(tmp_path, **WIDE | {"task": task}, **separator)
    assert "train.csv, row 3: target tags holds 'b\\nc'\n" in words
    assert "expected: a line of text" in words


def test_a_column_of_two_lines_is_no_target_and_no_answer(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": 'id,"ta\ngs"\n1,0\n2,1\n3,1\n'}, IMAGES)
    by_place = {"train": TAGS["train"] | {"targets": [1]}}
    words = refused(tmp_path, **WIDE | by_place)
    assert "train.csv, row 1: the name of a target is no line of text\n  found: 'ta\\ngs'" in words
    write(tmp_path, {"sample.csv": '"i\nd",tags\n8,\n9,\n'}, {})
    words = refused(tmp_path, **WIDE | {"like": "sample.csv", "header": []})
    assert "sample.csv, row 1: a column's name is no line of text\n  found: 'i\\nd'" in words


def test_pairs_that_share_a_file_are_counted_outside_of_a_group(tmp_path: Path) -> None:
    lines = ["p,1,2,a,g\n", "q,2,3,b,g\n", "r,3,1,a,\n"]
    pictures = {"train": "1.png 2.png 3.png", "test": "8.png"}
    write(tmp_path, {"train.csv": "id,x,y,kind,set\n" + "".join(lines)}, pictures)
    pairs: dict[str, Any] = {"table": "train.csv", "id": "id", "targets": "kind"}
    pairs["image"] = ["train/{x}.png", "train/{y}.png"]
    keys: dict[str, Any] = {"task": "multiclass", "header": ["id", "kind"]}
    keys["test"] = {"files": "test/{id}.png", "group": None}
    what = "train images that share a file with another, of no common group"
    declared = index_of(tmp_path, train=pairs, **keys).card.declared
    assert declared[what] == 3
    declared = index_of(tmp_path, train=pairs | {"group": "set"}, **keys).card.declared
    assert declared[what] == 3  # r shares one with each of the others
    one = pairs | {"group": "set", "where": {"id": "!r"}}
    assert what not in index_of(tmp_path, train=one, **keys).card.declared


def test_training_images_that_are_test_images(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "id,tags\n1,a\n2,b\n3,a\n", "test.csv": "id\n2\n3\n"}, IMAGES)
    same = WIDE | {"task": "multiclass", "test": {"table": "test.csv"}}
    index = index_of(tmp_path, **same)
    assert index.card.declared["training images that are to be predicted, too"] == 2
    assert np.isnan(column(index, "tags", "test")).all()
    crossing = {"train": {"files": "{part}/{n}.png", "targets": "part"}}
    words = refused(tmp_path, **WIDE | {"task": "multiclass"} | crossing)
    assert "data.train.files matches 2 images of data.test\n  test/8.png\n  test/9.png\n" in words
    apart = {"train": crossing["train"] | {"where": {"part": "!test", "n": "[12]"}}}
    words = refused(tmp_path, **WIDE | {"task": "multiclass"} | apart)
    assert "data.test" not in words, "what where leaves out is not learned from"


def test_validation_images_that_are_training_images_are_refused(tmp_path: Path) -> None:
    tables = {"train.csv": "id,tags\n1,a\n2,b\n3,a\n", "val.csv": "id,tags\n3,a\n"}
    write(tmp_path, tables, IMAGES)
    valid: dict[str, Any] = {"table": "val.csv", "id": "v{id}"}
    words = refused(tmp_path, **WIDE | {"task": "multiclass", "valid": valid})
    assert (
        "val.csv, row 2: 1 images of data.valid are images of data.train, too\n  v3: im/3" in words
    )
    where = {"train": TAGS["train"] | {"where": {"id": "!3"}}}
    valid["where"] = {"id": "3"}
    index = index_of(tmp_path, **WIDE | {"task": "multiclass", "valid": valid} | where)
    assert column(index, "official") == ["train", "train", "valid"]


def test_masks_of_several_classes_need_the_label_in_their_key(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "id\n1\n2\n3\n"}, IMAGES | {"m": "1.png 2.png 3.png"})
    train = {"table": "train.csv", "image": "im/{id}.png", "mask": "m/{id}.png"}
    masks = WIDE | {"task": "segmentation", "train": train, "values": {0: "sky", 1: "road"}}
    words = refused(tmp_path, **masks)
    assert "wrong number of columns\n  found: 2: id, tags\n  expected: 3 columns: {id}, " in words
    assert 'write row: "{id}_{label}", as its keys look; else a column for each of sky' in words
    card = index_of(tmp_path, **masks | {"row": "{id}_{label}"}).card
    assert (card.targets, card.long) == (("sky", "road"), True)
