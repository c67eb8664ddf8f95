"""Texts edited in place: other values, the same comments and order."""

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from darkroom.cli.recipes.edit import changes, edit
from darkroom.params.document import parse_mapping

TEXT = """\
# head
seed: 7      # s

folds: [0]   # f

# about cars
cars:        # c
  model:
    name: unet  # n
    width: 8    # w

    # before depth
    depth: 4    # d

  # about training
  train:
    lr: 1e-4    # l
    ema: null
    quoted: 'a'
    augment:    # a
      - Flip: {p: 0.5}   # flip
      - Blur: {}

# about faces
faces: {model: {name: x}, train: {lr: null, warm: "a"}}
"""


def edited(donor: str = "", **wanted: Any) -> str:
    """Return TEXT with keys given by their path, `__` between; ... takes one away."""
    new = parse_mapping(TEXT, file="a test")
    for path, value in wanted.items():
        *way, key = path.split("__")
        place = new
        for step in way:
            place = place[step]
        if value is ...:
            del place[key]
        else:
            place[key] = value
    text = edit(TEXT, new, donor)
    assert parse_mapping(text, file="a test") == new
    return text


def test_without_a_change_the_text_stays() -> None:
    assert edited() == TEXT


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("seed", 11, "seed: 7      # s", "seed: 11     # s"),
        ("folds", [0, 1], "folds: [0]   # f", "folds: [0, 1] # f"),
        ("cars__model__name", "x", "    name: unet  # n", "    name: x     # n"),
        ("cars__train__ema", 0.9, "    ema: null", "    ema: 0.9"),
        ("cars__train__lr", 0.5, "    lr: 1e-4    # l", "    lr: 0.5     # l"),
        ("cars__train__lr", None, "    lr: 1e-4    # l", "    lr:         # l"),
        ("cars__train__quoted", "b", "    quoted: 'a'", "    quoted: 'b'"),
        (
            "cars__train__augment",
            "flip",
            "    augment:    # a\n      - Flip: {p: 0.5}   # flip\n      - Blur: {}",
            "    augment: flip # a",
        ),
    ],
)
def test_a_value_changes_in_its_place(path: str, value: Any, before: str, after: str) -> None:
    assert edited(**{path: value}) == TEXT.replace(f"{before}\n", f"{after}\n")


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("cars__model__name", "    name: unet  # n\n"),
        ("cars__model__width", "    width: 8    # w\n"),
        ("cars__model__depth", "    depth: 4    # d\n"),
        (
            "cars__train__augment",
            "    augment:    # a\n      - Flip: {p: 0.5}   # flip\n      - Blur: {}\n",
        ),
    ],
)
def test_removing_a_key_removes_only_its_lines(path: str, gone: str) -> None:
    changes: Any = {path: ...}
    assert edited(**changes) == TEXT.replace(gone, "")


def test_removing_a_first_key_leaves_the_comments_below_it() -> None:
    text = "a: # a\n  b: 1 # b\n\n  # about c\n  c: 2\n"
    assert edit(text, {"a": {"c": 2}}) == "a: # a\n\n  # about c\n  c: 2\n"


def test_a_new_key_comes_after_the_last_one() -> None:
    text = edited(cars__model__bilinear=True, cars__train__loss={"bce": 1})
    assert "    depth: 4    # d\n    bilinear: true\n\n  # about training\n" in text
    assert "      - Blur: {}\n    loss: {bce: 1}\n\n# about faces\n" in text
    assert text.count("\n") == TEXT.count("\n") + 2


def test_new_keys_may_replace_the_last_one() -> None:
    text = edited(cars__model__depth=..., cars__model__encoder="r", cars__model__weights="w")
    assert "    # before depth\n    encoder: r\n    weights: w\n\n  # about training\n" in text


def test_a_mapping_in_one_line_stays_in_one() -> None:
    text = edited(faces__train__lr=0.1, faces__train__warm=...)
    assert text.endswith("\n# about faces\nfaces: {model: {name: x}, train: {lr: 0.1}}\n")
    assert text.count("\n") == TEXT.count("\n")


@pytest.mark.parametrize("before", ["{}", "{lr: 0.1}"])
def test_new_keys_of_a_mapping_in_one_line_bring_no_comment(before: str) -> None:
    donor = "a:\n  lr: 1e-3 # peak\n  ema: 0.9 # decay\n  warmup: 2 # share\n"
    text = edit(
        f"a: {before} # mine\n\n# next\nb: 1\n",
        {"a": {"lr": 1e-3, "ema": 0.9, "warmup": 2}, "b": 1},
        donor,
    )
    assert text == "a: {lr: 1e-3, ema: 0.9, warmup: 2} # mine\n\n# next\nb: 1\n"


def test_values_and_comments_come_from_the_donor() -> None:
    donor = (
        "cars:\n  model: {}\n  train:\n    lr: 2e-3 # not this comment\n    warmup: 0.20 # share\n"
        "notes: # seven\n  model:\n    name: x # n\n\n# the end\n"
    )
    text = edited(
        donor, cars__train__lr=2e-3, cars__train__warmup=0.2, notes={"model": {"name": "x"}}
    )
    assert "    lr: 2e-3    # l\n" in text
    assert "      - Blur: {}\n    warmup: 0.20 # share\n\n# about faces\n" in text
    assert text.endswith("\n\nnotes: # seven\n  model:\n    name: x # n\n")


@pytest.mark.parametrize(
    "text",
    [
        "a:\n    b: 1 # b\n    d:\n        e: 2\nc: 3\n",
        "a:\n  b: 1 # b\n  d:\n  - 1 # one\n  - 2\nc: 3\n",
        "a:\n    b: 1 # b\n    d:\n      - 1\nc: 3\n",
    ],
)
def test_other_indents_stay(text: str) -> None:
    new = parse_mapping(text, file="a test")
    new["a"]["b"] = 2
    assert edit(text, new) == text.replace("b: 1 ", "b: 2 ")


def test_changes_are_listed_in_the_order_of_the_file() -> None:
    old = parse_mapping(TEXT, file="a test")
    new = copy.deepcopy(old)
    new["cars"]["train"] |= {"lr": 0.1, "ema": 0.9, "tta": ["hflip"], "loss": {"bce": 1}}
    del new["cars"]["model"]["depth"]
    new["notes"] = {"model": {"name": "x"}}
    assert changes(old, new) == [
        "cars.model.depth: 4 -> (none)",
        "cars.train.lr: 0.0001 -> 0.1",
        "cars.train.ema: null -> 0.9",
        "cars.train.tta: (none) -> [hflip]",
        "cars.train.loss: (none) -> {bce: 1}",
        "notes.model.name: (none) -> x",
    ]


def test_one_is_one_but_not_true() -> None:
    assert changes({"a": 1}, {"a": 1.0}) == []
    assert changes({"a": 1}, {"a": True}) == ["a: 1 -> true"]


KEYS = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.one_of(
    st.integers(-(10**17), 10**17),
    st.booleans(),
    st.none(),
    st.text("xy #-'", max_size=5),
    st.lists(st.integers(-(10**17), 10**17)),
)
MAPPINGS = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES), min_size=1)


def test_a_key_comes_behind_a_mapping_that_was_emptied() -> None:
    assert edit("a:\n  x:\n", {"a": {}, "b": 1}) == "a: {}\n\nb: 1\n"


@given(MAPPINGS, MAPPINGS, st.sampled_from([True, False, None]))
def test_the_edited_text_has_the_new_values(old: Any, new: Any, flow: bool | None) -> None:
    text = yaml.safe_dump(old, default_flow_style=flow)
    assert parse_mapping(edit(text, new), file="a test") == new
