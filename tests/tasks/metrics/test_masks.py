"""Metrics of masks, objects and stacks, against plain definitions and other libraries."""

import tracemalloc

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial.distance import directed_hausdorff
from sklearn.metrics import f1_score, jaccard_score

from darkroom.tasks.metrics import masks, objects

Masks = NDArray[np.bool_]

COUNTED = ("dice", "iou", "mask_iou_precision", "global_dice", "mean_iou")


@st.composite
def pairs(draw: st.DrawFn, images: int = 3, classes: int = 2) -> tuple[Masks, Masks]:
    """Truth and answer (n, K, 2, 3), often empty."""
    shape = (images, classes, 2, 3)
    size = int(np.prod(shape))
    flags = [st.lists(st.sampled_from([False, False, True]), min_size=size, max_size=size)] * 2
    truth, answer = (np.array(draw(one)).reshape(shape) for one in flags)
    return truth, answer


def counts(truth: Masks, answer: Masks) -> tuple[NDArray[np.int64], ...]:
    return tuple(part.sum(axis=(2, 3)) for part in (truth & answer, answer, truth))


@given(pairs())
def test_scores_of_images_agree_with_scikit_learn(pair: tuple[Masks, Masks]) -> None:
    dice, iou = (masks.masks_score(name, *counts(*pair)) for name in ("dice", "iou"))
    rows = [part.reshape(6, 6) for part in pair]
    both = list(zip(*rows, strict=True))
    assert dice == pytest.approx(np.mean([f1_score(t, a, zero_division=1.0) for t, a in both]))
    assert iou == pytest.approx(np.mean([jaccard_score(t, a, zero_division=1.0) for t, a in both]))


@given(pairs())
def test_scores_of_all_pixels_agree_with_scikit_learn(pair: tuple[Masks, Masks]) -> None:
    columns = [part.swapaxes(0, 1).reshape(2, -1) for part in pair]
    used = [(t, a) for t, a in zip(*columns, strict=True) if t.any() or a.any()]
    for name, score in (("global_dice", f1_score), ("mean_iou", jaccard_score)):
        expected = np.mean([score(t, a) for t, a in used]) if used else None
        assert masks.masks_score(name, *counts(*pair)) == pytest.approx(expected)


def test_mean_iou_agrees_with_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    truth, answer = rng.integers(0, 3, (2, 4, 8, 8))
    one_hot = [np.moveaxis(np.eye(3, dtype=bool)[part], -1, 1) for part in (truth, answer)]
    expected = tm.classification.multiclass_jaccard_index(
        torch.tensor(answer), torch.tensor(truth), num_classes=3
    )
    score = masks.masks_score("mean_iou", *counts(one_hot[0], one_hot[1]))
    assert score == pytest.approx(float(expected))


def test_precision_of_one_mask_by_hand() -> None:
    hits, answered, areas = (
        np.array([part]).T for part in ([3, 0, 0, 5], [3, 0, 2, 5], [4, 0, 0, 5])
    )
    # An IoU of 0.75 exceeds 0.5 to 0.7; both empty: 1; one empty: 0; the same: 1.
    scores = masks.image_scores("mask_iou_precision", hits, answered, areas)
    assert scores.ravel().tolist() == [0.5, 1, 0, 1]


def test_thresholds_stand_behind() -> None:
    rng = np.random.default_rng(1)
    areas, answered = rng.integers(5, 9, (4, 2)), rng.integers(5, 9, (4, 2, 3))
    hits = rng.integers(0, 5, (4, 2, 3))
    for name in COUNTED:
        whole = masks.class_scores(name, hits, answered, areas)
        for t in range(3):
            one = masks.class_scores(name, hits[..., t], answered[..., t], areas)
            assert whole[:, t] == pytest.approx(one)


def test_nothing_at_all() -> None:
    nothing = (np.zeros((2, 1), np.int64),) * 3
    assert [masks.masks_score(name, *nothing) for name in COUNTED] == [1, 1, 1, None, None]
    assert masks.masks_score("dice_hausdorff", *nothing) is None


# Objects


def plain_counts(truth: NDArray[np.int64], answer: NDArray[np.int64]) -> list[list[int]]:
    """Count as the pages of the competitions say: a pair of masks at a time."""
    truths, answers = ([part == n for n in np.unique(part[part > 0])] for part in (truth, answer))
    rows = []
    for level in masks.IOU_LEVELS:
        matched = sum(any((t & a).sum() / (t | a).sum() > level for a in answers) for t in truths)
        rows.append([matched, len(answers) - matched, len(truths) - matched])
    return rows


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=12, max_size=12))
def test_objects_are_counted_by_pairs_of_masks(cells: list[tuple[int, int]]) -> None:
    truth, answer = np.array(cells).T.reshape(2, 3, 4)
    assert objects.count_objects(truth, answer).tolist() == plain_counts(truth, answer)


def test_thousands_of_specks_take_no_table_of_all_pairs() -> None:
    """As a network answers that has learned nothing yet: 400 MB for 10,000 specks otherwise."""
    answer = np.zeros((200, 200), np.int64)
    answer[::2, ::2] = np.arange(1, 10_001).reshape(100, 100)
    truth = np.arange(1, 5001).repeat(8).reshape(200, 200)
    tracemalloc.start()
    counted = objects.count_objects(truth, answer)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counted.tolist() == [[0, 10_000, 5000]] * 10
    assert peak < 10e6


def test_object_scores_by_hand() -> None:
    counts_ = np.array([[[2, 1, 1]] * 5 + [[0, 3, 3]] * 5, [[0, 0, 0]] * 10, [[0, 1, 0]] * 10])
    precision = objects.object_scores("iou_precision", counts_)
    assert precision.tolist() == [0.25, 1, 0]
    f2 = objects.object_scores("f2_iou", counts_)
    assert f2.tolist() == [pytest.approx(10 / 15 / 2), 1, 0]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=24, max_size=24),
)
def test_a_stack_has_the_hausdorff_distance_of_scipy(cells: list[tuple[bool, bool]]) -> None:
    truth, answer = np.array(cells).T.reshape(2, 2, 3, 4)
    distance = objects.stack_distance(truth, answer)
    if not truth.any() or not answer.any():
        assert distance == 1
        return
    a, b = (np.argwhere(stack) / stack.shape for stack in (truth, answer))
    expected = max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0]) / np.sqrt(3)
    assert distance == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_distance_of_a_large_stack_is_that_of_a_distance_transform(seed: int) -> None:
    """In which whole blocks are left out of the search."""
    rng = np.random.default_rng(seed)
    shape = (3, 150, 140)
    stacks = np.zeros((2, *shape), np.uint8)
    for stack in stacks:
        for _ in range(4):
            top, left = rng.integers(0, 120, 2)
            stack[rng.integers(3) :, top : top + 30, left : left + 20] = 1
    stacks[1, rng.integers(3), rng.integers(150), rng.integers(140)] ^= 1
    spacing = [1 / side for side in shape]
    far = [
        distance_transform_edt(1 - other, sampling=spacing)[one > 0].max()
        for one, other in (stacks, stacks[::-1])
    ]
    assert objects.stack_distance(*stacks) == pytest.approx(max(far) / np.sqrt(3), abs=1e-12)


@pytest.mark.parametrize(
    ("image_id", "stack"),
    [
        ("case2_day0_slice_0001", "case2_day0_slice_"),
        ("7.png", ".png"),
        ("a12b3.png", "a12b.png"),
        ("whole", "whole"),
    ],
)
def test_the_stack_of_a_slice(image_id: str, stack: str) -> None:
    assert objects.stack_name(image_id) == stack
