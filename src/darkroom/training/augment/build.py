"""Build the augmentation of training images: presets, and transforms of albumentations by name.

Masks are moved with nearest-neighbour sampling, so their values stay exactly 0 and 1, and are never
recoloured. What a transform leaves empty is background; of exclusive classes without one it is
unknown. The result is a pure function of the image and a seed, whatever was called before and
in which process.
"""

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, cast

# Importing albumentations asks a server for its latest version unless this is set before.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import numpy as np

from darkroom.errors import ParamsError
from darkroom.images.codec import Pixels
from darkroom.images.geometry import RGB
from darkroom.training.augment import trial
from darkroom.training.augment.planes import pack_planes, unpack_planes
from darkroom.training.augment.presets import PRESETS, preset_transforms, random_erasing
from darkroom.training.augment.transforms import KEY, named_transforms

Choice = str | Sequence[str | Mapping[str, Any]]
"""A preset, or a list of presets and of transforms by name."""

Size = tuple[int, int]  # height, width
Scene = dict[str, Any]  # a picture and perhaps its packed mask, by these two names


@dataclass
class Augmentation:
    """Changes an image and its mask; pickles as its arguments. See `build_augmentation`."""

    choice: Choice
    crop: Size | None = None
    channels: int = RGB
    classes: int | None = None
    erase: float = 0.0
    _compose: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        erasing = [random_erasing(self.erase)] if self.erase else []
        self._compose = A.Compose([*self._transforms(), *erasing])

    @property
    def changes_pixels(self) -> bool:
        """Whether it does anything."""
        return self.crop is not None or len(self._compose.transforms) > 0

    def __reduce__(self) -> tuple[type["Augmentation"], tuple[Any, ...]]:
        # A loader's worker builds the transforms itself, from their names.
        return Augmentation, tuple(getattr(self, each.name) for each in fields(self) if each.init)

    def _transforms(self) -> list[Any]:
        entries = [self.choice] if isinstance(self.choice, str) else self.choice
        transforms: list[Any] = []
        for entry in entries:
            if isinstance(entry, str) and entry in PRESETS:
                transforms += preset_transforms(entry, self.channels)
            else:  # the error of another word names it
                transforms += named_transforms([cast("Mapping[str, Any]", entry)])
        return transforms

    def __call__(
        self, image: Pixels, mask: Pixels | None, seed: int, foreground: bool = False
    ) -> tuple[Pixels, Pixels | None]:
        """Return a changed image uint8 (h, w, C) and mask uint8 (K, h, w) of 0 and 1.

        Args:
            image: uint8 (H, W, C), RGB where C is 3; not written to.
            mask: uint8 (K, H, W), moved as the image is; or None.
            seed: 64 bits that decide everything.
            foreground: Whether the window, if one is cut, must hold a pixel of a class; of several
                classes in the mask each is as likely. Without any it lies anywhere.

        Raises:
            ParamsError: The picture is smaller than the crop; or a transform, which is named,
                failed, or gave a picture or a mask that cannot be one: the trial of a few draws
                proves nothing about the others.
        """
        planes = 0 if mask is None else len(mask)
        item = (image, mask, seed, foreground)
        try:
            scene, result = self._apply(self._compose, *item)
        except ParamsError:  # the crop is larger than the picture
            raise
        except Exception as error:  # whatever a transform raises
            name, why = self._culprit(*item), trial.first_line(error)
            raise trial.refused(name, "cannot be applied to a picture", details=[why]) from error
        if (fault := trial.fault_of(scene, result, planes)) is not None:
            raise trial.refused(self._culprit(*item), fault)
        return result["image"], unpack_planes(result["mask"], planes) if planes else None

    def _apply(
        self, compose: Any, image: Pixels, mask: Pixels | None, seed: int, foreground: bool
    ) -> tuple[Scene, Scene]:
        """Return the picture and its mask before and after the transforms."""
        # All transforms draw from one stream. Seeded one by one, as the library's
        # `set_random_seed` does, all would draw the same numbers: every image that p = 0.5 flips,
        # p = 0.8 would rotate as well.
        draws = random.Random(seed)
        if self.crop is not None:
            about = None
            if foreground and mask is not None:
                about = _class_pixel(mask[: self.classes], draws)
            image, mask = _window(image, mask, self.crop, about, draws)
        scene = {"image": image} if mask is None else {"image": image, "mask": pack_planes(mask)}
        compose.set_random_state(np.random.default_rng(seed), draws)
        with np.errstate(invalid="raise"):  # of NaN a byte is made that depends on the machine
            return scene, compose(**scene)

    def _culprit(self, image: Pixels, mask: Pixels | None, seed: int, foreground: bool) -> str:
        """Return the name of the transform with which a fault begins."""
        transforms = self._compose.transforms
        planes = 0 if mask is None else len(mask)
        # The same draws once more, with one transform more each time.
        for count, transform in enumerate(transforms, 1):
            compose = A.Compose(transforms[:count], save_applied_params=True)
            try:
                scene, result = self._apply(compose, image, mask, seed, foreground)
            except Exception:  # as it is wanted
                return type(transform).__name__
            if trial.fault_of(scene, result, planes) is not None:
                return str(result["applied_transforms"][-1][0])
        return "a transform"


def build_augmentation(
    choice: Choice,
    *,
    crop: Size | None = None,
    planes: int,
    size: Size | None = None,
    channels: int = RGB,
    classes: int | None = None,
    erase: float = 0.0,
) -> Augmentation:
    """Return an augmentation: presets, and transforms by name.

    Transforms by name are tried out first, so that no training fails on an image later.

    Args:
        choice: One of PRESETS, or transforms of albumentations with their arguments:
            [{"HorizontalFlip": {"p": 0.5}}, {"OneOf": {"transforms": [...], "p": 0.3}}]. Entries
            may be presets as well: ["flip", "random_resized", "trivial"].
        crop: Height and width of a window that is cut first, at a random place; or None.
        planes: K, of the masks that pictures come with; 0: they come without.
        size: Height and width of the pictures, for the trial and the check of `crop`; None:
            a square is tried.
        channels: Of the pictures. Presets leave out what knows red, green and blue alone.
        classes: How many planes of a mask are classes, the first ones; None: all.
        erase: The share of the pictures of which a box is hidden, at last; see `random_erasing`.

    Raises:
        ParamsError: There is no such preset, transform, argument or value; or a transform changes
            the size of a picture, breaks masks, or cannot be repeated; or the crop doesn't fit.

    Example:
        >>> flip = build_augmentation([{"HorizontalFlip": {"p": 1.0}}], planes=0)
        >>> image, mask = flip(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), None, seed=7)
        >>> image.tolist(), mask
        ([[[4, 5, 6], [1, 2, 3]]], None)
    """
    if isinstance(choice, str) and choice not in PRESETS:
        raise ParamsError(
            "no such augmentation",
            file="params.yaml",
            found=choice,
            expected=", ".join(PRESETS),
            fix=f"set {KEY} to one of these, or to a list of transforms",
        )
    if crop is not None and size is not None:
        _check_crop(crop, size)
    augmentation = Augmentation(choice, crop, channels, classes, erase)
    if not isinstance(choice, str):
        trial.check_transforms(
            augmentation._compose.transforms,
            crop or size or trial.SIZE,
            planes=planes,
            channels=channels,
        )
    return augmentation


def _class_pixel(mask: Pixels, draws: random.Random) -> tuple[int, int] | None:
    """Return a random pixel (row, column) of a mask (K, H, W); None if it is empty.

    Each class in the mask is as likely (Isensee et al. 2021, nnU-Net).
    """
    present = np.flatnonzero(mask.any(axis=(1, 2))).tolist()
    if not present:
        return None
    pixels = np.flatnonzero(mask[draws.choice(present)])
    row, column = divmod(int(pixels[draws.randrange(len(pixels))]), int(mask.shape[2]))
    return row, column


def _window(
    image: Pixels,
    mask: Pixels | None,
    crop: Size,
    about: tuple[int, int] | None,
    draws: random.Random,
) -> tuple[Pixels, Pixels | None]:
    """Return a window of the picture and its mask: about a pixel, or at a random place."""
    height, width = crop
    _check_crop(crop, image.shape[:2])
    lowest, rightmost = image.shape[0] - height, image.shape[1] - width
    if about is None:
        top, left = draws.randrange(lowest + 1), draws.randrange(rightmost + 1)
    else:
        top = min(max(about[0] - height // 2, 0), lowest)
        left = min(max(about[1] - width // 2, 0), rightmost)
    rows, columns = slice(top, top + height), slice(left, left + width)
    return image[rows, columns], None if mask is None else mask[:, rows, columns]


def _check_crop(crop: Size, size: tuple[int, ...]) -> None:
    if crop[0] > size[0] or crop[1] > size[1]:
        raise ParamsError(
            "train.crop is larger than the stored pictures",
            file="params.yaml",
            found=f"{crop[0]} x {crop[1]}",
            expected=f"at most {size[0]} x {size[1]} (height x width)",
            fix="lower train.crop, or store larger pictures: preprocess.height and width",
        )
