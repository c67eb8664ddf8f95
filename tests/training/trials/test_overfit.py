"""Which images are learned by heart, what perfect answers cost, and what targets say nothing."""

import numpy as np
import pytest
import torch

from darkroom.errors import DataError
from darkroom.tasks.losses.build import build_loss
from darkroom.tasks.planes import MaskClasses
from darkroom.training.fit import Objective
from darkroom.training.trials.overfit import (
    choose_masks,
    choose_rows,
    perfect_outputs,
    require_differences,
)


def test_rows_differ_as_much_as_they_can() -> None:
    classes = np.array([0, 0, 0, 1, 1, 2])
    assert choose_rows(classes, range(6), 3) == [0, 3, 5]
    assert choose_rows(classes, range(6), 4) == [0, 1, 3, 5], "filled up with others"
    assert choose_rows(classes, [1, 2, 4], 8) == [1, 2, 4]
    values = np.arange(10.0)[::-1].reshape(10, 1)
    assert choose_rows(values, range(10), 3) == [0, 5, 9], "the least, a middle, the greatest"


def masks(*kinds: str) -> np.ndarray:
    """Return masks uint8 (n, 1, 4, 4): empty, full, or with a square."""
    planes = np.zeros((len(kinds), 1, 4, 4), np.uint8)
    for number, kind in enumerate(kinds):
        planes[number, :, : {"empty": 0, "full": 4, "square": 2}[kind], :2] = 1
        if kind == "full":
            planes[number] = 1
    return planes


def test_masks_that_show_something_come_first() -> None:
    parts = [masks("empty", "square"), masks("full", "square"), masks("square")]
    assert choose_masks(iter(parts), [3, 4, 5, 6, 7], 1, 2) == [4, 6]
    assert choose_masks(iter(parts), [3, 4, 5, 6, 7], 1, 4) == [3, 4, 6, 7]


@pytest.mark.parametrize("kind", ["empty", "full"])
def test_masks_that_are_all_alike_are_refused(kind: str) -> None:
    with pytest.raises(DataError, match=f"the masks of all 2 training images are {kind}"):
        choose_masks(iter([masks(kind, kind)]), [0, 1], 1)


@pytest.mark.parametrize(
    ("task", "targets", "outputs", "least"),
    [
        ("multiclass", torch.tensor([2, 0]), 3, 0.0),
        # Shares: their entropy.
        ("multiclass", torch.tensor([[0.25, 0.75]]), 2, 0.5623),
        ("multilabel", torch.tensor([[1.0, 0.0]]), 2, 0.0),
        ("binary", torch.tensor([[0.5]]), 1, 0.6931),
        ("regression", torch.tensor([[3.0, -7.0]]), 2, 0.0),
    ],
)
def test_the_loss_of_perfect_answers(
    task: str, targets: torch.Tensor, outputs: int, least: float
) -> None:
    objective = Objective(task, scale=[1.0, 2.0] if task == "regression" else None)
    perfect = perfect_outputs(targets, outputs, objective)
    assert float(objective.loss_module()(perfect, targets)) == pytest.approx(least, abs=1e-4)


@pytest.mark.parametrize("loss", ["bce", "dice", "bce_dice", "focal", "lovasz", "boundary"])
def test_the_loss_of_perfect_masks_is_zero(loss: str) -> None:
    targets = torch.from_numpy(masks("square", "full", "square"))
    objective = Objective("segmentation", build_loss("segmentation", loss))
    perfect = perfect_outputs(targets, 1, objective)
    assert float(objective.loss_module()(perfect, targets)) == pytest.approx(0, abs=1e-4)


def test_the_loss_of_perfect_exclusive_classes_is_zero() -> None:
    squares = torch.from_numpy(masks("square"))
    targets = torch.cat([squares, squares.flip(3)], dim=1)
    classes = MaskClasses(exclusive=True, background=True)
    objective = Objective("segmentation", classes=classes)
    perfect = perfect_outputs(targets, 3, objective)
    assert perfect.argmax(1).equal(targets[:, 0] + 2 * targets[:, 1].long())
    assert float(objective.loss_module()(perfect, targets)) == pytest.approx(0, abs=1e-4)


def test_targets_that_say_nothing_are_refused() -> None:
    with pytest.raises(DataError, match="the same targets, so there is nothing") as caught:
        require_differences(np.array([[1.0, 0.0], [1.0, 0.0]]), "multilabel", ("hat", "tie"))
    assert "hat 1, tie 0" in str(caught.value)
    require_differences(np.array([[1.0, 0.0], [1.0, 1.0]]), "multilabel", ("hat", "tie"))
    with pytest.raises(DataError, match="labels are of another scale: tie") as caught:
        require_differences(np.array([[1.0, 0.0], [0.0, 255.0]]), "multilabel", ("hat", "tie"))
    assert "0 to 255" in str(caught.value)
