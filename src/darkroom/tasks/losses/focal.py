"""The focal loss: cross-entropy in which what is already right fades (Lin et al. 2017).

An answer of probability p for what is true costs (1 - p)^gamma times its cross-entropy;
gamma 0 is cross-entropy itself. The gradient is finite for any logits and any gamma.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def yes_no(
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


def one_of_many(
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
