"""Images too large for a network: predict overlapping tiles and blend their predictions.

A tile is weighted with a squared sine, 0 at its edges and 1 in its middle, divided by the sum of
the weights of all tiles at that pixel. So the weights add up to 1 everywhere, and change without
a step. A U-Net is least certain at the edge of its input (Ronneberger et al. 2015, fig. 2), and
there a tile counts least.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from darkroom.errors import ParamsError

MAX_OVERLAP = 0.75


@dataclass(frozen=True)
class Tiles:
    """How an image is cut.

    Args:
        height: Of a tile, in pixels; a lower image is one tile high.
        width: Likewise.
        overlap: The least share of a tile that its neighbour covers too, 0 to 0.75.

    Raises:
        ParamsError: A size below 1, or an overlap out of range.
    """

    height: int
    width: int
    overlap: float = 0.25

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not 0 <= self.overlap <= MAX_OVERLAP:
            raise ParamsError(
                "predict.tiles is invalid",
                file="params.yaml",
                found=f"height {self.height}, width {self.width}, overlap {self.overlap}",
                expected=f"pixels, 1 or more, and an overlap from 0 to {MAX_OVERLAP}",
            )


def tile_starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return where the tiles of an axis begin: the fewest that cover it, evenly spread.

    Example:
        >>> tile_starts(100, tile=40, overlap=0.25)
        [0, 30, 60]

    Args:
        length: Of the axis, in pixels.
        tile: Of a tile along it, in pixels.
        overlap: The least share of a tile that two neighbours have in common.
    """
    if length <= tile:
        return [0]
    stride = max(1, math.floor(tile * (1 - overlap)))
    steps = math.ceil((length - tile) / stride)
    return [round(step * (length - tile) / steps) for step in range(steps + 1)]


def tile_weights(length: int, tile: int, overlap: float) -> Tensor:
    """Return the weight of each pixel of each tile of an axis, float32 (tiles, pixels).

    The weights at one place of the axis add up to 1.
    """
    firsts, tile = tile_starts(length, tile, overlap), min(tile, length)
    window = torch.sin(math.pi * (torch.arange(tile, dtype=torch.float64) + 0.5) / tile).square()
    total = torch.zeros(length, dtype=torch.float64)
    for first in firsts:
        total[first : first + tile] += window
    return torch.stack([window / total[first : first + tile] for first in firsts]).float()


def predict_tiled(
    images: Tensor, tiles: Tiles, predict: Callable[[Tensor], Tensor], *, at_once: int
) -> Tensor:
    """Return probabilities (N, K, H, W), float32, for images (N, C, H, W), predicted tile by tile.

    Args:
        images: Of one size.
        tiles: How to cut them.
        predict: Tiles (n, C, h, w) to probabilities (n, K, h, w).
        at_once: The most tiles, of any of the images, in one call of `predict`.
    """
    _, _, height, width = images.shape
    tile_height, tile_width = min(tiles.height, height), min(tiles.width, width)
    rows = tile_weights(height, tile_height, tiles.overlap).to(images.device)
    columns = tile_weights(width, tile_width, tiles.overlap).to(images.device)
    places = [
        (image, row, top, column, left)
        for image in range(len(images))
        for row, top in enumerate(tile_starts(height, tile_height, tiles.overlap))
        for column, left in enumerate(tile_starts(width, tile_width, tiles.overlap))
    ]
    total: Tensor | None = None
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        inputs = torch.stack(
            [
                images[image, :, top : top + tile_height, left : left + tile_width]
                for image, _, top, _, left in some
            ]
        )
        outputs = predict(inputs.contiguous(memory_format=torch.channels_last))
        if total is None:
            shape = (len(images), outputs.shape[1], height, width)
            total = images.new_zeros(shape, dtype=torch.float32)
        for (image, row, top, column, left), tile in zip(some, outputs, strict=True):
            weight = rows[row, :, None] * columns[column]
            total[image, :, top : top + tile_height, left : left + tile_width] += tile * weight
    assert total is not None
    return total
