"""The history of a training grows on disk with every epoch."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from darkroom.cli import main
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
