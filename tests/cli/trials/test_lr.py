"""`darkroom lr NAME`: steps at the rates it says, a suggestion, a plot, and no result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from darkroom.cli.main import main, read_context
from darkroom.cli.trials import lr
from darkroom.stages import train
from darkroom.training.trials.lr_range import Suggestion
from tests.support import tiny

COMMAND = ["lr", tiny.NAME, "--steps", "25"]
PLOT = Path(f"runs/{tiny.NAME}/lr-fold0.png")


@pytest.mark.parametrize("kind", ["masks", "multilabel", "multiclass", "regression"])
def test_rates_grow_by_a_factor_and_nothing_else_is_written(
    ready: Callable[..., Path], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    root = ready(kind)
    before = tiny.tree(root)
    capsys.readouterr()
    assert main(COMMAND) == 0
    out = capsys.readouterr().out
    steps = pd.read_csv(PLOT.with_suffix(".csv"))
    assert steps.lr.to_numpy() == pytest.approx(np.logspace(-7, 1, 25)[: len(steps)])
    assert "suggestion" in out and str(PLOT) in out  # noqa: PT018
    with Image.open(PLOT) as plot:
        assert plot.size == (936, 598)
    assert tiny.tree(root) == before
    assert tiny.leftovers(root) == []
    first = PLOT.with_suffix(".csv").read_bytes()
    assert main(COMMAND) == 0
    assert PLOT.with_suffix(".csv").read_bytes() == first


def test_the_first_loss_is_that_of_the_first_batch(ready: Callable[..., Path]) -> None:
    ready("multiclass", train={"augment": "none"})
    fold = train.prepare(read_context(tiny.NAME), 0)
    batch = next(iter(fold.train_loader))
    mean, std = (torch.tensor(fold.description[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    logits = fold.net.train()((batch.images.float() / 255 - mean) / std)
    assert batch.targets is not None
    loss = torch.nn.functional.cross_entropy(logits, batch.targets)
    assert main(COMMAND) == 0
    assert pd.read_csv(PLOT.with_suffix(".csv")).loss[0] == pytest.approx(loss.item(), rel=1e-5)


def test_steps_of_several_devices_have_as_many_images(
    ready: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready("multiclass", train={"batch_size": 8, "devices": 2, "accumulate": 3})
    seen: list[Any] = []
    prepare = train.prepare

    def note(context: Any, fold: Any) -> Any:
        seen.append(context.section.train)
        return prepare(context, fold)

    monkeypatch.setattr(train, "prepare", note)
    assert main(COMMAND) == 0
    assert (seen[0].batch_size, seen[0].accumulate, seen[0].devices) == (4, 6, 1)


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (0.01, "as good"),
        (0.029, "as good"),
        (0.05, "5 times as much"),
        (0.002, "a 5th of it"),
        (0.2, "above the rate of the least loss"),
        (2.0, "diverges"),
        (0.0001, "hardly falls"),
    ],
)
def test_how_the_rate_of_params_yaml_compares(rate: float, words: str) -> None:
    suggestion = Suggestion(0.01, start=0.0005, end=0.1, before=1, after=0, diverged=1.0)
    assert words in lr.compared(rate, suggestion)


@pytest.mark.parametrize("steps", ["19", "many", "-1"])
def test_a_wrong_number_of_steps_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], steps: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["lr", tiny.NAME, "--steps", steps])
    assert ended.value.code == 2
    assert "expected a number from 20 to 10000" in capsys.readouterr().err
