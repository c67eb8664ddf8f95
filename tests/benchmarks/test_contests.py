"""The trial of contests says of each what the judge said, and describes it by its recipe."""

from pathlib import Path

import pytest
import yaml

from benchmarks import contests
from benchmarks.contests import Trial


def trial(seed: int, score: float | None, *, passed: bool, fault: str = "") -> Trial:
    return Trial("cactus", seed, "roc_auc", score, 0.5, 0.86, 4.4, passed, fault)


def test_a_contest_is_a_line_with_the_scores_of_its_seeds() -> None:
    trials = [trial(0, 0.9525, passed=True), trial(1, None, passed=False, fault="index: no column")]
    assert contests.table(trials)[2:] == [
        "| cactus | roc_auc | 0.953, - | 0.500 | 0.86 | 4 | 1 of 2 |"
    ]
    assert [contests.line(each) for each in trials] == [
        "cactus, seed 0: 0.9525, wanted 0.86, 4 s: passed",
        "cactus, seed 1: -, wanted 0.86, 4 s: index: no column",
    ]


@pytest.mark.parametrize("name", contests.RECIPE_OF)
def test_the_data_section_is_the_recipes(name: str) -> None:
    recipe = contests.RECIPE_OF[name]
    changes = contests.DRAWN_OTHERWISE.get(name, {})
    keys = yaml.safe_load((contests.RECIPES / f"{recipe}.yaml").read_text())
    params = contests.parameters(recipe, Path("raw"), changes)
    (section,) = params["competitions"]
    data, own = params[section]["data"], keys[section]["data"]
    assert data.pop("source") == "raw"
    same = set(own) - set(changes) - {"source"}
    assert {key: data[key] for key in same} == {key: own[key] for key in same}
    assert set(data) == set(own) - {"source"} | set(changes)


def test_contests_that_are_not_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "cactus.py").touch()
    (tmp_path / "kit.py").touch()
    assert contests.contest_names(tmp_path) == ["cactus"]
