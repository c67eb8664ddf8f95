"""Kinds of competitions: class folders, samples, label rows, one-hot, masks of classes, pixels."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkroom.errors import DarkroomError
from darkroom.index.assembly.build import build_index
from darkroom.index.card import CellsDigest, answer_columns
from darkroom.index.table import Index, read_index, write_index
from darkroom.params.data import Data
from darkroom.params.rules.data import data_faults
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, zip_of


def write(raw: Path, texts: Mapping[str, str], folders: Mapping[str, str]) -> Path:
    """Write tables, and folders or zips of files, each a list of names."""
    for name, text in texts.items():
        (raw / name).write_text(text)
    for place, names in folders.items():
        members = {name: f"{place}/{name}".encode() for name in names.split()}
        (zip_of if place.endswith(".zip") else folder_of)(raw / place, members)
    return raw


def index_of(raw: Path, **keys: Any) -> Index:
    data = Data.model_validate({"source": "raw"} | keys)
    assert data_faults("x", data) == []
    index = build_index(Archives(raw, raw / "spool"), data)
    write_index(index, raw / "index.csv", raw / "index.json")
    assert read_index(raw / "index.csv", raw / "index.json").card == index.card
    return index


def refused(raw: Path, **keys: Any) -> str:
    with pytest.raises(DarkroomError) as caught:
        index_of(raw, **keys)
    return str(caught.value)


def column(index: Index, name: str, part: str = "train") -> list[Any]:
    return index.rows.loc[index.rows["part"] == part, name].tolist()


FOLDERS = {
    "task": "multiclass",
    "train": {"files": "train/{kind}/{n}.jpg", "targets": "kind"},
    "test": {"files": "test/{n}.jpg", "id": "{n}.jpg"},
    "header": ["id", "kind"],
}


def test_a_folder_a_class_needs_no_table(tmp_path: Path) -> None:
    write(tmp_path, {}, {"train.zip": "cat/1.jpg cat/2.jpg dog/3.jpg", "test": "7.jpg 5.jpg"})
    index = index_of(tmp_path, **FOLDERS)
    assert column(index, "id") == ["1", "2", "3"]
    assert column(index, "image") == [f"train.zip/{n}.jpg" for n in ("cat/1", "cat/2", "dog/3")]
    assert column(index, "kind") == [0.0, 0.0, 1.0]
    assert column(index, "id", "test") == ["5.jpg", "7.jpg"]
    assert index.card.declared == {"train images": 3, "test images": 2}
    write(tmp_path, {}, {"test": "6.JPG 8.jpeg"})
    declared = index_of(tmp_path, **FOLDERS).card.declared
    assert declared["test files left out for another suffix"] == 2


def test_files_of_a_label_or_group_are_told_apart_by_their_names(tmp_path: Path) -> None:
    write(tmp_path, {}, {"train": "cat/a.jpg cat/b.jpg dog/c.jpg", "test": "x/7.jpg y/5.jpg"})
    train: dict[str, Any] = {"files": "train/{kind}/*.jpg", "targets": "kind"}
    test = {"files": "test/{name}/*.jpg"}
    index = index_of(tmp_path, **FOLDERS | {"train": train, "test": test})
    assert column(index, "id") == ["a", "b", "c"]
    assert column(index, "id", "test") == ["x", "y"]
    both = {"files": "train/{kind}/{n}.jpg", "targets": "kind", "group": "{n[0]}"}
    assert column(index_of(tmp_path, **FOLDERS | {"train": both, "test": test}), "id") == [*"abc"]


def test_names_that_come_again_in_other_folders_are_told_apart_by_their_path(
    tmp_path: Path,
) -> None:
    write(tmp_path, {}, {"train": "a/1.jpg b/1.jpg", "valid": "a/1.jpg", "test": "1.jpg"})
    valid = {"files": "valid/{kind}/{n}.jpg"}
    index = index_of(tmp_path, **FOLDERS, valid=valid)
    assert column(index, "id") == ["train/a/1.jpg", "train/b/1.jpg", "valid/a/1.jpg"]
    assert column(index, "official") == ["train", "train", "valid"]
    write(tmp_path, {}, {"valid": "c/4.jpg"})
    words = refused(tmp_path, **FOLDERS, valid=valid)
    assert "target kind holds 'c', which no training row has" in words


SAMPLED: dict[str, Any] = {
    "task": "multiclass",
    "train": {"table": "train.csv", "image": "im/{id}.png", "targets": "kind"},
    "test": {"image": "im/{name}.png"},
    "like": "sample.csv",
}
PICTURES = {"im": "1.png 2.png 3.png 8.png 9.png"}


def test_the_sample_gives_header_ids_and_order(tmp_path: Path) -> None:
    table = "id,kind\n1,x\n2,y\n3,x\n"
    write(tmp_path, {"train.csv": table, "sample.csv": "name,label\n9,z\n8,\n"}, PICTURES)
    index = index_of(tmp_path, **SAMPLED)
    assert column(index, "id", "test") == ["9", "8"]
    assert index.card.header == ("name", "label")
    digest = CellsDigest()
    for row in (["name", "label"], ["9", "z"], ["8", ""]):
        digest.add(row)
    assert index.card.sample == digest.text
    listed = SAMPLED | {"test": {"table": "test.csv", "image": "im/{k}.png"}}
    write(tmp_path, {"test.csv": "k\n3\n8\n9\n"}, {})
    index = index_of(tmp_path, **listed)
    assert column(index, "id", "test") == ["9", "8"]
    assert index.card.declared["test images that the sample submission does not name"] == 1
    write(tmp_path, {"test.csv": "k\n8\n"}, {})
    assert "1 ids of the sample submission are not of data.test\n  9" in refused(tmp_path, **listed)
    write(tmp_path, {"sample.csv": "name,label\n9,x\n9,x\n"}, {})
    assert "sample.csv, row 3: ids that come again" in refused(tmp_path, **SAMPLED)
    write(tmp_path, {"sample.csv": "name,label\n9,x\n7,x\n"}, {})
    assert "sample.csv, row 3: 1 rows without their image" in refused(tmp_path, **SAMPLED)


def test_the_sample_names_a_column_a_class(tmp_path: Path) -> None:
    table = "id,kind\n1,x\n2,y\n3,x\n"
    write(tmp_path, {"train.csv": table, "sample.csv": "name,y,w,x\n9,0,0,1\n"}, PICTURES)
    index = index_of(tmp_path, **SAMPLED)
    assert index.card.classes == ("w", "x", "y")
    assert index.card.declared["answer columns without a training image, such as w"] == 1
    assert column(index, "kind") == [1.0, 2.0, 1.0]
    write(tmp_path, {"sample.csv": "name,y,Usage,x\n9,0,Private,1\n"}, {})
    words = refused(tmp_path, **SAMPLED)
    assert "sample.csv, row 2: column Usage holds 'Private', and no training image is Us" in words
    write(tmp_path, {"train.csv": table + "8,v\n", "sample.csv": "name,y,w,v\n9,0,0,1\n"}, {})
    words = refused(tmp_path, **SAMPLED)
    assert "the submission's header lacks what is learned\n  found: 1: x\n" in words
    assert "a column each; the header has y, w, v" in words
    write(tmp_path, {"train.csv": table, "sample.csv": "name,Y,X\n9,0,1\n"}, {})
    index = index_of(tmp_path, **SAMPLED)
    assert (index.card.classes, column(index, "kind")) == (("X", "Y"), [0.0, 1.0, 0.0])
    write(tmp_path, {"sample.csv": "name,p,q\n9,0,1\n"}, {})
    assert "found: 2: x, y\n" in refused(tmp_path, **SAMPLED)
    write(tmp_path, {"train.csv": "id,kind\n1,0\n2,1\n"}, {})
    assert "found: 2: 0, 1\n  expected: a column each; the header has p, q\n" in refused(
        tmp_path, **SAMPLED
    )
    assert index_of(tmp_path, **SAMPLED, values={0: "q", 1: "p"}).card.classes == ("p", "q")
    write(tmp_path, {"sample.csv": "name,p,q,r\n9,0,1,0\n"}, {})
    card = index_of(tmp_path, **SAMPLED, values={0: "q", 1: "p"}).card
    assert card.classes == ("p", "q", "r"), "a class that only the judge has stays an output"


@pytest.mark.parametrize(
    ("labels", "answers", "classes"),
    [
        ("0 2 10", "c0 c10 c2", "c0 c2 c10"),
        ("0 1 2", "p_02 p_01 p_00", "p_00 p_01 p_02"),
        ("k1x k2x", "2 1", "1 2"),
        ("10 11", "c11 c10", "c10 c11"),
        ("10 11", "c1 c0", ""),
        ("0 1", "c1 c2", ""),
        ("cat dog", "p_dog p_cat", "p_cat p_dog"),
        ("cat dog", "Dog Cat", "Cat Dog"),
        ("cat dog", "q p", ""),
        ("oldcat newcat", "newdog olddog", ""),
    ],
)
def test_columns_of_the_header_are_matched_by_name_or_number_never_by_order(
    tmp_path: Path, labels: str, answers: str, classes: str
) -> None:
    rows = "".join(f"{n},{label}\n" for n, label in enumerate(labels.split(), 1))
    sample = f"name,{answers.replace(' ', ',')}\n9{',0' * len(answers.split())}\n"
    write(tmp_path, {"train.csv": "id,kind\n" + rows, "sample.csv": sample}, PICTURES)
    if classes:
        index = index_of(tmp_path, **SAMPLED)
        assert index.card.classes == tuple(classes.split())
        trained = [index.card.classes[int(kind)] for kind in column(index, "kind")]
        assert trained == classes.split()  # the labels above are in the order of these
    else:
        words = refused(tmp_path, **SAMPLED)
        assert f"a column each; the header has {answers.replace(' ', ', ')}\n" in words


def test_the_advice_on_classes_with_zeros_in_front_can_be_followed(tmp_path: Path) -> None:
    tables = {"train.csv": "id,kind\n1,002\n2,012\n3,002\n", "sample.csv": "name,a,b\n9,0,0\n"}
    write(tmp_path, tables, PICTURES)
    assert "write data.values: {'002': 'a', ...} with all classes" in refused(tmp_path, **SAMPLED)
    words = refused(tmp_path, **SAMPLED | {"values": {2: "a", 12: "b"}})
    assert "target kind holds '002'" in words
    assert "expected: one of 2, 12\n  to do: name each text in data.values; quote a number" in words
    index = index_of(tmp_path, **SAMPLED | {"values": {"002": "a", "012": "b"}})
    assert index.card.classes == ("a", "b")
    assert column(index, "kind") == [0.0, 1.0, 0.0]


def test_measures_are_matched_by_what_their_names_do_not_share(tmp_path: Path) -> None:
    tables = {"train.csv": "id,X_mean,Y_mean\n1,1,2\n2,3,4\n", "sample.csv": "name,Y,X\n9,,\n"}
    write(tmp_path, tables, PICTURES)
    train = SAMPLED["train"] | {"targets": ["X_mean", "Y_mean"]}
    index = index_of(tmp_path, **SAMPLED | {"task": "regression", "train": train})
    assert index.card.targets == ("X", "Y")


def test_targets_under_the_names_that_the_submission_has(tmp_path: Path) -> None:
    tables = {"train.csv": "id,age,size\n1,1,2\n2,3,4\n", "sample.csv": "name,t1,t2\n9,,\n"}
    write(tmp_path, tables, PICTURES)
    measured = SAMPLED | {"task": "regression"}
    by_column = measured | {"train": SAMPLED["train"] | {"targets": ["size", "age"]}}
    words = refused(tmp_path, **by_column)
    assert "found: 2: size, age\n  expected: a column each; the header has t1, t2\n" in words
    assert "write data.train.targets: {'t1': 'size', ...} with all columns" in words
    write(tmp_path, {"sample.csv": "name,age,id\n9,,\n"}, {})
    three = SAMPLED["train"] | {"targets": ["size", "age", "id"]}
    words = refused(tmp_path, **measured | {"train": three})
    assert "found: 1: size\n" in words, "the judge does not ask for it"
    assert words.endswith("to do: take it out of data.train.targets")
    write(tmp_path, tables, {})
    named = SAMPLED["train"] | {"targets": {"t2": "size", "t1": 1}}
    index = index_of(tmp_path, **measured | {"train": named})
    assert (index.card.targets, index.card.header) == (("t2", "t1"), ("name", "t1", "t2"))
    assert (column(index, "t2"), column(index, "t1")) == ([2.0, 4.0], [1.0, 3.0])
    assert answer_columns(index.card) == [1, 0]
    tables = {"train.csv": "id,cat,dog\n1,1,0\n2,0,1\n", "sample.csv": "name,t1,t2\n9,0,0\n"}
    write(tmp_path, tables, {})
    named["targets"] = {"t1": "dog", "t2": "cat"}
    index = index_of(tmp_path, **SAMPLED | {"train": named})
    assert (index.card.classes, column(index, "class")) == (("t1", "t2"), [1.0, 0.0])
    write(tmp_path, {"sample.csv": "key,v\n9/t1,0\n9/t2,0\n"}, {})
    test = {"image": "im/{id}.png"}
    long = SAMPLED | {"task": "multilabel", "train": named, "row": "{id}/{label}", "test": test}
    index = index_of(tmp_path, **long)
    assert (column(index, "t1"), column(index, "t2")) == ([0.0, 1.0], [1.0, 0.0])
    write(tmp_path, {"val.csv": "id,cat,dog\n3,1,0\n"}, {})
    valid: dict[str, Any] = {"table": "val.csv", "targets": {"t1": "dog", "t3": "cat"}}
    words = refused(tmp_path, **long | {"valid": valid})
    assert "data.valid.targets are others than data.train.targets" in words
    named["targets"] = {"t1": "c*", "t2": "dog"}
    assert "no column 'c*'" in refused(tmp_path, **long)
    named["targets"] = {"t1": "dog", "t2": "dog"}
    assert "data.train.targets: a column comes twice" in refused(tmp_path, **long)


def test_columns_of_one_hot_and_of_soft_labels(tmp_path: Path) -> None:
    write(
        tmp_path, {"train.csv": "id,a,b\n1,0,1\n2,1,0\n", "sample.csv": "id,b,a\n9,0,1\n"}, PICTURES
    )
    hot = SAMPLED | {"train": SAMPLED["train"] | {"targets": ["a", "b"]}}
    hot["test"] = {"image": "im/{id}.png"}
    index = index_of(tmp_path, **hot)
    assert (index.card.targets, index.card.classes) == (("class",), ("a", "b"))
    assert column(index, "class") == [1.0, 0.0]
    write(tmp_path, {"train.csv": "id,a,b\n1,0.25,0.75\n2,1,0\n"}, {})
    index = index_of(tmp_path, **hot)
    assert index.card.soft
    assert index.card.targets == index.card.classes == ("a", "b")
    assert column(index, "b") == [0.75, 0.0]
    write(tmp_path, {"train.csv": "id,a,b\n1,1,1\n2,1,0\n"}, {})
    assert "train.csv, row 2: the shares of the classes sum to 2" in refused(tmp_path, **hot)
    write(tmp_path, {"train.csv": "id,a,b\n1,1,0\n2,2,-1\n"}, {})
    assert "train.csv, row 3: target a is no share of a class" in refused(tmp_path, **hot)


def test_several_labels_in_a_cell(tmp_path: Path) -> None:
    tables = {"train.csv": "id,kind\n1,x y\n2,\n3,z\n", "sample.csv": "name,tags\n9,x q\n"}
    write(tmp_path, tables, PICTURES)
    keys = SAMPLED | {"task": "multilabel", "separator": " "}
    index = index_of(tmp_path, **keys)
    assert index.card.targets == ("x", "y", "z")
    assert index.rows[["x", "y", "z"]][:3].to_numpy().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    write(tmp_path, {"train.csv": "id,kind\n1,x x\n2,y\n"}, {})
    assert "row 2: target kind names a label twice in one cell" in refused(tmp_path, **keys)


LONG: dict[str, Any] = {
    "task": "multilabel",
    "train": {
        "table": "train.csv",
        "cells": {"key": "{name}_{kind}"},
        "id": "name",
        "image": "im/{name}.png",
        "label": "kind",
        "targets": "value",
    },
    "test": {"image": "im/{name}.png"},
    "like": "sample.csv",
    "row": "{id}_{label}",
}
ROWS = "key,value\n1_any,1\n1_new,0\n2_any,0\n2_new,1\n"
ASKED = "key,value\n9_new,0\n9_any,0\n8_new,0\n8_any,0\n"


PLACES = "id,habitat,cover\n1,wood,dense\n2,heath,\n3,wood,bare\n4,,\n"


def test_several_labels_of_a_template(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": PLACES}, {"train": "1.png 2.png 3.png 4.png", "test": "5.png"})
    train = {"table": "train.csv", "image": "train/{id}.png", "targets": "{habitat} {cover}"}
    keys: dict[str, Any] = {"train": train, "test": {"files": "test/{n}.png"}}
    keys |= {"task": "multilabel", "separator": " ", "header": ["id", "label"]}
    index = index_of(tmp_path, **keys)
    assert index.card.targets == ("bare", "dense", "heath", "wood")
    labels = [column(index, name) for name in index.card.targets]
    assert labels == [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]]
    words = refused(tmp_path, **keys | {"train": train | {"targets": "{habitat} {cowl}"}})
    assert "no column 'cowl'" in words
    assert "which data.train.targets names" in words


def test_a_class_of_a_template(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": PLACES}, {"train": "1.png 2.png 3.png 4.png", "test": "5.png"})
    train = {"table": "train.csv", "image": "train/{id}.png", "targets": "{habitat[0]}-{2}"}
    keys: dict[str, Any] = {"train": train, "test": {"files": "test/{n}.png"}}
    keys |= {"task": "multiclass", "header": ["id", "label"]}
    assert "target {habitat[0]}-{2} is empty for images to train on" in refused(tmp_path, **keys)
    index = index_of(tmp_path, **keys | {"train": train | {"where": {"cover": "?*"}}})
    assert (index.card.classes, index.card.targets) == (("w-bare", "w-dense"), (train["targets"],))
    assert column(index, "{habitat[0]}-{2}") == [1.0, 0.0]


def test_a_class_of_two_folders(tmp_path: Path) -> None:
    write(tmp_path, {}, {"train": "wood/a/1.jpg wood/b/2.jpg", "test": "7.jpg"})
    train = {"files": "train/{kind}/{cover}/{n}.jpg", "targets": "{kind}, {cover}"}
    index = index_of(tmp_path, **FOLDERS | {"train": train, "header": ["id", "label"]})
    assert index.card.classes == ("wood, a", "wood, b")
    assert column(index, "id") == ["1", "2"]
    data = Data.model_validate(
        {"source": "raw"} | FOLDERS | {"train": train | {"targets": "{kind}{kin}"}}
    )
    (fault,) = data_faults("x", data)
    assert fault.startswith("x.data.train.targets: files has no field {kin}")


def test_rows_of_an_image_and_a_label(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": ROWS, "sample.csv": ASKED}, PICTURES)
    index = index_of(tmp_path, **LONG)
    assert index.card.targets == ("new", "any")
    assert index.card.keys == ("{id}_{label}",)
    assert (column(index, "id"), column(index, "id", "test")) == (["1", "2"], ["9", "8"])
    assert (column(index, "any"), column(index, "new")) == ([1.0, 0.0], [0.0, 1.0])
    write(tmp_path, {"train.csv": ROWS + "2_new,1\n"}, {})
    assert index_of(tmp_path, **LONG).card.declared["train rows that repeat another"] == 1
    write(tmp_path, {"train.csv": ROWS + "2_new,0\n"}, {})
    assert "row 6: two rows of one image and label that differ" in refused(tmp_path, **LONG)
    write(tmp_path, {"train.csv": ROWS + "3_new,0\n"}, {})
    index = index_of(tmp_path, **LONG)
    assert index.card.declared["train images and labels without a row"] == 1
    assert np.isnan(column(index, "any")[2])


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (ASKED + "7_old,0\n", "row 6: 1 of 5 rows whose key is not like data.row"),
        (ASKED + "9_new,0\n", "row 6: an image and label come twice\n  found: 9 and new"),
        (ASKED + "3_new,0\n", "found: no row of 3 and any"),
        ("key,value\n9_new,0\n", "labels of training that the sample submission lacks"),
        ("key\n9_new\n", "the sample submission has no columns for answers"),
        ("key,value\n,0\n", "sample.csv, row 2: column key is empty"),
    ],
)
def test_a_sample_that_does_not_fit_the_rows_is_refused(
    tmp_path: Path, sample: str, words: str
) -> None:
    write(tmp_path, {"train.csv": ROWS, "sample.csv": sample}, PICTURES)
    assert words in refused(tmp_path, **LONG)


def test_a_key_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    rows = "name,kind,value\n1,b,1\n1,a_b,0\n"
    write(tmp_path, {"train.csv": rows, "sample.csv": "key,value\n9_b,0\n9_a_b,0\n"}, PICTURES)
    train = {key: value for key, value in LONG["train"].items() if key != "cells"}
    words = refused(tmp_path, **LONG | {"train": train, "test": {"image": "im/{id}.png"}})
    assert "a key that can be read in two ways" in words
    assert "id '9_a' with 'b', or '9' with 'a_b'" in words


def test_a_key_of_several_columns(tmp_path: Path) -> None:
    tables = {
        "train.csv": "id,class,rle\n1,a,1 2\n1,b,\n2,a,\n2,b,5 1\n",
        "sample.csv": "id,class,out\n9,a,\n9,b,\n",
    }
    write(tmp_path, tables, PICTURES)
    train = {"table": "train.csv", "image": "im/{id}.png", "label": "class", "rle": "rle"}
    index = index_of(
        tmp_path, task="segmentation", train=train, like="sample.csv", row=["{id}", "{label}"]
    )
    assert index.card.targets == ("a", "b")
    assert [json.loads(mask) for mask in column(index, "mask")] == [
        [["rle:column 1 2"], []],
        [[], ["rle:column 5 1"]],
    ]
    assert (index.card.header, index.card.answers) == (("id", "class", "out"), ("out",))


def test_labels_that_are_listed_where_present(tmp_path: Path) -> None:
    rows = "name,kind\n1,a\n1,b\n2,b\n"
    write(tmp_path, {"train.csv": rows, "sample.csv": "name,a,b\n9,0,0\n"}, PICTURES)
    train = {"table": "train.csv", "image": "im/{name}.png", "label": "kind"}
    index = index_of(tmp_path, task="multilabel", train=train, like="sample.csv")
    assert (column(index, "a"), column(index, "b")) == ([1.0, 0.0], [1.0, 1.0])


def test_files_joined_to_a_table_that_lists_some_of_them(tmp_path: Path) -> None:
    rows = "name,kind,runs\n2,b,4 2\n2,a,9 9\n"
    sample = "key,value\n9_a,\n9_b,\n"
    write(tmp_path, {"train.csv": rows, "sample.csv": sample}, PICTURES | {"t": "9.png"})
    train = {"files": "im/{name}.png", "table": "train.csv", "label": "kind", "rle": "runs"}
    keys = {"train": train, "test": {"image": "t/{id}.png"}, "row": "{id}_{label}"}
    index = index_of(tmp_path, task="segmentation", like="sample.csv", **keys)
    assert column(index, "id") == ["1", "2", "3", "8", "9"]
    masks = [json.loads(mask) for mask in column(index, "mask")]
    assert masks[0] == [[], []]
    assert masks[1] == [["rle:column 9 9"], ["rle:column 4 2"]]
    assert index.card.declared["train files that no row names"] == 4
    write(tmp_path, {"train.csv": rows + "7,a,1 1\n"}, {})
    words = refused(tmp_path, task="segmentation", like="sample.csv", **keys)
    assert "train.csv, row 4: rows whose image no file of data.train.files is" in words


def test_a_position_is_that_of_the_table_where_files_are_joined_to_it(tmp_path: Path) -> None:
    table = "score,id,kind,patient\n5,1,x,p\n6,2,y,p\n7,3,x,q\n"
    write(tmp_path, {"train.csv": table, "sample.csv": "name,v\n8,0\n"}, PICTURES)
    train = {"files": "im/{id}.png", "table": "train.csv", "where": {"score": "[567]"}}
    test = {"table": None, "files": None, "image": "im/{name}.png"}
    keys = SAMPLED | {"test": test, "train": train | {"targets": 2, "group": 3}}
    index = index_of(tmp_path, **keys)
    assert (index.card.targets, column(index, "kind")) == (("kind",), [0.0, 1.0, 0.0])
    assert column(index, "group") == ["p", "p", "q"]
    keys["train"] |= {"group": "{1}-{0}"}
    assert column(index_of(tmp_path, **keys), "group") == ["1-5", "2-6", "3-7"]
    keys["train"] |= {"group": 4}
    assert "no column 4" in refused(tmp_path, **keys)


def test_a_row_of_the_table_is_of_every_file_that_shares_its_fields(tmp_path: Path) -> None:
    rows = "n,kind\n1,x\n2,y\n"
    views = {"im": "left/1.png right/1.png left/2.png right/2.png right/3.png", "t": "9.png"}
    write(tmp_path, {"train.csv": rows}, views)
    train = {
        "files": "im/{view}/{n}.png",
        "table": "train.csv",
        "targets": "kind",
        "id": "{view}{n}",
    }
    keys: dict[str, Any] = {"test": {"files": "t/{n}.png", "id": "n"}, "header": ["id", "kind"]}
    index = index_of(tmp_path, task="multiclass", train=train | {"where": {"kind": "?"}}, **keys)
    assert column(index, "id") == ["left1", "left2", "right1", "right2"]
    assert column(index, "kind") == [0.0, 1.0, 0.0, 1.0]
    assert index.card.declared["train files that no row names"] == 1


MASKED: dict[str, Any] = {
    "task": "segmentation",
    "test": {"files": "t/{id}.png"},
    "header": ["id", "mask"],
}


@pytest.mark.parametrize(
    ("cells", "runs", "mask"),
    [
        (["4 2", "9 1"], {}, '[["rle:column 4 2", "rle:column 9 1"]]'),
        (["9 1 4 2"], {}, "rle:column 4 2 9 1"),
        (["4 2", "4 2"], {}, "rle:column 4 2"),
        (["-1"], {}, "rle:column"),
        (["1 0"], {"empty": "1 0"}, "rle:column"),
        (["3 2"], {"start": 0, "order": "row"}, "rle:row 4 2"),
        (["3 2 4 1"], {"start": 0, "relative": True}, "rle:column 4 2 10 1"),
    ],
)
def test_rows_of_run_lengths_in_any_dialect(
    tmp_path: Path, cells: list[str], runs: dict[str, Any], mask: str
) -> None:
    table = "id,runs\n" + "".join(f"1,{cell}\n" for cell in cells)
    write(tmp_path, {"train.csv": table}, PICTURES | {"t": "9.png"})
    train = {"table": "train.csv", "image": "im/{id}.png", "rle": "runs"}
    assert column(index_of(tmp_path, train=train, runs=runs, **MASKED), "mask") == [mask]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["4 2", ""], "row 3: an empty mask beside other rows of the same mask"),
        (["4 9 5 1"], "row 2: run lengths that can't be read"),
        (["0 9"], "say so in data.runs"),
    ],
)
def test_run_lengths_that_contradict_each_other(
    tmp_path: Path, cells: list[str], words: str
) -> None:
    table = "id,runs\n" + "".join(f"1,{cell}\n" for cell in cells)
    write(tmp_path, {"train.csv": table}, PICTURES | {"t": "9.png"})
    train = {"table": "train.csv", "image": "im/{id}.png", "rle": "runs"}
    assert words in refused(tmp_path, train=train, **MASKED)


def test_several_files_of_one_mask(tmp_path: Path) -> None:
    files = "a/i/a.png a/m/1.png a/m/2.png b/i/b.png b/m/1.png c/i/c.png"
    write(tmp_path, {}, {"s": files, "t": "9.png"})
    train = {"files": "s/{id}/i/{id}.png", "mask": "s/{id}/m/*.png"}
    index = index_of(tmp_path, train=train, **MASKED)
    assert column(index, "mask") == ['[["s/a/m/1.png", "s/a/m/2.png"]]', "s/b/m/1.png", "[[]]"]
    assert [len(digest) for digest in column(index, "mask_digest")] == [32, 32, 0]
    assert index.card.declared["train masks that are not there"] == 1


def test_a_file_that_two_patterns_fit_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {}, {"s": "1.png 1_2.png", "m": "1_a.png 1_2_a.png", "t": "9.png"})
    train = {"files": "s/{id}.png", "mask": "m/{id}_*.png"}
    words = refused(tmp_path, train=train, **MASKED)
    assert "m/1_2_a.png: a mask of two images\n  found: 1 (row 1) and 1_2 (row 2)" in words


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "1, and a row that where leaves out: m/1_2_*.png"),
        ({"valid": {"where": {}, "table": "v.csv"}}, "1 of data.train, and 1_2 of data.valid"),
    ],
)
@pytest.mark.parametrize("is_by_class", [False, True])
def test_a_mask_of_an_image_that_the_part_does_not_have_is_refused(
    tmp_path: Path, keys: dict[str, Any], words: str, is_by_class: bool
) -> None:
    write(tmp_path, {"v.csv": "id,kind\n1_2,b\n"}, {"s": "1.png 1_2.png 3.png", "t": "9.png"})
    folder_of(tmp_path / "m", dict.fromkeys(["1_a.png", "1_2_a.png", "3_a.png"], b"x"))
    (tmp_path / "train.csv").write_text("id,kind\n1,a\n3,a\n" + ("" if keys else "1_2,b\n"))
    mask = {"a": "m/{id}_*.png", "b": "m/{id}*a.png"} if is_by_class else "m/{id}_*.png"
    train = {"table": "train.csv", "image": "s/{id}.png", "mask": mask}
    train |= {"where": {"kind": "a"}}
    header = ["id", "a", "b"] if is_by_class else ["id", "runs"]
    assert words in refused(tmp_path, **MASKED | keys | {"header": header}, train=train)


def test_a_file_a_class_that_two_images_fit_is_refused(tmp_path: Path) -> None:
    masks = "1_a.png 1_2_a.png 1_2_b.gif 7_a.png"
    write(tmp_path, {}, {"s": "1.png 1_2.png 7.png", "m": masks, "t": "9.png"})
    train = {"files": "s/{id}.png", "mask": {"a": "m/{id}_*.png", "b": "m/{id}_*.gif"}}
    words = refused(tmp_path, train=train, **MASKED | {"header": ["id", "a", "b"]})
    assert "m/1_2_a.png: a mask of two images" in words


def test_a_file_a_class(tmp_path: Path) -> None:
    write(tmp_path, {}, {"s": "1.png 2.png", "m": "1_a.png 2_a.png 1_b.png", "t": "9.png"})
    mask = {"a": "m/{id}_a.png", "b": "m/{id}_b.png"}
    train = {"files": "s/{id}.png", "mask": mask}
    keys = MASKED | {"header": ["id", "a", "b"]}
    index = index_of(tmp_path, train=train, **keys)
    assert index.card.targets == ("a", "b")
    assert json.loads(column(index, "mask")[1]) == [["m/2_a.png"], []]
    assert index.card.declared["train masks that are not there"] == 1
    train["mask"] = mask | {"b": "m/{id}_c.png"}
    assert "no file is like data.train.mask.b" in refused(tmp_path, train=train, **keys)


@pytest.mark.parametrize("names", ["a", "ac", "abc"])
@pytest.mark.parametrize("part", ["valid", "test"])
def test_files_of_other_classes_than_those_of_training_are_refused(
    tmp_path: Path, part: str, names: str
) -> None:
    write(tmp_path, {}, {"s": "1.png", "v": "2.png", "m": "1_a.png 1_b.png", "t": "9.png"})
    train = {"files": "s/{id}.png", "mask": {name: f"m/{{id}}_{name}.png" for name in "ab"}}
    other = {"files": "v/{id}.png", "mask": {name: f"m/{{id}}_{name}.png" for name in names}}
    keys = MASKED | {"header": ["id", "a", "b"], "train": train, part: other}
    words = refused(tmp_path, **keys)
    assert f"data.{part}.mask names other classes than the training masks" in words
    assert f"found: {', '.join(names)}\n  expected: a, b" in words


def test_classes_as_values_of_a_picture(tmp_path: Path) -> None:
    write(tmp_path, {}, {"s": "1.png", "m": "1.png", "t": "9.png"})
    train = {"files": "s/{id}.png", "mask": "m/{id}.png"}
    values = {0: "sky", 1: "road", 7: "road", 255: None}
    index = index_of(tmp_path, train=train, values=values, **MASKED | {"row": "{id}_{label}"})
    card = index.card
    assert (card.targets, card.unknown, card.background) == (("sky", "road"), True, False)
    assert card.values == ((0, "sky"), (1, "road"), (7, "road"), (255, None))
    assert column(index, "mask") == ["m/1.png"]


def test_planes_of_several_files(tmp_path: Path) -> None:
    table = {"train.csv": "id,kind\n1,x\n2,y\n", "sample.csv": "id,kind\n9,x\n"}
    write(tmp_path, table, {"im": "1_r.png 1_g.png 2_r.png 2_g.png 9_r.png 9_g.png"})
    image = ["im/{id}_r.png", "im/{id}_g.png"]
    keys = SAMPLED | {"train": SAMPLED["train"] | {"image": image}, "test": {}}
    index = index_of(tmp_path, **keys)
    assert column(index, "image")[0] == '["im/1_r.png", "im/1_g.png"]'
    (tmp_path / "im/2_g.png").unlink()
    words = refused(tmp_path, **keys)
    assert "train.csv, row 3: 1 rows without their image\n  row 3: im/2_g.png" in words


def test_a_star_is_said_to_stand_for_something(tmp_path: Path) -> None:
    write(tmp_path, {"train.csv": "id,kind\n1,x\n2,y\n"}, {"im": "1.png 2.png"})
    train = {"table": "train.csv", "image": "im/{id}*.png", "targets": "kind"}
    words = refused(tmp_path, task="binary", train=train, test={}, like="train.csv")
    assert "2 rows without their image\n  row 2: im/1*.png" in words
    assert "nearest 1.png" in words
    assert "* is one character or more, and no slash" in words


def test_pixels_in_the_cells_of_a_table(tmp_path: Path) -> None:
    tables = {
        "train.csv": "label,p0,p1,p2,p3\n7,0,1,2,3\n8,4,5,6,255\n7,0,0,0,1\n",
        "test.csv": "p0,p1,p2,p3\n9,9,9,9\n1,1,1,1\n",
        "sample.csv": "ImageId,Label\n1,0\n2,0\n",
    }
    write(tmp_path, tables, {})
    train = {"table": "train.csv", "pixels": "p*", "targets": "label"}
    keys: dict[str, Any] = {"task": "binary", "test": {"table": "test.csv"}, "like": "sample.csv"}
    index = index_of(tmp_path, train=train, **keys)
    assert column(index, "image") == [f"pixels:train.csv#{row}" for row in range(3)]
    assert column(index, "id", "test") == ["1", "2"]
    assert index.card.pixels is not None
    assert (index.card.pixels.columns, index.card.pixels.shape) == (
        ("p0", "p1", "p2", "p3"),
        (2, 2),
    )
    assert len(set(index.rows["digest"])) == 5
    words = refused(tmp_path, train=train | {"shape": [3, 3]}, **keys)
    assert "data.train.shape does not fit the pixels\n  found: 4 values for 3 x 3" in words


def test_columns_of_pixels_have_one_order_in_all_parts(tmp_path: Path) -> None:
    tables = {
        "train.csv": "label,p0,p1,p2,p3\n7,0,1,2,3\n8,4,5,6,255\n",
        "test.csv": "p3,x,p2,p1,p0,p9\n3,a,2,1,0,7\n",
    }
    write(tmp_path, tables, {})
    train: dict[str, Any] = {"table": "train.csv", "pixels": "p*", "targets": "label"}
    keys: dict[str, Any] = {"test": {"table": "test.csv"}, "header": ["id", "label"]}
    index = index_of(tmp_path, train=train, task="binary", **keys)
    assert column(index, "digest", "test") == column(index, "digest")[:1]
    train = train | {"pixels": ["p2", "p[013]"]}
    index = index_of(tmp_path, train=train, task="binary", **keys)
    assert index.card.pixels is not None
    assert index.card.pixels.columns == ("p2", "p0", "p1", "p3")
    assert column(index, "digest", "test") == column(index, "digest")[:1]
    words = refused(tmp_path, train=train | {"pixels": ["p0", "p*"]}, task="binary", **keys)
    assert "data.train.pixels names a column twice\n  found: p0" in words
    (tmp_path / "test.csv").write_text("p3,p2,p1\n3,2,1\n")
    words = refused(tmp_path, train=train, task="binary", **keys)
    assert "test.csv, row 1: a table lacks columns of pixels that train has: p0" in words
