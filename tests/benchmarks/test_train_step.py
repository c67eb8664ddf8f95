"""Our step, timm's and a bare one learn the same, so that their times can be compared."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import train_step
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig


@pytest.mark.parametrize("clip", [None, 0.1])
def test_all_learn_the_same(clip: float | None, tmp_path: Path) -> None:
    config = FitConfig(
        epochs=1,
        lr=1e-3,
        weight_decay=0.05,
        optimizer="adamw",
        schedule="cosine",
        warmup=0,
        clip=clip,
        accelerator="cpu",
        precision="float32",
    )
    seconds, nets = train_step.measure(
        "test_convnext", config, side=32, batch=2, steps=3, folder=tmp_path
    )
    assert len(seconds) == 3
    assert [sorted(each) for each in seconds] == [["a bare loop", "darkroom", "timm's loop"]] * 3
    assert all(value > 0 for each in seconds for value in each.values())
    ours = nets.pop("darkroom")
    options: dict[str, Any] = {"backbone": "test_convnext", "size": (32, 32)}
    first = build_network("timm", outputs=train_step.CLASSES, seed=0, **options)
    for theirs in nets.values():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    moves = [
        (a - b).abs().max() for a, b in zip(ours.parameters(), first.parameters(), strict=True)
    ]
    assert max(moves) > 1e-3


def test_the_ratio_is_the_median_of_the_batches() -> None:
    batches = [{"darkroom": 2.0, "a bare loop": 1.0, "timm's loop": 4.0}] * 2
    batches.append({"darkroom": 90.0, "a bare loop": 1.0, "timm's loop": 1.0})
    report = train_step.report({"net": batches})
    assert [(goal.measured, goal.is_met) for goal in report.goals] == [(2.0, False), (0.5, True)]
    assert [row[2] for row in report.tables[0].rows] == [1000.0, 3000.0, pytest.approx(94000 / 3)]
