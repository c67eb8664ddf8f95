"""Several processes share every batch and learn what one learns; a lost one ends them all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from darkroom.training import distributed
from tests.support import tiny
from tests.support.damage import Project
from tests.support.ranks import run_ranks


def test_one_process_exchanges_nothing() -> None:
    assert (distributed.rank(), distributed.world_size()) == (0, 1)
    assert (distributed.local_rank(), distributed.local_world_size()) == (0, 1)
    assert distributed.sum_over_ranks([1.5, 2]) == [1.5, 2]
    assert distributed.any_rank(True)
    assert not distributed.any_rank(False)
    assert distributed.gather("a") == ["a"]
    assert distributed.broadcast("a") == "a"
    with distributed.process_group():
        assert distributed.world_size() == 1


@pytest.mark.parametrize("others", [{}, {"TORCHELASTIC_RUN_ID": "1"}, {"LOCAL_RANK": ""}])
def test_variables_that_torchrun_did_not_set_mean_nothing(
    monkeypatch: pytest.MonkeyPatch, others: dict[str, str]
) -> None:
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with distributed.process_group():
        assert (distributed.rank(), distributed.world_size()) == (0, 1)


@pytest.mark.slow
def test_two_ranks_exchange_values(tmp_path: Path) -> None:
    assert run_ranks(2, "exchange", tmp_path) == {
        "sums": [1.0, 2.0**61, 1.0],
        "any": [True, False],
        "gathered": [{"rank": 0}, {"rank": 1}],
        "broadcast": "of rank 0",
        "world": [2, 2],
    }


@pytest.mark.slow
def test_batch_norm_over_ranks_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    differences = run_ranks(2, "batch_norm", tmp_path)
    scale = differences.pop("scale")
    assert scale > 1
    assert max(differences.values()) < 1e-4 * scale, differences


@pytest.mark.slow
def test_two_and_four_ranks_learn_what_one_learns(tmp_path: Path) -> None:
    one, *others = (
        run_ranks(ranks, "training", tmp_path, str(tmp_path / str(ranks))) for ranks in (1, 2, 4)
    )
    for other in others:
        assert len(other["rows"]) == len(one["rows"]) == 2
        for ours, theirs in zip(one["rows"], other["rows"], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
        for name, weights in one["weights"].items():
            np.testing.assert_allclose(other["weights"][name], weights, rtol=1e-3, atol=1e-5)


TRAIN = {"epochs": 40, "batch_size": 4, "patience": 40, "checkpoint_steps": 1, "devices": 2}
NETWORK = {"name": "small_cnn", "width": 4, "depth": 2, "dropout": 0.2}


@pytest.fixture
def root(project: Project) -> Path:
    """Return a project whose training takes two processes."""
    root = project("multiclass")
    tiny.run("preprocess")

    def two(params: dict[str, Any]) -> None:
        params["tiny"]["model"] = NETWORK
        params["tiny"]["train"] |= TRAIN

    tiny.edit(root, two)
    return root


def started(root: Path) -> "subprocess.Popen[str]":
    """Start a training, and wait until it has saved a checkpoint of its own."""
    before = checkpoints(root)
    command = [sys.executable, "-m", "darkroom.cli.main", "train", "tiny"]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and checkpoints(root) <= before:
        time.sleep(0.01)
    return process


def checkpoints(root: Path) -> set[int]:
    """Return when the checkpoints were written, in ns."""
    return {file.stat().st_mtime_ns for file in root.glob(".darkroom/*/training.ckpt")}


def ended(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def ranks_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "darkroom.cli.main" in child.cmdline()]


@pytest.mark.slow
def test_a_lost_rank_ends_the_others_and_training_goes_on_from_its_checkpoint(root: Path) -> None:
    code, errors = ended(started(root))
    assert code == 0, errors
    weights = root / "models/tiny/fold0/model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    process = started(root)
    lost = ranks_of(process)[1]
    lost.send_signal(signal.SIGKILL)
    code, errors = ended(process)
    assert code == 5, errors
    assert "of the 2 that train together was lost" in errors
    assert "found: it was killed by SIGKILL" in errors
    assert "to do: run again: training resumes from its last checkpoint" in errors
    assert "Traceback" not in errors
    assert not weights.exists()
    process = started(root)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143
    code, errors = ended(started(root))
    assert code == 0, errors
    assert weights.read_bytes() == whole


@pytest.mark.slow
def test_a_killed_launcher_leaves_no_rank_behind(root: Path) -> None:
    process = started(root)
    ranks = ranks_of(process)
    assert len(ranks) == 2
    os.kill(process.pid, signal.SIGKILL)
    ended(process)
    _, alive = psutil.wait_procs(ranks, timeout=20)
    assert alive == []


@pytest.mark.slow
def test_an_error_of_one_rank_is_printed_once(root: Path) -> None:
    tiny.edit(root, lambda params: params["tiny"]["train"].update(precision="fp16"))
    code, errors = ended(started(root))
    assert code == 2
    assert errors.count("train.precision: fp16 needs an NVIDIA GPU") == 1
    assert "Traceback" not in errors
