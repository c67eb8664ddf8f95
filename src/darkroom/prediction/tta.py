"""Views of a picture to average over: the eight symmetries of a square, and other sizes.

Averaging over views at prediction is as old as Krizhevsky et al. 2012 (crops and flips) and
Simonyan and Zisserman 2015 (several sizes).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

GRID = 32  # the networks halve a picture five times at most
_Y, _X = -2, -1


@dataclass(frozen=True)
class View:
    """A picture seen otherwise, pixel for pixel.

    Args:
        apply: Tensor (..., H, W) to what is seen.
        undo: The inverse, exact to the bit: `undo(apply(x))` is x.
    """

    apply: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor], Tensor]


def _same(pixels: Tensor) -> Tensor:
    return pixels


def _mirrored(axis: int) -> View:
    def flip(pixels: Tensor) -> Tensor:
        return pixels.flip(axis)

    return View(flip, flip)


def _turned(quarters: int) -> View:
    """Return quarter turns against the clock."""
    return View(
        lambda pixels: torch.rot90(pixels, quarters, (_Y, _X)),
        lambda pixels: torch.rot90(pixels, -quarters, (_Y, _X)),
    )


def _transposed(pixels: Tensor) -> Tensor:
    return pixels.transpose(_Y, _X)


def _transversed(pixels: Tensor) -> Tensor:
    return pixels.transpose(_Y, _X).flip((_Y, _X))


VIEWS = {
    "identity": View(_same, _same),
    "hflip": _mirrored(_X),
    "vflip": _mirrored(_Y),
    "rot90": _turned(1),
    "rot180": _turned(2),
    "rot270": _turned(3),
    "transpose": View(_transposed, _transposed),
    "transverse": View(_transversed, _transversed),
}


def scaled(images: Tensor, scale: float) -> Tensor:
    """Return images (N, C, H, W), float32, at another size; at scale 1 as they are.

    Height and width are the nearest multiples of 32, at least 32, so that every network takes
    them. Bilinear, and smoothed before it shrinks.
    """
    if scale == 1:
        return images
    height, width = (max(1, round(side * scale / GRID)) * GRID for side in images.shape[-2:])
    return _resized(images, (height, width))


def restored(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """Return probabilities (N, h, w), float32, at the height and width of `size`."""
    if probabilities.shape[-2:] == size:
        return probabilities
    return _resized(probabilities.unsqueeze(1), size).squeeze(1)


def _resized(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
