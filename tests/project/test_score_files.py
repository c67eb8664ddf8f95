"""Scores on disk: scores alone for `dvc metrics`, the rest beside them."""

import json
from pathlib import Path

import pytest

from darkroom.project.score_files import (
    baseline_of,
    read_scores,
    score_names,
    split_scores,
    write_scores,
)

DICE = {
    "dice": 0.96,
    "dice_median": 0.97,
    "dice_lowest": 0.9,
    "dice_at_half": 0.95,
    "baseline_all_background": 0.0,
    "baseline_all_foreground": 0.36,
    "threshold": 0.45,
    "images": 48,
    "baseline_mean_mask": 0.8,
}


def test_scores_alone_are_the_metrics_and_one_baseline() -> None:
    assert split_scores(DICE)[0] == {"dice": 0.96, "baseline_mean_mask": 0.8}
    labels = {"macro_f1": 0.5, "baseline_macro_f1": 0.1, "macro_f1_cross_fitted": 0.4} | {
        "temperature": 2.0,
        "accuracy": 0.9,
        "baseline_accuracy": 0.8,
        "macro_f1_of": 40,
        "attributes": 40,
        "leaked_images": 1,
    }
    alone, rest = split_scores(labels)
    assert list(alone) == ["macro_f1", "baseline_macro_f1", "macro_f1_cross_fitted", "accuracy"]
    assert alone | rest == labels


def test_baselines_and_what_says_more_are_no_scores() -> None:
    assert score_names(DICE | {"iou": 0.9, "macro_f1_of": 7}) == ["dice", "iou"]
    assert baseline_of(DICE, "dice") == 0.8
    assert baseline_of(DICE | {"baseline_dice": 0.9}, "dice") == 0.9
    assert baseline_of(DICE | {"iou": 0.9}, "iou") is None
    assert baseline_of({"f1": 0.5, "baseline_f1": None}, "f1") is None


def test_a_metric_of_ones_own_is_a_score_whatever_its_name() -> None:
    assert split_scores({"metrics/mine.py:images": 1.0, "images": 8}) == (
        {"metrics/mine.py:images": 1.0},
        {"images": 8},
    )
    assert split_scores({}) == ({}, {})


def test_both_files_together_are_the_scores(tmp_path: Path) -> None:
    scores, rest = tmp_path / "metrics.json", tmp_path / "evaluation.json"
    write_scores(scores, rest, DICE, "validation")
    assert json.loads(scores.read_text()) == {"validation": split_scores(DICE)[0]}
    both = read_scores(scores, rest, "validation")
    assert both == DICE
    assert next(iter(both)) == "dice"
    write_scores(scores, rest, {})
    assert (scores.read_text(), rest.read_text()) == ("{}\n", "{}\n")
    assert read_scores(scores, rest) == {}


@pytest.mark.parametrize("text", ["[]", "1", "{", '{"validation": 1}'])
def test_damage_is_noticed(tmp_path: Path, text: str) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(text)
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        read_scores(file, tmp_path / "none.json", "validation")
