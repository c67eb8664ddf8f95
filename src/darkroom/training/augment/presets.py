"""Presets: lists of transforms under one word, for pictures of any number of channels.

They stand on albumentations, which gives nearly the same pictures as torchvision.transforms.v2 and
is as fast or up to 47 times as fast (docs/performance.md), and mirrors the picture at its edges.
"""

import math
from collections.abc import Callable
from typing import Any

import albumentations as A
import numpy as np
from albumentations.augmentations.geometric.distortion import BaseDistortion

from darkroom.images.codec import Pixels
from darkroom.images.geometry import RGB, cv2

PRESETS: dict[str, str] = {
    "none": "the image unchanged",
    "flip": "left and right exchanged in half of the images; faces and most labels",
    "light": "flip; shifts of 5 %, zoom of 10 %, rotations of 5 degrees; light and "
    "colour; most masks",
    "strong": "flip; shifts of 10 %, zoom of 25 %, rotations of 15 degrees; light, colour, blur, "
    "noise; few pictures, or long trainings",
    "notes": "rotations of 15 degrees, zoom, light, colour; no flip, as print is never mirrored",
    "random_resized": "a window of 8 to 100 % of the picture, of about its shape, at its size",
    "elastic": "in 4 of 5 images a smooth distortion, or one of a grid; cells, and other soft "
    "things",
    "trivial": "one change of 14 kinds, of any strength (TrivialAugment)",
    "rand": "two changes of 14 kinds, of moderate strength (RandAugment)",
}

_GREY_OR_RGB = (1, RGB)
_MIRRORED = {
    "interpolation": cv2.INTER_LINEAR,
    "mask_interpolation": cv2.INTER_NEAREST,
    "border_mode": cv2.BORDER_REFLECT_101,
}
_NODES = 3  # a side
_ELASTICITY = 10 / 512  # of the shorter side


def preset_transforms(preset: str, channels: int = RGB) -> list[Any]:
    """Return the transforms of one of `PRESETS`, in order.

    Args:
        preset: Its name.
        channels: Of the pictures. What knows red, green and blue alone is left out for others.
    """
    flip = A.HorizontalFlip(p=0.5)
    if preset == "none":
        return []
    if preset == "flip":
        return [flip]
    if preset == "light":
        return [flip, _affine(shift=0.05, zoom=0.10, degrees=5), *_recolour(0.15, channels)]
    if preset == "strong":
        degrade = [A.GaussianBlur(blur_limit=(3, 7), p=0.2), A.GaussNoise((0.01, 0.05), p=0.2)]
        return [
            flip,
            _affine(shift=0.10, zoom=0.25, degrees=15),
            *_recolour(0.30, channels),
            *degrade,
        ]
    if preset == "random_resized":
        return [ResizedWindow()]
    if preset == "elastic":
        grid = A.GridDistortion(num_steps=5, distort_limit=(-0.3, 0.3), p=1.0, **_MIRRORED)
        return [A.OneOf([Elastic(), grid], p=0.8)]
    if preset == "trivial":
        return [A.OneOf(_trivial_augment(channels), p=1.0)]
    if preset == "rand":
        return [A.OneOf(_rand_augment(channels), p=1.0) for _ in range(2)]
    return [_affine(shift=0.05, zoom=0.15, degrees=15), *_recolour(0.20, channels)]


def random_erasing(p: float) -> Any:
    """Return Random Erasing (Zhong et al. 2020): a box of noise over 2 to 33 % of the picture.

    Masks stay as they are: a network learns to guess what is hidden.
    """
    return A.Erasing(scale=(0.02, 0.33), ratio=(0.3, 3.3), fill="random", p=p)


def _affine(*, shift: float, zoom: float, degrees: float) -> Any:
    """Return shift, zoom and rotation in one resampling; the mirrored picture fills the edges."""
    return A.Affine(
        translate_percent=(-shift, shift),
        scale=(1 - zoom, 1 + zoom),
        keep_ratio=True,
        rotate=(-degrees, degrees),
        p=0.8,
        **_MIRRORED,
    )


def _recolour(strength: float, channels: int) -> list[Any]:
    light = A.RandomBrightnessContrast(strength, strength, p=0.8)
    if channels != RGB:
        return [light]
    shift = round(100 * strength)
    # Hue changes little: many classes differ by it.
    colour = A.HueSaturationValue(round(shift / 3), shift, 0, p=0.5)
    return [light, colour]


def _trivial_augment(channels: int) -> list[Any]:
    """Return the wide space of Müller & Hutter 2021, TrivialAugment: strengths are uniform.

    Shifts are 32 px of ImageNet's 224, as a share of any size.
    """
    kinds = _signed_kinds(channels, shear=0.99, shift=32 / 224, degrees=135, strength=0.99)
    signed = [kind((-limit, limit)) for kind, limit in kinds]
    return [*signed, *_unsigned_kinds(channels, bits=(2, 8), threshold=(0.0, 1.0))]


def _rand_augment(channels: int) -> list[Any]:
    """Return the space of Cubuk et al. 2020, RandAugment, at strength 9 of 30, either sign."""
    level = 9 / 30
    kinds = _signed_kinds(
        channels,
        shear=0.3 * level,
        shift=150 / 331 * level,
        degrees=30 * level,
        strength=0.9 * level,
    )
    signed = [
        A.OneOf([kind((-limit, -limit)), kind((limit, limit))], p=1.0) for kind, limit in kinds
    ]
    return [*signed, *_unsigned_kinds(channels, bits=(7, 7), threshold=(1 - level, 1 - level))]


Range = tuple[float, float]


def _signed_kinds(
    channels: int, *, shear: float, shift: float, degrees: float, strength: float
) -> list[tuple[Callable[[Range], Any], float]]:
    """Return what makes a transform of a range of strengths, and the greatest strength of each."""
    angle = math.degrees(math.atan(shear))
    none = (0.0, 0.0)
    kinds: list[tuple[Callable[[Range], Any], float]] = [
        (lambda by: _move(shear={"x": by, "y": none}), angle),
        (lambda by: _move(shear={"x": none, "y": by}), angle),
        (lambda by: _move(translate_percent={"x": by, "y": none}), shift),
        (lambda by: _move(translate_percent={"x": none, "y": by}), shift),
        (lambda by: _move(rotate=by), degrees),
        (lambda by: Sharpness(_around_one(by)), strength),
    ]
    if channels not in _GREY_OR_RGB:
        return [*kinds, (lambda by: A.MultiplicativeNoise(_around_one(by), p=1.0), strength)]
    jitters = ["brightness", "contrast", *(["saturation"] if channels == RGB else [])]
    return [*kinds, *((_jitter(name), strength) for name in jitters)]


def _unsigned_kinds(channels: int, *, bits: tuple[int, int], threshold: Range) -> list[Any]:
    equalize = [A.Equalize(p=1.0)] if channels in _GREY_OR_RGB else []
    return [
        A.NoOp(p=1.0),
        A.Posterize(bits, p=1.0),
        A.Solarize(threshold, p=1.0),
        A.AutoContrast(method="pil", p=1.0),  # the papers'; the default equalizes
        *equalize,
    ]


def _move(**arguments: Any) -> Any:
    return A.Affine(p=1.0, **_MIRRORED, **arguments)


def _jitter(name: str) -> Callable[[Range], Any]:
    same: dict[str, Range] = {"brightness": (1, 1), "contrast": (1, 1), "saturation": (1, 1)}
    return lambda by: A.ColorJitter(**{**same, name: _around_one(by)}, hue=(0, 0), p=1.0)


def _around_one(by: Range) -> Range:
    return (1 + by[0], 1 + by[1])


class Sharpness(A.ImageOnlyTransform):  # type: ignore[misc]  # untyped
    """Blends a picture with its smoothed copy, as Pillow's `ImageEnhance.Sharpness`.

    Args:
        factors: Range of the picture's weight: 0 is smooth, 1 the picture, 2 sharper.
    """

    _SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13

    def __init__(self, factors: Range) -> None:
        super().__init__(p=1.0)
        self.factors = factors

    def get_params(self) -> dict[str, float]:
        """Draw the weight of the picture."""
        return {"factor": self.py_random.uniform(*self.factors)}

    def apply(self, img: Pixels, factor: float, **_: Any) -> Pixels:
        """Return uint8 (H, W, C)."""
        smooth = cv2.filter2D(img, -1, self._SMOOTH)
        blend: Pixels = cv2.addWeighted(img, factor, smooth, 1 - factor, 0).reshape(img.shape)
        return blend


class ResizedWindow(A.RandomResizedCrop):  # type: ignore[misc]  # untyped
    """Enlarges 8 to 100 % of a picture to its size (Szegedy et al. 2015, Going Deeper).

    The window's shape is the picture's, stretched by up to a third either way.
    """

    def __init__(self) -> None:
        super().__init__((1, 1), scale=(0.08, 1.0), p=1.0)

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the window, `crop_coords`."""
        height, width = self.size = params["shape"][:2]
        self.ratio = (width / height * 3 / 4, width / height * 4 / 3)
        window: dict[str, Any] = super().get_params_dependent_on_data(params, data)
        return window


class Elastic(BaseDistortion):  # type: ignore[misc]  # untyped
    """Moves pixels by a smooth random field (Ronneberger et al. 2015, U-Net).

    The field is drawn at 3 x 3 nodes, normal with a deviation of 2 % of the shorter side, and
    interpolated between them. Albumentations' own blurs noise a pixel: 65 ms for 640 x 959, this 8.
    """

    def __init__(self) -> None:
        super().__init__(keypoint_remapping_method="direct", p=1.0, **_MIRRORED)

    def get_params_dependent_on_data(
        self,
        params: dict[str, Any],
        data: dict[str, Any],  # noqa: ARG002  (the library's signature)
    ) -> dict[str, Any]:
        """Return where each pixel comes from: `map_x` and `map_y`, float32 (H, W)."""
        height, width = params["shape"][:2]
        deviation = _ELASTICITY * min(height, width)
        nodes = self.random_generator.normal(0, deviation, (2, _NODES, _NODES)).astype(np.float32)
        x, y = (cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in nodes)
        x += np.arange(width, dtype=np.float32)
        y += np.arange(height, dtype=np.float32)[:, None]
        return {"map_x": x, "map_y": y}
