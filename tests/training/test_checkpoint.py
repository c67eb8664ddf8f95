"""Checkpoints: complete or not there, damage is reported; a resumed training has the same bits."""

import multiprocessing as mp
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from darkroom.errors import DataError
from darkroom.training import checkpoint
from darkroom.training.callbacks import Callback
from darkroom.training.checkpoint import checkpoint_path
from darkroom.training.tensorboard.hparams import Hparams
from darkroom.training.tensorboard.scalars import Scalars
from darkroom.training.tensorboard.writer import EventWriter
from tests.support.interrupted import BATCHES, EPOCHS, Interrupt, Killed, network, outcome, train

Capture = pytest.CaptureFixture[str]
IDENTITY = {"lr": 0.1, "shape": (2, 3), "rates": {"head": 1.0}}


def write(file: Path, identity: dict[str, object] | None = None) -> None:
    content = {"net": {"w": torch.arange(6.0)}, "history": [{"loss/val": 0.1}], "epoch": 2}
    checkpoint.write_checkpoint(file, identity or IDENTITY, content)


def test_what_is_written_is_read(tmp_path: Path, capfd: Capture) -> None:
    file = checkpoint.checkpoint_path(tmp_path / "work")
    write(file)
    state = checkpoint.read_checkpoint(file, IDENTITY)
    assert state is not None
    assert sorted(state) == ["epoch", "history", "net"]
    assert state["history"] == [{"loss/val": 0.1}]
    assert torch.equal(state["net"]["w"], torch.arange(6.0))
    assert [p.name for p in file.parent.iterdir()] == [file.name], "no partial file"
    assert capfd.readouterr().err == ""


def test_no_checkpoint_is_not_an_error(tmp_path: Path, capfd: Capture) -> None:
    assert checkpoint.read_checkpoint(tmp_path / "none", IDENTITY) is None
    assert capfd.readouterr().err == ""


def test_a_changed_bit_is_noticed(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "a"
    write(file)
    whole = file.read_bytes()
    for place in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(changed)
        assert checkpoint.read_checkpoint(file, IDENTITY) is None, place
    assert "a: the checkpoint is damaged: training starts afresh\n" in capfd.readouterr().err


@pytest.mark.parametrize("length", [0, 1, 31, 32, 500])
def test_a_truncated_file_is_not_used(tmp_path: Path, capfd: Capture, length: int) -> None:
    file = tmp_path / "a"
    write(file)
    file.write_bytes(file.read_bytes()[:length])
    assert checkpoint.read_checkpoint(file, IDENTITY) is None
    assert "is damaged" in capfd.readouterr().err


def test_a_checkpoint_of_another_identity_is_not_used(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "a"
    write(file, IDENTITY | {"lr": 0.2})
    assert checkpoint.read_checkpoint(file, IDENTITY) is None
    assert "a: the checkpoint is of another training: training starts" in capfd.readouterr().err


def test_another_format_is_not_used(tmp_path: Path, capfd: Capture) -> None:
    file = tmp_path / "a"
    foreign = {"state_dict": {}, "epoch": 3}
    with file.open("wb") as stream:
        torch.save(foreign, stream)
    data = file.read_bytes()
    file.write_bytes(data + checkpoint.digest(data))
    assert checkpoint.read_checkpoint(file, IDENTITY) is None
    assert "has another format" in capfd.readouterr().err


def test_a_folder_in_its_place_is_not_used(tmp_path: Path, capfd: Capture) -> None:
    (tmp_path / "a").mkdir()
    assert checkpoint.read_checkpoint(tmp_path / "a", IDENTITY) is None
    assert "can't be read (Is a directory)" in capfd.readouterr().err


LONG = 16  # epochs: too long to end before the last signal
LAST = BATCHES * EPOCHS
PLACES = [
    ("on_batch_end", 1),  # before the first checkpoint, within a step
    ("on_batch_end", 5),
    ("on_batch_end", BATCHES),  # all batches of the epoch, no validation
    ("on_batch_end", LAST - 2),
    ("on_validation_start", 1),
    ("on_validation_batch", 2 * EPOCHS),
    ("on_epoch_end", 2),
    ("on_epoch_end", EPOCHS),
    ("on_train_end", 1),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return outcome(train(tmp_path_factory.mktemp("whole"), callbacks=[Interrupt()]))


@pytest.mark.parametrize(("hook", "call"), PLACES)
def test_killed_anywhere(tmp_path: Path, undisturbed: dict[str, Any], hook: str, call: int) -> None:
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[Interrupt(hook, call)])
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


@pytest.mark.parametrize(("hook", "call"), PLACES)
def test_terminated_anywhere(
    tmp_path: Path, undisturbed: dict[str, Any], hook: str, call: int
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as exit_:
        train(tmp_path, callbacks=[Interrupt(hook, call, signal.SIGTERM)])
    assert exit_.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler
    assert checkpoint_path(tmp_path / "work").is_file()
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


EVERY_BATCH = range(1, LAST + 1)
CHOICES: list[dict[str, Any]] = [
    {"select": "last"},
    {"select": "last", "average": 0.5},
    {"select": "smoothed", "epochs": 7},
    {"select": "smoothed", "average": 0.8},
    {"select": "best", "average": 0.01},
]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([LAST - 7, LAST - 1], id="two batches"),
        pytest.param(EVERY_BATCH, id="every batch", marks=pytest.mark.slow),
    ],
)
def test_killed_with_each_choice_of_weights(
    tmp_path: Path, choice: dict[str, Any], calls: Sequence[int]
) -> None:
    config = {"patience": None, "ema": None} | choice
    whole = outcome(train(tmp_path / "whole", config=config))
    for call in calls:
        folder = tmp_path / str(call)
        with pytest.raises(Killed):
            train(folder, callbacks=[Interrupt("on_batch_end", call)], config=config)
        assert outcome(train(folder, config=config)) == whole, f"batch {call}"
    assert outcome(train(folder, config=config)) == whole, "a finished training"


@pytest.mark.parametrize("average", [None, 0.5])
def test_without_validation_images(tmp_path: Path, capfd: Capture, average: float | None) -> None:
    config = {"select": "last", "patience": None, "ema": None, "average": average}
    events = EventWriter(tmp_path / "runs")
    options: dict[str, Any] = {"config": config, "validated": range(0)}
    with pytest.raises(Killed):
        train(tmp_path / "a", callbacks=[Interrupt("on_batch_end", LAST - 3)], **options)
    result = train(tmp_path / "a", callbacks=[Scalars(events), Hparams(events, {})], **options)
    # Validation changes no weight, so that nothing else changes where there is none.
    validated = train(tmp_path / "b", config=config)
    assert outcome(result)["weights"] == outcome(validated)["weights"]
    assert result.selected is result.history[-1]
    for row, other in zip(result.history, validated.history, strict=True):
        assert row == {key: value for key, value in other.items() if not key.endswith("/val")}
    line = capfd.readouterr().err.splitlines()[0]
    assert "loss" in line
    assert "val" not in line


@pytest.mark.parametrize("config", [{"select": "best"}, {"schedule": "plateau"}])
def test_what_compares_epochs_needs_validation_images(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    config = {"select": "last", "patience": None} | config
    with pytest.raises(DataError, match="no images to validate with"):
        train(tmp_path, config=config, validated=range(0))


@pytest.mark.parametrize("call", [1, 2, 4])
def test_killed_while_a_checkpoint_is_written(
    tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    calls, digest = [0], checkpoint.digest

    def fail_at_call(body: bytes) -> bytes:
        calls[0] += 1
        if calls[0] == call:
            raise Killed  # the digest never comes
        return digest(body)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "digest", fail_at_call)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process removes nothing
        with pytest.raises(Killed):
            train(tmp_path, callbacks=[Interrupt()])
    assert [p.name for p in (tmp_path / "work").glob("*.part")] == ["training.ckpt.part"]
    assert checkpoint_path(tmp_path / "work").exists() == (call > 1)
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


def test_an_interrupt_saves_a_checkpoint(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Interrupt("on_batch_start", 2, signal.SIGINT)])
    assert checkpoint_path(tmp_path / "work").is_file()
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


def test_terminated_before_the_first_batch(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    with pytest.raises(SystemExit) as exit_:
        train(tmp_path, callbacks=[Interrupt("on_train_start", 1, signal.SIGTERM)])
    assert exit_.value.code == 143
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


def test_a_finished_training_is_not_repeated(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    train(tmp_path, callbacks=[Interrupt()])
    batches = Interrupt("on_batch_start")
    assert outcome(train(tmp_path, callbacks=[batches])) == undisturbed
    assert batches.calls == 0


def test_another_seed_gives_other_bits(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    other = outcome(train(tmp_path, seed=2, callbacks=[Interrupt()]))
    assert other["weights"] != undisturbed["weights"]


def test_callbacks_without_a_state_may_come_and_go(
    tmp_path: Path, undisturbed: dict[str, Any], capfd: Capture
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[Callback(), Interrupt("on_batch_end", BATCHES + 2)])
    assert outcome(train(tmp_path, callbacks=[])) == undisturbed
    assert "training starts afresh" not in capfd.readouterr().err


def test_patience_counts_on_after_a_kill(tmp_path: Path) -> None:
    unchanging = {"lr": 1e-30, "ema": None, "epochs": 9, "patience": 3}
    with pytest.raises(Killed):
        train(
            tmp_path,
            net=network(1, normed=False),
            callbacks=[Interrupt("on_batch_end", 2 * BATCHES + 1)],
            config=unchanging,
        )
    result = train(
        tmp_path,
        net=network(1, normed=False),
        callbacks=[Interrupt()],
        config=unchanging,
    )
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert result.selected["epoch"] == 1


def test_a_damaged_checkpoint_is_reported_and_not_used(
    tmp_path: Path, undisturbed: dict[str, Any], capfd: Capture
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[Interrupt("on_batch_end", BATCHES + 2)])
    file = checkpoint_path(tmp_path / "work")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    capfd.readouterr()
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed
    first_line = capfd.readouterr().err.splitlines()[0]
    assert first_line.endswith("training.ckpt: the checkpoint is damaged: training starts afresh")


def test_a_checkpoint_of_another_config_is_not_used(
    tmp_path: Path, undisturbed: dict[str, Any], capfd: Capture
) -> None:
    with pytest.raises(Killed):
        train(
            tmp_path,
            callbacks=[Interrupt("on_batch_end", BATCHES + 2)],
            config={"lr": 0.01},
        )
    assert outcome(train(tmp_path, callbacks=[Interrupt()])) == undisturbed
    assert "the checkpoint is of another training: training starts afresh" in capfd.readouterr().err


def logging_callbacks(folder: Path) -> list[Callback]:
    events = EventWriter(folder / "runs")
    return [events, Scalars(events)]


def test_charts_have_every_step_once(tmp_path: Path) -> None:
    for call in (BATCHES - 2, 5):
        with pytest.raises(Killed):
            train(
                tmp_path, callbacks=[*logging_callbacks(tmp_path), Interrupt("on_batch_end", call)]
            )
    train(tmp_path, callbacks=[*logging_callbacks(tmp_path), Interrupt()])
    events = EventAccumulator(str(tmp_path / "runs")).Reload()
    assert [e.step for e in events.Scalars("loss/step")] == list(range(2, LAST + 1, 2))
    epochs = [BATCHES * number for number in range(1, EPOCHS + 1)]
    assert [e.step for e in events.Scalars("loss/val")] == epochs


class Notify(Callback):
    """Sends a message through a pipe after each training batch."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def on_batch_end(self, *_: object) -> None:
        self.pipe.send("batch")


def run(folder: Path, workers: int, pipe: Connection) -> None:
    """Train in a process of its own."""
    torch.set_num_threads(1)
    result = train(folder, workers=workers, config={"epochs": LONG}, callbacks=[Notify(pipe)])
    pipe.send(outcome(result))


def interrupt(process: BaseProcess, pipe: Connection, rng: random.Random, how: int) -> None:
    """Send a process a signal somewhere within the next ten batches."""
    process.start()
    for _ in range(rng.randint(1, 10)):
        pipe.recv()
    time.sleep(rng.uniform(0, 0.02))
    assert process.pid is not None
    os.kill(process.pid, how)
    process.join()


@pytest.fixture(scope="module")
def long_undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    nobody, pipe = mp.Pipe()
    result = outcome(
        train(tmp_path_factory.mktemp("long"), config={"epochs": LONG}, callbacks=[Notify(pipe)])
    )
    nobody.close()
    return result


KILL, TERM = signal.SIGKILL, signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize(
    "kills",
    [
        [(0, how) for how in [KILL, TERM] * 5],
        [(1, KILL), (2, TERM)],
    ],
    ids=["without workers", "with workers"],
)
def test_killed_by_the_system_at_random(
    tmp_path: Path, long_undisturbed: dict[str, Any], kills: list[tuple[int, int]]
) -> None:
    rng = random.Random(len(kills))
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["darkroom.training.fit", "tests.support.interrupted"])
    codes = []
    for workers, how in kills:
        ours, theirs = context.Pipe()
        process = context.Process(target=run, args=(tmp_path, workers, theirs))
        interrupt(process, ours, rng, how)
        codes.append(process.exitcode)
    assert codes == [143 if how == TERM else -how for _, how in kills]
    nobody, pipe = context.Pipe()
    assert (
        outcome(train(tmp_path, config={"epochs": LONG}, callbacks=[Notify(pipe)]))
        == long_undisturbed
    )
    nobody.close()


class RunsCode:
    """Something whose pickle creates a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.file,)


def test_a_checkpoint_runs_no_code(tmp_path: Path, capfd: Capture) -> None:
    file, trace = tmp_path / "a", tmp_path / "trace"
    checkpoint.write_checkpoint(file, IDENTITY, {"net": RunsCode(trace)})
    assert checkpoint.read_checkpoint(file, IDENTITY) is None
    assert not trace.exists()
    assert "a: the checkpoint has another format: training starts afresh" in capfd.readouterr().err
