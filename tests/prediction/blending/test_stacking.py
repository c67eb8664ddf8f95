import numpy as np
import pytest
from sklearn.metrics import log_loss

from darkroom.prediction.blending.stacking import fit_stack


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def labels(seed: int, images: int = 2000) -> tuple[np.ndarray, list[np.ndarray]]:
    """Two labels by a good member of half the logits that it should give, and one of noise."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (images, 2))
    truth = (rng.random((images, 2)) < sigmoid(logits)).astype(np.float64)
    noise = rng.random((images, 2))
    return truth, [sigmoid(logits / 2).astype(np.float32), noise.astype(np.float32)]


def test_a_timid_member_is_calibrated_and_noise_is_left_out() -> None:
    truth, members = labels(0)
    (model, _) = fit_stack("multilabel", members, truth).models  # type: ignore[attr-defined]
    assert model.coefficients[0] == pytest.approx([2, 0], abs=0.15)
    assert model.intercepts == pytest.approx([0], abs=0.15)
    later, others = labels(1)
    stacked = fit_stack("multilabel", members, truth)(others)
    assert log_loss(later[:, 0], stacked[:, 0]) < log_loss(later[:, 0], others[0][:, 0]) - 0.02


def test_unknown_labels_say_nothing() -> None:
    truth, members = labels(0, 400)
    gaps = truth.copy()
    gaps[200:] = np.nan
    of_gaps, of_half = (
        fit_stack("multilabel", some, known)(members)
        for some, known in ((members, gaps), ([m[:200] for m in members], truth[:200]))
    )
    assert (of_gaps == of_half).all()


def test_a_label_of_few_examples_has_the_mean() -> None:
    members = [np.full((9, 1), value, np.float32) for value in (0.25, 0.75)]
    truth = np.eye(9)[:, :1]
    assert (fit_stack("binary", members, truth)(members) == 0.5).all()


def test_classes_that_a_member_confuses_are_told_apart() -> None:
    """The first member knows class 0 alone, the second tells 1 from 2: together they know all."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600)
    first = np.where((truth == 0)[:, None], [0.8, 0.1, 0.1], [0.2, 0.4, 0.4])
    second = np.select(
        [(truth == 1)[:, None], (truth == 2)[:, None]],
        [np.array([0.3, 0.5, 0.2]), np.array([0.3, 0.2, 0.5])],
        np.array([0.4, 0.3, 0.3]),
    )
    members = [first.astype(np.float32), second.astype(np.float32)]
    stacked = fit_stack("multiclass", members, truth.astype(np.float64))(members)
    assert (stacked.argmax(axis=1) == truth).all()
    assert stacked.sum(axis=1) == pytest.approx(np.ones(600), abs=1e-6)


@pytest.mark.parametrize("shown", [1, 2])
def test_a_class_that_no_image_shows_keeps_its_probability(shown: int) -> None:
    truth = np.arange(40) % shown
    members = [np.tile(np.array([0.5, 0.3, 0.2], np.float32), (40, 1))] * 2
    stacked = fit_stack("multiclass", members, truth.astype(np.float64))(members)
    assert stacked[:, 2] == pytest.approx(np.full(40, 0.2))
    assert stacked.sum(axis=1) == pytest.approx(np.ones(40), abs=1e-6)


def test_soft_classes_count_as_the_greatest() -> None:
    truth = np.tile([[0.9, 0.1], [0.2, 0.8]], (30, 1))
    members = [np.tile(np.array([[0.6, 0.4], [0.4, 0.6]], np.float32), (30, 1))]
    stacked = fit_stack("multiclass", members, truth)(members)
    assert (stacked.argmax(axis=1) == truth.argmax(axis=1)).all()


def test_a_target_is_a_line_of_its_members() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(5, 2, (500, 1))
    members = [(2 * truth + 1).astype(np.float32), rng.normal(0, 1, (500, 1)).astype(np.float32)]
    assert fit_stack("regression", members, truth)(members) == pytest.approx(truth, abs=0.01)
    unknown = np.where(np.arange(500)[:, None] < 498, np.nan, truth)
    mean = fit_stack("regression", members, unknown)(members)
    assert mean == pytest.approx(np.mean(members, axis=0), abs=1e-5)
