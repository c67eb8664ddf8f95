"""Losses of masks: logits (N, K, H, W), float32, against masks (N, K, H, W) of 0 and 1.

Each is taken an image and a class at a time, then averaged: a small car weighs what a big one
does, and a mean does not depend on the other images of a batch. Those of
segmentation_models_pytorch will not do: Dice and Tversky count a batch as one image and nothing
where its masks are empty, focal has no finite slope for gamma below 1, Lovász adds up floats in no
fixed order on a GPU.

Of exclusive classes (`MaskClasses`) the pixels have the cross-entropy of a softmax, its background
included, in place of K of a sigmoid; what compares areas takes the softmax's probabilities, and is
a mean over the classes without the background, as nnU-Net has it (Isensee et al. 2021).

Unknown pixels, which the last of K + 1 planes marks, have no part in any loss. `weights`, float32
(K,), are not normalised: they multiply what a pixel of a class costs, and what its area does; a
background weighs 1.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from darkroom.tasks.losses.labels import binary_focal, categorical_focal
from darkroom.tasks.planes import OVERLAPPING, MaskClasses

Loss = Callable[[Tensor, Tensor], Tensor]


def bce(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
) -> Tensor:
    """Return the cross-entropy of the pixels, averaged; of a softmax for exclusive classes."""
    if classes.exclusive:
        shares, valid = _shares(masks, logits, classes)
        entropy = -(_weighed(shares, weights) * F.log_softmax(logits.float(), dim=1)).sum(1)
        return _pixel_mean(entropy, valid)
    scores, truth, valid = _flat(logits, masks, classes)
    if valid is None and weights is None:
        return F.binary_cross_entropy_with_logits(scores, truth)
    yes = None if weights is None else _of_planes(weights, scores)
    entropy = F.binary_cross_entropy_with_logits(scores, truth, pos_weight=yes, reduction="none")
    return _pixel_mean(entropy, valid)


def dice(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
) -> Tensor:
    """Return the mean over images and classes of 1 - Dice of probabilities.

    Dice is 2 Σpg / (Σp² + Σg²) as Milletari et al. 2016 ("V-Net") write it. The 1 added above
    and below keeps an empty mask finite, and rewards answering nothing there.
    """
    scores, truth, valid = _flat(logits, masks, classes)
    probs = _where_valid(_probs(scores, classes), valid)
    overlap = 2 * (probs * truth).sum((1, 2)) + 1
    size = probs.square().sum((1, 2)) + truth.square().sum((1, 2)) + 1
    return _class_mean(1 - overlap / size, weights)


def bce_dice(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
) -> Tensor:
    """Return `bce` plus `dice`.

    Cross-entropy gives the gradient that Dice lacks while a prediction is all wrong.
    """
    return bce(logits, masks, weights, classes=classes) + dice(
        logits, masks, weights, classes=classes
    )


def focal(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> Tensor:
    """Return the focal loss of the pixels, averaged (Lin et al. 2017, Focal Loss).

    Args:
        logits: float32 (N, K, H, W).
        masks: (N, K, H, W) of 0 and 1.
        weights: One a class.
        classes: Of exclusive ones it is the focal loss of a softmax.
        gamma: How fast pixels fade that are right already; 0 is `bce`.
        alpha: What the mask weighs, 0 to 1; the background weighs 1 - alpha. None: both 1.
    """
    if classes.exclusive:
        shares, valid = _shares(masks, logits, classes)
        shares = _weighed(shares, weights)
        if alpha is not None and classes.background:
            shares = torch.cat([(1 - alpha) * shares[:, :1], alpha * shares[:, 1:]], dim=1)
        return _pixel_mean(categorical_focal(logits.float(), shares, gamma=gamma), valid)
    scores, truth, valid = _flat(logits, masks, classes)
    yes = 1.0 if weights is None else _of_planes(weights, scores)
    if alpha is None:
        return _pixel_mean(binary_focal(scores, truth, gamma=gamma, yes=yes), valid)
    loss = binary_focal(scores, truth, gamma=gamma, yes=alpha * yes, no=1 - alpha)
    return _pixel_mean(loss, valid)


def tversky(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
    alpha: float = 0.3,
    beta: float = 0.7,
) -> Tensor:
    """Return the mean over images of 1 - Σpg / (Σpg + alpha Σp(1-g) + beta Σ(1-p)g).

    Salehi et al. 2017, Tversky loss function, whose best alpha and beta are the defaults; as in
    `dice` 1 is added above and below.

    Args:
        logits: float32 (N, K, H, W).
        masks: (N, K, H, W) of 0 and 1.
        weights: One a class.
        classes: Whether they are exclusive.
        alpha: What a false positive costs.
        beta: What a false negative costs; more than alpha finds more, and more that is not there.
    """
    scores, truth, valid = _flat(logits, masks, classes)
    # 1 - sigmoid(x) would round to 0 long before sigmoid(-x) does.
    probs = _where_valid(_probs(scores, classes), valid)
    left = -torch.expm1(scores) if classes.exclusive else torch.sigmoid(-scores)
    right = (probs * truth).sum((1, 2)) + 1
    alarmed, missed = (probs * (1 - truth)).sum((1, 2)), (left * truth).sum((1, 2))
    return _class_mean(1 - right / (right + alpha * alarmed + beta * missed), weights)


def lovasz(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
) -> Tensor:
    """Return the mean over images of the Lovász hinge (Berman et al. 2018, Lovász-Softmax loss).

    It is the convex surrogate of 1 - IoU: hinge errors 1 ∓ logit, largest first, each weighed by
    what the IoU loses when its pixel turns wrong after those before it. Of exclusive classes the
    errors are those of the softmax's probabilities: Lovász-Softmax.
    """
    scores, planes, valid = _flat(logits, masks, classes)
    truth = planes.flatten(1).to(torch.uint8)
    if classes.exclusive:
        errors = (truth.float() - scores.flatten(1).exp()).abs()
    else:
        errors = 1 - scores.flatten(1) * (2 * truth.float() - 1)
    if valid is not None:  # behind all errors, where it weighs nothing
        errors = errors.masked_fill(~valid.flatten(1), -1.0)
    order = errors.detach().argsort(dim=1, descending=True, stable=True)
    steps = torch.zeros_like(errors).scatter(1, order, _iou_steps(truth.gather(1, order)))
    return _class_mean((F.relu(errors) * steps).sum(1), weights)


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


def boundary(
    logits: Tensor,
    masks: Tensor,
    weights: Tensor | None = None,
    *,
    classes: MaskClasses = OVERLAPPING,
    width: int = 5,
    strength: float = 2.0,
) -> Tensor:
    """Return cross-entropy plus Dice in which pixels near the edge of the mask weigh more.

    As the weight maps of the U-Net (Ronneberger et al. 2015); see `boundary_weights`.

    Args:
        logits: float32 (N, K, H, W).
        masks: (N, K, H, W) of 0 and 1.
        weights: One a class.
        classes: Of exclusive ones, the edges of all weigh more in each.
        width: How far from the edge, in pixels, on either side.
        strength: What is added there to a weight of 1.
    """
    scores, truth, valid = _flat(logits, masks, classes)
    count = logits.shape[1] - classes.background
    near = boundary_weights(
        masks[:, :count], width=width, strength=strength, joint=classes.exclusive
    )
    probs = _where_valid(_probs(scores, classes), valid)
    of_planes = near.expand(-1, count, -1, -1).flatten(0, 1)
    overlap = 2 * (of_planes * probs * truth).sum((1, 2)) + 1
    size = (of_planes * (probs.square() + truth)).sum((1, 2)) + 1
    area = _class_mean(1 - overlap / size, weights)
    if classes.exclusive:
        shares, certain = _shares(masks, logits, classes)
        entropy = -(_weighed(shares, weights) * F.log_softmax(logits.float(), dim=1)).sum(1)
        return _pixel_mean(near[:, 0] * entropy, certain) + area
    if valid is None and weights is None:
        return F.binary_cross_entropy_with_logits(scores, truth, weight=of_planes) + area
    yes = None if weights is None else _of_planes(weights, scores)
    entropy = F.binary_cross_entropy_with_logits(
        scores, truth, weight=of_planes, pos_weight=yes, reduction="none"
    )
    return _pixel_mean(entropy, valid) + area


def deep_supervision(loss: Loss, logits: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Return the mean of a loss over logits of several sizes, each weighing half of the one before.

    As nnU-Net (Isensee et al. 2021): masks are made smaller by the nearest pixel, so that they keep
    their values, the exclusive classes and the unknown pixels among them. A loss's own widths stay
    in pixels of the level.

    Args:
        loss: Called as `loss(logits, masks)` at each size; returns a scalar.
        logits: (N, C, h, w), the first of the masks' size.
        targets: Masks uint8 (N, K or K + 1, H, W).

    Example:
        >>> levels = [torch.full((1, 1, 4, 4), 3.0), torch.full((1, 1, 2, 2), 6.0)]
        >>> masks = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
        >>> deep_supervision(lambda logits, masks: (logits - masks).mean(), levels, masks)
        tensor(4.)
    """
    total, weights = torch.zeros((), device=targets.device), 0.0
    for level, scores in enumerate(logits):
        masks = targets
        if scores.shape[2:] != targets.shape[2:]:
            masks = F.interpolate(targets, scores.shape[2:], mode="nearest-exact")
        weights += 0.5**level
        total = total + 0.5**level * loss(scores, masks)
    return total / weights


def boundary_weights(masks: Tensor, *, width: int, strength: float, joint: bool = False) -> Tensor:
    """Return what each pixel weighs, float32 (N, K, H, W), with a mean of 1 in each plane.

    1 + strength where the square of side 2 width + 1 around a pixel holds both mask and
    background, else 1; then divided by the mean. The border of the picture is no edge.

    Args:
        masks: (N, K, H, W) of 0 and 1.
        width: In pixels, 1 or more.
        strength: 0 or more.
        joint: The edges of all classes are in one plane, (N, 1, H, W).
    """
    truth = masks.float()
    # The mean of a square is the mean of rows of the means of columns; of equals it is exact.
    side = 2 * width + 1
    mean = F.avg_pool2d(truth, (side, 1), 1, (width, 0), count_include_pad=False)
    mean = F.avg_pool2d(mean, (1, side), 1, (0, width), count_include_pad=False)
    edge = (mean > 0) & (mean < 1)
    if joint:
        edge = edge.any(dim=1, keepdim=True)
    weights = 1 + strength * edge.float()
    return weights / weights.mean((2, 3), keepdim=True)


def _flat(
    logits: Tensor, targets: Tensor, classes: MaskClasses
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return scores and truth, float32 (N K, H, W): the planes of all images in a row.

    Scores are logits, or logarithms of probabilities for exclusive classes. The third is which
    pixels count, bool (N K, H, W); None: all. Truth is 0 in the others.
    """
    scores, count = logits.float(), logits.shape[1] - classes.background
    masks, valid = classes.split_unknown(targets, count)
    if classes.exclusive:
        scores = F.log_softmax(scores, dim=1)[:, int(classes.background) :]
    truth = masks.flatten(0, 1).float()
    if valid is None:
        return scores.flatten(0, 1), truth, None
    valid = valid.expand(-1, count, -1, -1).flatten(0, 1)
    return scores.flatten(0, 1), truth * valid, valid


def _probs(scores: Tensor, classes: MaskClasses) -> Tensor:
    """Return the probabilities of the scores of `_flat`."""
    return scores.exp() if classes.exclusive else torch.sigmoid(scores)


def _where_valid(probs: Tensor, valid: Tensor | None) -> Tensor:
    return probs if valid is None else probs * valid


def _shares(targets: Tensor, logits: Tensor, classes: MaskClasses) -> tuple[Tensor, Tensor | None]:
    """Return the truth of each channel of exclusive logits, float32, and which pixels count."""
    count = logits.shape[1] - classes.background
    masks, valid = classes.split_unknown(targets, count)
    shares = masks.float() if valid is None else masks * valid.float()
    if classes.background:
        rest = 1 - shares.sum(1, keepdim=True)
        shares = torch.cat([rest if valid is None else rest * valid, shares], dim=1)
    return shares, None if valid is None else valid[:, 0]


def _weighed(shares: Tensor, weights: Tensor | None) -> Tensor:
    """Return shares (N, C, H, W) of channels, those of a class times its weight."""
    if weights is None:
        return shares
    ones = weights.new_ones(shares.shape[1] - len(weights))  # of the background, if there is one
    return shares * torch.cat([ones, weights])[:, None, None]


def _of_planes(weights: Tensor, planes: Tensor) -> Tensor:
    """Return the weight of each of planes (N K, H, W), (N K, 1, 1)."""
    return weights.repeat(len(planes) // len(weights))[:, None, None]


def _pixel_mean(losses: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean over planes (M, H, W) of the means of their known pixels."""
    if valid is None:
        return losses.mean()
    return ((losses * valid).sum((1, 2)) / valid.sum((1, 2)).clamp(min=1)).mean()


def _class_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Return the mean of losses (N K,), each times the weight of its class."""
    if weights is None:
        return losses.mean()
    return (losses.view(-1, len(weights)) * weights).mean()
