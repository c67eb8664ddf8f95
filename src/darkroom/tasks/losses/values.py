"""Losses of values: predictions (N, K) against values (N, K), float32, in the table's units.

Errors are divided by `scale`, float32 (K,), where it is given, so that a learning rate means the
same whatever the units. Each loss is a mean over images and values.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def mse(predicted: Tensor, values: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return the mean squared error."""
    return F.mse_loss(*_errors(predicted, values, scale))


def l1(predicted: Tensor, values: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return the mean absolute error."""
    return F.l1_loss(*_errors(predicted, values, scale))


def huber(
    predicted: Tensor, values: Tensor, scale: Tensor | None = None, *, delta: float = 1.0
) -> Tensor:
    """Return half the squared error up to `delta`, and from there on the tangent of it.

    Huber 1964, Robust Estimation of a Location Parameter. `delta` is in units of `scale`.
    """
    return F.huber_loss(*_errors(predicted, values, scale), delta=delta)


def _errors(predicted: Tensor, values: Tensor, scale: Tensor | None) -> tuple[Tensor, Tensor]:
    # The difference comes first: it is exact where the two are near, whatever the scale.
    errors = predicted.float() - values.float()
    errors = errors if scale is None else errors / scale
    return errors, torch.zeros_like(errors)
