"""Blends of members whose errors are known, and what is never fitted to its own answers."""

import numpy as np
import pytest

from darkroom.prediction.blending.fitting import Blend, fit_blend
from darkroom.prediction.blending.labels import LabelSample
from darkroom.prediction.blending.masks import MaskSample
from darkroom.prediction.blending.mixes import WeightedMean
from darkroom.tasks.metrics.specs import get_metric

FOLDS = np.arange(240) % 3
PLACES = np.arange(240) // 3
TRUTH = np.random.default_rng(5).integers(0, 2, (240, 1)).astype(np.float64)


def labels(
    *members: np.ndarray, metric: str = "log_loss", folds: np.ndarray = FOLDS
) -> LabelSample:
    arrays = tuple(member.astype(np.float32) for member in members)
    return LabelSample(get_metric(metric, "binary"), "binary", TRUTH, arrays, folds)


def wrong_at(rows: np.ndarray) -> np.ndarray:
    """Return sure predictions, unsure and wrong on some rows."""
    right = np.where(TRUTH > 0, 0.95, 0.05)
    return np.where(rows[:, None], 0.5 + 0.1 * np.sign(0.5 - TRUTH), right)


def out_of_fold(blend: Blend, sample: LabelSample) -> np.ndarray:
    mixed = np.empty_like(sample.members[0])
    for fold in np.unique(sample.folds).tolist():
        rows = sample.folds == fold
        mixed[rows] = blend.mix_validation(fold, [m[rows] for m in sample.members], 0)
    return mixed


def weights(blend: Blend) -> tuple[float, ...]:
    assert isinstance(blend.whole, WeightedMean)
    return blend.whole.weights


@pytest.mark.parametrize("method", ["greedy", "convex", "mean"])
def test_disjoint_errors_are_mended(method: str) -> None:
    thirds = [np.arange(240) // 3 % 3 == k for k in range(3)]
    sample = labels(*map(wrong_at, thirds), metric="accuracy")
    assert all(((member > 0.5) == TRUTH).mean() < 0.7 for member in sample.members)
    mixed = out_of_fold(fit_blend(method, sample, PLACES, 0), sample)
    assert ((mixed > 0.5) == TRUTH).all()


@pytest.mark.parametrize("method", ["greedy", "convex"])
def test_a_useless_member_has_no_weight(method: str) -> None:
    noise = np.random.default_rng(1).random((240, 1))
    blend = fit_blend(method, labels(wrong_at(np.zeros(240, bool)), noise), PLACES, 0)
    assert weights(blend) == pytest.approx((1, 0), abs=1e-3)


@pytest.mark.parametrize("method", ["greedy", "convex", "stack"])
def test_what_a_fold_says_of_itself_is_not_used(method: str) -> None:
    """The first member has learned fold 0 by heart, and knows nothing of the others."""
    rng = np.random.default_rng(2)
    by_heart = np.where(FOLDS[:, None] == 0, TRUTH, rng.random((240, 1)))
    honest = np.where(TRUTH > 0, 0.7, 0.3) + rng.normal(0, 0.05, (240, 1))
    sample = labels(np.clip(by_heart, 0.001, 0.999), honest)
    blend = fit_blend(method, sample, PLACES, 0)
    own = blend.mix_validation(0, [member[FOLDS == 0] for member in sample.members], 0)
    others = blend.mix_validation(1, [member[FOLDS == 0] for member in sample.members], 0)
    truth = TRUTH[FOLDS == 0]
    error, error_of_others = (np.abs(mixed - truth).mean() for mixed in (own, others))
    assert error > error_of_others + 0.02


@pytest.mark.parametrize("method", ["greedy", "convex", "stack", "rank", "mean"])
def test_the_answers_of_a_fold_do_not_change_its_own_predictions(method: str) -> None:
    rng = np.random.default_rng(3)
    sample = labels(rng.random((240, 1)), wrong_at(rng.random(240) < 0.3))
    flipped = np.where(FOLDS[:, None] == 1, 1 - TRUTH, TRUTH)
    one, other = (
        fit_blend(
            method, LabelSample(sample.spec, "binary", truth, sample.members, FOLDS), PLACES, 0
        )
        for truth in (TRUTH, flipped)
    )
    members = [member[FOLDS == 1] for member in sample.members]
    assert (one.mix_validation(1, members, 0) == other.mix_validation(1, members, 0)).all()
    assert (one.mix_test(1, members) == other.mix_test(1, members)).all()
    if method not in ("rank", "mean"):
        assert (one.mix_test("all", members) != other.mix_test("all", members)).any()


def test_of_one_fold_each_half_has_the_mix_of_the_other() -> None:
    """The first member is right on even images, the second on odd ones: each half is misled."""
    even = np.arange(240) % 2 == 0
    sample = labels(wrong_at(~even), wrong_at(even), folds=np.zeros(240, np.int64))
    blend = fit_blend("greedy", sample, np.arange(240), 0)
    members = list(sample.members)
    mixed = blend.mix_validation(0, members, 0)
    assert ((mixed > 0.5) != TRUTH).all()
    parts = [blend.mix_validation(0, [m[i : i + 7] for m in members], i) for i in range(0, 240, 7)]
    assert (np.concatenate(parts) == mixed).all()
    tested = blend.mix_test(0, members)
    assert ((tested > 0.5) == TRUTH).all()


def test_every_second_image_of_a_single_fold_may_be_sampled() -> None:
    """The same, of a sample whose numbers are all even: its halves are those of the sample."""
    even = np.arange(240) % 2 == 0
    sample = labels(wrong_at(~even), wrong_at(even), folds=np.zeros(240, np.int64))
    blend = fit_blend("greedy", sample, np.arange(240) * 2, 0)
    doubled = [np.repeat(member, 2, axis=0) for member in sample.members]
    assert ((blend.mix_validation(0, doubled, 0) > 0.5) != np.repeat(TRUTH, 2, axis=0)).all()


def test_a_fold_without_answers_is_mixed_by_what_the_others_say() -> None:
    even = np.arange(240) % 2 == 0
    sample = labels(wrong_at(~even), wrong_at(even & ~even), folds=np.arange(240) // 120)
    blend = fit_blend("greedy", sample, np.arange(240) % 120, 0)
    members = list(sample.members)
    assert (blend.mix_validation(2, members, 0) == blend.whole(members)).all()


def test_a_single_image_has_the_mix_of_itself() -> None:
    sample = LabelSample(
        get_metric("rmse", "regression"),
        "regression",
        np.ones((1, 1)),
        (np.array([[1]], np.float32), np.array([[9]], np.float32)),
        np.zeros(1, np.int64),
    )
    blend = fit_blend("greedy", sample, np.zeros(1), 0)
    assert blend.mix_validation(0, list(sample.members), 0).tolist() == [[1]]


def test_weights_of_masks() -> None:
    """Of three members one is noise; the other two miss halves of each mask."""
    rng = np.random.default_rng(0)
    truth = np.zeros((12, 1, 64), np.uint8)
    truth[..., 16:48] = 1
    left, right = truth * 230, truth * 230
    left[..., 16:32], right[..., 32:48] = 90, 90
    noise = rng.integers(0, 256, truth.shape).astype(np.uint8)
    folds = np.arange(12) % 3
    sample = MaskSample("dice", truth, (left, noise, right), None, folds, threshold=0.5)
    blend = fit_blend("greedy", sample, np.arange(12) // 3, 0)
    chosen = weights(blend)
    assert chosen[1] < 0.1
    assert chosen[0] == pytest.approx(chosen[2], abs=0.1)
    masks = [np.float32(1 / 255) * member[..., None] for member in sample.members]
    assert ((blend.mix_validation(0, masks, 0) > 0.5) == truth[..., None]).all()
