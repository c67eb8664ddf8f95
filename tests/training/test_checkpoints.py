"""Training that is broken off anywhere ends with the bits of one that is not."""

import multiprocessing as mp
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from darkroom.training import checkpoint
from darkroom.training.callbacks import Callback
from darkroom.training.checkpoint import checkpoint_path as path
from darkroom.training.tensorboard.scalars import Scalars
from darkroom.training.tensorboard.writer import EventWriter
from tests.support.interrupted import BATCHES, EPOCHS, Interrupt, Killed, network, told, train

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
    return told(train(tmp_path_factory.mktemp("whole"), callbacks=[Interrupt()]))


@pytest.mark.parametrize(("hook", "call"), PLACES)
def test_killed_anywhere(tmp_path: Path, undisturbed: dict[str, Any], hook: str, call: int) -> None:
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[Interrupt(hook, call)])
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


@pytest.mark.parametrize(("hook", "call"), PLACES)
def test_terminated_anywhere(
    tmp_path: Path, undisturbed: dict[str, Any], hook: str, call: int
) -> None:
    heard = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left:
        train(tmp_path, callbacks=[Interrupt(hook, call, signal.SIGTERM)])
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is heard
    assert path(tmp_path / "work").is_file()
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_killed_while_a_checkpoint_is_written(
    tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    written, whole = [0], checkpoint.digest_of

    def half(body: bytes) -> bytes:
        written[0] += 1
        if written[0] == nth:
            raise Killed  # the digest never comes
        return whole(body)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "digest_of", half)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # a killed process tidies nothing
        with pytest.raises(Killed):
            train(tmp_path, callbacks=[Interrupt()])
    assert [p.name for p in (tmp_path / "work").glob("*.part")] == ["training.ckpt.part"]
    assert path(tmp_path / "work").exists() == (nth > 1)
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


def test_an_interrupt_saves_too(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Interrupt("on_batch_start", 2, signal.SIGINT)])
    assert path(tmp_path / "work").is_file()
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


def test_terminated_before_the_first_batch(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    with pytest.raises(SystemExit) as left:
        train(tmp_path, callbacks=[Interrupt("on_train_start", 1, signal.SIGTERM)])
    assert left.value.code == 143
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed


def test_what_has_ended_is_not_done_again(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    train(tmp_path, callbacks=[Interrupt()])
    batches = Interrupt("on_batch_start")
    assert told(train(tmp_path, callbacks=[batches])) == undisturbed
    assert batches.calls == 0


def test_another_seed_gives_other_bits(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    other = told(train(tmp_path, seed=2, callbacks=[Interrupt()]))
    assert other["weights"] != undisturbed["weights"]


def test_patience_outlives_a_kill(tmp_path: Path) -> None:
    still = {"lr": 1e-30, "ema": None, "epochs": 9, "patience": 3}
    with pytest.raises(Killed):
        train(
            tmp_path,
            net=network(1, normed=False),
            callbacks=[Interrupt("on_batch_end", 2 * BATCHES + 1)],
            config=still,
        )
    result = train(
        tmp_path,
        net=network(1, normed=False),
        callbacks=[Interrupt()],
        config=still,
    )
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert result.best["epoch"] == 1


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_flip, "is damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:-100]), "is damaged"),
        (lambda file: file.write_bytes(b""), "is damaged"),
    ],
)
def test_a_damaged_checkpoint_is_told_and_not_used(
    tmp_path: Path,
    undisturbed: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
    damage: Callable[[Path], object],
    words: str,
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, callbacks=[Interrupt("on_batch_end", BATCHES + 2)])
    damage(path(tmp_path / "work"))
    capfd.readouterr()
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed
    first = capfd.readouterr().err.splitlines()[0]
    assert first.endswith(f"training.ckpt: the checkpoint {words}: training starts afresh")


def test_a_checkpoint_of_other_choices_is_not_used(
    tmp_path: Path, undisturbed: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        train(
            tmp_path,
            callbacks=[Interrupt("on_batch_end", BATCHES + 2)],
            config={"lr": 0.01},
        )
    assert told(train(tmp_path, callbacks=[Interrupt()])) == undisturbed
    assert "the checkpoint is of another training: training starts afresh" in capfd.readouterr().err


def logged(folder: Path) -> list[Callback]:
    events = EventWriter(folder / "runs")
    return [events, Scalars(events)]


def test_charts_have_every_step_once(tmp_path: Path) -> None:
    for call in (BATCHES - 2, 5):
        with pytest.raises(Killed):
            train(tmp_path, callbacks=[*logged(tmp_path), Interrupt("on_batch_end", call)])
    train(tmp_path, callbacks=[*logged(tmp_path), Interrupt()])
    events = EventAccumulator(str(tmp_path / "runs")).Reload()
    assert [e.step for e in events.Scalars("loss/step")] == list(range(2, LAST + 1, 2))
    epochs = [BATCHES * number for number in range(1, EPOCHS + 1)]
    assert [e.step for e in events.Scalars("loss/val")] == epochs


class Tell(Callback):
    """Says through a pipe that a batch has been learnt."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe

    def on_batch_end(self, *_: object) -> None:
        self.pipe.send("batch")


def run(folder: Path, workers: int, pipe: Connection) -> None:
    """Train in a process of its own."""
    torch.set_num_threads(1)
    result = train(folder, workers=workers, config={"epochs": LONG}, callbacks=[Tell(pipe)])
    pipe.send(told(result))


def broken_off(process: BaseProcess, pipe: Connection, rng: random.Random, how: int) -> None:
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
    result = told(
        train(tmp_path_factory.mktemp("long"), config={"epochs": LONG}, callbacks=[Tell(pipe)])
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
        broken_off(process, ours, rng, how)
        codes.append(process.exitcode)
    assert codes == [143 if how == TERM else -how for _, how in kills]
    nobody, pipe = context.Pipe()
    assert (
        told(train(tmp_path, config={"epochs": LONG}, callbacks=[Tell(pipe)])) == long_undisturbed
    )
    nobody.close()
