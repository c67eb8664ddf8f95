"""The small network: shapes, parameter counts by hand, and where dropout and batch norm are."""

import pytest
import torch

from darkroom.errors import ParamsError
from darkroom.models.build import build_network
from darkroom.models.small_cnn import SmallCNN


def test_count_of_parameters_by_hand() -> None:
    net = SmallCNN(5, width=4, depth=2, dropout=0)
    convolutions = 3 * 4 * 9 + 4 * 8 * 9
    assert sum(p.numel() for p in net.parameters()) == convolutions + 2 * (4 + 8) + 8 * 5 + 5


@pytest.mark.parametrize("size", [(4, 4), (5, 9), (33, 8)])
def test_any_size_from_the_least(size: tuple[int, int]) -> None:
    net = build_network("small_cnn", outputs=3, seed=1, width=2, depth=2).eval()
    assert net(torch.zeros(2, 3, *size)).shape == (2, 3)


def test_too_small_a_picture() -> None:
    net = build_network("small_cnn", outputs=3, seed=1, width=2, depth=3)
    with pytest.raises(ParamsError, match=r"depth 3[\s\S]*at least 8 px each way"):
        net(torch.zeros(2, 3, 7, 8))


def test_dropout_is_of_training_alone() -> None:
    net = build_network("small_cnn", outputs=3, seed=1, width=8, depth=1, dropout=0.5).eval()
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(net(images), net(images))
    net.train()
    assert not torch.equal(net(images), net(images))
