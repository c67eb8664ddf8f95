"""The score by which epochs are compared."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from darkroom.errors import DataError
from darkroom.tasks.metrics.epochs import EpochMetric, MaskEpochMetric, Part
from darkroom.tasks.metrics.specs import get_metric
from darkroom.tasks.planes import MaskClasses


def epoch_metric(name: str, task: str) -> EpochMetric:
    return EpochMetric(get_metric(name, task), task)


def test_macro_f1_is_that_of_the_best_common_threshold() -> None:
    truth = np.array([[1, 0], [1, 1], [0, 0], [0, 0]], np.float64)
    found = np.array([[0.3, 0.1], [0.28, 0.3], [0.1, 0.2], [0.2, 0.1]], np.float32)
    assert epoch_metric("macro_f1", "multilabel").score(truth, found) == 1
    # At one half nothing is present; accuracy is of one half.
    assert epoch_metric("accuracy", "multilabel").score(truth, found) == 5 / 8
    assert epoch_metric("f2", "binary").score(truth[:, :1], found[:, :1]) == 1


def test_a_kappa_of_numbers_is_that_of_the_best_cuts() -> None:
    truth = np.array([[0.0], [1], [2], [3], [np.nan]])
    found = np.array([[1.0], [1.2], [1.4], [1.6], [9.0]], np.float32)
    assert epoch_metric("quadratic_kappa", "regression").score(truth, found) == 1
    classes = epoch_metric("quadratic_kappa", "multiclass")
    assert classes.score(np.array([0, 1]), np.eye(2, dtype=np.float32)) == 1


@pytest.mark.parametrize("name", ["macro_f1", "balanced_accuracy", "quadratic_kappa", "gap"])
def test_of_many_classes_only_what_counts_is_kept_of_a_batch(name: str) -> None:
    metric, rng = epoch_metric(name, "multiclass"), np.random.default_rng(5)
    truth = rng.integers(0, 100, 300)
    scores = rng.integers(0, 9, (300, 100)).astype(np.float32)  # ties too
    scores[np.arange(200), truth[:200]] += 5
    shares = scores / scores.sum(axis=1, keepdims=True)
    parts: list[Part] = []
    for batch in (slice(150), slice(150, 300)):
        kept = metric.arrays(torch.from_numpy(shares[batch]), torch.from_numpy(truth[batch]))
        parts.append(([f"{n:03}" for n in range(300)[batch]], *kept))
        assert sum(each.nbytes for each in kept) <= 150 * 16
    assert 0 < metric.score_parts(parts[::-1]) == metric.score(truth, shares) < 1


def test_masks_are_counted_over_all_images() -> None:
    truth = torch.tensor([[[[1, 1, 0]]], [[[0, 0, 1]]]], dtype=torch.uint8)
    found = torch.tensor([[[[0.4, 0.3, 0.1]]], [[[0.3, 0.0, 0.3]]]])
    metric = MaskEpochMetric(get_metric("mean_iou", "segmentation"), "segmentation")
    parts = [([str(i)], *metric.arrays(found[[i]], truth[[i]])) for i in range(2)]
    # Above 1/4 or 1/8: all three pixels of the truth, and one too many.
    assert metric.score_parts(parts) == 3 / 4
    with pytest.raises(DataError, match="found: 1 images without a mask"):
        metric.score(*metric.arrays(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)))


def test_exclusive_masks_are_of_the_most_probable_class() -> None:
    # Two classes, and a plane of unknown pixels.
    truth = torch.tensor([[[[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]]]], dtype=torch.uint8)
    found = torch.tensor([[[[0.6, 0.3, 0.9]], [[0.4, 0.7, 0.1]]]])
    classes = MaskClasses(exclusive=True)
    metric = MaskEpochMetric(
        get_metric("mean_iou", "segmentation"), "segmentation", classes=classes
    )
    assert metric.score(*metric.arrays(found, truth)) == 1


def test_the_order_of_images_and_parts_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    parts: list[Any] = [
        ([f"{part}{i}" for i in range(3)], rng.integers(0, 2, (3, 1)) * 1.0, rng.random((3, 1)))
        for part in "cab"
    ]
    metric = epoch_metric("log_loss", "binary")
    scores = {metric.score_parts(order) for order in itertools.permutations(parts)}
    assert len(scores) == 1, "equal to the bit"


def test_what_is_not_defined_is_refused_with_what_there_is() -> None:
    message = (
        "data.metric: roc_auc is not defined on the validation images\n"
        "  found: 2 images: 2 of 1\n"
        "  expected: images that differ in what is to be predicted\n"
        "  to do: split otherwise"
    )
    with pytest.raises(DataError, match=message):
        epoch_metric("roc_auc", "binary").score(np.ones((2, 1)), np.full((2, 1), 0.5, np.float32))
    with pytest.raises(DataError, match="found: 2 images, values from 3 to 3"):
        epoch_metric("r2", "regression").score(np.full((2, 1), 3.0), np.zeros((2, 1), np.float32))
    with pytest.raises(DataError, match="found: 1 images, none with a known target"):
        epoch_metric("rmse", "regression").score(
            np.full((1, 1), np.nan), np.zeros((1, 1), np.float32)
        )
