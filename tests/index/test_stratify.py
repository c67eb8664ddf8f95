"""Dealing units into folds: cases by hand, then the bounds that must hold."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.index.split import deal


def dealt(sizes: list[int], labels: list[list[int]], count: int, seed: int = 0) -> list[int]:
    counts = np.array(labels, np.int64).reshape(len(sizes), -1)
    folds = deal(np.array(sizes, np.int64), counts, count, np.random.default_rng(seed))
    return [int(fold) for fold in folds]


def test_the_largest_unit_is_dealt_first() -> None:
    folds = dealt([1, 1, 1, 3], [[]] * 4, 2)
    assert folds[3] == 0
    assert folds[:3] == [1, 1, 1]


def test_two_classes_are_halved() -> None:
    labels = [[1, 0]] * 4 + [[0, 1]] * 2
    folds = dealt([1] * 6, labels, 2)
    assert sorted(folds[:4]) == [0, 0, 1, 1]
    assert sorted(folds[4:]) == [0, 1]


def test_rows_without_a_label_fill_up_the_smaller_folds() -> None:
    folds = dealt([1] * 6, [[1], [1], [0], [0], [0], [0]], 3)
    assert np.bincount(folds).tolist() == [2, 2, 2]
    assert folds[0] != folds[1]


def test_a_rare_label_goes_before_a_common_one() -> None:
    labels = [[1, 1], [1, 1]] + [[1, 0]] * 4
    for seed in range(20):
        folds = dealt([1] * 6, labels, 2, seed)
        assert folds[0] != folds[1]
        assert sorted(folds) == [0, 0, 0, 1, 1, 1]


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=60),
    count=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_without_labels_folds_differ_by_a_unit_at_most(
    sizes: list[int], count: int, seed: int
) -> None:
    folds = dealt(sizes, [[]] * len(sizes), count, seed)
    images = np.bincount(folds, weights=sizes, minlength=count)
    assert images.max() - images.min() <= max(sizes)
    assert images.sum() == sum(sizes)


@settings(max_examples=100, deadline=None)
@given(
    classes=st.lists(st.integers(0, 3), min_size=6, max_size=80),
    count=st.integers(2, 6),
    seed=st.integers(0, 9),
)
def test_each_class_is_spread_to_within_one_image(
    classes: list[int], count: int, seed: int
) -> None:
    labels = [[int(each == k) for k in range(4)] for each in classes]
    folds = np.array(dealt([1] * len(classes), labels, count, seed))
    for k in range(4):
        spread = np.bincount(folds[np.array(classes) == k], minlength=count)
        assert spread.max() - spread.min() <= 1
    assert np.bincount(folds, minlength=count).min() >= 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 5))
def test_attributes_of_many_images_are_shared_evenly(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.uniform(0.02, 0.9, 12)
    labels = (rng.random((400, 12)) < shares).astype(np.int64)
    folds = deal(np.ones(400, np.int64), labels, count, rng)
    sizes = np.bincount(folds, minlength=count)
    assert sizes.max() - sizes.min() <= 10
    for k in range(12):
        spread = np.bincount(folds[labels[:, k] == 1], minlength=count)
        assert np.abs(spread - labels[:, k].sum() / count).max() <= 5
