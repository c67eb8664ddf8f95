"""The losses of each task and their options; read a choice of losses from parameters."""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from torch import Tensor

from darkroom.errors import ParamsError
from darkroom.tasks.losses import labels, masks

LossChoice = str | Mapping[str, float | Mapping[str, float]]
Term = tuple[float, Callable[..., Tensor]]
"""A weight, and (logits, targets[, numbers an output]) to a scalar."""

AUTO = "auto"


@dataclass(frozen=True)
class Range:
    """The numbers that an option may be."""

    low: float
    high: float = math.inf
    whole: bool = False

    def __contains__(self, value: float) -> bool:
        if self.whole and value != int(value):
            return False
        return self.low <= value <= self.high

    def __str__(self) -> str:
        end = "" if self.high == math.inf else f", at most {self.high:g}"
        return f"{'a whole number, ' if self.whole else ''}{self.low:g} or more{end}"


@dataclass(frozen=True)
class _Loss:
    function: Callable[..., Tensor]
    options: Mapping[str, Range] = field(default_factory=dict)


# Beyond these numbers a float32 sum loses one of its terms, or all.
LEAST, MOST = 1e-6, 1e6
_WEIGHT, _ANY = Range(LEAST, MOST), Range(0, MOST)
_FOCAL = {"gamma": _ANY, "alpha": Range(0, 1)}
_LABELS = {"bce": _Loss(labels.bce), "focal": _Loss(labels.label_focal, _FOCAL)}
# The first of each is what `auto` means.
_TABLE: Mapping[str, Mapping[str, _Loss]] = {
    "segmentation": {
        "bce_dice": _Loss(masks.bce_dice),
        "bce": _Loss(masks.bce),
        "dice": _Loss(masks.dice),
        "focal": _Loss(masks.focal, _FOCAL),
        "lovasz": _Loss(masks.lovasz),
        "tversky": _Loss(masks.tversky, {"alpha": _ANY, "beta": _ANY}),
        "boundary": _Loss(masks.boundary, {"width": Range(1, 1024, whole=True), "strength": _ANY}),
    },
    "multilabel": _LABELS,
    "multiclass": {
        "cross_entropy": _Loss(labels.cross_entropy),
        "focal": _Loss(labels.class_focal, {"gamma": _ANY}),
    },
    "binary": _LABELS,
    "regression": {
        "mse": _Loss(labels.mse),
        "l1": _Loss(labels.l1),
        "huber": _Loss(labels.huber, {"delta": _WEIGHT}),
    },
}

NAMES: Mapping[str, tuple[str, ...]] = {task: tuple(losses) for task, losses in _TABLE.items()}


def read_terms(
    task: str, choice: LossChoice, fixed: Mapping[str, object] = MappingProxyType({})
) -> list[Term]:
    """Return the losses of a choice with their weights; see `build_loss`.

    Args:
        task: A key of `NAMES`.
        choice: The losses.
        fixed: Arguments that each of them gets.

    Raises:
        ParamsError: A name or an option that the task's losses do not have, or an invalid
            value.
    """
    if task not in _TABLE:
        raise _unknown("there is no task of this name", task, list(_TABLE))
    if choice == AUTO:
        choice = NAMES[task][0]
    if isinstance(choice, str):
        choice = {choice: 1.0}
    if not choice:
        raise ParamsError("there is no loss", expected=f"one of {', '.join(NAMES[task])}")
    return [_term(task, name, options, fixed) for name, options in choice.items()]


def _term(
    task: str, name: str, options: float | Mapping[str, float], fixed: Mapping[str, object]
) -> tuple[float, Callable[..., Tensor]]:
    loss = _TABLE[task].get(name)
    if loss is None:
        raise _unknown(f"{task} has no loss of this name", name, [AUTO, *_TABLE[task]])
    values = dict(options) if isinstance(options, Mapping) else {"weight": options}
    allowed = {"weight": _WEIGHT, **loss.options}
    for option, value in values.items():
        if option not in allowed:
            raise _unknown(f"the loss {name} has no option {option!r}", option, list(allowed))
        _check_range(f"{option} of the loss {name}", value, allowed[option])
    weight = float(values.pop("weight", 1.0))
    arguments = {
        option: int(value) if allowed[option].whole else float(value)
        for option, value in values.items()
    }
    if name == "tversky" and arguments.get("alpha", 1) + arguments.get("beta", 1) < LEAST:
        raise ParamsError(
            "the loss tversky is 0 for any answer: neither kind of error costs anything",
            found=f"alpha {arguments['alpha']:g}, beta {arguments['beta']:g}",
            expected=f"a sum of {LEAST:g} or more",
        )
    return weight, partial(loss.function, **arguments, **fixed)


def _check_range(name: str, value: object, allowed: Range) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value not in allowed:  # type: ignore[arg-type, operator]
        raise ParamsError(f"{name} is out of range", found=value, expected=allowed)


def _unknown(message: str, name: str, names: list[str]) -> ParamsError:
    near = difflib.get_close_matches(name, names, n=1)
    return ParamsError(
        message,
        found=name,
        expected=", ".join(names),
        fix=f"did you mean {near[0]}?" if near else None,
    )
