"""Augmentations by name: the one module that knows albumentations.

A preset says how alike two pictures of the same thing are in that competition. Masks are moved
with nearest-neighbour sampling, so their values stay exactly 0 and 1, and never recoloured.
"""

import os
from dataclasses import dataclass, field
from typing import Any

# Importing albumentations asks a server for its latest version unless this is set before.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A

from darkroom.errors import ParamsError
from darkroom.images import Pixels
from darkroom.opencv import cv2

PRESETS: dict[str, str] = {
    "none": "the picture as it is",
    "flip": "left and right exchanged, half of the time",
    "light": "flip; shifts of 5 %, zoom of 10 %, turns of 5 degrees; light and colour",
    "strong": "flip; shifts of 10 %, zoom of 25 %, turns of 15 degrees; light, colour, blur, noise",
    "notes": "turns of 15 degrees, zoom, light, colour; no flip: print has a handedness",
}


@dataclass
class Augmentation:
    """A preset, ready to be applied; it pickles as its name.

    The result depends on the arguments of the call alone: neither on earlier calls nor on the
    process.
    """

    preset: str
    _compose: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._compose = A.Compose(_transforms(self.preset), seed=0)

    def __reduce__(self) -> tuple[type["Augmentation"], tuple[str]]:
        return Augmentation, (self.preset,)

    def __call__(
        self, image: Pixels, mask: Pixels | None, seed: int
    ) -> tuple[Pixels, Pixels | None]:
        """Return a changed image uint8 (H, W, 3) and mask uint8 (H, W) of 0 and 1.

        Args:
            image: uint8 (H, W, 3), RGB; not written to.
            mask: uint8 (H, W), moved as the image is; or None.
            seed: 64 bits that decide everything.
        """
        self._compose.set_random_seed(seed)
        if mask is None:
            return self._compose(image=image)["image"], None
        result = self._compose(image=image, mask=mask)
        return result["image"], result["mask"]


def build(preset: str) -> Augmentation:
    """Return the augmentation of that name.

    Args:
        preset: One of PRESETS.

    Raises:
        ParamsError: There is no such preset.
    """
    if preset not in PRESETS:
        raise ParamsError(
            "no such augmentation",
            file="params.yaml",
            found=preset,
            expected=", ".join(PRESETS),
            fix="set train.augment to one of these",
        )
    return Augmentation(preset)


def _transforms(preset: str) -> list[Any]:
    flip = A.HorizontalFlip(p=0.5)
    if preset == "none":
        return []
    if preset == "flip":
        return [flip]
    if preset == "light":
        return [flip, _moved(shift=0.05, zoom=0.10, degrees=5), *_recoloured(0.15)]
    if preset == "strong":
        spoiled = [A.GaussianBlur(blur_limit=(3, 7), p=0.2), A.GaussNoise((0.01, 0.05), p=0.2)]
        return [flip, _moved(shift=0.10, zoom=0.25, degrees=15), *_recoloured(0.30), *spoiled]
    return [_moved(shift=0.05, zoom=0.15, degrees=15), *_recoloured(0.20)]


def _moved(*, shift: float, zoom: float, degrees: float) -> Any:
    """Return shift, zoom and rotation in one resampling; the mirrored picture fills the edges."""
    return A.Affine(
        translate_percent=(-shift, shift),
        scale=(1 - zoom, 1 + zoom),
        keep_ratio=True,
        rotate=(-degrees, degrees),
        interpolation=cv2.INTER_LINEAR,
        mask_interpolation=cv2.INTER_NEAREST,
        border_mode=cv2.BORDER_REFLECT_101,
        p=0.8,
    )


def _recoloured(strength: float) -> list[Any]:
    light = A.RandomBrightnessContrast(strength, strength, p=0.8)
    shift = round(100 * strength)
    # Hue moves little: it is what tells many classes apart.
    colour = A.HueSaturationValue(round(shift / 3), shift, 0, p=0.5)
    return [light, colour]
