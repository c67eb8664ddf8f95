"""Trackers with the packages themselves, where they are installed: they are no part of `[all]`."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

SCRIPT = """\
import sys
from pathlib import Path
from types import SimpleNamespace
from darkroom.training.trackers.by_name import trackers

rows = [{"epoch": n, "loss/train": 1 / n, "accuracy/val": n / 10} for n in (1, 2, 3)]
for first, last in ((1, 2), (3, 3)):
    (tracker,) = trackers([sys.argv[1]], Path("runs/cars/fold0-12345678"), {"lr": 0.1})
    loop = SimpleNamespace(history=[], should_stop=False, config=SimpleNamespace(epochs=3))
    tracker.on_train_start(loop)
    for epoch in range(first, last + 1):
        loop.history = rows[:epoch]
        tracker.on_epoch_end(loop)
    tracker.on_train_end(loop)
"""


def run_trackers(name: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Train three epochs, interrupted after two, in a process of its own: wandb leaves threads."""
    own = {"HOME": str(folder / "home"), "WANDB_CONSOLE": "off", **variables}
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("WANDB")}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, name],
        cwd=folder,
        env=environment | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow  # a process that imports torch
def test_wandb_keeps_the_epochs_on_the_disk(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="pip install wandb")
    done = run_trackers("wandb", tmp_path, WANDB_MODE="offline")
    assert done.returncode == 0, done.stderr
    assert "gets no more" not in done.stderr
    files = sorted((tmp_path / "runs/cars/fold0-12345678").rglob("*.wandb"))
    names = {path.name for path in files}
    assert names == {"run-cars-fold0-12345678.wandb"}, "one run, to be synchronised later"
    data = b"".join(path.read_bytes() for path in files)
    assert data.count(b"accuracy/val") >= 3
    for value in (b"0.1", b"0.2", b"0.3"):
        assert value in data


@pytest.mark.slow
def test_wandb_without_a_login_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="pip install wandb")
    done = run_trackers("wandb", tmp_path)
    assert done.returncode == 1
    assert "ParamsError: train.loggers: wandb can't begin" in done.stderr
    assert "found: nobody has logged in" in done.stderr
    done = run_trackers("wandb", tmp_path, WANDB_MODE="sometimes")
    assert "ParamsError: train.loggers: wandb can't begin" in done.stderr


@pytest.mark.slow
def test_mlflow_keeps_the_epochs_on_the_disk(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="pip install mlflow-skinny alembic sqlalchemy")
    done = run_trackers("mlflow", tmp_path, MLFLOW_TRACKING_URI="sqlite:///runs/mlflow.db")
    assert done.returncode == 0, done.stderr
    assert "gets no more" not in done.stderr
    with closing(sqlite3.connect(tmp_path / "runs/mlflow.db")) as store:
        runs = store.execute(
            "SELECT runs.name, runs.status, experiments.name FROM runs JOIN experiments "
            "USING (experiment_id)"
        ).fetchall()
        params = store.execute("SELECT key, value FROM params").fetchall()
        rows = store.execute(
            "SELECT step, value FROM metrics WHERE key = 'accuracy/val' ORDER BY step"
        ).fetchall()
    assert runs == [("fold0-12345678", "FINISHED", "cars")]
    assert params == [("lr", "0.1")]
    assert rows == [(1, 0.1), (2, 0.2), (3, 0.3)]
