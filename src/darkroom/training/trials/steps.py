"""Take some optimizer steps without validation, and record the loss of each."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from darkroom.errors import ParamsError
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch
from darkroom.training.callbacks import Callback
from darkroom.training.loop import Loop
from darkroom.training.signals import DeferredSignals


@dataclass(frozen=True)
class Step:
    """An optimizer step.

    Attributes:
        lr: The learning rate of a layer group whose factor is 1.
        loss: Of the step's images, before it; infinite where it was not a finite number.
    """

    lr: float
    loss: float


def trial_config(config: FitConfig, **changes: Any) -> FitConfig:
    """Return a training's choices with a rate that the trial sets, and no average of weights."""
    constant = {"schedule": "constant", "warmup": None, "ema": None, "average": None}
    return config.model_copy(update=constant | changes)


def take_steps(
    loop: Loop,
    signals: DeferredSignals,
    count: int,
    *,
    lr_of: Callable[[int], float],
    is_enough: Callable[[Sequence[Step]], bool],
    title: str,
    same_epoch: bool = False,
) -> list[Step]:
    """Return the steps taken, with those of a loss that was not finite at the end.

    Args:
        loop: From `darkroom.training.fit.training_loop`, which has not begun.
        signals: Obeyed between two batches.
        count: At most so many steps.
        lr_of: The rate of a step, counted from 0.
        is_enough: Ends the trial, after each step.
        title: Of the bar in a terminal.
        same_epoch: Whether each pass draws the same random numbers.

    Raises:
        ParamsError: The first loss is not a finite number.
        DarkroomError: As of a training's batches.
    """
    with tqdm(total=count, desc=title, unit="step", file=sys.stderr, disable=None) as bar:
        recorder = _Recorder(count, lr_of, is_enough, bar)
        loop.callbacks = [recorder]
        try:
            while True:
                loop.train_epoch(lambda _: signals.obey())
                loop.epoch, loop.batch = loop.epoch + (not same_epoch), 0
        except _EnoughError:
            pass
        except ParamsError:
            if not recorder.steps:
                raise
            # The loss has diverged; errors of other kinds come with the first batch.
            recorder.steps.append(Step(lr_of(len(recorder.steps)), math.inf))
    return recorder.steps


class _EnoughError(Exception):
    """Ends a trial from within the loop."""


class _Recorder(Callback):
    """Sets the rate of each step, and records its loss."""

    def __init__(
        self,
        count: int,
        lr_of: Callable[[int], float],
        is_enough: Callable[[Sequence[Step]], bool],
        bar: Any,
    ) -> None:
        self.count, self.lr_of, self.is_enough, self.bar = count, lr_of, is_enough, bar
        self.steps: list[Step] = []

    def on_batch_start(self, loop: Loop, batch: Batch) -> None:
        """Set the rate of the step that this batch belongs to."""
        for group in loop.step.optimizer.param_groups:
            group["lr"] = self.lr_of(len(self.steps)) * group["factor"]

    def on_step_end(self, loop: Loop) -> None:
        """Record the step; end the trial if it is enough."""
        self.steps.append(Step(self.lr_of(len(self.steps)), loop.step_metrics["loss/step"]))
        self.bar.update()
        if len(self.steps) >= self.count or self.is_enough(self.steps):
            raise _EnoughError
