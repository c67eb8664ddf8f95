"""The history of a training grows on disk with every epoch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from darkroom.cli import main
from darkroom.errors import ArtifactError
from darkroom.stages import train
from darkroom.training.callbacks import Callback
from tests.support import tiny


class StoppedError(Exception):
    """The training was ended from outside."""


class Reader(Callback):
    """Reads the file after each epoch; the board's callbacks follow the one that writes it."""

    def __init__(self, stop_after: int) -> None:
        self.stop_after, self.lengths = stop_after, list[int]()

    def on_epoch_end(self, loop: Any) -> None:
        rows = pd.read_csv("reports/tiny/history/fold0.csv").to_dict("records")
        assert rows == [pytest.approx(row) for row in loop.history]
        self.lengths.append(len(rows))
        if len(rows) == self.stop_after:
            raise StoppedError


def test_the_history_is_written_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny.project(tmp_path / "project", "multiclass", train={"epochs": 4})
    monkeypatch.chdir(root)
    tiny.run("fetch", "index", "split", "preprocess")
    first, second = Reader(3), Reader(9)
    with pytest.raises(StoppedError):
        train.run(main.read_context(tiny.NAME), 0, lambda *_, **__: [first])
    assert first.lengths == [1, 2, 3]
    train.run(main.read_context(tiny.NAME), 0, lambda *_, **__: [second])
    assert second.lengths[-1] == 4
    assert second.lengths[0] > 1, "it goes on from a checkpoint, with the rows before it"
    assert list(Path("reports/tiny/history").iterdir()) == [Path("reports/tiny/history/fold0.csv")]


def test_curves_beside_a_model_stay_its_own_until_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tiny.project(tmp_path / "project", "multiclass", train={"epochs": 2})
    monkeypatch.chdir(root)
    tiny.run("fetch", "index", "split", "preprocess", "train")
    model, history = Path("models/tiny/fold0"), Path("reports/tiny/history/fold0.csv")
    before = history.read_bytes()
    tiny.edit(root, lambda params: params["tiny"]["train"].update(lr=0.03, epochs=3))
    context = main.read_context(tiny.NAME)
    epochs = list[int]()

    class Watch(Callback):
        def on_epoch_end(self, loop: Any) -> None:
            epochs.append(len(loop.history))
            assert history.read_bytes() == before

    def refuse() -> None:
        raise ArtifactError("an input changed meanwhile")

    with pytest.raises(ArtifactError, match="an input changed"):
        train.run(replace(context, require_unchanged=refuse), 0, lambda *_, **__: [Watch()])
    assert epochs == [1, 2, 3]
    assert history.read_bytes() == before
    old_model = (model / "model.safetensors").read_bytes()
    train.run(context, 0)
    assert len(pd.read_csv(history)) == 3
    assert (model / "model.safetensors").read_bytes() != old_model
