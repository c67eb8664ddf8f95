"""Losses of several mask classes: exclusive ones, unknown pixels, and what classes weigh."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import Tensor

from darkroom.errors import DataError, ParamsError
from darkroom.tasks.losses import masks
from darkroom.tasks.losses.build import balanced_mask_weights, build_loss
from darkroom.tasks.losses.choice import NAMES
from darkroom.tasks.planes import OVERLAPPING, MaskClasses

Loss = Callable[..., Tensor]
BACKED, FULL = MaskClasses(True, True), MaskClasses(True, False)
KINDS = [OVERLAPPING, BACKED, FULL]
ALL = [masks.bce, masks.dice, masks.bce_dice, masks.focal, masks.tversky, masks.lovasz]
EVERY = [*ALL, masks.boundary]


def case(classes: MaskClasses, count: int = 3, images: int = 2) -> tuple[Tensor, Tensor]:
    """Return logits and masks of that many classes, 6 x 8 px."""
    rng = torch.Generator().manual_seed(3)
    logits = torch.randn(images, count + classes.background, 6, 8, generator=rng) * 2
    if not classes.exclusive:
        return logits, (torch.rand(images, count, 6, 8, generator=rng) < 0.4).to(torch.uint8)
    numbers = torch.randint(count + classes.background, (images, 6, 8), generator=rng)
    planes = F.one_hot(numbers, count + classes.background).movedim(-1, 1)
    return logits, planes[:, int(classes.background) :].to(torch.uint8)


def numbered(truth: Tensor, classes: MaskClasses) -> Tensor:
    """Return the channel of each pixel, int64 (N, H, W)."""
    if not classes.background:
        return truth.argmax(1)
    return torch.where(truth.amax(1) > 0, truth.argmax(1) + 1, 0)


@pytest.mark.parametrize("classes", [BACKED, FULL])
def test_exclusive_classes_have_the_cross_entropy_of_a_softmax(classes: MaskClasses) -> None:
    logits, truth = case(classes)
    expected = F.cross_entropy(logits, numbered(truth, classes))
    assert float(masks.bce(logits, truth, classes=classes)) == pytest.approx(float(expected))
    plain = masks.focal(logits, truth, classes=classes, gamma=0)
    assert float(plain) == pytest.approx(float(expected), rel=1e-5)


def test_dice_of_exclusive_classes_by_hand() -> None:
    # Two pixels, probabilities of background and two classes; the truth is class 1, then none.
    chances = torch.tensor([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])
    logits = torch.log(chances).T.reshape(1, 3, 1, 2)
    truth = torch.tensor([[[[1, 0]], [[0, 0]]]], dtype=torch.uint8)
    one = 1 - (2 * 0.5 + 1) / (0.25 + 0.04 + 1 + 1)
    two = 1 - 1 / (0.09 + 0.01 + 1)
    found = masks.dice(logits, truth, classes=BACKED)
    assert float(found) == pytest.approx((one + two) / 2, abs=1e-6)
    tversky = masks.tversky(logits, truth, classes=BACKED, alpha=0.3, beta=0.7)
    one = 1 - 1.5 / (1.5 + 0.3 * 0.2 + 0.7 * 0.5)
    two = 1 - 1 / (1 + 0.3 * 0.4)
    assert float(tversky) == pytest.approx((one + two) / 2, abs=1e-6)


def test_lovasz_softmax_as_a_library_counts_it() -> None:
    logits, truth = case(FULL)
    assert truth.flatten(2).any(2).all(), "the library leaves out classes that are absent"
    theirs = smp.losses.LovaszLoss("multiclass", per_image=True)(logits, numbered(truth, FULL))
    assert float(masks.lovasz(logits, truth, classes=FULL)) == pytest.approx(
        float(theirs), rel=1e-5
    )


def test_focal_of_a_background_weighs_one_minus_alpha() -> None:
    logits, truth = case(BACKED)
    only = masks.focal(logits, truth, classes=BACKED, gamma=0, alpha=0.0)
    entropy = F.cross_entropy(logits, numbered(truth, BACKED), reduction="none")
    expected = (entropy * (truth.amax(1) == 0)).mean()
    assert float(only) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("classes", KINDS)
@pytest.mark.parametrize("loss", ALL)
def test_a_loss_is_that_of_the_known_pixels(loss: Loss, classes: MaskClasses) -> None:
    logits, truth = case(classes)
    unknown = torch.zeros(2, 1, 6, 8, dtype=torch.uint8)
    unknown[..., 5:] = 1
    whole = loss(logits, torch.cat([truth, unknown], 1), classes=classes)
    part = loss(logits[..., :5], truth[..., :5], classes=classes)
    assert float(whole) == pytest.approx(float(part), rel=1e-5)


@pytest.mark.parametrize("classes", KINDS)
@pytest.mark.parametrize("loss", EVERY)
def test_unknown_pixels_have_no_gradient(loss: Loss, classes: MaskClasses) -> None:
    logits, truth = case(classes)
    unknown = (torch.arange(8) % 3 == 0).expand(2, 1, 6, 8).to(torch.uint8)
    scores = logits.requires_grad_()
    torch.autograd.backward(loss(scores, torch.cat([truth, unknown], 1), classes=classes))
    assert scores.grad is not None
    hidden = unknown.bool().expand_as(scores)
    assert (scores.grad[hidden] == 0).all()
    assert (scores.grad[~hidden] != 0).any()


@pytest.mark.parametrize("classes", KINDS)
@pytest.mark.parametrize("loss", EVERY)
def test_an_image_of_which_nothing_is_known_is_finite(loss: Loss, classes: MaskClasses) -> None:
    logits, truth = case(classes)
    nothing = torch.ones(2, 1, 6, 8, dtype=torch.uint8)
    scores = logits.requires_grad_()
    value = loss(scores, torch.cat([truth, nothing], 1), classes=classes)
    torch.autograd.backward(value)
    assert value.isfinite()
    assert scores.grad is not None
    assert (scores.grad == 0).all()


@pytest.mark.parametrize("loss", EVERY)
def test_without_a_background_a_pixel_of_no_class_is_unknown(loss: Loss) -> None:
    logits, truth = case(FULL)
    unknown = torch.zeros(2, 1, 6, 8, dtype=torch.uint8)
    unknown[:, :, 4:] = 1
    told = loss(logits, torch.cat([truth * (1 - unknown), unknown], 1), classes=FULL)
    padded = loss(logits, truth * (1 - unknown), classes=FULL)
    assert torch.equal(told, padded)


@pytest.mark.parametrize("classes", KINDS)
@pytest.mark.parametrize("loss", EVERY)
def test_weights_of_one_change_nothing_and_others_do(loss: Loss, classes: MaskClasses) -> None:
    logits, truth = case(classes)
    plain = loss(logits, truth, classes=classes)
    even = loss(logits, truth, torch.ones(3), classes=classes)
    assert float(even) == pytest.approx(float(plain), rel=1e-5)
    assert not torch.allclose(
        loss(logits, truth, torch.tensor([9.0, 1, 1]), classes=classes), plain
    )


def test_a_weight_multiplies_what_a_pixel_of_its_class_costs() -> None:
    weights = torch.tensor([2.0, 0.5, 1.0])
    logits, truth = case(OVERLAPPING)
    expected = F.binary_cross_entropy_with_logits(
        logits, truth.float(), pos_weight=weights[:, None, None]
    )
    assert float(masks.bce(logits, truth, weights)) == pytest.approx(float(expected))
    logits, truth = case(BACKED)
    entropy = F.cross_entropy(
        logits, numbered(truth, BACKED), torch.cat([torch.ones(1), weights]), reduction="none"
    )
    ours = masks.bce(logits, truth, weights, classes=BACKED)
    assert float(ours) == pytest.approx(float(entropy.mean()), rel=1e-5)


@pytest.mark.parametrize("classes", KINDS)
@pytest.mark.parametrize("name", NAMES["segmentation"])
def test_steps_down_the_gradient_find_the_masks(name: str, classes: MaskClasses) -> None:
    logits, truth = case(classes)
    unknown = torch.zeros(2, 1, 6, 8, dtype=torch.uint8)
    scores = torch.zeros_like(logits).requires_grad_()
    loss = build_loss("segmentation", name, mask_classes=classes)
    optimizer = torch.optim.Adam([scores], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(scores, torch.cat([truth, unknown], 1)).backward()
        optimizer.step()
    found = classes.answers(classes.activate(scores.detach()))
    assert (found == (truth > 0)).float().mean() > 0.98


def test_weights_are_one_a_class_and_none_for_the_background() -> None:
    logits, truth = case(BACKED)
    options: dict[str, Any] = {"mask_classes": BACKED}
    loss = build_loss("segmentation", "bce", class_weights=[1.0, 2.0, 3.0], **options)
    expected = masks.bce(logits, truth, torch.tensor([1.0, 2.0, 3.0]), classes=BACKED)
    assert torch.equal(loss(logits, truth), expected)
    wrong = build_loss("segmentation", "bce", class_weights=[1.0] * 4, **options)
    with pytest.raises(ParamsError, match=r"one number an output\n  found: 4\n  expected: 3"):
        wrong(logits, truth)


def test_balanced_classes_weigh_the_median_of_frequencies_over_their_own() -> None:
    weights = balanced_mask_weights(np.array([1000, 10, 100]), np.array([10, 1, 5]))
    assert weights == pytest.approx([20 / 100, 20 / 10, 1])
    with pytest.raises(DataError, match=r"no training image shows a mask class[\s\S]*output 1"):
        balanced_mask_weights(np.array([5, 0]), np.array([1, 0]))


def test_partial_losses_can_be_sent_to_another_process() -> None:
    loss = build_loss("segmentation", {"bce": 1, "dice": 2}, mask_classes=BACKED)
    terms = [term for _, term in loss.terms]
    assert all(isinstance(term, partial) and term.keywords["classes"] == BACKED for term in terms)
