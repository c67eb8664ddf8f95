"""What a network is made to lessen, by name: one loss, or several with weights.

    masks     bce, dice, bce_dice, focal, lovasz, tversky, boundary
    labels    bce, focal (multilabel, binary); cross_entropy, focal (multiclass)
    values    mse, l1, huber

Every loss is a mean over images of equal weight, so it does not depend on how they were batched.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from darkroom.errors import ParamsError
from darkroom.tasks.losses.balance import balanced_weights
from darkroom.tasks.losses.choice import AUTO, NAMES, LossChoice, Term, terms

__all__ = ["AUTO", "NAMES", "LossChoice", "Total", "balanced_weights", "build"]


class Total(nn.Module):
    """A weighted sum of losses, called as `loss(logits, targets)`.

    Logits are (N, 1, H, W) for masks and (N, K) otherwise, of any float type; the loss is a
    scalar, float32.

    Args:
        terms: Weights and losses; see `darkroom.tasks.losses.build`.
        per_output: One number an output, which every loss takes after logits and targets; or
            None. It moves with the module, and no checkpoint needs it.
        name: What these numbers are called, for errors.
    """

    per_output: Tensor | None

    def __init__(
        self, terms: Sequence[Term], *, per_output: Sequence[float] | None = None, name: str = ""
    ) -> None:
        super().__init__()
        self.terms, self.name = tuple(terms), name
        numbers = None if per_output is None else torch.tensor(per_output, dtype=torch.float32)
        self.register_buffer("per_output", numbers, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the sum.

        Raises:
            ParamsError: There are more or fewer numbers an output than outputs.
        """
        if self.per_output is None:
            parts = [weight * loss(logits, targets) for weight, loss in self.terms]
        else:
            self._check_outputs(logits.shape[1], len(self.per_output))
            parts = [weight * loss(logits, targets, self.per_output) for weight, loss in self.terms]
        return torch.stack(parts).sum() if len(parts) > 1 else parts[0]

    def _check_outputs(self, outputs: int, numbers: int) -> None:
        # A single number would be broadcast without a word.
        if outputs != numbers:
            raise ParamsError(
                f"{self.name} must have one number an output", found=numbers, expected=outputs
            )


def build(
    task: str,
    loss: LossChoice = AUTO,
    *,
    label_smoothing: float = 0.0,
    class_weights: Sequence[float] | None = None,
    scale: Sequence[float] | None = None,
) -> Total:
    """Return a loss for a task.

    Args:
        task: A name of `darkroom.tasks.table.TASKS`.
        loss: A name; or weights by name, {"bce": 1, "dice": 0.5}; or options, of which the weight
            is one, by name: {"focal": {"weight": 2, "gamma": 1}}; "auto" is the task's usual one.
        label_smoothing: The share of certainty that is spread over all answers; labels only
            (Szegedy et al. 2016, Rethinking the Inception Architecture).
        class_weights: One a class (multiclass), or of each label's positives (multilabel,
            binary). They are not normalised: an image weighs what its class does in any batch.
        scale: Regression: errors are divided by these, one a value, so that a learning rate
            means the same whatever the units.

    Raises:
        ParamsError: A name or an option that the task's losses do not have, or a value that
            cannot be.

    Example:
        >>> loss = build("segmentation", {"bce": 1, "lovasz": {"weight": 0.5}})
    """
    labels = task in ("multilabel", "multiclass", "binary")
    if label_smoothing and not labels:
        raise _no_use("label_smoothing", task, "0")
    if not 0 <= label_smoothing < 1:
        raise ParamsError(
            "label_smoothing is out of range", found=label_smoothing, expected="0 or more, below 1"
        )
    if class_weights is not None and not labels:
        raise _no_use("class_weights", task, "null")
    if scale is not None and task != "regression":
        raise _no_use("scale", task, "None")
    _check("class_weights", class_weights, "0 or more, and one above 0", _weighs)
    _check("scale", scale, "numbers above 0", lambda numbers: min(numbers) > 0)
    chosen = terms(task, loss, smoothing=label_smoothing)
    if scale is not None:
        return Total(chosen, per_output=scale, name="scale")
    return Total(chosen, per_output=class_weights, name="class_weights")


def _weighs(numbers: Sequence[float]) -> bool:
    return min(numbers) >= 0 and max(numbers) > 0


def _check(
    name: str,
    numbers: Sequence[float] | None,
    expected: str,
    good: Callable[[Sequence[float]], bool],
) -> None:
    if numbers is None:
        return
    if not len(numbers) or not all(math.isfinite(number) for number in numbers):
        raise ParamsError(f"{name} must be finite numbers", found=list(numbers), expected=expected)
    if not good(numbers):
        raise ParamsError(f"{name} cannot be these", found=list(numbers), expected=expected)


def _no_use(name: str, task: str, expected: str) -> ParamsError:
    return ParamsError(f"{task} has no use for {name}", expected=expected, fix=f"remove {name}")
