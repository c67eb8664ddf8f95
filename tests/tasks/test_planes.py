"""Mask classes: probabilities, answers, and the pixels that count."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from darkroom.prediction.decision import Decision
from darkroom.tasks.metrics.sums import count_dice
from darkroom.tasks.planes import OVERLAPPING, MaskClasses
from darkroom.tasks.table import TASKS, get_task

BACKED, FULL = MaskClasses(True, True), MaskClasses(True, False)


def test_a_background_is_what_the_classes_leave_of_one() -> None:
    logits = torch.log(torch.tensor([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])).T.reshape(1, 3, 1, 2)
    found = BACKED.activate(logits)
    assert torch.allclose(found, torch.tensor([[[[0.5, 0.2]], [[0.3, 0.1]]]]))
    assert BACKED.decode(found[0].numpy(), 0.5).tolist() == [[[1, 0]], [[0, 0]]]
    assert torch.allclose(FULL.activate(logits).sum(1), torch.ones(1, 1, 2))
    assert torch.equal(OVERLAPPING.activate(logits), torch.sigmoid(logits))


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_answers_are_those_that_the_submission_writes(seed: int, background: bool) -> None:
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.ones(4), (5, 6)).astype(np.float32).transpose(2, 0, 1)
    classes = MaskClasses(True, background)
    chances = chances[1:] if background else chances
    expected = Decision().masks(chances, exclusive=True, background=background)
    answer = classes.decode(chances, 0.5)
    assert np.array_equal(answer, expected)
    assert answer.dtype == np.uint8
    assert answer.sum(0).max() <= 1
    batch = classes.answers(torch.from_numpy(chances)[None])
    assert np.array_equal(batch[0].numpy(), expected)


def test_overlapping_classes_have_a_threshold_each() -> None:
    chances = np.full((2, 2, 1, 1), 0.4, np.float32)
    assert OVERLAPPING.decode(chances, 0.3).tolist() == [[[[1]], [[1]]]] * 2
    assert OVERLAPPING.decode(chances, np.array([0.3, 0.5])).tolist() == [[[[1]], [[0]]]] * 2


@pytest.mark.parametrize("classes", [OVERLAPPING, BACKED])
def test_the_last_plane_tells_what_is_unknown(classes: MaskClasses) -> None:
    targets = torch.zeros(1, 3, 1, 4, dtype=torch.uint8)
    masks, known = classes.split_unknown(targets, 3)
    assert masks.shape == (1, 3, 1, 4)
    assert known is None
    targets[0, 2, 0, 1] = 1
    masks, known = classes.split_unknown(targets, 2)
    assert masks.shape == (1, 2, 1, 4)
    assert known is not None
    assert known.tolist() == [[[[True, False, True, True]]]]


def test_without_a_background_a_pixel_of_no_class_is_unknown() -> None:
    targets = torch.tensor([[[[1, 0, 0]], [[0, 1, 0]]]])
    _, known = FULL.split_unknown(targets, 2)
    assert known is not None
    assert known.tolist() == [[[[True, True, False]]]]


def test_dice_of_exclusive_classes_leaves_unknown_pixels_out() -> None:
    # Four pixels: a, b, none, unknown. Found: a, a, b, b.
    truth = torch.tensor([[[[1, 0, 0, 0]], [[0, 1, 0, 0]], [[0, 0, 0, 1]]]])
    found = torch.tensor([[[[0.9, 0.375, 0.1, 0.0]], [[0.0, 0.25, 0.6, 0.9]]]])
    total, count = count_dice(found, truth, classes=BACKED)
    # At 0.375 + 0.25 the background's 0.375 is as great: none. So a: 1 of 1, b: 0 of 1 + 1.
    assert (float(total), count) == (1.0, 2)
    total, _ = count_dice(found, truth[:, :2], classes=FULL)
    assert float(total) == pytest.approx(2 / 3), "a: 2 found of 1; b: none; the others do not count"


def test_a_task_of_exclusive_classes_has_its_own_answers() -> None:
    task = get_task("segmentation", classes=BACKED)
    assert task.classes == BACKED
    assert task.monitor.name == "dice"
    assert task.activate(torch.zeros(1, 3, 2, 2)).shape == (1, 2, 2, 2)
    assert get_task("segmentation") is TASKS["segmentation"]


@pytest.mark.parametrize("classes", [BACKED, FULL])
def test_a_pixel_beyond_a_crop_has_no_class(classes: MaskClasses) -> None:
    chances = np.array([[[0.6, 0.0]], [[0.3, 0.0]]], np.float32)
    assert classes.decode(chances, 0.5).tolist() == [[[1, 0]], [[0, 0]]]
