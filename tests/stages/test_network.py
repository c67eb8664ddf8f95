"""The network of a fold: what it refuses to predict."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from darkroom.errors import ParamsError
from darkroom.models.sizes import Sizes
from darkroom.prediction.networks.tiles import Tiles
from darkroom.prediction.networks.tta import TTA
from darkroom.stages import _network

SEVEN = ("hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse")


def test_quarter_turns_are_refused_where_a_network_takes_one_size_that_is_no_square() -> None:
    wide: Any = SimpleNamespace(channels=3, height=64, width=96)
    net = nn.Conv2d(3, 1, 3)
    _network._check_turns(net, wide, TTA(SEVEN))
    Sizes("swin", only=(64, 96)).guard(net)
    with pytest.raises(ParamsError) as caught:
        _network._check_turns(net, wide, TTA(SEVEN))
    message = str(caught.value)
    assert "predict.tta turns images by a quarter, but the network takes none of 96 x 64" in message
    assert "found: rot90, rot270, transpose, transverse" in message
    assert "expected: hflip, vflip, rot180" in message
    _network._check_turns(net, wide, TTA(("hflip", "vflip", "rot180")))
    _network._check_turns(net, wide, TTA(SEVEN, tiles=Tiles(64, 96)))
    square: Any = SimpleNamespace(channels=3, height=64, width=64)
    _network._check_turns(net, square, TTA(SEVEN))
