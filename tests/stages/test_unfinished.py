"""Half-done trainings are continued where no bit depends on a change; else a line says why not."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from darkroom.cli.main import read_context
from darkroom.stages import train
from darkroom.training.callbacks import Callback
from tests.support import tiny


class Stopped(BaseException):
    """As good as a kill: nothing is saved at its coming."""


class Stop(Callback):
    """Ends the training in its second epoch; records where it began."""

    began: list[int]

    def __init__(self) -> None:
        self.began = []

    def on_train_start(self, loop: Any) -> None:
        self.began.append(loop.epoch)

    def on_epoch_start(self, loop: Any) -> None:
        if loop.epoch == 1 and self.began == [0]:
            raise Stopped


class Begin(Callback):
    """Records in which epoch a training begins."""

    def __init__(self, began: list[int]) -> None:
        self.began = began

    def on_train_start(self, loop: Any) -> None:
        self.began.append(loop.epoch)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tiny.project(tmp_path, "multiclass", train={"epochs": 3, "accelerator": "cpu"})
    monkeypatch.chdir(root)
    tiny.run("fetch", "index", "split", "preprocess")
    return root


def run(*callbacks: Callback) -> None:
    def make(*_: Any, **__: Any) -> Sequence[Callback]:
        return callbacks

    train.run(read_context(tiny.NAME), 0, make)


def half_done(root: Path) -> list[Path]:
    return sorted((root / ".darkroom").glob("*/training.ckpt"))


def begin(**changes: Any) -> Callable[[tiny.Params], None]:
    return lambda params: params[tiny.NAME]["train"].update(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint_steps": 1},
        {"accelerator": "auto"},
        {"workers": "auto"},
        {"precision": "float32"},
    ],
)
def test_what_changes_no_bit_is_continued(
    root: Path, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """checkpoint_steps, and cpu for auto on a machine without a GPU, began anew without a word."""
    with pytest.raises(Stopped):
        run(Stop())
    tiny.edit(root, begin(**changes))
    began: list[int] = []
    run(Begin(began))
    assert began == [1]
    assert half_done(root) == []
    assert "half-done" not in capsys.readouterr().err


def test_what_changes_bits_is_told_and_stays_until_a_newer_one_has_ended(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped):
        run(Stop())
    (old,) = half_done(root)
    tiny.edit(root, begin(lr=0.02))
    capsys.readouterr()
    with pytest.raises(Stopped):
        run(Stop())
    folder = old.parent.relative_to(root)
    words = f"tiny, fold 0: the half-done training in {folder} (1 epochs done, "
    line = next(line for line in capsys.readouterr().err.splitlines() if "half-done" in line)
    assert line.startswith(words)
    assert line.endswith(
        "is not continued: train.lr was 0.01 and is 0.02. It stays until this training has ended"
    )
    assert len(half_done(root)) == 2
    began: list[int] = []
    run(Begin(began))
    assert began == [1], "its own"
    assert f"removed the older half-done training in {folder}" in capsys.readouterr().err
    assert half_done(root) == []
    assert not old.parent.exists()


def test_another_number_of_threads_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Stopped):
        run(Stop())
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        run()
    finally:
        torch.set_num_threads(threads)
    err = capsys.readouterr().err
    assert f"train.threads was {threads} and is {threads + 1}" in err
    assert half_done(root) == []


def test_of_other_folds_projects_and_running_trainings_nothing_is_said_or_removed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Stopped):
        run(Stop())
    (checkpoint,) = half_done(root)
    facts = json.loads((checkpoint.parent / "training.json").read_text())
    for name, change in (
        ("a" * 16, {"training": "tiny, fold 1"}),
        ("b" * 16, {"project": "/elsewhere"}),
        ("c" * 16, {"parts": 5}),
    ):
        folder = root / ".darkroom" / name
        folder.mkdir()
        (folder / "training.ckpt").write_bytes(b"")
        (folder / "training.json").write_text(json.dumps(facts | change))
    (root / ".darkroom" / ("d" * 16)).mkdir()
    (root / ".darkroom" / ("d" * 16) / "training.json").write_text("{")
    run()
    assert "half-done" not in capsys.readouterr().err
    assert [file.parent.name[0] for file in half_done(root)] == ["a", "b", "c"]
