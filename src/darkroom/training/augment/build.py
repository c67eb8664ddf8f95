"""Augmentations: the one package that knows albumentations.

Masks are moved with nearest-neighbour sampling, so their values stay exactly 0 and 1, and never
recoloured. The result is a pure function of the picture and a seed: neither of earlier calls nor
of the process.
"""

import os
import random
from dataclasses import dataclass, field
from typing import Any

# Importing albumentations asks a server for its latest version unless this is set before.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import numpy as np

from darkroom.errors import ParamsError
from darkroom.images.codec import Pixels
from darkroom.training.augment import named, presets, trial
from darkroom.training.augment.named import Choice
from darkroom.training.augment.presets import PRESETS

__all__ = ["PRESETS", "Augmentation", "Choice", "build"]

Size = tuple[int, int]  # height, width


@dataclass
class Augmentation:
    """A choice of changes, ready to be applied; it pickles as that choice. See `build`."""

    choice: str | Choice
    crop: Size | None = None
    _compose: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._compose = A.Compose(_transforms(self.choice))

    def __reduce__(self) -> tuple[type["Augmentation"], tuple[str | Choice, Size | None]]:
        return Augmentation, (self.choice, self.crop)

    def __call__(
        self, image: Pixels, mask: Pixels | None, seed: int
    ) -> tuple[Pixels, Pixels | None]:
        """Return a changed image uint8 (h, w, 3) and mask uint8 (h, w) of 0 and 1.

        Args:
            image: uint8 (H, W, 3), RGB; not written to.
            mask: uint8 (H, W), moved as the image is; or None.
            seed: 64 bits that decide everything.

        Raises:
            ParamsError: The picture is smaller than the crop; or a transform, chosen by name,
                changed its size or failed.
        """
        # The transforms draw from one stream. Each given the seed for itself, as the library's
        # `set_random_seed` does, all would draw the same numbers: whatever p = 0.5 flips, p = 0.8
        # would turn as well.
        draws = random.Random(seed)
        if self.crop is not None:
            image, mask = _window(image, mask, self.crop, draws)
        shown = {"image": image} if mask is None else {"image": image, "mask": mask}
        self._compose.set_random_state(np.random.default_rng(seed), draws)
        try:
            made = self._compose(**shown)
        except Exception as error:  # whatever a transform raises
            raise ParamsError(
                "an augmentation failed",
                file="params.yaml",
                details=[trial.told(error)],
                found=self.choice,
                fix=f"change {named.KEY}",
            ) from error
        if made["image"].shape != image.shape:
            raise trial.resized(f"{named.KEY}: a transform", image.shape, made["image"].shape)
        return made["image"], made.get("mask")


def build(
    choice: str | Choice, *, crop: Size | None = None, masks: bool, size: Size | None = None
) -> Augmentation:
    """Return an augmentation by name, or made of transforms by name.

    Those named one by one are tried out, so that a training need not end at what they cannot do.

    Args:
        choice: One of PRESETS, or transforms of albumentations with their arguments:
            [{"HorizontalFlip": {"p": 0.5}}, {"OneOf": {"transforms": [...], "p": 0.3}}].
        crop: Height and width of a window that is cut first, anywhere in the picture; or None.
        masks: Whether pictures come with masks.
        size: Height and width of the pictures, for the trial and the check of `crop`; unknown,
            a square is tried.

    Raises:
        ParamsError: There is no such preset, transform, argument or value; or a transform changes
            the size of a picture, breaks masks, or cannot be repeated; or the crop doesn't fit.
    """
    if isinstance(choice, str) and choice not in PRESETS:
        raise ParamsError(
            "no such augmentation",
            file="params.yaml",
            found=choice,
            expected=", ".join(PRESETS),
            fix=f"set {named.KEY} to one of these, or to a list of transforms",
        )
    if crop is not None and size is not None:
        _check_crop(crop, size)
    made = Augmentation(choice, crop)
    if not isinstance(choice, str):
        trial.check(made._compose.transforms, crop or size or trial.SIZE, masks=masks)
    return made


def _transforms(choice: str | Choice) -> list[Any]:
    return presets.transforms(choice) if isinstance(choice, str) else named.transforms(choice)


def _window(
    image: Pixels, mask: Pixels | None, crop: Size, draws: random.Random
) -> tuple[Pixels, Pixels | None]:
    """Return a window of the picture and its mask, at a place that is drawn."""
    height, width = crop
    _check_crop(crop, image.shape[:2])
    top = draws.randrange(image.shape[0] - height + 1)
    left = draws.randrange(image.shape[1] - width + 1)
    inside = np.s_[top : top + height, left : left + width]
    return image[inside], None if mask is None else mask[inside]


def _check_crop(crop: Size, size: tuple[int, ...]) -> None:
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ParamsError(
            "train.crop is larger than the stored pictures",
            file="params.yaml",
            found=f"{crop[0]} x {crop[1]}",
            expected=f"at most {size[0]} x {size[1]} (height x width)",
            fix="lower train.crop, or store larger pictures: preprocess.height and width",
        )
