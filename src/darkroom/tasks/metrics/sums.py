"""Metrics of training, each a sum over a count.

Batches and processes add up both, and one division follows at the end, so that a metric does not
depend on how the images were batched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from darkroom.tasks.planes import OVERLAPPING, MaskClasses


@dataclass(frozen=True)
class Metric:
    """A metric: `finish(sum / count)` over all batches.

    Args:
        name: As charts and tables show it.
        best: Whether more or less is better.
        sum_and_count: (probabilities, targets) of one batch to a scalar tensor and a number.
        finish: Turns the mean into the metric, where that is not the mean itself.
    """

    name: str
    best: Literal["max", "min"]
    sum_and_count: Callable[[Tensor, Tensor], tuple[Tensor, int]]
    finish: Callable[[float], float] = float


def count_dice(
    probabilities: Tensor, masks: Tensor, *, classes: MaskClasses = OVERLAPPING
) -> tuple[Tensor, int]:
    """Return the sum of 2|A∩B| / (|A|+|B|) an image and class, and the number of both.

    As Kaggle scores it: the mean over images and classes, and 1 where both masks are empty.

    Args:
        probabilities: float32 (N, K, H, W).
        masks: uint8 (N, K, H, W) of 0 and 1, or with one plane more, of unknown pixels, which do
            not count.
        classes: Of exclusive ones a pixel has the most probable.

    Example:
        >>> masks = torch.tensor([[[[1, 0], [1, 0]]]])
        >>> count_dice(torch.tensor([[[[0.9, 0.8], [0.1, 0.2]]]]), masks)
        (tensor(0.5000), 1)
    """
    truth, valid = classes.split_unknown(masks, probabilities.shape[1])
    predicted, truth = classes.answers(probabilities), truth > 0
    if valid is not None:
        predicted, truth = predicted & valid, truth & valid
    overlap, size = (predicted & truth).sum((2, 3)), predicted.sum((2, 3)) + truth.sum((2, 3))
    return torch.where(size == 0, 1.0, 2 * overlap / size.clamp(min=1)).sum(), size.numel()


def count_right_labels(
    probabilities: Tensor, labels: Tensor, *, gaps: bool = False
) -> tuple[Tensor, int]:
    """Return how many labels of (N, K) are on the right side of one half, and their number.

    Labels may be soft; one half itself counts as no. Unknown ones, NaN, are left out if `gaps` is
    set: to count them waits for the device.
    """
    if gaps:
        valid = ~labels.isnan()
        probabilities, labels = probabilities[valid], labels[valid]
    return ((probabilities > 0.5) == (labels > 0.5)).sum(), labels.numel()


def count_right_classes(probabilities: Tensor, classes: Tensor) -> tuple[Tensor, int]:
    """Return how many images of (N, K) have their class (N,) on top, and their number.

    Of soft classes (N, K), the one with the greatest share is meant; the lower one of equals.
    """
    classes = classes if classes.ndim == 1 else classes.argmax(1)
    return (probabilities.argmax(1) == classes).sum(), len(classes)


def sum_errors(
    values: Tensor, targets: Tensor, *, scale: Tensor | float = 1.0, gaps: bool = False
) -> tuple[Tensor, int]:
    """Return the sum of absolute errors of (N, K), and the number of values.

    Errors are divided by `scale`, (K,): targets in different units can't be added up as they are.
    Unknown targets, NaN, are left out if `gaps` is set.
    """
    if gaps:
        errors = ((values - targets) / scale)[~targets.isnan()]
        return errors.abs().sum(), errors.numel()
    return ((values - targets) / scale).abs().sum(), targets.numel()


def sum_squares(
    values: Tensor, targets: Tensor, *, scale: Tensor | float = 1.0, gaps: bool = False
) -> tuple[Tensor, int]:
    """Return the sum of squared errors of (N, K), and the number of values; see `sum_errors`.

    Example:
        >>> errors = torch.tensor([[3.0, 2000.0]]), torch.zeros(1, 2)
        >>> sum_squares(*errors, scale=torch.tensor([1.0, 1000.0]))
        (tensor(13.), 2)
    """
    if gaps:
        errors = ((values - targets) / scale)[~targets.isnan()]
        return errors.square().sum(), errors.numel()
    return ((values - targets) / scale).square().sum(), targets.numel()
