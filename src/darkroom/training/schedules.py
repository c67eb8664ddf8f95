"""Learning-rate schedules by name: pure functions of the step, except for the plateau.

one_cycle  up and down again as cosines, from a 25th of the peak to a 250,000th, momentum
           the other way (Smith and Topin 2018)
cosine     a linear warm-up (Goyal et al. 2017), then half a cosine to zero (Loshchilov and
           Hutter 2017)
plateau    a linear warm-up, then the peak; a tenth of the rate each time the metric stagnates
constant   a linear warm-up, then the peak
"""

import math
from collections.abc import Callable
from typing import Any, Literal

from torch.optim import Optimizer

from darkroom.errors import ParamsError

# Of one_cycle: the first rate is a 25th of the peak, the last a 10,000th of the first.
FIRST, LAST = 25.0, 1e4
# Of plateau: the factor on the rate, the epochs in a row without a better metric that are accepted,
# and the relative gain that counts as better: torch's defaults, except for the patience.
DROP, PATIENCE, MARGIN = 0.1, 3, 1e-4

Shape = Callable[[int, int, float, float], float]
"""(steps taken, steps in all, share of warm-up, peak) to the rate of the next step."""


class Schedule:
    """Sets the rate of every group of an optimiser: now, and after each of its steps.

    The rate of a group is the schedule's times the group's `factor` (see
    `darkroom.training.optimizers`). one_cycle moves momentum too, from as much above its value
    to as much below: 0.95 to 0.85 and back for 0.9.

    Attributes:
        steps: Steps of the optimiser so far.
        lr: The rate of the next step, for a factor of 1.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        name: str,
        *,
        lr: float,
        total_steps: int,
        warmup: float,
        best: Literal["max", "min"],
    ) -> None:
        self.optimizer, self.name, self.best = optimizer, name, best
        self.peak, self.total_steps, self.warmup = lr, max(2, total_steps), warmup
        self.steps, self.drops, self.stale_epochs = 0, 0, 0
        self.best_metric: float | None = None
        self._apply()

    @property
    def lr(self) -> float:
        """The rate of the next step for a group whose factor is 1."""
        return self._rate(self.peak)

    def step_batch(self) -> None:
        """Count a step of the optimiser, and set the rates of the next."""
        self.steps += 1
        self._apply()

    def step_epoch(self, metric: float) -> None:
        """Look at the monitored metric of an epoch: a plateau lowers the rate."""
        if self.name != "plateau" or self.steps < round(self.warmup * self.total_steps):
            return
        if self._is_better(metric):
            self.best_metric, self.stale_epochs = metric, 0
            return
        self.stale_epochs += 1
        if self.stale_epochs > PATIENCE:
            self.drops, self.stale_epochs = self.drops + 1, 0
            self._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return what the coming rates depend on beside the arguments."""
        return {
            key: getattr(self, key) for key in ("steps", "drops", "stale_epochs", "best_metric")
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another schedule of the same arguments stood."""
        for key in self.state_dict():
            setattr(self, key, state[key])
        self._apply()

    def _is_better(self, metric: float) -> bool:
        if self.best_metric is None:
            return not math.isnan(metric)
        gain = metric - self.best_metric if self.best == "max" else self.best_metric - metric
        return gain > MARGIN * abs(self.best_metric)

    def _rate(self, peak: float) -> float:
        rate = SHAPES[self.name](self.steps, self.total_steps, self.warmup, peak)
        return rate * DROP**self.drops if self.drops else rate

    def _apply(self) -> None:
        momentum = self._momentum() if self.name == "one_cycle" else None
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(self.peak * group.get("factor", 1.0))
            if momentum is None:
                continue
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            if "momentum" in group:  # muon's groups have both
                group["momentum"] = momentum

    def _momentum(self) -> float:
        defaults = self.optimizer.defaults
        middle = defaults["betas"][0] if "betas" in defaults else defaults["momentum"]
        # Rounded, as 0.9 + 0.05 is not exactly 0.95.
        swing = min(middle, 1 - middle) / 2
        high, low = round(middle + swing, 12), round(middle - swing, 12)
        return _cycle(self.steps, self.total_steps, self.warmup, (high, low, high))


def build_schedule(
    optimizer: Optimizer,
    name: str,
    *,
    lr: float,
    total_steps: int,
    warmup: float | None = None,
    best: Literal["max", "min"] = "max",
) -> Schedule:
    """Return a schedule, which sets the rates of the first step at once.

    Args:
        optimizer: From `darkroom.training.optimizers.build_optimizer`.
        name: One of `SHAPES`.
        lr: The peak.
        total_steps: Steps of the optimiser in the whole training.
        warmup: Share of these over which the rate rises; None: see `WARMUPS`.
        best: Whether more or less of the metric given to `step_epoch` is better.

    Raises:
        ParamsError: There is no schedule of this name.
    """
    if name not in SHAPES:
        raise ParamsError(
            "there is no schedule of this name", found=name, expected=", ".join(SHAPES)
        )
    share = WARMUPS[name] if warmup is None else warmup
    return Schedule(optimizer, name, lr=lr, total_steps=total_steps, warmup=share, best=best)


def _one_cycle(step: int, total: int, warmup: float, peak: float) -> float:
    first = peak / FIRST
    return _cycle(step, total, warmup, (first, peak, first / LAST))


def _cosine(step: int, total: int, warmup: float, peak: float) -> float:
    rising = round(warmup * total)
    if step < rising or step >= total:
        return _warm(step, total, warmup, peak) if step < rising else 0.0
    return peak * (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2


def _warm(step: int, total: int, warmup: float, peak: float) -> float:
    rising = round(warmup * total)
    return peak * (step + 1) / (rising + 1) if step < rising else peak


def _cycle(step: int, total: int, warmup: float, values: tuple[float, float, float]) -> float:
    """Return a value on its way from the first of three to the second, then to the third.

    The arithmetic is that of torch's OneCycleLR, whose bits it keeps; but a turn that falls on
    the first step or on the last one divides nothing by zero.
    """
    first, middle, last = values
    step, turn = min(step, total), warmup * total - 1
    if step <= turn and turn > 0:
        return _between(first, middle, step / turn)
    if turn >= total - 1:
        return middle
    return _between(middle, last, (step - turn) / (total - 1 - turn))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)


SHAPES: dict[str, Shape] = {
    "one_cycle": _one_cycle,
    "cosine": _cosine,
    "plateau": _warm,
    "constant": _warm,
}
WARMUPS = {"one_cycle": 0.3, "cosine": 0.05, "plateau": 0.0, "constant": 0.0}
