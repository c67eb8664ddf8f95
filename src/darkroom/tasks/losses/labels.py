"""Losses of labels: logits (N, K), float32, against yes/no labels or classes.

Each is a mean over images of equal weight. `weights` are not normalised, neither here nor over
a batch: torch's own mean divides by the weights that a batch happens to hold.
"""

import torch.nn.functional as F
from torch import Tensor

from darkroom.tasks.losses.focal import one_of_many, yes_no


def bce(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, *, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of independent yes/no labels, averaged over all.

    Args:
        logits: float32 (N, K).
        labels: float32 (N, K), 0 to 1.
        weights: What a yes weighs, one a label, float32 (K,); a no weighs 1.
        smoothing: Labels are drawn so far towards one half.
    """
    smooth = _smooth(labels.float(), smoothing, answers=2)
    return F.binary_cross_entropy_with_logits(logits.float(), smooth, pos_weight=weights)


def label_focal(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the focal loss of independent yes/no labels, averaged over all (Lin et al. 2017).

    Args:
        logits: float32 (N, K).
        labels: float32 (N, K), 0 to 1.
        weights: As for `bce`.
        gamma: How fast labels fade that are right already; 0 is `bce`.
        alpha: What a yes weighs, 0 to 1, where a no weighs 1 - alpha. None: both 1.
        smoothing: As for `bce`.
    """
    truth = _smooth(labels.float(), smoothing, answers=2)
    yes = 1.0 if weights is None else weights
    if alpha is None:
        return yes_no(logits.float(), truth, gamma=gamma, yes=yes).mean()
    return yes_no(logits.float(), truth, gamma=gamma, yes=alpha * yes, no=1 - alpha).mean()


def cross_entropy(
    logits: Tensor, classes: Tensor, weights: Tensor | None = None, *, smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of classes, averaged over images.

    Args:
        logits: float32 (N, K).
        classes: int64 (N,); or float32 (N, K), each row a distribution.
        weights: One a class, float32 (K,).
        smoothing: The share of each row that is spread evenly over the classes.
    """
    scores = logits.float()
    if weights is None:
        return F.cross_entropy(scores, classes, label_smoothing=smoothing)
    return F.cross_entropy(
        scores, classes, weight=weights, label_smoothing=smoothing, reduction="none"
    ).mean()


def class_focal(
    logits: Tensor,
    classes: Tensor,
    weights: Tensor | None = None,
    *,
    gamma: float = 2.0,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the focal loss of classes, averaged over images (Lin et al. 2017).

    Args:
        logits: float32 (N, K).
        classes: int64 (N,); or float32 (N, K), each row a distribution.
        weights: One a class, float32 (K,).
        gamma: How fast images fade that are right already; 0 is `cross_entropy`.
        smoothing: As for `cross_entropy`.
    """
    outputs = logits.shape[1]
    shares = classes if classes.ndim == 2 else F.one_hot(classes, outputs)
    shares = _smooth(shares.float(), smoothing, answers=outputs)
    return one_of_many(logits.float(), shares, weights, gamma=gamma).mean()


def _smooth(shares: Tensor, smoothing: float, *, answers: int) -> Tensor:
    if not smoothing:
        return shares
    return shares * (1 - smoothing) + smoothing / answers
