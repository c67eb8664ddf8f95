"""What a training step costs beside the network: one wait for the device, modes once an epoch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from darkroom.store.loader import Batch
from darkroom.training import module
from darkroom.training.callbacks import Callback
from darkroom.training.loop import Loop
from tests.support.interrupted import train

# What makes numbers of a tensor waits until its device has computed it.
WAITS = ("tolist", "item", "__bool__", "__float__", "__int__", "cpu", "numpy", "__index__")


class Calls(TorchFunctionMode):
    """Records the waits for the device, and backward passes, in order."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in (*WAITS, "backward"):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


class Watch(Callback):
    """Watches every training batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self._mode: Calls | None = None

    def on_batch_start(self, loop: Loop, batch: Batch) -> None:  # noqa: ARG002
        self.batches.append([])
        self._mode = Calls(self.batches[-1])
        self._mode.__enter__()  # type: ignore[no-untyped-call]

    def on_batch_end(self, loop: Loop, batch: Batch) -> None:  # noqa: ARG002
        assert self._mode is not None
        self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("choices", [{}, {"accumulate": 2}, {"clip": 1.0, "ema": 0.9}])
def test_a_batch_waits_for_the_device_once_and_after_both_passes(
    tmp_path: Path, choices: dict[str, Any]
) -> None:
    """It waited for the loss between the two passes, and for the gradient's norm after them."""
    watch = Watch()
    train(tmp_path, callbacks=[watch], config={"epochs": 1, **choices})
    assert len(watch.batches) > 2
    assert all(calls == ["backward", "tolist"] for calls in watch.batches)


def test_frozen_modules_are_looked_for_once_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[nn.Module] = []
    monkeypatch.setattr(module, "put_frozen_in_eval_mode", calls.append)
    train(tmp_path, config={"epochs": 2})
    assert len(calls) == 2


def test_memory_is_not_filled_before_use(tmp_path: Path) -> None:
    """torch fills it under deterministic algorithms: 5 to 7 % of a training on a CPU."""
    filled = []

    class Look(Callback):
        def on_batch_start(self, loop: Loop, batch: Batch) -> None:  # noqa: ARG002
            filled.append(torch.utils.deterministic.fill_uninitialized_memory)  # type: ignore[attr-defined]

    train(tmp_path, callbacks=[Look()], config={"epochs": 1})
    assert set(filled) == {False}


@pytest.mark.parametrize(
    ("choices", "logged"), [({}, []), ({}, [0, 2]), ({"clip": 9.0}, [])], ids=str
)
def test_a_step_has_the_norm_that_is_logged_or_clipped(
    tmp_path: Path, choices: dict[str, Any], logged: list[int]
) -> None:
    norms = []

    class Log(Callback):
        def logs_gradient_norm(self, loop: Loop) -> bool:
            return loop.batch in logged

        def on_step_end(self, loop: Loop) -> None:
            norms.append("gradient norm" in loop.step_metrics)
            assert loop.step_metrics.get("gradient norm", 1.0) > 0

    config = {"epochs": 1, "accumulate": 1, "clip": None, **choices}
    train(tmp_path, callbacks=[Log()], config=config)
    assert norms == [bool(choices) or number in logged for number in range(6)]
