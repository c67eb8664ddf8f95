"""The trial of blends prints every member and blend, and compares with the member to submit."""

from pathlib import Path

import pytest

from benchmarks import blends
from benchmarks.blends import Score, Trial
from darkroom.params import file as paramfile

MEMBERS = (Score("network_1", 0.9, 0.7), Score("network_2", 0.8, 0.95))


def trial(best: str, *scores: Score) -> Trial:
    return Trial("cactus", 0, "binary", "roc_auc", best, MEMBERS, scores, 60)


@pytest.mark.parametrize(("best", "gains"), [("max", (0.05, 0.2)), ("min", (-0.15, 0.05))])
def test_a_gain_is_over_the_member_that_is_best_out_of_fold(
    best: str, gains: tuple[float, float]
) -> None:
    blend = Score("greedy", 0.95, 0.9)
    assert trial(best, blend).gains(blend) == pytest.approx(gains)


def test_losses_are_printed_and_counted() -> None:
    trials = [
        trial("max", Score("greedy", 0.95, 0.6), Score("mean", 0.9, 0.7)),
        trial("max", Score("greedy", 0.91, 0.8)),
    ]
    lines = blends.table(trials)
    assert len(lines) == 2 + 4 + 3
    assert "| cactus, seed 0 | roc_auc | network_2 | 0.8000 | | 0.9500 | |" in lines
    assert "| cactus, seed 0 | roc_auc | greedy | 0.9500 | +0.0500 | 0.6000 | -0.1000 |" in lines
    assert blends.summary(trials) == [
        "greedy: better out of fold in 2 of 2, by the judge in 1 of 2",
        "mean: better out of fold in 0 of 1, by the judge in 0 of 1",
    ]


@pytest.mark.parametrize("name", [*blends.NAMES, "intel_scenes"])
def test_the_parameters_of_a_contest_are_valid(name: str) -> None:
    params = paramfile.validate_params(blends.project(name, Path("raw")))
    assert len(params.competitions) == 3
    assert {len(blend.members) for blend in params.blends} == {3}
    assert params.section("network_1").split.folds == len(params.folds) == 3


def test_there_is_a_contest_of_each_kind_of_target() -> None:
    sections = [blends.project(name, Path("raw"))["network_1"] for name in blends.NAMES]
    assert {section["data"]["task"] for section in sections} == {
        *("multiclass", "multilabel", "binary", "regression", "segmentation")
    }
