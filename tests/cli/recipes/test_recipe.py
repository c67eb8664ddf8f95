"""Recipes found by name or path, read with their heads, and merged section by section."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.cli.recipes import recipe as recipes
from darkroom.cli.recipes.recipe import Recipe
from darkroom.errors import ParamsError

HEAD = """\
recipe:
  for: cars in a hurry
  expected: {time: 10 min, score: dice 0.97, basis: measured, source: four cars}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cars-fast.yaml").write_text(HEAD + "folds: [0, 1]\n")
    (tmp_path / "cars-slow.yaml").write_text("cars:\n  train: {lr: 1e-3}\n")
    (tmp_path / "notes.txt").write_text("no recipe")
    return tmp_path


def recipe(folder: Path, **keys: Any) -> Recipe:
    head = {"name": "x", "file": folder, "text": "", "purpose": "", "time": "", "score": ""}
    plain: Any = head | {"basis": "measured", "replaces_data": False, "keys": keys}
    return Recipe(**plain)


def test_a_recipe_is_found_by_name_and_by_path(folder: Path) -> None:
    assert recipes.find_recipe("cars-fast", [folder]) == folder / "cars-fast.yaml"
    other = folder / "cars-slow.yaml"
    assert recipes.find_recipe(str(other), [Path("nowhere")]) == other


def test_an_unknown_name_is_refused_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ParamsError, match="there is no recipe of this name") as caught:
        recipes.find_recipe("car-fast", [folder])
    words = str(caught.value)
    assert "found: car-fast\n  expected: one of the 2 that `darkroom use` lists" in words
    assert words.endswith("to do: did you mean cars-fast?")
    with pytest.raises(ParamsError, match="one of the 2 that `darkroom use` lists"):
        recipes.find_recipe("zzz", [folder])


@pytest.mark.parametrize("word", ["lost.yaml", "lost.yml", "folder/lost"])
def test_a_path_must_exist(folder: Path, word: str) -> None:
    with pytest.raises(ParamsError, match=f"{word}: there is no such file"):
        recipes.find_recipe(word, [folder])


def test_recipes_are_read_in_the_order_of_their_names(folder: Path) -> None:
    fast, slow = recipes.read_recipes([folder])
    assert (fast.name, fast.purpose) == ("cars-fast", "cars in a hurry")
    assert fast.expected == "10 min, dice 0.97 (measured)"
    assert fast.keys == {"folds": [0, 1]}
    assert (slow.name, slow.purpose, slow.expected) == ("cars-slow", "", "")
    assert slow.keys == {"cars": {"train": {"lr": 1e-3}}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "it is not YAML"),
        ("- a\n", "it must be a mapping"),
        ("7: a\n", "the key 7 is not text"),
        ("a: {b: 1, b: 2}\n", "the key 'b' appears twice, line 1"),
        ("recipe: fast\n", "`recipe` is invalid\n  found: fast\n  expected: for, exp"),
        ("recipe: {fro: x}\n", "`recipe` is invalid"),
        ("recipe: {expected: {tme: 1}}\n", "`recipe.expected` is invalid"),
        (
            "recipe: {expected: {basis: guessed}}\n",
            "basis` is invalid\n  found: guessed\n  expected: measured or estimated",
        ),
        ("recipe: {data: drop}\n", "`recipe.data` is invalid\n  found: drop"),
    ],
)
def test_an_invalid_recipe_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ParamsError) as caught:
        recipes.read_recipe(tmp_path / "x.yaml")
    assert f"{tmp_path}/x.yaml: " in str(caught.value)
    assert words in str(caught.value)


def test_a_section_is_replaced_as_a_whole(folder: Path) -> None:
    old = {"seed": 1, "folds": [0], "cars": {"train": {"lr": 1, "ema": 0.9}, "split": {"by": "x"}}}
    new = recipes.merge_recipe(old, recipe(folder, folds=[1], cars={"train": {"lr": 2}}))
    assert new == {
        "seed": 1,
        "folds": [1],
        "cars": {"train": {"lr": 2}, "split": {"by": "x"}},
    }
    assert old["folds"] == [0]


def test_the_users_data_stays(folder: Path) -> None:
    old = {"cars": {"data": {"source": "mine", "quality": "hq"}, "train": {}}}
    keys: Any = {"cars": {"data": {"source": "sample"}}, "dogs": {"data": {"source": "dogs"}}}
    assert recipes.merge_recipe(old, recipe(folder, **keys)) == {
        "cars": {"data": {"source": "mine", "quality": "hq"}, "train": {}},
        "dogs": {"data": {"source": "dogs"}},
    }


@pytest.mark.parametrize("replaces", [False, True])
def test_a_new_section_of_the_same_competition_gets_the_users_data(
    folder: Path, replaces: bool
) -> None:
    sample, mine = {"source": "sample"}, {"source": "mine"}
    two = recipe(folder, small={"data": sample, "train": {"lr": 2}}, cars={"data": sample})
    new = recipes.merge_recipe({"cars": {"data": mine}}, replace(two, replaces_data=replaces))
    expected = sample if replaces else mine
    assert new == {"small": {"data": expected, "train": {"lr": 2}}, "cars": {"data": expected}}


def test_data_is_replaced_if_the_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("recipe: {data: replace}\ncars: {data: {source: sample}}\n")
    old = {"cars": {"data": {"source": "mine", "quality": "hq"}}}
    new = recipes.merge_recipe(old, recipes.read_recipe(tmp_path / "x.yaml"))
    assert new == {"cars": {"data": {"source": "sample"}}}
