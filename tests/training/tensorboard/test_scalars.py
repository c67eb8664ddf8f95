"""Figures of steps and epochs, and of the clock."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch

from darkroom.tasks.table import TASKS
from darkroom.training.tensorboard.scalars import Scalars, charts
from darkroom.training.tensorboard.throughput import Throughput
from tests.training.tensorboard.rig import batch, learner, told, trainer

NOTHING = cast(Any, None)


def test_a_point_a_step_of_the_optimiser_not_a_batch(tmp_path: Path) -> None:
    here, known, scalars = trainer(tmp_path), learner(seen=0), Scalars()
    scalars.on_train_start(here, known)
    for number in range(1, 5):
        known.seen = number
        if number % 2 == 0:
            here.global_step += 1  # type: ignore[misc]
            known.last = {"loss/step": number / 8, "gradient norm": 1.0}
        scalars.on_train_batch_end(here, known, NOTHING, NOTHING, number)
    known.history = [{"epoch": 1, "loss/val": 0.5, "dice/val": 0.25, "learning rate": 1.0}]
    scalars.on_validation_end(here, known)
    events = told(here)
    points = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    assert points == {
        "loss/step": [(2, 0.25), (4, 0.5)],
        "gradient norm": [(2, 1.0), (4, 1.0)],
        "loss/val": [(4, 0.5)],
        "dice/val": [(4, 0.25)],
    }


def test_a_training_that_goes_on_brings_no_point_of_its_past(tmp_path: Path) -> None:
    here, known, scalars = trainer(tmp_path, global_step=3), learner(seen=6), Scalars()
    known.last = {"loss/step": 1.0}
    scalars.on_train_start(here, known)
    known.seen = 7  # the first of two batches of a step
    scalars.on_train_batch_end(here, known, NOTHING, NOTHING, 0)
    assert told(here).Tags()["scalars"] == []


def test_training_and_validation_share_a_chart() -> None:
    text = str(charts(TASKS["regression"]))
    for name in ("loss", "rmse", "mae"):
        assert f"^{name}/(train|val)$" in text


def test_speed_and_waiting_by_a_known_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The epoch begins at 10; batches come at 11 and 14, and are done at 13 and 18.
    times = iter([10.0, 11.0, 13.0, 14.0, 18.0])
    monkeypatch.setattr(
        "darkroom.training.tensorboard.throughput.time.perf_counter", lambda: next(times)
    )
    here, known, speed = trainer(tmp_path), learner(), Throughput()
    images = batch(torch.zeros(4))
    speed.on_train_epoch_start(here, known)
    for number in range(2):
        speed.on_train_batch_start(here, known, images, number)
        speed.on_train_batch_end(here, known, NOTHING, images, number)
    speed.on_validation_end(here, known)
    events = told(here)
    (rate,), (share,) = (
        events.Scalars(tag) for tag in ("images per second", "share of time waiting for data")
    )
    assert (rate.step, rate.value, share.value) == (7, 1.0, 0.25)
