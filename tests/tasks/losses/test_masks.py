"""Losses of masks: worked out by hand, by brute force, or by a library that counts one image."""

import math
from collections.abc import Callable
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from darkroom.tasks.losses import masks
from darkroom.tasks.planes import MaskClasses
from tests.tasks.losses.cases import case

# Probabilities 0.8, 0.5 and 0.2 as logits, of which the first two are mask.
LOGITS = torch.log(torch.tensor([[[[4.0, 1.0, 0.25]]]]))
MASK = torch.tensor([[[[1, 1, 0]]]], dtype=torch.uint8)


def full(level: float, side: int = 4) -> Tensor:
    return torch.full((1, 1, side, side), level)


def test_bce_by_hand() -> None:
    expected = -(math.log(0.8) + math.log(0.5) + math.log(0.8)) / 3
    assert float(masks.bce(LOGITS, MASK)) == pytest.approx(expected, abs=1e-6)


def test_dice_by_hand() -> None:
    dice = (2 * 1.3 + 1) / (0.64 + 0.25 + 0.04 + 2 + 1)
    assert float(masks.dice(LOGITS, MASK)) == pytest.approx(1 - dice, abs=1e-6)


def test_focal_by_hand() -> None:
    right = [0.8, 0.5, 0.8]
    plain = -sum((1 - p) ** 3 * math.log(p) for p in right) / 3
    assert float(masks.focal(LOGITS, MASK, gamma=3)) == pytest.approx(plain, abs=1e-6)
    weighed = -sum(
        w * (1 - p) ** 3 * math.log(p) for w, p in zip([0.9, 0.9, 0.1], right, strict=True)
    )
    found = masks.focal(LOGITS, MASK, gamma=3, alpha=0.9)
    assert float(found) == pytest.approx(weighed / 3, abs=1e-6)


def test_tversky_by_hand() -> None:
    right, alarmed, missed = 1.3, 0.2, 0.7
    cases: list[tuple[dict[str, Any], float, float]] = [
        ({}, 0.3, 0.7),
        ({"alpha": 2.0, "beta": 0.5}, 2, 0.5),
    ]
    for options, alpha, beta in cases:
        index = (right + 1) / (right + 1 + alpha * alarmed + beta * missed)
        assert float(masks.tversky(LOGITS, MASK, **options)) == pytest.approx(1 - index, abs=1e-6)


def test_one_image_as_a_library_counts_it() -> None:
    logits, truth = case("segmentation")
    for i in range(len(truth)):
        one, mask = logits[i : i + 1], truth[i : i + 1]
        assert mask.any()
        pairs = [
            (
                masks.tversky(one, mask, alpha=0.2, beta=0.9),
                smp.losses.TverskyLoss("binary", alpha=0.2, beta=0.9, smooth=1.0),
            ),
            (masks.focal(one, mask, alpha=0.3), smp.losses.FocalLoss("binary", alpha=0.3)),
            (masks.lovasz(one, mask), smp.losses.LovaszLoss("binary", per_image=True)),
        ]
        for ours, theirs in pairs:
            assert float(ours) == pytest.approx(float(theirs(one, mask)), abs=1e-6)


ALL = [masks.bce, masks.dice, masks.bce_dice, masks.focal, masks.tversky, masks.lovasz]


@pytest.mark.parametrize("loss", [*ALL, masks.boundary])
def test_several_classes_are_the_mean_of_each(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    logits, truth = case("segmentation", images=6)
    alone = [float(loss(logits[i : i + 1], truth[i : i + 1])) for i in range(6)]
    together = loss(logits.view(2, 3, 6, 5), truth.view(2, 3, 6, 5))
    assert float(together) == pytest.approx(np.mean(alone), rel=1e-5)


@pytest.mark.parametrize("loss", [masks.dice, masks.tversky, masks.bce, masks.focal, masks.lovasz])
def test_nothing_is_wanted_where_there_is_nothing(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    empty = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    assert float(loss(full(-20), empty)) == pytest.approx(0, abs=1e-6)
    assert float(loss(full(20), empty)) > 0.8
    assert float(loss(full(20), empty + 1)) == pytest.approx(0, abs=1e-6)
    assert float(loss(full(-20), empty + 1)) > 0.8


def iou_lost(truth: NDArray[np.int64], wrong: NDArray[np.bool_]) -> float:
    """Return 1 - IoU of a mask in which these pixels are wrong."""
    found = truth.astype(bool) ^ wrong
    union = np.count_nonzero(found | truth.astype(bool))
    return 1 - np.count_nonzero(found & truth.astype(bool)) / union if union else 0.0


def hinge(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the Lovász hinge as the greatest over all orders of pixels.

    The extension of a submodular set function is the greatest product with a vertex of its base
    polytope, and each order of the pixels gives a vertex (Edmonds 1970).
    """
    errors = np.maximum(1 - scores * (2 * truth - 1), 0)
    best = 0.0
    for order in permutations(range(len(scores))):
        wrong, before, total = np.zeros(len(scores), bool), 0.0, 0.0
        for pixel in order:
            wrong[pixel] = True
            lost = iou_lost(truth, wrong)
            total, before = total + errors[pixel] * (lost - before), lost
        best = max(best, total)
    return best


@given(
    st.lists(st.tuples(st.integers(-12, 12), st.integers(0, 1)), min_size=1, max_size=5),
)
def test_lovasz_against_every_order_of_pixels(pixels: list[tuple[int, int]]) -> None:
    scores = np.array([score / 4 for score, _ in pixels])
    truth = np.array([value for _, value in pixels])
    found = masks.lovasz(
        torch.tensor(scores, dtype=torch.float32).view(1, 1, 1, -1),
        torch.tensor(truth, dtype=torch.uint8).view(1, 1, 1, -1),
    )
    assert float(found) == pytest.approx(hinge(scores, truth), abs=1e-5)


@pytest.mark.parametrize("bits", range(2**4))
def test_lovasz_of_a_hard_answer_is_twice_what_its_iou_lacks(bits: int) -> None:
    # Logits of ±1 have hinge errors 0 where right and 2 where wrong.
    truth = np.array([1, 1, 0, 0])
    answer = np.array([bits >> i & 1 for i in range(4)])
    found = masks.lovasz(
        torch.tensor(2.0 * answer - 1, dtype=torch.float32).view(1, 1, 2, 2),
        torch.tensor(truth, dtype=torch.uint8).view(1, 1, 2, 2),
    )
    assert float(found) == pytest.approx(2 * iou_lost(truth, answer != truth), abs=1e-6)


def test_lovasz_of_a_large_mask_keeps_its_digits() -> None:
    side = 1024
    truth = torch.zeros(1, 1, side, side, dtype=torch.uint8)
    truth[0, 0, : side // 2] = 1
    # Every pixel is wrong by the same: all weights together lose the whole IoU, once.
    scores = 1.0 - 2 * truth.float()
    assert float(masks.lovasz(scores, truth)) == pytest.approx(2, abs=1e-4)


DRAWN = """
. . . . . . .
. . . . . . .
. . # # # . .
. . # # # . .
. . # # # . .
. . . . . . .
. . . . . . .
# . . . . . .
"""
# One pixel on either side of each edge, corners too; the border of the picture is none.
EDGE = """
. . . . . . .
. # # # # # .
. # # # # # .
. # # . # # .
. # # # # # .
. # # # # # .
# # . . . . .
# # . . . . .
"""


def drawn(picture: str) -> Tensor:
    rows = [[int(sign == "#") for sign in row.split()] for row in picture.strip().splitlines()]
    return torch.tensor([[rows]], dtype=torch.uint8)


def test_boundary_weights_of_a_drawn_mask() -> None:
    found = masks.boundary_weights(drawn(DRAWN), width=1, strength=3.0)
    edge = drawn(EDGE)
    assert int(edge.sum()) == 28
    mean = (28 * 4 + 28 * 1) / 56
    expected = (1 + 3 * edge.float()) / mean
    assert torch.allclose(found, expected)
    assert found.mean() == 1


@pytest.mark.parametrize("width", [1, 2, 3, 9])
def test_boundary_weights_by_squares(width: int) -> None:
    _, truth = case("segmentation", images=4)
    truth[3] = 0
    truth[3, 0, 0, 0] = 1
    found = masks.boundary_weights(truth, width=width, strength=1.5).numpy()
    for mask, weights in zip(truth[:, 0].numpy(), found[:, 0], strict=True):
        plain = np.ones(mask.shape)
        for y, x in np.ndindex(mask.shape):
            top, left = max(0, y - width), max(0, x - width)
            square = mask[top : y + width + 1, left : x + width + 1]
            plain[y, x] += 1.5 * (square.min() < square.max())
        np.testing.assert_allclose(weights, plain / plain.mean(), rtol=1e-6)


def test_boundary_by_hand() -> None:
    # Five pixels: mask, mask, then none; the edge is pixels 1 and 2, of weight 3 to 1.
    logits = torch.log(torch.tensor([[[[4.0, 1.0, 0.25, 1.0, 0.25]]]]))
    mask = torch.tensor([[[[1, 1, 0, 0, 0]]]], dtype=torch.uint8)
    weights = [w / 1.8 for w in (1, 3, 3, 1, 1)]
    right, found = [0.8, 0.5, 0.8, 0.5, 0.8], [0.8, 0.5, 0.2, 0.5, 0.2]
    entropy = -sum(w * math.log(p) for w, p in zip(weights, right, strict=True)) / 5
    overlap = 2 * (weights[0] * 0.8 + weights[1] * 0.5) + 1
    size = sum(w * p * p for w, p in zip(weights, found, strict=True)) + sum(weights[:2]) + 1
    loss = masks.boundary(logits, mask, width=1, strength=2)
    assert float(loss) == pytest.approx(entropy + 1 - overlap / size, abs=1e-6)


def test_boundary_without_an_edge_or_strength_is_bce_dice() -> None:
    logits, truth = case("segmentation")
    expected = float(masks.bce_dice(logits, truth))
    assert float(masks.boundary(logits, truth, strength=0)) == pytest.approx(expected, rel=1e-6)
    blank = torch.zeros_like(truth)
    assert float(masks.boundary(logits, blank)) == pytest.approx(
        float(masks.bce_dice(logits, blank)), rel=1e-6
    )


def test_deep_supervision_weighs_each_level_half_of_the_finer() -> None:
    levels = [full(1.0, 8), full(2.0, 4), full(4.0, 2)]
    truth = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    found = masks.deep_supervision(lambda logits, _: logits.mean(), levels, truth)
    assert float(found) == pytest.approx((1 + 2 / 2 + 4 / 4) / 1.75)


def test_deep_supervision_of_one_level_is_the_loss() -> None:
    found = masks.deep_supervision(masks.bce_dice, [LOGITS], MASK)
    assert float(found) == float(masks.bce_dice(LOGITS, MASK))


def test_smaller_masks_keep_their_values_and_their_planes() -> None:
    """Of 5 x 3 pixels 2 x 1: class or unknown stays one of a pixel, and nothing is mixed."""
    truth = torch.zeros(1, 3, 5, 3, dtype=torch.uint8)
    truth[0, 0, :2], truth[0, 1, 2:4], truth[0, 2, 4:] = 1, 1, 1
    seen: list[Tensor] = []

    def loss(_logits: Tensor, small: Tensor) -> Tensor:
        seen.append(small)
        return torch.zeros(())

    masks.deep_supervision(loss, [torch.zeros(1, 2, 5, 3), torch.zeros(1, 2, 2, 1)], truth)
    assert seen[0] is truth
    assert seen[1].dtype == torch.uint8
    assert seen[1][0, :, :, 0].tolist() == [[1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize("kind", ["overlapping", "exclusive", "no background"])
@pytest.mark.parametrize(
    "name", ["bce", "dice", "bce_dice", "focal", "lovasz", "tversky", "boundary"]
)
def test_every_loss_takes_several_levels(name: str, kind: str) -> None:
    """With unknown pixels, whose logits have no slope at any level."""
    classes = MaskClasses(exclusive=kind != "overlapping", background=kind == "exclusive")
    loss = partial(getattr(masks, name), classes=classes)
    generator = torch.Generator().manual_seed(5)
    planes = 2 + classes.background
    levels = [
        torch.randn(2, planes, side, side, generator=generator).requires_grad_()
        for side in (16, 8, 4)
    ]
    kinds = torch.randint(0, 3, (2, 1, 16, 16), generator=generator)
    truth = torch.cat([kinds == 0, kinds == 1, kinds == 2], dim=1).to(torch.uint8)
    truth[:, :2, :8], truth[:, 2, :8] = 0, 1
    masks.deep_supervision(loss, levels, truth).backward()  # type: ignore[no-untyped-call]
    for level in levels:
        assert level.grad is not None
        assert level.grad.isfinite().all()
        assert level.grad.abs().sum() > 0
        assert level.grad[:, :, : level.shape[2] // 2].abs().sum() == 0
