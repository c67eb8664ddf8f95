"""Whole competitions by their recipes: the judges of drawn contests, and rules of real ones."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks import contests
from tests.support.contests import CONTESTS, needs_contests
from tests.support.imitations import IMITATIONS, Rows

# One of each kind: probabilities, a ranking, words, rows of labels, numbers, classes of mask,
# objects, values of a picture.
KINDS = [
    "cactus",
    "humpback",
    "plant_pathology_2021",
    "rsna_haemorrhage",
    "csiro",
    "severstal",
    "airbus",
    "camvid",
]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("small")]


@needs_contests
@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_a_judge_accepts_what_a_recipe_makes(tmp_path: Path, name: str) -> None:
    trial = contests.run_trial(name, 0, tmp_path)
    assert trial.fault == ""
    assert trial.passed, f"{trial.score} of {trial.want}"


@needs_contests
def test_every_contest_has_a_recipe() -> None:
    drawn = {path.stem for path in CONTESTS.glob("[a-z]*.py")}
    assert drawn - {"arena", "kit", "test_contests"} == set(contests.contest_names())


@pytest.mark.parametrize(
    "recipe",
    [
        name if number % 4 == 0 else pytest.param(name, marks=pytest.mark.long)
        for number, name in enumerate(IMITATIONS)
    ],
)
def test_a_real_layout_becomes_a_submission_that_scores(tmp_path: Path, recipe: str) -> None:
    imitation = IMITATIONS[recipe]
    truth = imitation.draw(tmp_path / "raw", np.random.default_rng(3))
    params = contests.parameters(recipe, tmp_path / "raw", {})
    (name,) = params["competitions"]
    params[name]["train"]["epochs"] = 16  # of few pictures
    assert contests.run_stages(params, tmp_path) == ""
    score = imitation.grade(_rows(tmp_path / f"submissions/{name}.csv.gz"), truth)
    assert score >= imitation.want if imitation.best == "max" else score <= imitation.want


def _rows(path: Path) -> Rows:
    with gzip.open(path, "rt", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows}
