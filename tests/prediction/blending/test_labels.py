import numpy as np
import pytest

from darkroom.prediction.blending import labels
from darkroom.prediction.blending.labels import LabelSample, sample_rows
from darkroom.tasks.metrics.specs import get_metric

ALL = np.arange(4)
SURE, UNSURE = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def sample(
    metric: str, task: str, truth: object, *members: object, **options: object
) -> LabelSample:
    arrays = tuple(np.asarray(member, np.float32) for member in members)
    truth = np.asarray(truth, np.float64)
    return LabelSample(get_metric(metric, task), task, truth, arrays, ALL, **options)  # type: ignore[arg-type]


BINARY = np.array([[1.0], [1], [0], [0]])
GOOD, BAD = [[0.9], [0.8], [0.2], [0.1]], [[0.1], [0.2], [0.8], [0.9]]


@pytest.mark.parametrize(
    ("metric", "good", "bad"), [("roc_auc", 1, 0), ("accuracy", 1, 0.5), ("f1", 1, 2 / 3)]
)
def test_the_score_at_the_best_threshold(metric: str, good: float, bad: float) -> None:
    """At no threshold is the bad one better than to answer all, or nothing, present."""
    score = sample(metric, "binary", BINARY, GOOD, BAD, threshold="auto").scorer(ALL)
    assert [score(SURE), score(UNSURE)] == pytest.approx([good, bad])


def test_less_is_better_of_an_error() -> None:
    score = sample("rmse", "regression", BINARY, BINARY, BINARY + 2).scorer(ALL)
    assert (score(SURE), score(UNSURE), score((SURE + UNSURE) / 2)) == (0, -2, -1)


def test_a_given_threshold_is_kept() -> None:
    score = sample("accuracy", "binary", BINARY, np.array(GOOD) / 2, threshold=0.5).scorer(ALL)
    assert score(np.ones(1)) == 0.5


def test_some_images_alone() -> None:
    score = sample("roc_auc", "binary", BINARY, GOOD)
    assert score.scorer(np.array([0, 1]))(np.ones(1)) == -np.inf  # all are present
    assert score.scorer(np.array([0, 3]))(np.ones(1)) == 1


def test_grades_have_the_shares_of_the_truth() -> None:
    """A network that is drawn to the middle: rounded, its grades are all 1."""
    truth, values = [[0], [1], [1], [2]], [[0.8], [0.9], [1.1], [1.2]]
    score = sample("quadratic_kappa", "regression", truth, values, grades=3).scorer(ALL)
    assert score(np.ones(1)) == 1


def test_all_images_are_taken_where_they_are_few() -> None:
    assert sample_rows([0, 1, 0], 5).tolist() == [0, 1, 2]


def test_of_many_images_each_fold_has_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "CELLS", 40)
    folds = np.arange(1000) % 4
    rows = sample_rows(folds.tolist(), 2)
    assert np.bincount(folds[rows]).tolist() == [5, 5, 5, 5]
    assert (np.diff(rows) > 0).all()
