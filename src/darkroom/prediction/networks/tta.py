"""Test-time augmentation: the transforms and scales that a prediction is averaged over.

The transforms are the eight symmetries of a square. Averaging over them at prediction is as old
as Krizhevsky et al. 2012 (crops and flips) and Simonyan and Zisserman 2015 (several scales).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from darkroom.errors import ParamsError
from darkroom.params.evaluate import Predict
from darkroom.prediction.networks.tiles import Tiles
from darkroom.tasks.table import TASKS

GRID_PX = 32  # the networks halve an image five times at most
_Y, _X = -2, -1


@dataclass(frozen=True)
class Transform:
    """A symmetry of the square, applied pixel by pixel.

    Args:
        apply: Tensor (..., H, W) to the transformed tensor.
        undo: The inverse, exact to the bit: `undo(apply(x))` is x.
    """

    apply: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor], Tensor]


def _identity(pixels: Tensor) -> Tensor:
    return pixels


def _flip(axis: int) -> Transform:
    def flip(pixels: Tensor) -> Tensor:
        return pixels.flip(axis)

    return Transform(flip, flip)


def _rotation(quarters: int) -> Transform:
    """Return counter-clockwise quarter turns."""
    return Transform(
        lambda pixels: torch.rot90(pixels, quarters, (_Y, _X)),
        lambda pixels: torch.rot90(pixels, -quarters, (_Y, _X)),
    )


def _transpose(pixels: Tensor) -> Tensor:
    return pixels.transpose(_Y, _X)


def _transverse(pixels: Tensor) -> Tensor:
    return pixels.transpose(_Y, _X).flip((_Y, _X))


TRANSFORMS = {
    "identity": Transform(_identity, _identity),
    "hflip": _flip(_X),
    "vflip": _flip(_Y),
    "rot90": _rotation(1),
    "rot180": _rotation(2),
    "rot270": _rotation(3),
    "transpose": Transform(_transpose, _transpose),
    "transverse": Transform(_transverse, _transverse),
}


D4 = tuple(name for name in TRANSFORMS if name != "identity")
"""All symmetries of the square, the dihedral group D4, but for the identity."""
QUARTER_TURNS = ("rot90", "rot270", "transpose", "transverse")
"""Those that make an image's height its width."""


@dataclass(frozen=True)
class TTA:
    """The settings of test-time augmentation. The default is one plain pass over the whole image.

    Example:
        >>> TTA(transforms=("hflip",)).all_transforms
        ('identity', 'hflip')

    Args:
        transforms: Names of `TRANSFORMS` to predict with, beside the identity.
        scales: Scales to predict at, each with all transforms, relative to the stored size.
            Masks only.
        tiles: How to cut the image into tiles; None: predict it whole. Masks only.

    Raises:
        ParamsError: A transform is unknown or named twice, or a scale is not above 0.
    """

    transforms: tuple[str, ...] = ()
    scales: tuple[float, ...] = (1.0,)
    tiles: Tiles | None = None

    def __post_init__(self) -> None:
        names, scales = self.transforms, self.scales
        if len(set(names)) < len(names) or not set(names) <= set(TRANSFORMS):
            raise ParamsError(
                "predict.tta is invalid: an unknown transform, or one twice",
                file="params.yaml",
                found=", ".join(names),
                expected=f"some of {', '.join(TRANSFORMS)}, each once",
            )
        if not scales or min(scales) <= 0 or len(set(scales)) < len(scales):
            raise ParamsError(
                "predict.scales is invalid",
                file="params.yaml",
                found=list(scales),
                expected="one or more numbers above 0, each once",
            )

    @property
    def all_transforms(self) -> tuple[str, ...]:
        """The identity, then the others."""
        return ("identity", *(name for name in self.transforms if name != "identity"))

    @property
    def quarter_turns(self) -> tuple[str, ...]:
        """Those transforms that make an image's height its width."""
        return tuple(name for name in self.transforms if name in QUARTER_TURNS)

    def require_supported(self, task: str) -> None:
        """Raise ParamsError if scales or tiles are set for a task without masks."""
        is_set = {"scales": self.scales != (1.0,), "tiles": self.tiles is not None}
        for key, present in is_set.items():
            if present and not TASKS[task].masks:
                raise ParamsError(
                    f"predict.{key} is for masks, and the task is {task}",
                    file="params.yaml",
                    found=getattr(self, key),
                    fix=f"remove {key} from the predict section",
                )


def tta_of(choice: Predict) -> TTA:
    """Return the test-time augmentation of the section predict."""
    tiles = choice.tiles
    return TTA(
        transforms=D4 if choice.tta == "d4" else tuple(choice.tta),
        scales=tuple(choice.scales),
        tiles=None if tiles is None else Tiles(tiles.height, tiles.width, tiles.overlap),
    )


def rescale(images: Tensor, scale: float) -> Tensor:
    """Return images (N, C, H, W), float32, at another scale; at scale 1 unchanged.

    Height and width are the nearest multiples of 32, at least 32, so that every network accepts
    them. Bilinear, with antialiasing when it shrinks.

    Example:
        >>> rescale(torch.zeros(1, 3, 100, 64), 0.5).shape
        torch.Size([1, 3, 64, 32])
    """
    if scale == 1:
        return images
    height, width = (max(1, round(side * scale / GRID_PX)) * GRID_PX for side in images.shape[-2:])
    return _resize(images, (height, width))


def restore_size(probabilities: Tensor, size: tuple[int, int]) -> Tensor:
    """Return probabilities (N, K, h, w), float32, resized to (height, width) `size`."""
    if probabilities.shape[-2:] == size:
        return probabilities
    return _resize(probabilities, size)


def _resize(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
