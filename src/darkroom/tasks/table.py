"""The five tasks, one row each: activation, metrics, decoding, and their sources.

Shapes, for a batch of N images: logits are (N, K, H, W) for masks and (N, K) otherwise,
of any float type; probabilities are float32. The losses are in `darkroom.tasks.losses`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from darkroom.tasks.answers import DECODERS, Decoder
from darkroom.tasks.metrics.sums import (
    Metric,
    count_dice,
    count_right_classes,
    count_right_labels,
    sum_errors,
    sum_squares,
)
from darkroom.tasks.planes import OVERLAPPING, MaskClasses


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
        classes: Masks: how their classes share the pixels.
    """

    name: str
    activation: Callable[[Tensor], Tensor]
    metrics: tuple[Metric, ...]
    targets: str
    answers: str
    decode: Decoder
    source: str
    classes: MaskClasses = OVERLAPPING

    def activate(self, logits: Tensor) -> Tensor:
        """Return probabilities (values for regression), float32, of the shape of the targets."""
        return self.activation(logits.float())

    @property
    def masks(self) -> bool:
        """Whether targets are pictures rather than rows of numbers."""
        return self.name == "segmentation"

    @property
    def monitor(self) -> Metric:
        """The metric that says which epoch was the best."""
        return self.metrics[0]


def class_activation(logits: Tensor) -> Tensor:
    """Return softmax probabilities (N, K); each row sums to 1."""
    return torch.softmax(logits, dim=1)


def value_activation(logits: Tensor) -> Tensor:
    """Return the network's output as it is: regression is linear."""
    return logits


def _error_metrics(scale: Tensor | float, *, gaps: bool = False) -> tuple[Metric, ...]:
    squares = partial(sum_squares, scale=scale, gaps=gaps)
    errors = partial(sum_errors, scale=scale, gaps=gaps)
    return Metric("nrmse", "min", squares, np.sqrt), Metric("nmae", "min", errors)


_TABLE = (
    Task(
        name="segmentation",
        activation=OVERLAPPING.activate,
        metrics=(Metric("dice", "max", count_dice),),
        targets="uint8 (N, K, H, W) of 0 and 1",
        answers="uint8 (N, K, H, W) of 0 and 1",
        decode=OVERLAPPING.decode,
        source="Dice loss: Milletari et al. 2016, V-Net; metric: Carvana Image Masking Challenge",
    ),
    Task(
        name="multilabel",
        activation=torch.sigmoid,
        metrics=(Metric("accuracy", "max", count_right_labels),),
        targets="float32 (N, K) of 0 and 1",
        answers="uint8 (N, K) of 0 and 1",
        decode=DECODERS["multilabel"],
        source="mean accuracy over attributes: Liu et al. 2015, Deep Learning Face Attributes",
    ),
    Task(
        name="multiclass",
        activation=class_activation,
        metrics=(Metric("accuracy", "max", count_right_classes),),
        targets="int64 (N,), the number of a class",
        answers="int64 (N,), the number of a class",
        decode=DECODERS["multiclass"],
        source="softmax and cross-entropy: Bridle 1990; metric: ATM banknotes, share recognised",
    ),
    Task(
        name="binary",
        activation=torch.sigmoid,
        metrics=(Metric("accuracy", "max", count_right_labels),),
        targets="float32 (N, 1) of 0 and 1",
        answers="uint8 (N, 1) of 0 and 1",
        decode=DECODERS["binary"],
        source="logistic regression: Cox 1958; metric: the usual rule of Kaggle's yes/no contests",
    ),
    Task(
        name="regression",
        activation=value_activation,
        metrics=_error_metrics(1.0),
        targets="float32 (N, K), in the units of the table",
        answers="float32 (N, K), in the units of the table",
        decode=DECODERS["regression"],
        source="least squares: Gauss 1809; metric: the usual rule of Kaggle's regressions",
    ),
)

TASKS = {task.name: task for task in _TABLE}


def get_task(
    name: str,
    scale: Tensor | None = None,
    classes: MaskClasses = OVERLAPPING,
    *,
    gaps: bool = False,
) -> Task:
    """Return a task as the data have it.

    Args:
        name: A key of `TASKS`.
        scale: Regression: float32 (K,), on the device. Each target's errors are divided by its
            own: in the units of the table, the target with the greatest numbers would choose the
            best epoch alone. None: they are not divided.
        classes: Masks: how their classes share the pixels.
        gaps: Whether some targets are unknown, NaN: metrics leave them out. Not for classes.
    """
    task = TASKS[name]
    if task.masks and classes.exclusive:
        dice = Metric("dice", "max", partial(count_dice, classes=classes))
        task = replace(
            task,
            activation=classes.activate,
            decode=classes.decode,
            metrics=(dice,),
            classes=classes,
        )
    if name == "regression" and (scale is not None or gaps):
        metrics = _error_metrics(1.0 if scale is None else scale, gaps=gaps)
        return replace(task, metrics=metrics)
    if gaps and name in ("multilabel", "binary"):
        monitor = replace(task.monitor, sum_and_count=partial(count_right_labels, gaps=True))
        return replace(task, metrics=(monitor, *task.metrics[1:]))
    return task
