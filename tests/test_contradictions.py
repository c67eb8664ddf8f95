"""Keys that contradict each other are told before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from darkroom import paramfile
from darkroom.errors import ParamsError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def raw() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return raw


def _told(raw: dict[str, Any]) -> str:
    with pytest.raises(ParamsError) as caught:
        paramfile.validate(raw)
    return str(caught.value)


def test_weights_that_nobody_gives_are_told_with_the_line_to_add(raw: dict[str, Any]) -> None:
    raw["banknotes"]["model"]["weights"] = "given"
    assert (
        "banknotes.model.weights: found 'given', but nothing is given; add it to transfers: "
        "[{to: banknotes, from: models/.../fold0}], or a file"
    ) in _told(raw)


def test_weights_are_given_by_a_transfer(raw: dict[str, Any]) -> None:
    raw["banknotes"]["model"]["weights"] = "given"
    raw["transfers"] = [{"to": "banknotes", "from": "models/celeba/fold0"}]
    given = paramfile.validate(raw).transfer("banknotes")
    assert given is not None
    assert given.source == "models/celeba/fold0"


def test_a_transfer_to_nobody_and_a_second_one_are_refused(raw: dict[str, Any]) -> None:
    raw["transfers"] = [
        {"to": "celebs", "from": "a.pth"},
        {"to": "celeba", "from": "a.pth"},
        {"to": "celeba", "from": "b.pth"},
    ]
    told = _told(raw)
    assert "transfers[0].to: 'celebs' has no section of its own; did you mean 'celeba'?" in told
    assert "transfers[2].to: 'celeba' is given first weights twice" in told


def test_unfreezing_needs_something_frozen_and_an_epoch_that_comes(raw: dict[str, Any]) -> None:
    raw["celeba"]["train"]["unfreeze_epoch"] = 3
    told = _told(raw)
    assert "celeba.train.unfreeze_epoch: nothing is frozen; set freeze: backbone" in told
    raw["celeba"]["train"] |= {"freeze": "backbone", "unfreeze_epoch": 5}
    told = _told(raw)
    assert "celeba.train.unfreeze_epoch: found 5, but the training ends after epoch 4" in told


def test_devices_share_a_batch_equally(raw: dict[str, Any]) -> None:
    raw["carvana"]["train"] |= {"devices": 4, "batch_size": 6}
    assert "carvana.train.batch_size: found 6, which 4 devices can't share equally" in _told(raw)
