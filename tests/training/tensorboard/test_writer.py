"""The event file: what a full disk does to it, and to the training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from darkroom.training.tensorboard.writer import EventWriter
from tests.training.tensorboard import rig
from tests.training.tensorboard.runs import train

FULL = "/dev/full"  # writing there fails as on a full disk
has_full = pytest.mark.skipif(not Path(FULL).exists(), reason=f"needs {FULL}")


@has_full
@pytest.mark.parametrize("from_start", [True, False])
def test_a_full_disk_costs_the_pictures_and_not_the_training(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    from_start: bool,
) -> None:
    start, checkpoint = EventWriter.on_train_start, EventWriter.on_checkpoint

    def on_start(self: EventWriter, loop: Any) -> None:
        start(self, loop)
        if from_start:
            fill(self)

    def on_checkpoint(self: EventWriter, loop: Any) -> None:
        checkpoint(self, loop)
        fill(self)

    def fill(self: EventWriter) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = Path(FULL).open("wb")  # noqa: SIM115
            self._records._writer = self._stream

    monkeypatch.setattr(EventWriter, "on_train_start", on_start)
    monkeypatch.setattr(EventWriter, "on_checkpoint", on_checkpoint)
    written = train(tmp_path / "a", "multiclass", pictures=1)
    err = capfd.readouterr().err
    assert err.count("TensorBoard's events are incomplete from here on") == 1
    assert "No space left on device. Training goes on" in err
    assert str(tmp_path / "a" / "runs") in err
    assert "Traceback" not in err
    without = train(tmp_path / "b", "multiclass", events=False)
    for name, tensor in written.net.state_dict().items():
        assert torch.equal(tensor, without.net.state_dict()[name]), name


def test_a_folder_that_cannot_be_written_costs_no_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs").write_text("a file stands here")
    events = EventWriter(tmp_path / "runs" / "fold0")

    class Loop:
        batches_seen = 0

    events.on_train_start(Loop())  # type: ignore[arg-type]
    assert not events.is_open
    events.add_scalars({"loss": 1.0}, 1)
    events.on_train_end(Loop())  # type: ignore[arg-type]
    assert "events are incomplete" in capfd.readouterr().err


def test_what_is_written_is_what_tensorboard_reads(tmp_path: Path) -> None:
    events = EventWriter(tmp_path)

    class Loop:
        batches_seen = 0

    events.on_train_start(Loop())  # type: ignore[arg-type]
    for step in (1, 2, 3):
        events.add_scalars({"loss": 1 / step, "rate": step}, step)
    events.on_train_end(Loop())  # type: ignore[arg-type]
    Loop.batches_seen = 1
    again = EventWriter(tmp_path)
    again.on_train_start(Loop())  # type: ignore[arg-type]
    again.add_scalars({"loss": 7.0}, 2)
    again.on_train_end(Loop())  # type: ignore[arg-type]
    read = EventAccumulator(str(tmp_path)).Reload()
    points = [(event.step, event.value) for event in read.Scalars("loss")]
    assert points == [(1, 1.0), (2, 7.0)], "what came after the checkpoint is hidden"


@pytest.mark.parametrize(
    ("epochs", "drawn"),
    [
        (1, [1]),
        (10, list(range(1, 11))),
        (20, list(range(2, 21, 2))),
        (25, [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]),
    ],
)
def test_pages_are_of_ten_epochs_and_of_the_last(
    tmp_path: Path, epochs: int, drawn: list[int]
) -> None:
    events, config = rig.writer(tmp_path), SimpleNamespace(epochs=epochs)
    loops = [rig.loop(epoch=epoch, config=config) for epoch in range(epochs)]
    assert [each.epoch + 1 for each in loops if events.draws_pages(each)] == drawn
    assert events.draws_pages(rig.loop(epoch=0, config=config, should_stop=True))
    rig.read(events)
    assert not events.draws_pages(loops[-1]), "the file is closed"
