"""Figures of steps and epochs, and of the clock."""

from pathlib import Path
from typing import cast

import pytest
import torch

from darkroom.tasks.table import TASKS
from darkroom.training.tensorboard.scalars import Scalars, Throughput, charts
from darkroom.training.tensorboard.writer import EventWriter
from tests.training.tensorboard.rig import batch, loop, read, writer


def test_a_point_a_step_of_the_optimizer_not_a_batch(tmp_path: Path) -> None:
    log = writer(tmp_path)
    scalars = Scalars(log)
    scalars.on_train_start(loop(seen=0))
    for number in (2, 4):
        metrics = {"loss/step": number / 8, "gradient norm": 1.0}
        scalars.on_step_end(loop(seen=number, step_metrics=metrics))
    row = {"epoch": 1, "loss/val": 0.5, "dice/val": 0.25, "learning rate": 1.0}
    scalars.on_epoch_end(loop(seen=4, history=[row]))
    events = read(log)
    points = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    assert points == {
        "loss/step": [(2, 0.25), (4, 0.5)],
        "steps/gradient norm": [(2, 1.0), (4, 1.0)],
        "loss/val": [(4, 0.5)],
        "dice/val": [(4, 0.25)],
    }


def test_norms_of_the_first_steps_and_of_every_tenth() -> None:
    scalars = Scalars(cast(EventWriter, None))
    steps = [0, 1, 999, 1000, 1001, 1009, 1010]
    logged = [step for step in steps if scalars.logs_gradient_norm(loop(steps=step))]
    assert logged == [0, 1, 999, 1000, 1010]


def test_training_and_validation_share_a_chart() -> None:
    text = str(charts(TASKS["regression"]))
    for name in ("loss", "nrmse", "nmae"):
        assert f"^{name}/(train|val)$" in text


def test_speed_and_waiting_by_a_known_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The epoch begins at 10; batches come at 11 and 14, and are done at 13 and 18.
    times = iter([10.0, 11.0, 13.0, 14.0, 18.0])
    monkeypatch.setattr(
        "darkroom.training.tensorboard.scalars.time.perf_counter", lambda: next(times)
    )
    log = writer(tmp_path)
    speed, images = Throughput(log), batch(torch.zeros(4))
    speed.on_epoch_start(loop())
    for _ in range(2):
        speed.on_batch_start(loop(), images)
        speed.on_batch_end(loop(), images)
    speed.on_epoch_end(loop())
    events = read(log)
    (rate,), (share,) = (
        events.Scalars(tag)
        for tag in ("speed/images per second", "speed/share of time waiting for data")
    )
    assert (rate.step, rate.value, share.value) == (7, 1.0, 0.25)
