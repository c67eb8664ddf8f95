"""Losses of labels, classes and values: outputs (N, K), float32, against a table's columns.

Each is a mean over images of equal weight. `weights` are not normalised, neither here nor over
a batch: torch's own mean divides by the weights that a batch happens to hold.

Values are in the table's units. Their errors are divided by `scale`, float32 (K,), where it is
given, so that a learning rate means the same in any units.

Of labels and values some may be unknown. `is_known`, bool (N, K), says which are not: the others
cost nothing, and the sum of the rest is still divided by all, so that a loss does not depend on
how the gaps fall into batches. `darkroom.tasks.losses.build` divides by the share that is known.

The focal loss is cross-entropy that fades for answers that are already right (Lin et al. 2017):
an answer of probability p for the truth costs (1 - p)^gamma times its cross-entropy. Gamma 0 is
cross-entropy itself. The gradient is finite for any logits and any gamma.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def bce(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    smoothing: float = 0.0,
    is_known: Tensor | None = None,
) -> Tensor:
    """Return the cross-entropy of independent yes/no labels, averaged over all.

    Args:
        logits: float32 (N, K).
        labels: float32 (N, K), 0 to 1.
        weights: What a yes weighs, one a label, float32 (K,); a no weighs 1.
        smoothing: Labels are drawn so far towards one half.
        is_known: Which labels are known, bool (N, K); None: all.
    """
    smooth = _smooth(labels.float(), smoothing, answers=2)
    if is_known is None:
        return F.binary_cross_entropy_with_logits(logits.float(), smooth, pos_weight=weights)
    losses = F.binary_cross_entropy_with_logits(
        logits.float(), smooth, pos_weight=weights, reduction="none"
    )
    return _mean(losses, is_known)


def label_focal(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    smoothing: float = 0.0,
    is_known: Tensor | None = None,
) -> Tensor:
    """Return the focal loss of independent yes/no labels, averaged over all (Lin et al. 2017).

    Args:
        logits: float32 (N, K).
        labels: float32 (N, K), 0 to 1.
        weights: As for `bce`.
        gamma: How fast labels fade that are right already; 0 is `bce`.
        alpha: What a yes weighs, 0 to 1, where a no weighs 1 - alpha. None: both 1.
        smoothing: As for `bce`.
        is_known: As for `bce`.
    """
    truth = _smooth(labels.float(), smoothing, answers=2)
    yes = 1.0 if weights is None else weights
    if alpha is None:
        losses = binary_focal(logits.float(), truth, gamma=gamma, yes=yes)
    else:
        losses = binary_focal(logits.float(), truth, gamma=gamma, yes=alpha * yes, no=1 - alpha)
    return _mean(losses, is_known)


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
    return categorical_focal(logits.float(), shares, weights, gamma=gamma).mean()


def mse(
    predicted: Tensor,
    values: Tensor,
    scale: Tensor | None = None,
    *,
    is_known: Tensor | None = None,
) -> Tensor:
    """Return the mean squared error."""
    return F.mse_loss(*_errors(predicted, values, scale, is_known))


def l1(
    predicted: Tensor,
    values: Tensor,
    scale: Tensor | None = None,
    *,
    is_known: Tensor | None = None,
) -> Tensor:
    """Return the mean absolute error."""
    return F.l1_loss(*_errors(predicted, values, scale, is_known))


def huber(
    predicted: Tensor,
    values: Tensor,
    scale: Tensor | None = None,
    *,
    delta: float = 1.0,
    is_known: Tensor | None = None,
) -> Tensor:
    """Return half the squared error up to `delta`, and from there on the tangent of it.

    Huber 1964, Robust Estimation of a Location Parameter. `delta` is in units of `scale`.

    Example:
        >>> float(huber(torch.tensor([[3.0]]), torch.tensor([[1.0]])))
        1.5
    """
    return F.huber_loss(*_errors(predicted, values, scale, is_known), delta=delta)


def binary_focal(
    logits: Tensor, truth: Tensor, *, gamma: float, yes: Tensor | float = 1.0, no: float = 1.0
) -> Tensor:
    """Return the focal loss of each yes/no answer, float32, of the shape of the logits.

    Args:
        logits: float32, any shape.
        truth: float32, 0 to 1, of the same shape; between them, what both answers cost is
            weighed accordingly.
        gamma: 0 or more.
        yes: What a yes weighs.
        no: What a no weighs.
    """
    # (1 - p)^gamma as exp(gamma log(1 - p)): its gradient has no power of 0.
    missed = torch.exp(gamma * F.logsigmoid(-logits)) * F.softplus(-logits)
    alarmed = torch.exp(gamma * F.logsigmoid(logits)) * F.softplus(logits)
    return yes * truth * missed + no * (1 - truth) * alarmed


def categorical_focal(
    logits: Tensor, shares: Tensor, weights: Tensor | None = None, *, gamma: float
) -> Tensor:
    """Return the focal loss of each image, float32 (N,).

    Args:
        logits: float32 (N, K).
        shares: float32 (N, K), each row a distribution over the classes.
        weights: One a class, float32 (K,).
        gamma: 0 or more.
    """
    logs = F.log_softmax(logits, dim=1)
    wrong = -torch.expm1(logs)
    # A root's slope at 0 is infinite; below the rounding of float32, no power has any.
    faded = wrong.clamp_min(torch.finfo(torch.float32).eps).pow(gamma) * -logs
    shares = shares if weights is None else shares * weights
    return (shares * faded).sum(1)


def _smooth(shares: Tensor, smoothing: float, *, answers: int) -> Tensor:
    if not smoothing:
        return shares
    return shares * (1 - smoothing) + smoothing / answers


def _mean(losses: Tensor, is_known: Tensor | None) -> Tensor:
    return losses.mean() if is_known is None else torch.where(is_known, losses, 0.0).mean()


def _errors(
    predicted: Tensor, values: Tensor, scale: Tensor | None, is_known: Tensor | None
) -> tuple[Tensor, Tensor]:
    # The difference comes first: it is exact where the two are near, whatever the scale.
    errors = predicted.float() - values.float()
    errors = errors if scale is None else errors / scale
    errors = errors if is_known is None else torch.where(is_known, errors, 0.0)
    return errors, torch.zeros_like(errors)
