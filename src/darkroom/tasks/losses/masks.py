"""Losses of masks: logits (N, K, H, W), float32, against masks (N, K, H, W) of 0 and 1.

Each is taken an image and a class at a time, then averaged: a small car weighs what a big one
does, and a mean does not depend on the other images of a batch. Those of
segmentation_models_pytorch will not do: Dice and Tversky count a batch as one image and nothing
where its masks are empty, focal has no finite slope for gamma below 1, Lovász adds up floats in no
fixed order on a GPU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from darkroom.tasks.losses.labels import binary_focal


def bce(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the cross-entropy of the pixels, averaged."""
    return F.binary_cross_entropy_with_logits(*_flat(logits, masks))


def dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the mean over images of 1 - Dice of probabilities.

    Dice is 2 Σpg / (Σp² + Σg²) as Milletari et al. 2016 ("V-Net") write it. The 1 added above
    and below keeps an empty mask finite, and rewards answering nothing there.
    """
    scores, truth = _flat(logits, masks)
    found = torch.sigmoid(scores)
    overlap = 2 * (found * truth).sum((1, 2)) + 1
    size = found.square().sum((1, 2)) + truth.square().sum((1, 2)) + 1
    return (1 - overlap / size).mean()


def bce_dice(logits: Tensor, masks: Tensor) -> Tensor:
    """Return `bce` plus `dice`.

    Cross-entropy gives the gradient that Dice lacks while a prediction is all wrong.
    """
    return bce(logits, masks) + dice(logits, masks)


def focal(
    logits: Tensor, masks: Tensor, *, gamma: float = 2.0, alpha: float | None = None
) -> Tensor:
    """Return the focal loss of the pixels, averaged (Lin et al. 2017, Focal Loss).

    Args:
        logits: float32 (N, K, H, W).
        masks: (N, K, H, W) of 0 and 1.
        gamma: How fast pixels fade that are right already; 0 is `bce`.
        alpha: What the mask weighs, 0 to 1; the background weighs 1 - alpha. None: both 1.
    """
    scores, truth = _flat(logits, masks)
    if alpha is None:
        return binary_focal(scores, truth, gamma=gamma).mean()
    return binary_focal(scores, truth, gamma=gamma, yes=alpha, no=1 - alpha).mean()


def tversky(logits: Tensor, masks: Tensor, *, alpha: float = 0.3, beta: float = 0.7) -> Tensor:
    """Return the mean over images of 1 - Σpg / (Σpg + alpha Σp(1-g) + beta Σ(1-p)g).

    Salehi et al. 2017, Tversky loss function, whose best alpha and beta are the defaults; as in
    `dice` 1 is added above and below.

    Args:
        logits: float32 (N, K, H, W).
        masks: (N, K, H, W) of 0 and 1.
        alpha: What a false positive costs.
        beta: What a false negative costs; more than alpha finds more, and more that is not there.
    """
    scores, truth = _flat(logits, masks)
    # 1 - sigmoid(x) would round to 0 long before sigmoid(-x) does.
    found, left = torch.sigmoid(scores), torch.sigmoid(-scores)
    right = (found * truth).sum((1, 2)) + 1
    alarmed, missed = (found * (1 - truth)).sum((1, 2)), (left * truth).sum((1, 2))
    return (1 - right / (right + alpha * alarmed + beta * missed)).mean()


def lovasz(logits: Tensor, masks: Tensor) -> Tensor:
    """Return the mean over images of the Lovász hinge (Berman et al. 2018, Lovász-Softmax loss).

    It is the convex surrogate of 1 - IoU: hinge errors 1 ∓ logit, largest first, each weighed by
    what the IoU loses when its pixel turns wrong after those before it.
    """
    scores, truth = logits.float().flatten(2).flatten(0, 1), masks.flatten(2).flatten(0, 1)
    errors = 1 - scores * (2 * truth.float() - 1)
    order = errors.detach().argsort(dim=1, descending=True, stable=True)
    weights = torch.zeros_like(errors).scatter(1, order, _iou_steps(truth.gather(1, order)))
    return (F.relu(errors) * weights).sum(1).mean()


def _iou_steps(truth: Tensor) -> Tensor:
    """Return what the IoU of each image loses as its pixels (N, P), of 0 and 1, turn wrong in turn.

    IoU is |left of the mask| / |mask and false alarms|. Counts are whole numbers: sums of floats
    have no fixed order on a GPU, nor have differences of ratios so near to each other any digits.
    """
    size = truth.sum(1, keepdim=True, dtype=torch.int32)
    left = size - truth.cumsum(1, dtype=torch.int32)
    union = size + (1 - truth).cumsum(1, dtype=torch.int32)
    alarm = left / (union - 1).clamp(min=1) / union
    # The first false alarm on an empty mask loses all.
    alarm = torch.where(size == 0, (union == 1).float(), alarm)
    return torch.where(truth > 0, 1 / union, alarm)


def boundary(logits: Tensor, masks: Tensor, *, width: int = 5, strength: float = 2.0) -> Tensor:
    """Return cross-entropy plus Dice in which pixels near the edge of the mask weigh more.

    As the weight maps of the U-Net (Ronneberger et al. 2015); see `boundary_weights`.

    Args:
        logits: float32 (N, K, H, W).
        masks: (N, K, H, W) of 0 and 1.
        width: How far from the edge, in pixels, on either side.
        strength: What is added there to a weight of 1.
    """
    scores, truth = _flat(logits, masks)
    weights = boundary_weights(masks, width=width, strength=strength).flatten(0, 1)
    found = torch.sigmoid(scores)
    overlap = 2 * (weights * found * truth).sum((1, 2)) + 1
    size = (weights * (found.square() + truth)).sum((1, 2)) + 1
    entropy = F.binary_cross_entropy_with_logits(scores, truth, weight=weights)
    return entropy + (1 - overlap / size).mean()


def boundary_weights(masks: Tensor, *, width: int, strength: float) -> Tensor:
    """Return what each pixel weighs, float32 (N, K, H, W), with a mean of 1 in each plane.

    1 + strength where the square of side 2 width + 1 around a pixel holds both mask and
    background, else 1; then divided by the mean. The border of the picture is no edge.

    Args:
        masks: (N, K, H, W) of 0 and 1.
        width: In pixels, 1 or more.
        strength: 0 or more.
    """
    truth = masks.float()
    # The mean of a square is the mean of rows of the means of columns; of equals it is exact.
    side = 2 * width + 1
    mean = F.avg_pool2d(truth, (side, 1), 1, (width, 0), count_include_pad=False)
    mean = F.avg_pool2d(mean, (1, side), 1, (0, width), count_include_pad=False)
    edge = (mean > 0) & (mean < 1)
    weights = 1 + strength * edge.float()
    return weights / weights.mean((2, 3), keepdim=True)


def _flat(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores and truth, both float32 (N K, H, W): the planes of all images in a row."""
    return logits.float().flatten(0, 1), masks.flatten(0, 1).float()
