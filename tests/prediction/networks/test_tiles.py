"""Tiles cover every pixel with weights that add up to 1, and leave a pointwise network as it is."""

import itertools

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from darkroom.errors import ParamsError
from darkroom.prediction.networks.tiles import Tiles, predict_tiled, tile_starts, tile_weights

AXES = (st.integers(1, 300), st.integers(1, 120), st.floats(0, 0.75))


def test_tiles_start_at_even_distances() -> None:
    assert tile_starts(100, 100, 0.25) == [0]
    assert tile_starts(60, 100, 0.25) == [0]
    assert tile_starts(100, 50, 0.0) == [0, 50]
    assert tile_starts(101, 50, 0.0) == [0, 26, 51]
    assert tile_starts(100, 40, 0.25) == [0, 30, 60]
    assert tile_starts(1918, 512, 0.25) == [0, 352, 703, 1054, 1406]


@hypothesis.given(*AXES)
def test_an_axis_is_covered_with_at_least_the_overlap(
    length: int, tile: int, overlap: float
) -> None:
    firsts = tile_starts(length, tile, overlap)
    assert firsts[0] == 0
    assert firsts[-1] + min(tile, length) == length
    for one, two in itertools.pairwise(firsts):
        assert two > one
        assert one + tile - two >= overlap * tile - 1  # whole pixels


@hypothesis.given(*AXES)
def test_weights_add_up_to_one(length: int, tile: int, overlap: float) -> None:
    counts = tile_weights(length, tile, overlap)
    total = torch.zeros(length)
    for first, count in zip(tile_starts(length, tile, overlap), counts, strict=True):
        assert (count > 0).all()
        total[first : first + len(count)] += count
    assert torch.allclose(total, torch.ones(length), atol=1e-6)


def test_weights_fade_without_a_step() -> None:
    left, right = tile_weights(90, 60, 0.5)
    assert torch.equal(left[:30], torch.ones(30))
    assert torch.allclose(left[30:], right[:30].flip(0), atol=1e-6)
    assert left[30] > 0.99
    assert left[-1] < 0.01
    assert left[44] == pytest.approx(0.5, abs=0.06)
    # Half a period of a cosine, over 30 pixels: sin² of the one against cos² of the other.
    turn = (torch.arange(30) + 0.5) * torch.pi / 60
    assert torch.allclose(left[30:], turn.cos().square(), atol=1e-6)


def pointwise(images: Tensor) -> Tensor:
    return torch.sigmoid(images[:, :1] * 3 + images[:, 1:2] - images[:, 2:])


def pictures(count: int, height: int, width: int) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@hypothesis.given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    tile=st.tuples(st.integers(1, 40), st.integers(4, 40)),
    overlap=st.floats(0, 0.6),
    at_once=st.integers(1, 5),
)
def test_a_pointwise_network_is_not_changed(
    size: tuple[int, int], tile: tuple[int, int], overlap: float, at_once: int
) -> None:
    hypothesis.assume(size[0] * size[1] < 40 * tile[0] * tile[1])
    images = pictures(2, *size)
    predictions = predict_tiled(images, Tiles(*tile, overlap), pointwise, at_once=at_once)
    assert predictions.dtype == torch.float32
    assert torch.allclose(predictions, pointwise(images), atol=1e-6)


def test_tiles_are_predicted_together_up_to_a_limit() -> None:
    shapes = []

    def predict(some: Tensor) -> Tensor:
        shapes.append(tuple(some.shape))
        assert some.is_contiguous(memory_format=torch.channels_last)
        return pointwise(some)

    predict_tiled(pictures(1, 40, 70), Tiles(16, 16, 0.25), predict, at_once=7)
    tiles = len(tile_starts(40, 16, 0.25)) * len(tile_starts(70, 16, 0.25))
    assert tiles == 3 * 6
    assert shapes == [(7, 3, 16, 16), (7, 3, 16, 16), (4, 3, 16, 16)]
    shapes.clear()
    predict_tiled(
        pictures(3, 40, 70), Tiles(64, 48, 0.25), predict, at_once=4
    )  # the picture is lower
    assert shapes == [(4, 3, 40, 48), (2, 3, 40, 48)]


def test_the_edge_of_a_tile_counts_least() -> None:
    """A network wrong along the edge of what it sees is little wrong where tiles overlap."""

    def predict(some: Tensor) -> Tensor:
        predictions = torch.zeros(len(some), 2, *some.shape[2:])
        predictions[..., 0] = predictions[..., -1] = 1
        return predictions

    predictions = predict_tiled(pictures(1, 32, 96), Tiles(32, 32, 0.5), predict, at_once=4)
    assert predictions[..., 0].min() == predictions[..., -1].min() == 1  # no other tile knows
    assert predictions[..., 1:-1].max() < 0.01


@pytest.mark.parametrize(
    ("height", "width", "overlap"), [(0, 9, 0.1), (9, 0, 0.1), (9, 9, 0.8), (9, 9, -0.1)]
)
def test_invalid_tiles_are_refused(height: int, width: int, overlap: float) -> None:
    with pytest.raises(ParamsError) as fault:
        Tiles(height, width, overlap)
    assert "predict.tiles is invalid" in str(fault.value)
    assert f"found: height {height}, width {width}, overlap {overlap}" in str(fault.value)
    assert "expected: pixels, 1 or more, and an overlap from 0 to 0.75" in str(fault.value)
