"""Ready-made augmentations: how alike two pictures of the same thing are in a competition."""

from typing import Any

import albumentations as A

from darkroom.images.geometry import cv2

PRESETS: dict[str, str] = {
    "none": "the picture as it is",
    "flip": "left and right exchanged, half of the time; faces and most labels",
    "light": "flip; shifts of 5 %, zoom of 10 %, turns of 5 degrees; light and colour; most masks",
    "strong": "flip; shifts of 10 %, zoom of 25 %, turns of 15 degrees; light, colour, blur, "
    "noise; few pictures, or long trainings",
    "notes": "turns of 15 degrees, zoom, light, colour; no flip: print has a handedness",
}


def transforms(preset: str) -> list[Any]:
    """Return the transforms of one of `PRESETS`, in order."""
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
