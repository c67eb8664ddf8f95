"""Our step and timm's learn the same, so that their times can be compared."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import timm_step
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig


@pytest.mark.parametrize("clip", [None, 0.1])
def test_both_learn_the_same(clip: float | None, tmp_path: Path) -> None:
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
    seconds, ours, theirs = timm_step.measure(
        "test_convnext", config, side=32, batch=2, steps=3, folder=tmp_path
    )
    assert len(seconds) == 3
    assert all(value > 0 for pair in seconds for value in pair)
    options: dict[str, Any] = {"backbone": "test_convnext", "size": (32, 32)}
    first = build_network("timm", outputs=timm_step.CLASSES, seed=0, **options)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)
    moves = [
        (a - b).abs().max() for a, b in zip(ours.parameters(), first.parameters(), strict=True)
    ]
    assert max(moves) > 1e-3
