"""Rules about several keys of a data section, and what parts inherit."""

from typing import Any

import pytest

from darkroom.params.data import Data, part_rows
from darkroom.params.rules.data import data_faults, metric_fault

TRAIN = {"table": "train.csv", "image": "train/{id}.jpg", "targets": "label"}
DATA: dict[str, Any] = {
    "source": "raw",
    "task": "multiclass",
    "train": TRAIN,
    "like": "sample_submission.csv",
}
TEST_TABLE = {"table": "test.csv", "image": "test/{id}.jpg"}
RLE = {"table": "train.csv", "image": "train/{id}.jpg", "rle": "runs"}
KIND = TRAIN | {"targets": "kind"}
PIXELS = {"table": "train.csv", "pixels": "p*", "targets": "label", "shape": [2, 3]}

MASK = {"table": "train.csv", "image": "train/{id}.jpg", "mask": "masks/{id}.png"}
VALUES: dict[str, Any] = {"task": "segmentation", "train": MASK, "values": {0: "x"}}


MASKS: dict[str, Any] = {"task": "segmentation", "train": MASK}


def section(**changes: Any) -> Data:
    return Data.model_validate(DATA | changes)


def test_a_section_that_says_enough_has_no_faults() -> None:
    assert data_faults("a", section()) == []
    assert data_faults("a", section(task="segmentation", train=RLE)) == []
    assert data_faults("a", section(**VALUES, test={"mask": "test_masks/{id}.png"})) == []
    assert data_faults("a", section(**VALUES)) == []
    long = TRAIN | {"label": "kind"}
    assert data_faults("a", section(task="regression", train=long, row="{id}_{label}")) == []
    pixels = {"table": "test.csv", "shape": [2, 3]}
    assert data_faults("a", section(train=PIXELS, test={"table": "test.csv"})) == []
    assert data_faults("a", section(train=PIXELS, valid=pixels, test=pixels)) == []
    assert data_faults("a", section(train=TRAIN | {"id": "x"})) == []
    rows = {"runs": {"order": "row"}}
    assert data_faults("a", section(task="segmentation", train=RLE | rows, valid={})) == []
    for metric in ("map@5", "gap", "top3_accuracy", "metrics/mine.py:score"):
        assert data_faults("a", section(separator=" ", metric=metric)) == []
    assert data_faults("a", section(like=None, header=["", "y"], test=TEST_TABLE)) == []
    whales = {"like": None, "test": TEST_TABLE, "train": TRAIN | {"targets": "Id"}}
    assert data_faults("a", section(**whales, header=["Image", "Id"])) == []
    assert data_faults("a", section(task="multilabel", separator="\t")) == []
    assert data_faults("a", section(test={"files": "test/*.png"})) == []
    columns = {"train": TRAIN | {"targets": "c*"}, "values": {"n": 0, "y": 1}}
    assert data_faults("a", section(task="multilabel", separator=" ", **columns)) == []
    assert data_faults("a", section(task="binary", values={0: 0, 1: 1, "": 0, -1: None})) == []
    split = {"files": "train/{n}.jpg", "cells": {"n": "{kind}-{k}"}, "targets": "kind"}
    assert data_faults("a", section(train=split, test={"image": "test/{n}.jpg"})) == []
    by_files = {"files": "train/{label}/{n}.jpg", "targets": "label"}
    assert data_faults("a", section(train=by_files, test={"image": "test/{file}"})) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"like": None}, "a.data.like: this key is missing: the sample submission"),
        ({"header": ["id", "y"]}, "a.data.header: data.like gives the header"),
        ({"source": "sample"}, "a.data.sample: this key is missing: what to draw"),
        ({"metric": "macrof1"}, "found 'macrof1'; there is no such metric; did you mean 'macro"),
        ({"metric": "rmse"}, "the task is multiclass, and it is for regression"),
        ({"metric": "f1", "weights": {"x": 2}}, "a.data.weights: the metric f1 has none"),
        ({"weights": {"x": 2}}, "a.data.weights: the task's usual metric has none"),
        ({"train": TRAIN | {"pixels": "p*"}}, "a.data.train: has image and pixels"),
        ({"train": {"image": "{x}", "targets": "y"}}, "a.data.train: lacks its rows; write table"),
        ({"train": {"table": "a.csv", "targets": "y"}}, "a.data.train.image: this key is missing"),
        ({"train": TRAIN | {"targets": []}}, "a.data.train.targets: this key is missing"),
        ({"train": TRAIN | {"rle": "x"}}, "a.data.train.rle: is for segmentation"),
        ({"train": TRAIN | {"label": "x"}}, "a.data.train.label: gathers several labels"),
        ({"train": TRAIN | {"shape": [2, 3]}}, "a.data.train.shape: is of pixels"),
        (
            {"train": PIXELS, "test": {"shape": [3, 2]}},
            "a.data.test.shape: all parts have the shape of train; set it there alone",
        ),
        ({"test": {"id": "x"}}, "a.data.test.id: the rows are those of data.like, whose ids"),
        ({"row": "{label}"}, "a.data.row: found '{label}', which lacks the image"),
        ({"row": "{id}{x}"}, "a.data.row: found '{id}{x}'; its fields are {id} and {label} alone"),
        ({"row": "{id}*"}, "a.data.row: found '{id}*'; its fields are {id} and {label} alone"),
        ({"row": "{id[0]}{id}"}, "a.data.row: found '{id[0]}{id}'; its fields are"),
        ({"row": ["{id}", "{id}"]}, "a.data.row: '{id}' comes twice; of several columns each has"),
        ({"row": []}, "a.data.row: found [], which lacks the image"),
        ({"row": "{id}_{label}"}, "but an image has no several labels; set a.data.train.label"),
        (
            {"task": "segmentation", "train": RLE, "values": {0: "x"}},
            "a.data.values: are of mask pictures",
        ),
        (
            VALUES | {"test": {"mask": {"p": "masks/{id}.png"}}},
            "without label (data.test), or remove them",
        ),
        (
            VALUES | {"valid": {"mask": {"x": "masks/{id}.png"}}},
            "without label (data.valid), or remove them",
        ),
        (VALUES | {"valid": {"rle": "runs"}}, "without label (data.valid), or remove them"),
        ({"task": "binary", "values": {"x": "y"}}, "found 'y'; a label's cell means 0, 1 or null"),
        (
            {"task": "binary", "names": "word"},
            "a.data.names: are of classes, and the task is binary",
        ),
        ({"names": {0: "two\nlines"}}, "a.data.names: 'two\\nlines' is no name"),
        (
            {"train": TRAIN | {"targets": "c*"}, "names": "word"},
            "a.data.names: found 'word'; without one column of classes, write a mapping",
        ),
        (
            {"task": "binary", "values": {0: 1, 1: 1}},
            "a.data.values: say which text means 0 and which means 1",
        ),
        (VALUES | {"values": {0: ""}}, "a.data.values: '' is no name; write one line of text"),
        ({"values": {"0": "a", 0: "b"}}, "a.data.values: '0' comes twice, as a number and as a"),
        (
            MASKS | {"train": MASK | {"mask": {"": "m/{id}.png"}}},
            "a.data.train.mask: '' is no name",
        ),
        (
            MASKS | {"train": MASK | {"mask": {"p": "m/{id}.png", "q": "m/{id}.png"}}},
            "a.data.train.mask: 'm/{id}.png' is the mask of two classes; a template each",
        ),
        (
            MASKS | {"valid": {"mask": {"a\nb": "m/{id}.png"}}},
            "a.data.valid.mask: 'a\\nb' is no name; write one line of text",
        ),
        (
            {"like": None, "header": ["id", "id"]},
            "a.data.header: the column 'id' comes twice; a name each",
        ),
        ({"like": None, "header": ["id", "x\ny"]}, "a.data.header: 'x\\ny' is no name"),
        (
            {"train": TRAIN | {"image": ["a/{id}.png", "a/{id}.png"]}},
            "a.data.train.image: 'a/{id}.png' comes twice; a plane each",
        ),
        (
            {"train": {"files": "train/0.png", "targets": "label"}},
            "a.data.train.files: found 'train/0.png', which is one file; write what differs",
        ),
        (
            {"task": "multilabel", "separator": " ", "values": {"a": 1, "b": 0}},
            "a.data.values: are of cells of one label, and separator of several",
        ),
        (
            {"like": None, "header": ["label", "ID"], "test": TEST_TABLE},
            "the columns of row come first, and ID is among the answers",
        ),
        (
            {"like": None, "header": ["Kind", "id"], "test": TEST_TABLE, "train": KIND},
            "the columns of row come first, and id is among the answers",
        ),
        ({"task": "multilabel", "separator": "\n"}, "a.data.separator: found '\\n', which breaks"),
        (
            {"train": {"files": "train/*.png", "targets": "kind"}},
            "a.data.train.targets: files has no field {kind}; it is 'train/*.png'",
        ),
        (
            {
                "task": "multilabel",
                "train": {"files": "train/{n}.png", "label": "kind", "cells": {"n": "{a}-{b}"}},
            },
            "a.data.train.label: files has no field {kind}; it is 'train/{n}.png'",
        ),
        ({"values": {"a": None}}, "a.data.values: names no class"),
        (
            {"train": TRAIN | {"targets": {"": "x"}}},
            "a.data.train.targets: '' is no name; write one line of text",
        ),
        (
            {"task": "multilabel", "train": TRAIN | {"label": "k", "targets": {"x": "y"}}},
            "beside label it is one column, of the values",
        ),
        ({"metric": "Accuracy"}, "found 'Accuracy'; there is no such metric; did you mean 'accur"),
        ({"metric": "map@0"}, "there is no such metric; did you mean 'map@"),
        ({"metric": ""}, "found ''; there is no such metric; for it are accuracy"),
        ({"metric": "metrics/mine.py:"}, "a function of yours lies in the folder metrics"),
        ({"metric": "/etc/x.py:f"}, "a function of yours lies in the folder metrics"),
        ({"metric": "metrics/../x.py:f"}, "a function of yours lies in the folder metrics"),
        ({"task": "binary", "separator": " "}, "a.data.separator: is for several labels"),
        ({"separator": " "}, "a.data.separator: a cell holds one class; remove it, or name"),
        ({"separator": " ", "metric": "log_loss"}, "a.data.separator: a cell holds one class"),
        (
            {"task": "segmentation", "train": MASK | {"runs": {"order": "row"}}},
            "a.data.train.runs: is of run lengths in a table; set rle",
        ),
        (
            {"task": "segmentation", "train": RLE | {"runs": {"size": [4, 5]}}},
            "a.data.train.runs.size: run lengths are read at the image's own size",
        ),
        ({"runs": {"order": "row"}}, "a.data.runs: is for segmentation"),
        ({"task": "segmentation"}, "a.data.train.targets: the task is segmentation"),
        (
            {"task": "segmentation", "train": RLE | {"mask": "m/{id}.png"}},
            "a.data.train: has mask and rle",
        ),
        (
            {"like": None, "header": ["id", "y"]},
            "a.data.test: lacks its rows; write table, or files, or data.like",
        ),
        ({"like": None, "header": ["id"], "test": TRAIN}, "after the 1 columns of row it needs"),
    ],
)
def test_keys_that_contradict_each_other(changes: dict[str, Any], words: str) -> None:
    assert words in "\n".join(data_faults("a", section(**changes)))


def test_what_a_part_leaves_out_is_of_train() -> None:
    train = TRAIN | {"where": {"split": "0"}, "group": "car", "id": "{id}.jpg", "missing": "skip"}
    data = section(train=train, valid={"where": {"split": "1"}}, test={"image": "test/{id}.jpg"})
    parts = part_rows(data)
    assert list(parts) == ["train", "valid", "test"]
    assert (parts["valid"].table, parts["valid"].where) == ("train.csv", {"split": "1"})
    assert (parts["valid"].targets, parts["valid"].missing) == ("label", "skip")
    test = parts["test"]
    assert (test.table, test.where, test.targets) == (None, {}, [])
    assert test.missing == "refuse", "a row that is asked for may not vanish"
    assert (test.group, test.id, test.image) == ("car", "{id}.jpg", "test/{id}.jpg")


def test_what_a_part_says_in_another_way_is_not_inherited() -> None:
    data = section(valid={"files": "valid/{label}/{n}.jpg"}, test={"files": "test/{n}.jpg"})
    parts = part_rows(data)
    assert (parts["valid"].table, parts["valid"].image) == (None, None)
    assert (parts["test"].table, parts["test"].image) == (None, None)


@pytest.mark.parametrize(
    "metric", ["map@7", "map@999", "top3_accuracy", "macro_f1", "metrics/mine.py:score"]
)
def test_a_metric_that_goes_with_classes(metric: str) -> None:
    assert metric_fault(metric, "multiclass") == ""


def test_masks_have_no_metric_of_ones_own() -> None:
    data = section(task="segmentation", train=RLE, metric="metrics/mine.py:score")
    words = "a.data.metric: found 'metrics/mine.py:score'; a function of yours can't score masks"
    assert words in "\n".join(data_faults("a", data))
