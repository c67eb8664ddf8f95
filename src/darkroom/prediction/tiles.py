"""Pictures too large for a network at once, as overlapping tiles whose predictions blend.

A tile counts with the square of a sine, 0 at its edges and 1 in its middle, divided by the sum
of all tiles there: weights that add up to 1 everywhere, and change without a step. A U-Net knows
least at the edge of what it sees (Ronneberger et al. 2015, fig. 2), and there a tile counts least.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from darkroom.errors import ParamsError

MOST_OVERLAP = 0.75


@dataclass(frozen=True)
class Tiles:
    """How a picture is cut.

    Args:
        height: Of a tile, in pixels; a lower picture is one tile high.
        width: Likewise.
        overlap: The least share of a tile that its neighbour covers too, 0 to 0.75.

    Raises:
        ParamsError: A size or a share that cannot be.
    """

    height: int
    width: int
    overlap: float = 0.25

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or not 0 <= self.overlap <= MOST_OVERLAP:
            raise ParamsError(
                "evaluate.tiles cannot be so",
                file="params.yaml",
                found=f"height {self.height}, width {self.width}, overlap {self.overlap}",
                expected=f"pixels, 1 or more, and an overlap from 0 to {MOST_OVERLAP}",
            )


def starts(length: int, tile: int, overlap: float) -> list[int]:
    """Return where the tiles of an axis begin: the fewest that cover it, evenly spread.

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


def weights(length: int, tile: int, overlap: float) -> Tensor:
    """Return how much each pixel of each tile of an axis counts, float32 (tiles, pixels).

    What counts at one place of the axis adds up to 1.
    """
    firsts, tile = starts(length, tile, overlap), min(tile, length)
    hump = torch.sin(math.pi * (torch.arange(tile, dtype=torch.float64) + 0.5) / tile).square()
    total = torch.zeros(length, dtype=torch.float64)
    for first in firsts:
        total[first : first + tile] += hump
    return torch.stack([hump / total[first : first + tile] for first in firsts]).float()


def blended(
    images: Tensor, tiles: Tiles, ask: Callable[[Tensor], Tensor], *, at_once: int
) -> Tensor:
    """Return probabilities (N, H, W), float32, for images (N, C, H, W), asked tile by tile.

    Args:
        images: Of one size.
        tiles: How to cut them.
        ask: Tiles (n, C, h, w) to probabilities (n, h, w).
        at_once: Of how many tiles, of any of the images, it is asked at once.
    """
    _, _, height, width = images.shape
    tall, wide = min(tiles.height, height), min(tiles.width, width)
    rows = weights(height, tall, tiles.overlap).to(images.device)
    columns = weights(width, wide, tiles.overlap).to(images.device)
    places = [
        (number, row, top, column, left)
        for number in range(len(images))
        for row, top in enumerate(starts(height, tall, tiles.overlap))
        for column, left in enumerate(starts(width, wide, tiles.overlap))
    ]
    total = images.new_zeros((len(images), height, width), dtype=torch.float32)
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        shown = [images[n, :, top : top + tall, left : left + wide] for n, _, top, _, left in some]
        found = ask(torch.stack(shown).contiguous(memory_format=torch.channels_last))
        for (number, row, top, column, left), tile in zip(some, found, strict=True):
            weight = rows[row, :, None] * columns[column]
            total[number, top : top + tall, left : left + wide] += tile * weight
    return total
