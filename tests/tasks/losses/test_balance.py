"""Balanced weights by hand, and what they do to a loss."""

import numpy as np
import pytest
import torch

from darkroom.errors import DataError, ParamsError
from darkroom.tasks.losses.build import balanced_weights, build


def test_classes_by_hand() -> None:
    targets = np.array([0, 0, 0, 1, 2, 2])
    assert balanced_weights("multiclass", targets, classes=3) == pytest.approx(
        [6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2)]
    )
    assert balanced_weights("multiclass", targets) == balanced_weights(
        "multiclass", targets, classes=3
    )


def test_labels_by_hand() -> None:
    targets = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.float32)
    assert balanced_weights("multilabel", targets) == pytest.approx([1 / 3, 3.0])
    assert balanced_weights("binary", targets[:, 1:], classes=2) == pytest.approx([3.0])


def test_every_class_weighs_the_same_in_all_and_an_image_one_on_average() -> None:
    targets = np.random.default_rng(1).choice(4, size=500, p=[0.7, 0.2, 0.07, 0.03])
    weights = np.array(balanced_weights("multiclass", targets, classes=4))
    each = weights[targets]
    shares = [each[targets == k].sum() for k in range(4)]
    assert shares == pytest.approx([125.0] * 4)
    assert each.mean() == pytest.approx(1)
    loss = build("multiclass", class_weights=weights.tolist())
    blind = torch.zeros(500, 4)
    assert float(loss(blind, torch.from_numpy(targets))) == pytest.approx(np.log(4), rel=1e-5)


def test_yes_and_no_weigh_the_same_in_all() -> None:
    targets = (np.random.default_rng(1).random((300, 3)) < [0.1, 0.5, 0.9]).astype(np.float32)
    loss = build("multilabel", class_weights=balanced_weights("multilabel", targets))
    logits = torch.zeros(300, 3, requires_grad=True)
    loss(logits, torch.from_numpy(targets)).backward()
    # What the yes pull up, the no pull down.
    assert logits.grad is not None
    assert logits.grad.sum(0).tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_class_without_an_image_is_refused() -> None:
    with pytest.raises(DataError, match="no training image shows a class") as caught:
        balanced_weights("multiclass", np.array([0, 2, 2]), classes=5)
    for words in ("none for output 1, 3, 4, from 0", "a list of numbers, or to null"):
        assert words in str(caught.value)


@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_all_or_none_have_is_refused(value: int) -> None:
    targets = np.array([[1, value], [0, value]])
    with pytest.raises(DataError, match="a yes or a no of a label") as caught:
        balanced_weights("multilabel", targets)
    assert "none for output 1" in str(caught.value)


@pytest.mark.parametrize("task", ["segmentation", "regression"])
def test_only_labels_are_balanced(task: str) -> None:
    with pytest.raises(ParamsError, match=f"{task} has no classes to balance"):
        balanced_weights(task, np.zeros((2, 1)))
