"""Metrics worked out by hand, and however images are batched."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from darkroom.tasks.metrics.sums import count_dice
from darkroom.tasks.table import TASKS
from tests.tasks.losses.cases import case


def measure(task: str, probabilities: Tensor, targets: Tensor, metric: int = 0) -> float:
    figure = TASKS[task].metrics[metric]
    total, count = figure.sum_and_count(probabilities, targets)
    return figure.finish(float(total) / count)


def test_dice_of_two_by_two_is_one_half() -> None:
    found = torch.tensor([[[[0.9, 0.8], [0.1, 0.2]]]])
    truth = torch.tensor([[[[1, 0], [1, 0]]]], dtype=torch.uint8)
    assert measure("segmentation", found, truth) == 0.5


@pytest.mark.parametrize(
    ("found", "truth", "dice"), [(0.1, 0, 1.0), (0.9, 0, 0.0), (0.1, 1, 0.0), (0.9, 1, 1.0)]
)
def test_dice_of_empty_and_full_masks(found: float, truth: int, dice: float) -> None:
    masks = torch.full((1, 1, 3, 3), truth, dtype=torch.uint8)
    assert measure("segmentation", torch.full((1, 1, 3, 3), found), masks) == dice


def test_dice_is_averaged_over_images_not_pixels() -> None:
    truth = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    truth[0] = 1  # sixteen pixels found, against one missed
    truth[1, 0, 0, 0] = 1
    found = torch.stack([torch.ones(1, 4, 4), torch.zeros(1, 4, 4)])
    assert measure("segmentation", found, truth) == 0.5


def test_dice_of_classes_is_averaged_over_images_and_classes() -> None:
    truth = torch.tensor([[[[1, 1]], [[0, 0]]], [[[1, 0]], [[0, 1]]]], dtype=torch.uint8)
    found = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]], [[[0.0, 0.0]], [[1.0, 1.0]]]])
    total, count = count_dice(found, truth)  # 2/3 and 1, 0 and 2/3
    assert count == 4
    assert float(total) == pytest.approx(7 / 3)


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_dice_agrees_with_sets(found: int, truth: int) -> None:
    a, b = ({i for i in range(16) if bits >> i & 1} for bits in (found, truth))
    expected = 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0
    masks = [
        torch.tensor([[bits >> i & 1 for i in range(16)]]).view(1, 1, 4, 4)
        for bits in (found, truth)
    ]
    total, count = count_dice(masks[0].float(), masks[1].to(torch.uint8))
    assert count == 1
    assert float(total) == pytest.approx(expected, abs=1e-6)


def test_accuracy_of_labels_by_hand() -> None:
    found = TASKS["multilabel"].activate(torch.log(torch.tensor([[4.0, 1.0, 0.25]])))
    assert torch.allclose(found, torch.tensor([[0.8, 0.5, 0.2]]))
    # One half is not more than one half.
    assert measure("multilabel", found, torch.ones(1, 3)) == pytest.approx(1 / 3)


def test_accuracy_of_soft_labels_by_hand() -> None:
    found, soft = torch.tensor([[0.8, 0.8, 0.2, 0.2]]), torch.tensor([[0.6, 0.3, 0.3, 0.5]])
    assert measure("multilabel", found, soft) == 0.75


def test_accuracy_of_classes_by_hand() -> None:
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0], [6.0, 1.0, 1.0]]))
    found = TASKS["multiclass"].activate(logits)
    assert torch.allclose(found, torch.tensor([[1, 2, 5], [6, 1, 1]]) / 8)
    assert measure("multiclass", found, torch.tensor([2, 1])) == 0.5


def test_accuracy_of_soft_classes_by_hand() -> None:
    found = torch.tensor([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    soft = torch.tensor([[0.4, 0.0, 0.6], [0.7, 0.3, 0.0]])
    assert measure("multiclass", found, soft) == 1
    assert measure("multiclass", found, soft.flip(0)) == 0
    # Of equal shares the first one counts.
    assert measure("multiclass", found, torch.tensor([[0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])) == 0.5


def test_values_by_hand_in_the_units_of_the_table() -> None:
    found, truth = torch.tensor([[100.0], [200.0]]), torch.tensor([[400.0], [600.0]])
    assert measure("regression", TASKS["regression"].activate(found), truth) == pytest.approx(
        math.sqrt(125000)
    )
    assert measure("regression", found, truth, metric=1) == 350


@pytest.mark.parametrize("task", TASKS)
def test_metrics_do_not_depend_on_how_images_are_batched(task: str) -> None:
    logits, targets = case(task, images=7)
    found = TASKS[task].activate(logits)
    for metric in TASKS[task].metrics:
        whole = metric.sum_and_count(found, targets)
        parts = [
            metric.sum_and_count(found[part], targets[part])
            for part in (slice(0, 1), slice(1, 5), slice(5, 7))
        ]
        assert sum(float(total) for total, _ in parts) == pytest.approx(float(whole[0]), rel=1e-6)
        assert sum(count for _, count in parts) == whole[1]
