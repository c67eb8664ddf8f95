"""Edits of small texts, character by character: nothing moves but what was asked for."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from darkroom.cli.yaml_edit import changes, edit

ROOT = Path(__file__).parents[2]

TEXT = """\
# head
seed: 7      # s

folds: [ 0 ] # f

# about cars
cars:        # c
  model:
    name: unet  # n
    width:   8  # w

    # before depth
    depth: 4    # d

  # about training
  train:
    lr: 1e-4    # l
    ema: ~
    clip:
    augment:    # a
      - Flip: {p: 0.5}   # flip
      - Blur: {}

# about faces
faces: {model: {name: x}, train: {lr: ~, warm:   "a"}}
"""


def edited(donor: str = "", **wanted: Any) -> str:
    """Return the text with keys given by their path, `__` between; None takes one away."""
    new = yaml.safe_load(TEXT)
    for path, value in wanted.items():
        *way, key = path.split("__")
        place = new
        for step in way:
            place = place[step]
        if value is None:
            del place[key]
        else:
            place[key] = value
    text = edit(TEXT, new, donor)
    assert yaml.safe_load(text) == new
    return text


def lines(text: str) -> list[str]:
    """Return the lines that differ from the text's: gone with `-`, come with `+`."""
    before, after = TEXT.splitlines(), text.splitlines()
    return [f"-{each}" for each in before if each not in after] + [
        f"+{each}" for each in after if each not in before
    ]


def test_no_edit_no_change() -> None:
    assert edited() == TEXT


def test_the_file_that_ships_stays_as_it_is() -> None:
    text = (ROOT / "params.yaml").read_text()
    assert edit(text, yaml.safe_load(text)) == text


@pytest.mark.parametrize(
    ("path", "value", "before", "after"),
    [
        ("seed", 11, "seed: 7      # s", "seed: 11     # s"),
        ("folds", [0, 1], "folds: [ 0 ] # f", "folds: [0, 1] # f"),
        ("cars__model__name", "x", "    name: unet  # n", "    name: x     # n"),
        ("cars__train__ema", 0.9, "    ema: ~", "    ema: 0.9"),
        ("cars__train__clip", 1, "    clip:", "    clip: 1"),
        ("cars__train__lr", 0.5, "    lr: 1e-4    # l", "    lr: 0.5     # l"),
    ],
)
def test_a_value_changes_in_its_place(path: str, value: Any, before: str, after: str) -> None:
    text = edited(**{path: value})
    assert text == TEXT.replace(f"{before}\n", f"{after}\n")


def test_a_value_in_lines_of_its_own_comes_into_one_line() -> None:
    text = edited(cars__train__augment="flip")
    assert "    augment: flip # a\n\n# about faces\n" in text
    assert lines(text)[1:] == [
        "-      - Flip: {p: 0.5}   # flip",
        "-      - Blur: {}",
        "+    augment: flip # a",
    ]


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        ("cars__model__depth", "    depth: 4    # d\n"),
        ("cars__model__name", "    name: unet  # n\n"),
        ("seed", "seed: 7      # s\n"),
        (
            "cars__train__augment",
            "    augment:    # a\n      - Flip: {p: 0.5}   # flip\n      - Blur: {}\n",
        ),
    ],
)
def test_a_key_that_goes_takes_its_lines_alone(path: str, gone: str) -> None:
    nothing: Any = {path: None}
    assert edited(**nothing) == TEXT.replace(gone, "")


def test_a_key_that_comes_stands_behind_the_last() -> None:
    text = edited(cars__model__bilinear=True, cars__train__loss={"bce": 1})
    assert "    depth: 4    # d\n    bilinear: true\n\n  # about training\n" in text
    assert "      - Blur: {}\n    loss: {bce: 1}\n\n# about faces\n" in text
    assert len(lines(text)) == 2


def test_a_key_may_come_where_the_last_one_goes() -> None:
    text = edited(cars__model__depth=None, cars__model__encoder="r", cars__model__weights="w")
    assert "    # before depth\n    encoder: r\n    weights: w\n\n  # about training\n" in text


def test_a_plain_key_at_the_top_stands_before_the_sections() -> None:
    text = edited(transfers=[{"to": "a", "from": "b"}])
    assert "folds: [ 0 ] # f\ntransfers: [{to: a, from: b}]\n\n# about cars\n" in text


def test_a_mapping_in_one_line_stays_in_one() -> None:
    text = edited(faces__train__lr=0.1, faces__train__warm=None)
    assert text.endswith("\n# about faces\nfaces: {model: {name: x}, train: {lr: 0.1}}\n")
    assert len(lines(text)) == 2


def test_a_new_section_comes_last_in_lines_of_its_own() -> None:
    assert edited(notes={"model": {"name": "x"}}) == TEXT + "\nnotes:\n  model:\n    name: x\n"


def test_values_and_comments_come_from_the_donor() -> None:
    donor = (
        "cars:\n  model: {}\n  train:\n    lr: 2e-3 # not this comment\n    warmup: 0.20 # share\n"
        "notes: # seven\n  model:\n    name: x # n\n\n# the end\n"
    )
    text = edited(
        donor, cars__train__lr="2e-3", cars__train__warmup=0.2, notes={"model": {"name": "x"}}
    )
    assert "    lr: 2e-3    # l\n" in text
    assert "      - Blur: {}\n    warmup: 0.20 # share\n" in text
    assert text.endswith("\nnotes: # seven\n  model:\n    name: x # n\n")


def test_a_donor_that_says_otherwise_is_not_asked() -> None:
    assert "lr: 0.5     # l" in edited("cars:\n  train:\n    lr: 3.0\n", cars__train__lr=0.5)


def test_lines_of_text_are_replaced_up_to_the_blank_ones() -> None:
    text = "a:\n  b: |\n    one\n    two\n\n# c\nc: 3\n"
    assert edit(text, {"a": {"b": 1}, "c": 3}) == "a:\n  b: 1\n\n# c\nc: 3\n"
    assert edit(text, {"a": {}, "c": 3}) == "a:\n\n# c\nc: 3\n"


@pytest.mark.parametrize("ending", ["\n", ""])
def test_a_text_may_lack_the_last_newline(ending: str) -> None:
    text = edit(f"a:\n  b: 1{ending}", {"a": {"b": 1, "c": 2}})
    assert text == "a:\n  b: 1\n  c: 2\n"


def test_other_line_ends_and_indents_stay() -> None:
    text = "a:\r\n    b: 1 # b\r\nc: 3\r\n"
    assert edit(text, {"a": {"b": 2}, "c": 3}) == text.replace("b: 1", "b: 2")


def test_changes_are_told_in_the_order_of_the_file() -> None:
    old = yaml.safe_load(TEXT)
    new = copy.deepcopy(old)
    new["cars"]["train"] |= {"lr": 0.1, "ema": 0.9, "tta": ["hflip"], "loss": {"bce": 1}}
    del new["cars"]["model"]["depth"]
    new["notes"] = {"model": {"name": "x"}}
    assert [str(change) for change in changes(old, new)] == [
        "cars.model.depth: 4 -> (none)",
        "cars.train.lr: 1e-4 -> 0.1",
        "cars.train.ema: null -> 0.9",
        "cars.train.tta: (none) -> [hflip]",
        "cars.train.loss: (none) -> {bce: 1}",
        "notes.model.name: (none) -> x",
    ]


def test_one_is_one_but_not_true() -> None:
    assert changes({"a": 1}, {"a": 1.0}) == []
    assert [str(change) for change in changes({"a": 1}, {"a": True})] == ["a: 1 -> true"]


KEYS = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.none(),
    st.text("xy #:-'\n", max_size=5),
    st.lists(st.integers()),
)
SECTIONS = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, min_size=1), min_size=1)


@given(SECTIONS, SECTIONS, st.sampled_from([True, False, None]))
def test_the_result_says_what_was_meant(old: Any, new: Any, flow: bool | None) -> None:
    text = yaml.safe_dump(old, default_flow_style=flow)
    if not text.startswith("{"):
        assert yaml.safe_load(edit(text, new)) == new
