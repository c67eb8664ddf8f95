"""Build a task's loss by name, or a weighted sum of several; balance classes by weights.

    masks     bce, dice, bce_dice, focal, lovasz, tversky, boundary
    labels    bce, focal (multilabel, binary); cross_entropy, focal (multiclass)
    values    mse, l1, huber

Every loss is a mean over images of equal weight, so it does not depend on how they were batched.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from darkroom.errors import DataError, ParamsError
from darkroom.tasks.losses.choice import AUTO, LossChoice, Term, read_terms
from darkroom.tasks.planes import OVERLAPPING, MaskClasses


class WeightedLoss(nn.Module):
    """A weighted sum of losses, called as `loss(logits, targets)`.

    Logits are (N, K, H, W) for masks and (N, K) otherwise, of any float type; the loss is a
    scalar, float32.

    Args:
        terms: Weights and losses; see `build_loss`.
        per_output: One number an output, which every loss takes after logits and targets; or
            None. A buffer that is not in the state dict.
        name: The key of these numbers, for errors.
        uncounted: How many outputs have no number: the background of exclusive mask classes.
        known_share: The share of the targets that is known, where some are not: NaN. They cost
            nothing, and the loss is a mean over the others. None: all are known.
    """

    per_output: Tensor | None

    def __init__(
        self,
        terms: Sequence[Term],
        *,
        per_output: Sequence[float] | None = None,
        name: str = "",
        uncounted: int = 0,
        known_share: float | None = None,
    ) -> None:
        super().__init__()
        self.terms, self.name, self.uncounted = tuple(terms), name, uncounted
        self.known_share = known_share
        numbers = None if per_output is None else torch.tensor(per_output, dtype=torch.float32)
        self.register_buffer("per_output", numbers, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum.

        Raises:
            ParamsError: There are more or fewer numbers an output than outputs.
        """
        options: dict[str, Tensor] = {}
        if self.known_share is not None:
            options["is_known"] = ~targets.isnan()
            targets = targets.nan_to_num(0.0)
        if self.per_output is None:
            parts = [weight * loss(logits, targets, **options) for weight, loss in self.terms]
        else:
            self._check_outputs(logits.shape[1] - self.uncounted, len(self.per_output))
            parts = [
                weight * loss(logits, targets, self.per_output, **options)
                for weight, loss in self.terms
            ]
        total = torch.stack(parts).sum() if len(parts) > 1 else parts[0]
        return total if self.known_share is None else total / self.known_share

    def _check_outputs(self, outputs: int, numbers: int) -> None:
        # A single number would be broadcast silently.
        if outputs != numbers:
            raise ParamsError(
                f"{self.name} must have one number an output", found=numbers, expected=outputs
            )


def build_loss(
    task: str,
    loss: LossChoice = AUTO,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
    mask_classes: MaskClasses = OVERLAPPING,
    known_share: float | None = None,
) -> WeightedLoss:
    """Return a loss for a task.

    Args:
        task: A name of `darkroom.tasks.table.TASKS`.
        loss: A name; or weights by name, {"bce": 1, "dice": 0.5}; or options, of which the weight
            is one, by name: {"focal": {"weight": 2, "gamma": 1}}; "auto" is the task's usual one.
        label_smoothing: The share of certainty that is spread over all answers; labels only
            (Szegedy et al. 2016, Rethinking the Inception Architecture).
        class_weights: One a class (multiclass), or of each label's positives (multilabel,
            binary), or of each mask class. They are not normalised: an image weighs what its class
            does in any batch.
        scale: Regression: errors are divided by these, one a value, so that a learning rate
            means the same whatever the units.
        mask_classes: How mask classes share the pixels.
        known_share: Of the targets of all images, where some are unknown, NaN; see
            `WeightedLoss`. Not for classes and masks.

    Raises:
        ParamsError: A name or an option that the task's losses do not have, or an invalid
            value.

    Example:
        >>> loss = build_loss("segmentation", {"bce": 1, "dice": {"weight": 0.5}})
        >>> round(float(loss(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))), 4)
        1.0931
    """
    _check_arguments(task, label_smoothing, class_weights, scale)
    fixed: dict[str, object] = {"smoothing": label_smoothing} if label_smoothing else {}
    if task == "segmentation":
        fixed = {"classes": mask_classes}
    terms = read_terms(task, loss, fixed)
    numbers, name = (class_weights, "class_weights") if scale is None else (scale, "scale")
    return WeightedLoss(
        terms,
        per_output=numbers,
        name=name,
        uncounted=int(mask_classes.background),
        known_share=known_share,
    )


def _check_arguments(
    task: str,
    label_smoothing: float,
    class_weights: Sequence[float] | None,
    scale: Sequence[float] | None,
) -> None:
    labels = task in ("multilabel", "multiclass", "binary")
    if label_smoothing and not labels:
        raise _unsupported("label_smoothing", task, "0")
    if not 0 <= label_smoothing < 1:
        raise ParamsError(
            "label_smoothing is out of range", found=label_smoothing, expected="0 or more, below 1"
        )
    if class_weights is not None and task == "regression":
        raise _unsupported("class_weights", task, "null")
    if scale is not None and task != "regression":
        raise _unsupported("scale", task, "None")
    _check_numbers("class_weights", class_weights, "0 or more, and one above 0", _is_weighting)
    _check_numbers("scale", scale, "numbers above 0", lambda numbers: min(numbers) > 0)


def balanced_weights(
    task: str, targets: NDArray[Any], *, classes: int | None = None
) -> list[float]:
    """Return class weights from the targets learned from, for `build_loss`.

    Multiclass: N / (K n) for a class of n images, so that a mean over the N images has weight 1
    (King and Zeng 2001). Multilabel and binary: how many no there are for each yes.

    Args:
        task: multiclass, multilabel or binary.
        targets: int (N,) or shares (N, K) of classes; or (N, K) of 0 and 1, NaN where unknown.
        classes: How many classes there are (multiclass); None: as many as `targets` show.

    Raises:
        ParamsError: Another task.
        DataError: A class without an image; or a label that all images have, or none.
    """
    if task == "multiclass":
        if targets.ndim == 2:  # shares
            counts = targets.sum(axis=0, dtype=np.float64)
        else:
            counts = np.bincount(targets.astype(np.int64), minlength=classes or 0)
        _require_examples("a class", np.flatnonzero(counts == 0))
        return [float(weight) for weight in len(targets) / (len(counts) * counts)]
    if task in ("multilabel", "binary"):
        yes = np.count_nonzero(targets > 0.5, axis=0)
        no = np.count_nonzero(targets <= 0.5, axis=0)
        _require_examples("a yes or a no of a label", np.flatnonzero((yes == 0) | (no == 0)))
        return [float(weight) for weight in no / yes]
    raise ParamsError(
        f"{task} has no classes to balance", found="class_weights: balanced", expected="null"
    )


def balanced_mask_weights(pixels: NDArray[np.int64], images: NDArray[np.int64]) -> list[float]:
    """Return the weights of mask classes: the median of their frequencies over the frequency.

    A frequency is the share of a class in the pixels of the images that show it (Eigen and Fergus
    2015, Predicting Depth, Surface Normals and Semantic Labels).

    Args:
        pixels: int64 (K,), pixels of each class.
        images: int64 (K,), images that show it, all of one size.

    Raises:
        DataError: A class that no image shows.

    Example:
        >>> balanced_mask_weights(np.array([400, 100, 100]), np.array([4, 4, 1]))
        [1.0, 4.0, 1.0]
    """
    _require_examples("a mask class", np.flatnonzero(images == 0))
    frequencies = pixels / images
    return [float(weight) for weight in np.median(frequencies) / frequencies]


def _is_weighting(numbers: Sequence[float]) -> bool:
    return min(numbers) >= 0 and max(numbers) > 0


def _check_numbers(
    name: str,
    numbers: Sequence[float] | None,
    expected: str,
    is_valid: Callable[[Sequence[float]], bool],
) -> None:
    if numbers is None:
        return
    if not len(numbers) or not all(math.isfinite(number) for number in numbers):
        raise ParamsError(f"{name} must be finite numbers", found=list(numbers), expected=expected)
    if not is_valid(numbers):
        raise ParamsError(f"{name}: out of range", found=list(numbers), expected=expected)


def _unsupported(name: str, task: str, expected: str) -> ParamsError:
    return ParamsError(f"{task} takes no {name}", expected=expected, fix=f"remove {name}")


def _require_examples(example: str, outputs: NDArray[np.int64]) -> None:
    if len(outputs):
        raise DataError(
            f"class_weights can't be balanced: no training image shows {example}",
            found=f"none for output {', '.join(str(output) for output in outputs[:20])}, from 0",
            expected="an image of each",
            fix="set train.class_weights to a list of numbers, or to null",
        )
