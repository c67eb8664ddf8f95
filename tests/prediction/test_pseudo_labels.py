"""Pseudo-labels of predictions with answers known beforehand."""

import numpy as np
import pytest

from darkroom.prediction.pseudo_labels import label_targets, mask_targets
from darkroom.tasks.planes import MaskClasses

nan = np.nan


def floats(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_a_class_is_the_most_probable_one_the_first_of_equals() -> None:
    targets, certainty = label_targets(
        floats([0.125, 0.875, 0], [0.5, 0, 0.5], [0.25, 0.25, 0.5]), "multiclass", 0.9
    )
    assert targets.dtype == np.int64
    assert targets.tolist() == [1, 0, 2]
    assert certainty.tolist() == [0.875, 0.5, 0.5]


def test_soft_classes_are_the_probabilities() -> None:
    shares = floats([0.25, 0.75])
    targets, certainty = label_targets(shares, "multiclass", 0.5, soft=True)
    assert targets.tolist() == [[0.25, 0.75]]
    assert certainty.tolist() == [0.75]


def test_labels_are_present_absent_or_unknown_column_by_column() -> None:
    values = floats([0.75, 0.25, 0.5], [0.5, 0.625, 0.375], [1, 0, 0.7])
    targets, certainty = label_targets(values, "multilabel", 0.75)
    np.testing.assert_array_equal(targets, [[1, 0, nan], [nan, nan, nan], [1, 0, nan]])
    assert certainty.tolist() == [0.75, 0.625, 1]
    assert targets.dtype == np.float32


@pytest.mark.parametrize("confidence", [0.5, 0.7, 0.9, 0.99, 1.0])
def test_an_image_is_as_certain_as_its_surest_label_is_known(confidence: float) -> None:
    values = np.random.default_rng(1).random((500, 3), np.float32)
    values[:50] = values[:50].round(1)
    targets, certainty = label_targets(values, "multilabel", confidence)
    has_label = ~np.isnan(targets).all(axis=1)
    np.testing.assert_array_equal(has_label, certainty >= np.float32(confidence))


def test_values_are_taken_as_they_are() -> None:
    targets, certainty = label_targets(floats([3.5, -2], [0, 9]), "regression", None)
    assert targets.tolist() == [[3.5, -2], [0, 9]]
    assert certainty.tolist() == [1, 1]


def test_a_mask_is_as_certain_as_its_mean_pixel() -> None:
    planes = np.array([[[[0.875, 0.25], [0.5, 1]]]], np.float32)
    masks, certainty = mask_targets(planes, np.array([[2, 2]]), "stretch", MaskClasses())
    assert masks.tolist() == [[[[1, 0], [0, 1]]]]
    assert certainty.tolist() == [(0.875 + 0.75 + 0.5 + 1) / 4]


def test_padding_counts_for_nothing_and_is_of_no_class() -> None:
    # An image twice as wide as high is shown in the middle two of four rows.
    planes = np.full((1, 1, 4, 4), 0.75, np.float32)
    planes[:, :, [0, 3]] = 1
    masks, certainty = mask_targets(planes, np.array([[10, 20]]), "pad", MaskClasses())
    assert masks[0, 0].tolist() == [[0] * 4, [1] * 4, [1] * 4, [0] * 4]
    assert certainty.tolist() == [0.75]


def test_of_exclusive_classes_the_greatest_counts_and_the_background_is_one() -> None:
    planes = np.array([[[[0.5, 0.125, 0.25]], [[0.25, 0.125, 0.625]]]], np.float32)
    originals = np.array([[1, 3]])
    masks, certainty = mask_targets(planes, originals, "stretch", MaskClasses(True, True))
    assert masks[0].tolist() == [[[1, 0, 0]], [[0, 0, 1]]]
    assert certainty.tolist() == pytest.approx([(0.5 + 0.75 + 0.625) / 3])
    masks, certainty = mask_targets(planes, originals, "stretch", MaskClasses(True, False))
    assert masks[0].tolist() == [[[1, 1, 0]], [[0, 0, 1]]]
    assert certainty.tolist() == pytest.approx([(0.5 + 0.125 + 0.625) / 3])
