"""The five kinds of target, one row each: activation, metrics, decoding, and their sources.

Shapes, for a batch of N images: logits are (N, 1, H, W) for masks and (N, K) otherwise,
of any float type; probabilities are float32. The losses are in `darkroom.tasks.losses`.

A metric is a sum over a count: batches add up both, and one division follows at the end,
so the figure does not depend on how the images were batched.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Metric:
    """A figure of merit: `finish(sum / count)` over all batches.

    Args:
        name: As charts and tables show it.
        best: Whether more or less is better.
        sum_and_count: (probabilities, targets) of one batch to a scalar tensor and a number.
        finish: What turns the mean into the figure, where that is not the mean itself.
    """

    name: str
    best: Literal["max", "min"]
    sum_and_count: Callable[[Tensor, Tensor], tuple[Tensor, int]]
    finish: Callable[[float], float] = float


@dataclass(frozen=True)
class Task:
    """One kind of target.

    Args:
        name: As the card of an index calls it.
        activation: logits to probabilities, float32; see `activate`.
        metrics: The first one says which epoch was the best.
        targets: What targets look like.
        answers: What `decode` returns.
        decode: (probabilities, threshold) to answers, in numpy.
        source: Where its usual loss, its metric and its rule come from.
    """

    name: str
    activation: Callable[[Tensor], Tensor]
    metrics: tuple[Metric, ...]
    targets: str
    answers: str
    decode: Callable[[Floats, float], npt.NDArray[Any]]
    source: str

    def activate(self, logits: Tensor) -> Tensor:
        """Return probabilities (values for regression), float32: (N, H, W) for masks, else (N, K).

        The channel of a mask is dropped here, so that truth and prediction have one shape.
        """
        return self.activation(logits.float())

    @property
    def masks(self) -> bool:
        """Whether targets are pictures rather than rows of numbers."""
        return self.name == "segmentation"

    @property
    def monitor(self) -> Metric:
        """The metric that says which epoch was the best."""
        return self.metrics[0]


def mask_activation(logits: Tensor) -> Tensor:
    """Return sigmoid probabilities (N, H, W) of mask logits (N, 1, H, W)."""
    return torch.sigmoid(logits).squeeze(1)


def class_activation(logits: Tensor) -> Tensor:
    """Return softmax probabilities (N, K); each row sums to 1."""
    return torch.softmax(logits, dim=1)


def value_activation(logits: Tensor) -> Tensor:
    """Return the network's output as it is: regression is linear."""
    return logits


def count_dice(probabilities: Tensor, masks: Tensor) -> tuple[Tensor, int]:
    """Return the sum of 2|A∩B| / (|A|+|B|) an image, and the number of images.

    As Kaggle scores it: the mean over images, and 1 where both masks are empty.
    """
    found, truth = probabilities > 0.5, masks > 0
    overlap, size = (found & truth).sum((1, 2)), found.sum((1, 2)) + truth.sum((1, 2))
    return torch.where(size == 0, 1.0, 2 * overlap / size.clamp(min=1)).sum(), len(masks)


def count_right_labels(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Return how many labels of (N, K) are on the right side of one half, and their number.

    Labels may be soft; one half itself counts as no.
    """
    return ((probabilities > 0.5) == (labels > 0.5)).sum(), labels.numel()


def count_right_classes(probabilities: Tensor, classes: Tensor) -> tuple[Tensor, int]:
    """Return how many images of (N, K) have their class (N,) on top, and their number.

    Of soft classes (N, K), the one with the greatest share is meant; the lower one of equals.
    """
    classes = classes if classes.ndim == 1 else classes.argmax(1)
    return (probabilities.argmax(1) == classes).sum(), len(classes)


def sum_errors(values: Tensor, targets: Tensor) -> tuple[Tensor, int]:
    """Return the sum of absolute errors of (N, K), and the number of values."""
    return (values - targets).abs().sum(), targets.numel()


def sum_squares(values: Tensor, targets: Tensor) -> tuple[Tensor, int]:
    """Return the sum of squared errors of (N, K), and the number of values."""
    return (values - targets).square().sum(), targets.numel()


def decode_yes(probabilities: Floats, threshold: float) -> npt.NDArray[np.uint8]:
    """Return 1 where a probability is greater than the threshold, else 0."""
    return (probabilities > threshold).astype(np.uint8)


def decode_class(probabilities: Floats, _threshold: float) -> npt.NDArray[np.int64]:
    """Return the number (N,) of the most probable class; the lower one of equals."""
    return np.asarray(probabilities.argmax(axis=1), np.int64)


def decode_value(values: Floats, _threshold: float) -> Floats:
    """Return the values as they are."""
    return values


_TABLE = (
    Task(
        name="segmentation",
        activation=mask_activation,
        metrics=(Metric("dice", "max", count_dice),),
        targets="uint8 (N, H, W) of 0 and 1",
        answers="uint8 (N, H, W) of 0 and 1",
        decode=decode_yes,
        source="Dice loss: Milletari et al. 2016, V-Net; metric: Carvana Image Masking Challenge",
    ),
    Task(
        name="multilabel",
        activation=torch.sigmoid,
        metrics=(Metric("accuracy", "max", count_right_labels),),
        targets="float32 (N, K) of 0 and 1",
        answers="uint8 (N, K) of 0 and 1",
        decode=decode_yes,
        source="mean accuracy over attributes: Liu et al. 2015, Deep Learning Face Attributes",
    ),
    Task(
        name="multiclass",
        activation=class_activation,
        metrics=(Metric("accuracy", "max", count_right_classes),),
        targets="int64 (N,), the number of a class",
        answers="int64 (N,), the number of a class",
        decode=decode_class,
        source="softmax and cross-entropy: Bridle 1990; metric: ATM banknotes, share recognised",
    ),
    Task(
        name="binary",
        activation=torch.sigmoid,
        metrics=(Metric("accuracy", "max", count_right_labels),),
        targets="float32 (N, 1) of 0 and 1",
        answers="uint8 (N, 1) of 0 and 1",
        decode=decode_yes,
        source="logistic regression: Cox 1958; metric: the usual rule of Kaggle's yes/no contests",
    ),
    Task(
        name="regression",
        activation=value_activation,
        metrics=(Metric("rmse", "min", sum_squares, np.sqrt), Metric("mae", "min", sum_errors)),
        targets="float32 (N, K), in the units of the table",
        answers="float32 (N, K), in the units of the table",
        decode=decode_value,
        source="least squares: Gauss 1809; metric: the usual rule of Kaggle's regressions",
    ),
)

TASKS = {task.name: task for task in _TABLE}
