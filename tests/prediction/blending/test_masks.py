import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.prediction.blending import masks
from darkroom.prediction.blending.masks import MaskSample, choose_images, choose_pixels
from darkroom.tasks.metrics.masks import masks_score
from darkroom.tasks.planes import MaskClasses

FIRST, EQUAL = np.array([1.0, 0.0]), np.array([0.5, 0.5])


def sample(truth: object, *members: object, **options: object) -> MaskSample:
    truth = np.asarray(truth, np.uint8)
    arrays = tuple(np.asarray(member, np.uint8) for member in members)
    values = {"metric": "dice", "is_known": None, "folds": np.arange(len(truth))} | options
    return MaskSample(truth=truth, members=arrays, **values)  # type: ignore[arg-type]


def test_dice_at_the_best_threshold() -> None:
    """Bytes 100 and 200 of 255: at 1/16 both are there, at 8/16 the second alone."""
    score = sample([[[0, 1, 0]]], [[[100, 200, 0]]]).scorer(np.arange(1))
    assert score(np.ones(1)) == 1
    at_low = sample([[[0, 1, 0]]], [[[100, 200, 0]]], threshold=0.1).scorer(np.arange(1))
    assert at_low(np.ones(1)) == pytest.approx(2 / 3)


def test_members_of_disjoint_errors_are_better_together() -> None:
    """Each misses a pixel and invents one, where the other is sure."""
    truth = [[[1, 1, 0, 0]]]
    one, other = [[[100, 255, 0, 150]]], [[[255, 100, 150, 0]]]
    score = sample(truth, one, other, threshold=0.5).scorer(np.arange(1))
    assert (score(FIRST), score(EQUAL)) == (0.5, 1)


def test_unknown_pixels_do_not_count() -> None:
    known = np.array([[True, True, False]])
    score = sample([[[0, 1, 0]]], [[[0, 200, 200]]], is_known=known).scorer(np.arange(1))
    assert score(np.ones(1)) == 1


def test_of_exclusive_classes_the_greatest_counts() -> None:
    classes = MaskClasses(exclusive=True, background=True)
    truth, member = [[[1, 0, 0], [0, 1, 0]]], [[[120, 60, 20], [40, 90, 30]]]
    score = sample(truth, member, classes=classes, metric="mean_iou").scorer(np.arange(1))
    assert score(np.ones(1)) == pytest.approx((1 + 0) / 2)  # the background has 105 of 255


@given(st.integers(0, 10**6), st.sampled_from(["dice", "iou", "global_dice", "mean_iou"]))
@settings(max_examples=20, deadline=None)
def test_counts_are_those_of_each_threshold(seed: int, metric: str) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, (3, 2, 12))
    members = [rng.integers(0, 256, (3, 2, 12)) for _ in range(2)]
    score = sample(truth, *members, metric=metric).scorer(np.arange(3))
    mixed = np.sum([np.float32(0.5 / 255) * m.astype(np.uint8) for m in members], axis=0)
    scores = []
    for level in range(1, 16):
        answers = mixed > level / 16
        hits, answered = (answers & (truth > 0)).sum(axis=2), answers.sum(axis=2)
        scores.append(masks_score(metric, hits, answered, truth.sum(axis=2)))
    assert score(EQUAL) == pytest.approx(max(s for s in scores if s is not None))


def test_objects_are_stood_for_by_dice() -> None:
    score = sample([[[1, 1, 0, 0]]], [[[200, 0, 0, 0]]], metric="iou_precision")
    assert score.scorer(np.arange(1))(np.ones(1)) == pytest.approx(2 / 3)


def test_images_are_spread_over_the_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masks, "IMAGES", 6)
    folds = np.repeat([0, 1, 2], 20)
    assert np.bincount(folds[choose_images(folds.tolist())]).tolist() == [2, 2, 2]
    assert choose_images([0, 0, 1]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("images", "classes"), [(1, 1), (256, 1), (100, 4)])
def test_pixels_are_as_many_as_the_bound_allows(images: int, classes: int) -> None:
    rows, columns = choose_pixels(images, classes, 640, 960)
    counted = len(range(640)[rows]) * len(range(960)[columns]) * images * classes
    assert counted <= masks.PIXELS
    assert rows.step == 1 or counted > masks.PIXELS / 2
