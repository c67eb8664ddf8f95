"""A score of a few numbers an image is, to the bit, that of all its probabilities."""

import numpy as np
import pytest

from darkroom.tasks.answers import normalised_shares
from darkroom.tasks.metrics.reduced import (
    is_reducible,
    reduce_constant,
    reduce_rows,
    reduced_score,
)
from darkroom.tasks.metrics.specs import METRICS, get_metric

REDUCIBLE = (
    *("accuracy", "balanced_accuracy", "macro_f1", "micro_f1"),
    *("map@1", "map@3", "map@5", "map@20", "top2_accuracy", "top5_accuracy", "gap", "log_loss"),
)


def test_areas_and_grades_need_all_probabilities() -> None:
    of_classes = {name for name, spec in METRICS.items() if "multiclass" in spec.tasks}
    whole = {name for name in of_classes if not is_reducible(get_metric(name, "multiclass"))}
    areas = {"roc_auc", "mean_column_auc", "average_precision", "mean_average_precision"}
    assert whole == areas | {"weighted_log_loss", "quadratic_kappa"}


@pytest.mark.parametrize("name", REDUCIBLE)
@pytest.mark.parametrize("ties", [False, True])
def test_the_score_has_the_bits_of_all_probabilities(name: str, ties: bool) -> None:
    spec, rng = get_metric(name, "multiclass"), np.random.default_rng(3)
    for classes, count in ((2, 1), (3, 40), (12, 101), (150, 64)):
        truth = rng.integers(0, classes, count)
        logits = rng.normal(0, 1, (count, classes)) + 2 * (truth[:, None] == np.arange(classes))
        chances = np.exp(np.round(logits) * 6 if ties else logits).astype(np.float32)
        chances /= chances.sum(axis=1, keepdims=True)
        parts = [
            reduce_rows(spec, truth[batch], chances[batch])
            for batch in (slice(start, start + 7) for start in range(0, count, 7))
        ]
        rows = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        assert {array.shape for array in rows.values()} == {(count,)}
        whole = chances.argmax(axis=1) if spec.writes == "labels" else chances
        whole = normalised_shares(chances) if name == "log_loss" else whole
        assert reduced_score(spec, truth, rows) == spec.score("multiclass", truth, whole)


@pytest.mark.parametrize("name", ["macro_f1", "map@3", "gap", "log_loss"])
def test_of_a_constant_each_class_is_reduced_once(name: str) -> None:
    spec, truth = get_metric(name, "multiclass"), np.array([4, 0, 4, 2, 2])
    constant = np.array([0.3, 0.1, 0.3, 0.1, 0.2], np.float32)
    rows = reduce_constant(spec, truth, constant)
    expected = reduce_rows(spec, truth, np.tile(constant, (5, 1)))
    assert {key: array.tolist() for key, array in rows.items()} == {
        key: array.tolist() for key, array in expected.items()
    }


def test_known_rows() -> None:
    chances = np.array([[0.25, 0.5, 0.25], [0.25, 0.25, 0.5]], np.float32)
    rows = reduce_rows(METRICS["map@3"], np.array([2, 2]), chances)
    assert rows["answers"].tolist() == [1, 2]
    assert rows["confidence"].tolist() == [0.5, 0.5]
    assert rows["of_truth"].tolist() == [0.25, 0.5]
    assert rows["ranks"].tolist() == [2, 0], "behind its equal, the lower one"
    assert reduced_score(METRICS["map@3"], np.array([2, 2]), rows) == pytest.approx(2 / 3)
