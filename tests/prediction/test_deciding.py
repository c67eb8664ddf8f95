"""The decision that a metric wants: by brute force on small cases, and what it is worth."""

import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.prediction import deciding
from darkroom.prediction.deciding import OutOfFold, choose, constant_predictions, count_grades
from darkroom.prediction.decision import Decision
from darkroom.prediction.thresholds import THRESHOLDS, best_index
from darkroom.tasks.metrics.cuts import NEVER, best_cuts, middle_cuts
from darkroom.tasks.metrics.labels import quadratic_kappa
from darkroom.tasks.metrics.specs import METRICS, get_metric
from tests.tasks.metrics import cases
from tests.tasks.metrics.cases import Case


def out_of_fold(metric: str, task: str, truth: Any, predictions: Any) -> OutOfFold:
    return OutOfFold(
        get_metric(metric, task), task, np.asarray(truth), np.asarray(predictions, np.float32)
    )


def own_thresholds(data: OutOfFold) -> Decision:
    return deciding.by_label(data, best_index(deciding.common_curve(data)))


def rare_labels(seed: int, images: int = 600) -> Case:
    """Eight labels of 3 to 40 % whose probabilities are all too low, each by its own factor."""
    rng = np.random.default_rng(seed)
    shares = np.linspace(0.03, 0.4, 8)
    truth = (rng.random((images, 8)) < shares).astype(np.float64)
    scores = rng.normal(0, 1, truth.shape) + 2.2 * truth
    probabilities = np.linspace(0.3, 1, 8) / (1 + np.exp(2.5 - 2 * scores))
    return Case(truth, probabilities.astype(np.float32))


@given(cases.labels(unknown=True, outputs=3), st.sampled_from(["macro", "micro", "samples"]))
@settings(max_examples=30)
def test_the_common_curve_is_the_score_at_each_threshold(case: Case, average: str) -> None:
    data = out_of_fold(f"{average}_f1", "multilabel", *case)
    curve = deciding.common_curve(data)
    for index in range(0, 255, 17):
        score = data.score(Decision(float(THRESHOLDS[index])))
        assert curve[index] == pytest.approx(-np.inf if score is None else score)


@pytest.mark.parametrize("name", ["macro_f1", "micro_f1", "samples_f2"])
def test_thresholds_by_label_are_worth_more_on_other_images(name: str) -> None:
    here, there = (out_of_fold(name, "multilabel", *rare_labels(seed)) for seed in (1, 2))
    chosen = choose(here, None)
    common = Decision(float(THRESHOLDS[np.argmax(deciding.common_curve(here))]))
    scores = [there.score(decision) or 0 for decision in (chosen.decision, common, Decision(0.5))]
    if name == "macro_f1":
        assert isinstance(chosen.decision.threshold, tuple)
    assert scores[0] >= scores[1] - 0.02
    assert scores[0] > scores[2] + 0.03
    # What is said of other images is near to what they score.
    assert chosen.cross_fitted == pytest.approx(scores[0], abs=0.03)
    assert chosen.score is not None
    assert chosen.cross_fitted is not None
    assert chosen.score >= chosen.cross_fitted


def test_labels_of_few_examples_share_the_common_threshold() -> None:
    truth, found = rare_labels(3)
    truth[:, 2] = 0
    truth[:9, 2] = 1
    data = out_of_fold("macro_f1", "multilabel", truth, found)
    threshold = own_thresholds(data).threshold
    assert isinstance(threshold, tuple)
    common = THRESHOLDS[np.argmax(deciding.common_curve(data))]
    assert threshold[2] == common
    truth[9, 2] = 1
    data = out_of_fold("macro_f1", "multilabel", truth, found)
    own = own_thresholds(data).threshold
    assert isinstance(own, tuple)
    assert own[2] != THRESHOLDS[np.argmax(deciding.common_curve(data))]


@pytest.mark.parametrize("name", ["macro_f1", "micro_f1", "samples_f1"])
def test_thresholds_by_label_never_score_less_than_the_common_one(name: str) -> None:
    for seed in range(3):
        data = out_of_fold(name, "multilabel", *rare_labels(seed, images=120))
        common = Decision(float(THRESHOLDS[np.argmax(deciding.common_curve(data))]))
        own = data.score(own_thresholds(data))
        assert own is not None
        assert own >= (data.score(common) or 0) - 1e-12


def test_a_threshold_of_the_users_own_is_taken() -> None:
    data = out_of_fold("macro_f1", "multilabel", *rare_labels(1))
    chosen = choose(data, 0.3)
    assert chosen.decision == Decision(77 / 256)
    assert chosen.cross_fitted is None
    assert chosen.score == data.score(Decision(77 / 256))


def test_accuracy_keeps_one_half_unless_asked() -> None:
    data = out_of_fold("accuracy", "multilabel", *rare_labels(1))
    assert choose(data, None).decision == Decision(0.5)
    automatic = choose(data, "auto")
    assert automatic.decision.threshold != 0.5
    assert (automatic.score or 0) > (choose(data, None).score or 0)


def test_an_image_gets_a_label_where_that_is_better() -> None:
    rng = np.random.default_rng(0)
    truth = np.eye(4)[rng.integers(0, 4, 200)]
    # Half of the images are seen so badly that nothing is above any good threshold.
    found = rng.uniform(0, 0.3, truth.shape) + truth * rng.choice([0.05, 0.6], (200, 1))
    data = out_of_fold("samples_f1", "multilabel", truth, found)
    assert choose(data, None, some_label="auto").decision.at_least_one
    assert not choose(data, None, some_label="never").decision.at_least_one
    assert choose(data, 0.9, some_label="always").decision == Decision(230 / 256, at_least_one=True)


def test_probabilities_need_no_decision() -> None:
    data = out_of_fold("roc_auc", "binary", [[0], [1]], [[0.2], [0.6]])
    chosen = choose(data, None)
    assert (chosen.decision, chosen.score, chosen.cross_fitted) == (Decision(0.5), 1.0, None)


# Grades


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=1, max_size=9),
)
@settings(max_examples=50)
def test_cuts_are_never_worse_than_rounding(pairs: list[tuple[int, int]]) -> None:
    values = np.array([value / 8 for value, _ in pairs])
    truth = np.array([grade for _, grade in pairs])

    def kappa(cuts: tuple[float, ...]) -> float:
        answers = Decision(None, cuts=cuts).answers("regression", values[:, None])
        return quadratic_kappa(truth, answers) or 0.0

    cuts = best_cuts(values, truth, 0, 4)
    assert list(cuts) == sorted(cuts)
    assert kappa(cuts) >= kappa(middle_cuts(0, 4)) - 1e-12


def test_cuts_are_the_best_of_all_in_a_small_case() -> None:
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 3, 40)
    values = 0.4 * truth + rng.normal(0, 0.1, 40) + 0.6  # drawn to the middle
    answers = {
        cuts: quadratic_kappa(truth, np.searchsorted(cuts, values))
        for cuts in itertools.combinations(np.unique(values).tolist(), 2)
    }
    cuts = best_cuts(values, truth, 0, 3)
    assert quadratic_kappa(truth, np.searchsorted(cuts, values)) == pytest.approx(
        max(score or 0 for score in answers.values())
    )


def test_cuts_that_do_as_well_stay_in_the_middle() -> None:
    assert best_cuts(np.array([0.1, 1.2, 1.8]), np.array([0, 1, 2]), 0, 3) == (0.5, 1.5)
    assert best_cuts(np.array([]), np.array([], np.int64), 0, 3) == (0.5, 1.5)


def test_grades_from_one_never_become_nought() -> None:
    cuts = middle_cuts(1, 4)
    assert cuts == (NEVER, 1.5, 2.5)
    values = np.array([[-7.0], [1.6], [9.0]], np.float32)
    assert Decision(None, cuts=cuts).answers("regression", values).tolist() == [1, 2, 3]


def test_grades_learned_as_a_number_are_cut_out_of_fold() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400).astype(np.float64)[:, None]
    found = 2 + 0.5 * (truth - 2) + rng.normal(0, 0.2, truth.shape)
    data = out_of_fold("quadratic_kappa", "regression", truth, found)
    grades = count_grades(data, Card("regression", ("y",), metric="quadratic_kappa"), truth)
    assert grades == 5
    chosen = choose(data, None, grades=grades)
    rounded = data.score(Decision(None, cuts=middle_cuts(0, 5)))
    assert rounded is not None
    assert chosen.score is not None
    assert chosen.cross_fitted is not None
    assert chosen.score > chosen.cross_fitted > rounded + 0.1


def test_classes_are_cut_where_the_expected_grade_is_better() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 400)
    centre = truth[:, None] + rng.normal(0, 0.9, (400, 1))
    odds = np.exp(-((np.arange(5) - centre) ** 2) / 4) + rng.exponential(0.3, (400, 5))
    data = out_of_fold(
        "quadratic_kappa", "multiclass", truth, odds / odds.sum(axis=1, keepdims=True)
    )
    chosen = choose(data, None, grades=5)
    assert chosen.decision.cuts
    assert (chosen.score or 0) > (data.score(Decision(None)) or 0)
    # A network that is right needs none.
    sure = out_of_fold("quadratic_kappa", "multiclass", truth, np.eye(5)[truth])
    assert choose(sure, None, grades=5).decision == Decision(None)


@pytest.mark.parametrize(
    ("card", "truth"),
    [
        (Card("multiclass", ("y",), ("low", "high")), [0, 1]),
        (Card("multiclass", ("y",), ("1", "2", "4")), [0, 1]),
        (Card("regression", ("y",)), [[0.5]]),
        (Card("regression", ("y",)), [[-1.0]]),
        (Card("regression", ("y",)), [[5000.0]]),
    ],
)
def test_what_is_no_grade_is_refused(card: Card, truth: Any) -> None:
    data = out_of_fold("quadratic_kappa", card.task, truth, np.zeros((len(truth), 1)))
    with pytest.raises(DataError, match="quadratic_kappa counts how far grades are apart"):
        count_grades(data, card, np.array(truth))


def test_a_constant_of_thousands_of_classes_takes_a_row() -> None:
    data = out_of_fold("macro_f1", "multiclass", np.zeros(2000, np.int64), np.zeros((2000, 5000)))
    training = np.repeat([[0.0], [4999.0], [4999.0], [7.0]], 1000, axis=0)
    tracemalloc.start()
    constant = constant_predictions(data, training)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert constant.shape == (2000, 5000)
    assert constant[-1, [0, 7, 4999, 1]].tolist() == [0.25, 0.25, 0.5, 0]
    assert peak < 1e6


def test_a_constant_is_what_the_training_targets_say() -> None:
    training = np.array([[1.0], [2.0], [6.0], [np.nan]])
    for name, constant in (("rmse", 3.0), ("mae", 2.0), ("rmsle", 42 ** (1 / 3) - 1)):
        data = out_of_fold(name, "regression", np.zeros((2, 1)), np.zeros((2, 1)))
        found = constant_predictions(data, training)
        assert found == pytest.approx(np.full((2, 1), constant), rel=1e-6)
    data = out_of_fold("log_loss", "multiclass", [0, 1], np.zeros((2, 3)))
    shares = constant_predictions(data, np.array([[0.0], [0.0], [2.0], [1.0]]))
    assert shares.tolist() == [[0.5, 0.25, 0.25]] * 2


@pytest.mark.parametrize(
    ("name", "task"),
    [(n, t) for n, spec in METRICS.items() for t in spec.tasks if t != "segmentation"],
)
def test_every_metric_has_a_decision_and_a_baseline(name: str, task: str) -> None:
    rng = np.random.default_rng(1)
    if task == "multiclass":
        truth: Any = rng.integers(0, 7, 80)
        odds = rng.exponential(1, (80, 7)) + 2 * np.eye(7)[truth]
        found, training = odds / odds.sum(axis=1, keepdims=True), truth[:, None]
    elif task == "regression":
        truth = training = rng.integers(0, 4, (80, 1 if name == "quadratic_kappa" else 2))
        found = truth + rng.normal(0, 0.5, truth.shape)
    else:
        truth = training = rng.integers(0, 2, (80, 1 if task == "binary" else 3))
        found = np.clip(0.25 + 0.5 * truth + rng.normal(0, 0.2, truth.shape), 0, 1)
    data = out_of_fold(name, task, truth, found)
    grades = 7 if name == "quadratic_kappa" else 0
    chosen = choose(data, None, grades=grades)
    constant = OutOfFold(data.spec, task, data.truth, constant_predictions(data, training))
    baseline = choose(constant, None, grades=grades).score
    assert chosen.score is not None
    assert baseline is not None
    is_higher = chosen.score > baseline
    assert chosen.score != baseline
    assert is_higher == (data.spec.best == "max")
