"""A run's row of the table: when it is written, and what is in it."""

from pathlib import Path

import pytest
from tensorboard.plugins.hparams import metadata

from darkroom.training.tensorboard.hparams import Hparams, flat, session
from tests.training.tensorboard.rig import loop, read, writer


def test_flat() -> None:
    facts = {"lr": 0.1, "loss": {"bce": 1, "focal": {"gamma": 2.0}}, "crop": [64, 96]}
    assert dict(flat(facts | {"ema": None, "rates": {}, "on": True})) == {
        "lr": 0.1,
        "loss.bce": 1,
        "loss.focal.gamma": 2.0,
        "crop": "64, 96",
        "ema": "none",
        "rates": "{}",
        "on": True,
    }


def test_session() -> None:
    start, end = session({"lr": 0.5, "on": True, "net": "unet"}).value
    assert (start.tag, end.tag) == (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
    content = start.metadata.plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    assert values["lr"].number_value == 0.5
    assert values["on"].bool_value is True
    assert values["net"].string_value == "unet"


@pytest.mark.parametrize(
    ("epochs", "stopped", "written"), [(2, False, 0), (3, False, 1), (2, True, 1)]
)
def test_only_the_last_epoch_writes_the_row(
    tmp_path: Path, epochs: int, stopped: bool, written: int
) -> None:
    best = {"epoch": 2, "dice/train": 0.5, "dice/val": 0.75, "learning rate": 0.1}
    log = writer(tmp_path)
    history = [{"epoch": number} for number in range(1, epochs + 1)]
    Hparams(log, {"lr": 0.1}).on_epoch_end(
        loop(seen=20, history=history, should_stop=stopped, selected=best)
    )
    events = read(log)
    tags = ["Best epoch/dice", "Best epoch/epoch"] if written else []
    assert sorted(events.Tags()["scalars"]) == tags
    for tag in tags:
        assert [event.step for event in events.Scalars(tag)] == [21]
    assert ("_hparams_/session_start_info" in events.Tags()["tensors"]) == bool(written)
    assert "_hparams_/experiment" not in events.Tags()["tensors"], "it would hide other runs' facts"
