"""The learning-rate range test: the loss of a training whose rate grows with every step.

Smith 2017, Cyclical Learning Rates for Training Neural Networks (arXiv 1506.01186), with a rate
that grows by a factor. The rate that is suggested is the one at which the smoothed loss has done
four fifths of its fall: there it learns fast, and some way before it diverges. It is meant as the
peak of a schedule, as `train.lr` is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from darkroom.models.build import MEAN, STD
from darkroom.params.train import FitConfig
from darkroom.store.loader import Loader
from darkroom.training.augment.mixup import Mixup
from darkroom.training.device import choose_precision, training_device
from darkroom.training.fit import Objective, training_loop
from darkroom.training.trials.steps import Step, take_steps, trial_config

LEAST, MOST = 1e-7, 10.0  # params.yaml allows no more
STEPS = 100
DIVERGED = 4.0  # times the least loss: then the test ends
_MEMORY = 0.9  # of the running mean that is compared with it
_FEWEST = 10  # steps before which nothing is compared
_BEGUN = 0.05  # share of its fall after which the loss has begun to fall
_SUGGESTED = 0.8  # share of its fall that the loss has done at the suggested rate
_NOISE = 2.0  # standard deviations of a step's loss that the smoothed one must fall


@dataclass(frozen=True)
class Suggestion:
    """A learning rate, and what speaks for it.

    Attributes:
        lr: To two digits.
        start, end: Where the smoothed loss begins to fall, and where it is least.
        before, after: The smoothed losses before the fall, and at its end.
        diverged: The rate at which the loss left all bounds; None: it did not.
    """

    lr: float
    start: float
    end: float
    before: float
    after: float
    diverged: float | None


def lr_range_test(
    net: nn.Module,
    train_loader: Loader,
    val_loader: Loader,
    config: FitConfig,
    *,
    objective: Objective,
    seed: int,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    mixup: Mixup | None = None,
    steps: int = STEPS,
) -> list[Step]:
    """Train with rates from 1e-7 to 10, and return the steps until the loss diverges.

    Optimizer, layer groups, accumulation, clipping, precision and augmentation are those of the
    training; the network is changed. The steps are a function of the arguments, to the bit.

    Args:
        steps: From the least rate to the greatest; two or more.

    The other arguments are those of `darkroom.training.fit.fit`, as are the errors.
    """
    growth = (MOST / LEAST) ** (1 / (steps - 1))
    config = trial_config(config)
    with training_loop(
        net,
        train_loader,
        val_loader,
        config,
        objective=objective,
        precision=choose_precision(config, training_device(config.accelerator), objective.task),
        seed=seed,
        mean=mean,
        std=std,
        mixup=mixup,
    ) as (loop, signals):
        return take_steps(
            loop,
            signals,
            steps,
            lr_of=lambda step: LEAST * growth**step,
            is_enough=_has_diverged,
            title="learning rates",
        )


def _has_diverged(steps: Sequence[Step]) -> bool:
    """Return whether the running mean of the loss is far above its least value."""
    mean, least = 0.0, math.inf
    for number, step in enumerate(steps, 1):
        mean = _MEMORY * mean + (1 - _MEMORY) * step.loss
        current = mean / (1 - _MEMORY**number)
        least = min(least, current)
    return len(steps) >= _FEWEST and current > DIVERGED * least


def smoothed(losses: Sequence[float]) -> NDArray[np.float64]:
    """Return the means of each loss and those beside it, weighed by a bell: no lag (n,).

    Its standard deviation is a fiftieth of the losses.
    """
    values = np.asarray(losses, np.float64)
    width = max(1.0, len(values) / 50)
    places = np.arange(len(values))
    bell = np.exp(-0.5 * ((places[:, None] - places) / width) ** 2)
    return np.asarray(bell @ values / bell.sum(axis=1))


def suggest_lr(steps: Sequence[Step]) -> Suggestion | None:
    """Return the rate four fifths down the fall of the loss; None: no rate lowers it."""
    finite = [step for step in steps if math.isfinite(step.loss)]
    if len(finite) < 3:
        return None
    own = np.array([step.loss for step in finite])
    losses, first = smoothed(own.tolist()), max(3, len(own) // 10)
    before, end = float(np.median(losses[:first])), int(np.argmin(losses))
    # Of neighbours, as the loss falls; medians, as some images are harder than others.
    noise = 1.4826 * float(np.median(np.abs(np.diff(own[: max(10, end)])))) / math.sqrt(2)
    depth = before - losses[end]
    if end < first or depth <= max(_NOISE * noise, 0.01 * abs(before)):
        return None
    start, fast = (_first_below(losses, before - share * depth) for share in (_BEGUN, _SUGGESTED))
    has_diverged = len(finite) < len(steps) or _has_diverged(steps)
    return Suggestion(
        lr=float(f"{finite[fast].lr:.1e}"),
        start=finite[start].lr,
        end=finite[end].lr,
        before=before,
        after=float(losses[end]),
        diverged=steps[-1].lr if has_diverged else None,
    )


def _first_below(losses: NDArray[np.float64], value: float) -> int:
    """Return the first place from which losses stay at a value or below it, until the least."""
    above = np.flatnonzero(losses[: int(np.argmin(losses))] > value)
    return int(above[-1]) + 1 if len(above) else 0
