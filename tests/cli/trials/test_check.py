"""`darkroom train NAME --check`: every step is taken, what is wrong shows, and nothing stays."""

import re
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from darkroom.cli.main import main, read_context
from darkroom.cli.trials import check
from darkroom.models import saved
from darkroom.stages import train
from tests.support import tiny

COMMAND = ["train", tiny.NAME, "--check"]


@pytest.mark.parametrize("kind", ["masks", "multilabel", "multiclass", "regression"])
def test_all_goes_through_and_nothing_stays(
    ready: Callable[..., Path], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    root = ready(kind)
    before, stamps = tiny.tree(root), sorted(Path("data/stamps").iterdir())
    capsys.readouterr()
    assert main(COMMAND) == 0
    lines = capsys.readouterr().out.splitlines()
    counts = "8 images to learn from, 8 to validate with, 32 px high and 32 px wide"
    assert lines[1].split(maxsplit=1) == ["data", counts]
    assert [line.split()[0] for line in lines[2:7]] == [
        *("training", "validation", "model", "predictions", "predictions")
    ]
    assert lines[2].split()[1:5] == ["a", "batch", "of", "4"]
    assert "8 validation images" in lines[5]
    assert f"{tiny.TEST} test images" in lines[6]
    assert lines[-1] == f"`dvc repro train@{tiny.NAME}-0` trains."
    assert tiny.tree(root) == before
    assert sorted(Path("data/stamps").iterdir()) == stamps
    assert tiny.leftovers(root) == []
    assert not (root / "runs").exists()


def test_the_losses_are_those_of_the_batch(
    ready: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ready("multiclass", train={"augment": "none"})
    fold = train.prepare(read_context(tiny.NAME), 0)
    rows = check.spread(fold.inputs.train_rows, 4)
    images, targets = map(fold.inputs.shards.image, rows), fold.inputs.targets
    assert targets is not None
    pixels = torch.from_numpy(np.stack([*images])).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(fold.description[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    net = fold.net.train()
    logits = net((pixels / 255 - mean) / std)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets[rows]))
    capsys.readouterr()
    assert main(COMMAND) == 0
    assert f"loss {loss.item():.4f}, then" in capsys.readouterr().out


def test_the_time_of_an_epoch_is_that_of_its_batches(
    ready: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ready("multiclass", train={"batch_size": 2, "epochs": 20})
    ticks = count()
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr(check, "time", clock)
    capsys.readouterr()
    assert main(COMMAND) == 0
    # Four batches to learn from and four to validate, a second each.
    assert "An epoch would take about 8 s, 20 of them 2 min 40 s." in capsys.readouterr().out


def test_a_metric_that_a_batch_does_not_define_is_no_error(
    ready: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ready("binary", data={"metric": "roc_auc"}, train={"batch_size": 2})
    fold = train.prepare(read_context(tiny.NAME), 0)
    assert fold.objective.metric is not None
    truth = fold.inputs.targets
    assert truth is not None
    rows = fold.inputs.val_rows
    same = [row for row in rows if truth[row] == truth[rows[0]]]
    alone = check.one_batch(fold.with_rows(fold.inputs.train_rows, same))
    assert alone.objective.metric is None
    assert check.one_batch(fold).config.epochs == check.EPOCHS


def test_a_frozen_backbone_thaws_within_the_check(ready: Callable[..., Path]) -> None:
    ready("multiclass", train={"freeze": "backbone", "unfreeze_epoch": 7, "epochs": 9})
    small = check.one_batch(train.prepare(read_context(tiny.NAME), 0))
    assert [small.config.is_frozen(epoch) for epoch in range(2)] == [True, False]


def test_a_model_that_predicts_something_else_is_told(
    ready: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = ready("multiclass")
    before = tiny.tree(root)
    save = saved.save_model

    def save_others(folder: Path, net: torch.nn.Module, *rest: Any) -> None:
        with torch.no_grad():
            next(iter(net.parameters())).add_(1.0)
        save(folder, net, *rest)
        with torch.no_grad():
            next(iter(net.parameters())).sub_(1.0)

    monkeypatch.setattr(train, "save_model", save_others)
    assert main(COMMAND) == 70
    assert "the model that was saved predicts something else" in capsys.readouterr().err
    assert tiny.tree(root) == before
    assert tiny.leftovers(root) == []


def test_what_a_training_would_stop_at_shows(
    ready: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = ready("masks", train={"lr": 10.0, "optimizer": "sgd", "loss": "bce"})
    before = tiny.tree(root)
    tiny.edit(root, lambda params: params[tiny.NAME]["model"].update(depth=6))
    assert main(COMMAND) == 2
    assert re.search(r"params\.yaml: .*halves the picture 6 times", capsys.readouterr().err)
    assert tiny.tree(root) == before
    assert tiny.leftovers(root) == []


def test_without_its_inputs_it_says_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.project(tmp_path / "project", "multiclass"))
    assert main(COMMAND) == 6
    command = f"dvc repro preprocess@{tiny.NAME} fold@{tiny.NAME}-0"
    assert f"run `{command}` first" in capsys.readouterr().err


def test_a_fold_of_all_images_validates_none(
    ready: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = ready("multiclass", train={"select": "last", "patience": None})
    before = tiny.tree(root)
    capsys.readouterr()
    assert main([*COMMAND, "--fold", "all"]) == 0
    out = capsys.readouterr().out
    assert "16 images to learn from, 0 to validate with" in out
    assert "validation   none" in out
    assert "predictions  none: there are no validation images" in out
    assert f"predictions  {tiny.TEST} test images" in out
    assert tiny.tree(root) == before


def test_a_check_that_is_terminated_before_its_first_batch_leaves_nothing(
    ready: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = ready("masks")
    before, received = tiny.tree(root), list[int]()
    signals = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))

    def terminate(*_: object) -> None:
        assert len(list(root.glob(".darkroom/*.check"))) == 1
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(train, "prepare", terminate)
    try:
        with pytest.raises(SystemExit) as ended:
            main(COMMAND)
        assert ended.value.code == 128 + signal.SIGTERM
        assert list(root.glob(".darkroom/*.check")) == []
        assert tiny.tree(root) == before
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, signals)
