"""What the range test suggests for losses whose answer is known."""

import math

import numpy as np
import pytest

from darkroom.training.trials.lr_range import smoothed, suggest_lr
from darkroom.training.trials.steps import Step

RATES = np.logspace(-7, 1, 101)


def steps_of(losses: list[float]) -> list[Step]:
    return [Step(float(lr), loss) for lr, loss in zip(RATES, losses, strict=False)]


def fall(lr: float) -> float:
    """Return a loss that falls from 1 to 0 evenly in log(lr) between 1e-4 and 1e-2, then rises."""
    done = (math.log10(lr) + 4) / 2
    return 1 - min(max(done, 0.0), 1.0) + max(0.0, done - 1) ** 2


def test_smoothing_keeps_constants_and_has_no_lag() -> None:
    assert smoothed([2.0] * 7) == pytest.approx([2.0] * 7)
    assert smoothed([0, 0, 1, 0, 0]).argmax() == 2
    line = smoothed(list(range(9)))
    assert line[4] == pytest.approx(4)
    # A bell of one step's width: exp(-1/2) beside the middle.
    bell = [math.exp(-0.5 * k * k) for k in range(-2, 3)]
    assert smoothed([0, 0, 1, 0, 0])[2] == pytest.approx(1 / sum(bell))


def test_the_suggestion_is_four_fifths_down_the_fall() -> None:
    suggestion = suggest_lr(steps_of([fall(lr) for lr in RATES]))
    assert suggestion is not None
    # From 1e-4 to 1e-2: 80 % is at 10^-2.4, where smoothing moves it by less than a step.
    assert abs(math.log10(suggestion.lr) + 2.4) <= 0.08
    assert abs(math.log10(suggestion.start) + 3.9) <= 0.08
    assert abs(math.log10(suggestion.end) + 2) <= 0.16
    assert suggestion.before == pytest.approx(1)
    assert suggestion.after < 0.1


def test_noise_moves_it_by_less_than_a_factor_of_two() -> None:
    rng = np.random.default_rng(1)
    losses = [fall(lr) + rng.normal(0, 0.05) for lr in RATES]
    suggestion = suggest_lr(steps_of(losses))
    assert suggestion is not None
    assert abs(math.log10(suggestion.lr) + 2.4) < 0.3


def test_where_the_loss_is_no_number_it_diverged() -> None:
    losses = [fall(lr) for lr in RATES[:80]]
    assert suggest_lr(steps_of(losses)).diverged is None  # type: ignore[union-attr]
    suggestion = suggest_lr(steps_of([*losses, math.inf]))
    assert suggestion is not None
    assert suggestion.diverged == pytest.approx(RATES[80])


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_a_loss_that_does_not_fall_has_no_suggestion(slope: float) -> None:
    rng = np.random.default_rng(2)
    losses = [1 + slope * k + rng.normal(0, 0.02) for k in range(101)]
    assert suggest_lr(steps_of(losses)) is None
    assert suggest_lr(steps_of([math.inf, math.inf])) is None
