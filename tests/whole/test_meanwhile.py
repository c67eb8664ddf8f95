"""What happens beside a stage: an edit is noticed at its end, an identical run is waited for."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from darkroom.cli.main import main
from darkroom.project.paths import Layout
from darkroom.stages._split import read_split, write_split
from darkroom.training.checkpoint import Checkpoints
from darkroom.training.loop import Loop
from darkroom.training.module import TrainModule
from tests.support import tiny
from tests.support.damage import Project

MODEL = "models/tiny/fold0/model.safetensors"


@pytest.fixture
def after_epoch(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Return a function that lets another one be called once, when an epoch has ended."""
    save = Checkpoints.after_epoch
    calls: list[Callable[[], object]] = []

    def noted(self: Checkpoints, loop: Loop) -> None:
        save(self, loop)
        while calls:
            calls.pop()()

    monkeypatch.setattr(Checkpoints, "after_epoch", noted)
    return calls.append


def set_rate(root: Path, rate: float) -> None:
    tiny.edit(root, lambda params: params["tiny"]["train"].update(lr=rate))


def test_a_parameter_edited_while_training_costs_no_work(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    after_epoch: Callable[[Callable[[], object]], None],
) -> None:
    root = project("masks")
    before = (root / MODEL).read_bytes()
    set_rate(root, 0.02)
    after_epoch(lambda: set_rate(root, 0.03))
    capsys.readouterr()
    assert main(["train", "tiny"]) == 6
    words = capsys.readouterr().err
    assert "what train began with has changed while it ran, so its result is not recorded" in words
    assert "params.yaml: tiny.train.lr: 0.02 -> 0.03\n" in words
    assert (root / MODEL).read_bytes() == before, "what stood before is untouched"

    set_rate(root, 0.02)
    with monkeypatch.context() as patch:  # the finished work is taken, and nothing is trained
        patch.setattr(TrainModule, "train_batch", None)
        assert main(["train", "tiny"]) == 0
    resumed = (root / MODEL).read_bytes()
    assert resumed != before
    assert main(["train", "tiny"]) == 0
    assert (root / MODEL).read_bytes() == resumed, "to the same bits"
    assert tiny.leftovers(root) == []


def test_a_split_written_while_training_is_not_taken_for_the_one_it_learned_from(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    after_epoch: Callable[[Callable[[], object]], None],
) -> None:
    root = project("masks")
    paths = Layout("tiny", root)
    folds, learned = read_split(paths)
    after_epoch(lambda: write_split(paths, folds.assign(fold=1 - folds["fold"])))
    capsys.readouterr()
    assert main(["train", "tiny"]) == 6
    assert "data/start/tiny/split.csv\n" in capsys.readouterr().err
    info = json.loads((root / "models/tiny/fold0/model.json").read_text())
    assert info["split_sha256"] == learned
    assert main(["predict", "tiny"]) == 6
    assert "another split_sha256" in capsys.readouterr().err


def wait_for(root: Path, name: str) -> None:
    deadline = time.monotonic() + 60
    while not list((root / ".darkroom").glob(f"*/{name}")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow  # two processes: locks between the copies of a queue
def test_the_second_of_two_identical_trainings_takes_the_result_of_the_first(
    tmp_path: Path,
) -> None:
    copies = tmp_path / ".dvc/tmp/exps"
    first, second = copies / "first", copies / "second"
    first.mkdir(parents=True)
    tiny.project(first, "multiclass", train={"epochs": 3, "checkpoint_steps": 1})
    (first / "source").rename(tmp_path / "source")  # which stays in the project
    environment = os.environ | {"DVC_ROOT": str(tmp_path)}

    def start(root: Path, verb: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "darkroom.cli.main", verb, "tiny"],
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    for verb in ("fetch", "index", "split", "preprocess"):
        with start(first, verb) as process:
            assert process.wait(60) == 0
    shutil.copytree(first, second)
    with start(first, "train") as one:
        wait_for(tmp_path, "training.ckpt")
        one.send_signal(signal.SIGSTOP)
        with start(second, "train") as two:
            wait_for(tmp_path, "waiting.lock")
            one.send_signal(signal.SIGCONT)
            one_said, two_said = one.communicate(timeout=120)[0], two.communicate(timeout=120)[0]
    assert (one.returncode, two.returncode) == (0, 0), one_said + two_said
    assert "waiting for another run of the same work" in two_said
    assert (one_said.count("epoch "), two_said.count("epoch ")) == (4, 1)  # one names the best
    assert (first / MODEL).read_bytes() == (second / MODEL).read_bytes()
    assert list((tmp_path / ".darkroom").iterdir()) == []
