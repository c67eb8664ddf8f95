"""Known answers first: losses and metrics worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from darkroom.tasks import TASKS, count_dice, mask_loss


def measure(task: str, probabilities: Tensor, targets: Tensor, metric: int = 0) -> float:
    figure = TASKS[task].metrics[metric]
    total, count = figure.sum_and_count(probabilities, targets)
    return figure.finish(float(total) / count)


def test_five_tasks_each_with_a_source() -> None:
    assert list(TASKS) == ["segmentation", "multilabel", "multiclass", "binary", "regression"]
    assert all(task.source and task.targets and task.answers for task in TASKS.values())
    assert {n: (t.monitor.name, t.monitor.best) for n, t in TASKS.items()} == {
        "segmentation": ("dice", "max"),
        "multilabel": ("accuracy", "max"),
        "multiclass": ("accuracy", "max"),
        "binary": ("accuracy", "max"),
        "regression": ("rmse", "min"),
    }


def test_dice_of_two_by_two_is_one_half() -> None:
    found = torch.tensor([[[0.9, 0.8], [0.1, 0.2]]])
    truth = torch.tensor([[[1, 0], [1, 0]]], dtype=torch.uint8)
    assert measure("segmentation", found, truth) == 0.5


@pytest.mark.parametrize(
    ("found", "truth", "dice"), [(0.1, 0, 1.0), (0.9, 0, 0.0), (0.1, 1, 0.0), (0.9, 1, 1.0)]
)
def test_dice_of_empty_and_full_masks(found: float, truth: int, dice: float) -> None:
    masks = torch.full((1, 3, 3), truth, dtype=torch.uint8)
    assert measure("segmentation", torch.full((1, 3, 3), found), masks) == dice


def test_dice_is_averaged_over_images_not_pixels() -> None:
    truth = torch.zeros(2, 4, 4, dtype=torch.uint8)
    truth[0] = 1  # sixteen pixels found, against one missed
    truth[1, 0, 0] = 1
    found = torch.stack([torch.ones(4, 4), torch.zeros(4, 4)])
    assert measure("segmentation", found, truth) == 0.5


@given(st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1))
def test_dice_agrees_with_sets(found: int, truth: int) -> None:
    a, b = ({i for i in range(16) if bits >> i & 1} for bits in (found, truth))
    expected = 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0
    masks = [
        torch.tensor([[bits >> i & 1 for i in range(16)]]).view(1, 4, 4) for bits in (found, truth)
    ]
    total, count = count_dice(masks[0].float(), masks[1].to(torch.uint8))
    assert count == 1
    assert float(total) == pytest.approx(expected, abs=1e-6)


def test_mask_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[[[4.0, 1.0]]]]))  # probabilities 0.8 and 0.5
    masks = torch.tensor([[[1, 0]]], dtype=torch.uint8)
    entropy = -(math.log(0.8) + math.log(0.5)) / 2
    dice = (2 * 0.8 + 1) / (0.8**2 + 0.5**2 + 1 + 1)
    assert float(mask_loss(logits, masks)) == pytest.approx(entropy + 1 - dice, abs=1e-6)


def test_mask_loss_of_a_batch_is_the_mean_of_its_images() -> None:
    logits = torch.randn(3, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    masks = (torch.arange(105).view(3, 5, 7) % 4 == 0).to(torch.uint8)
    single = [float(mask_loss(logits[i : i + 1], masks[i : i + 1])) for i in range(3)]
    assert float(mask_loss(logits, masks)) == pytest.approx(sum(single) / 3, abs=1e-6)


def test_mask_loss_wants_nothing_where_there_is_nothing() -> None:
    empty = torch.zeros(1, 4, 4, dtype=torch.uint8)
    low, high = (float(mask_loss(torch.full((1, 1, 4, 4), v), empty)) for v in (-20.0, 20.0))
    assert low == pytest.approx(0, abs=1e-6)
    assert high > 20


def test_label_loss_and_accuracy_by_hand() -> None:
    task = TASKS["multilabel"]
    logits = torch.log(torch.tensor([[4.0, 1.0, 0.25]]))  # 0.8, 0.5, 0.2
    labels = torch.tensor([[1.0, 1.0, 1.0]])
    expected = -(math.log(0.8) + math.log(0.5) + math.log(0.2)) / 3
    assert float(task.loss(logits, labels)) == pytest.approx(expected, abs=1e-6)
    # One half is not more than one half.
    assert measure("multilabel", task.activate(logits), labels) == pytest.approx(1 / 3)


def test_class_loss_and_accuracy_by_hand() -> None:
    task = TASKS["multiclass"]
    logits = torch.log(torch.tensor([[1.0, 2.0, 5.0], [6.0, 1.0, 1.0]]))
    classes = torch.tensor([2, 1])
    expected = -(math.log(5 / 8) + math.log(1 / 8)) / 2
    assert float(task.loss(logits, classes)) == pytest.approx(expected, abs=1e-6)
    found = task.activate(logits)
    assert torch.allclose(found, torch.tensor([[1, 2, 5], [6, 1, 1]]) / 8)
    assert measure("multiclass", found, classes) == 0.5


def test_values_by_hand() -> None:
    task = TASKS["regression"]
    found, truth = torch.tensor([[1.0], [2.0]]), torch.tensor([[4.0], [6.0]])
    assert float(task.loss(found, truth)) == 12.5
    assert measure("regression", task.activate(found), truth) == pytest.approx(math.sqrt(12.5))
    assert measure("regression", found, truth, metric=1) == 3.5


@pytest.mark.parametrize("task", TASKS)
def test_half_precision_logits_give_single_precision(task: str) -> None:
    shape = (2, 1, 4, 4) if task == "segmentation" else (2, 3)
    targets = {
        "segmentation": torch.zeros(2, 4, 4, dtype=torch.uint8),
        "multiclass": torch.zeros(2, dtype=torch.int64),
    }.get(task, torch.zeros(2, 3))
    logits = torch.zeros(shape, dtype=torch.bfloat16)
    found = TASKS[task].activate(logits)
    assert found.dtype == torch.float32
    assert found.shape == ((2, 4, 4) if task == "segmentation" else (2, 3))
    assert TASKS[task].loss(logits, targets).dtype == torch.float32


def test_decoding() -> None:
    found = np.array([[0.2, 0.5, 0.7]], np.float32)
    assert TASKS["multilabel"].decode(found, 0.5).tolist() == [[0, 0, 1]]
    assert TASKS["segmentation"].decode(found[None], 0.3).tolist() == [[[0, 1, 1]]]
    assert TASKS["multiclass"].decode(found, 0.5).tolist() == [2]
    assert TASKS["regression"].decode(found, 0.5) is found
    assert TASKS["binary"].decode(found, 0.5).dtype == np.uint8
