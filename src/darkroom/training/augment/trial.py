"""Try transforms out: they must keep the size, leave masks at 0 and 1, and be repeatable."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import albumentations as A
import numpy as np

from darkroom.errors import ParamsError
from darkroom.images.codec import Pixels
from darkroom.images.geometry import RGB, cv2
from darkroom.training.augment.planes import mixes_classes, pack_planes
from darkroom.training.augment.transforms import KEY

SIZE = (256, 256)
_SEEDS = (1, 2, 3, 1)  # the first again: earlier calls must not matter


def check_transforms(
    transforms: Sequence[Any], size: tuple[int, int], *, planes: int, channels: int = RGB
) -> None:
    """Apply each transform to a synthetic image, whatever its p; an error names it.

    Args:
        transforms: Of albumentations; of a group, each member is tried.
        size: Height and width of the picture.
        planes: Of the mask that it comes with; 0: it comes without.
        channels: Of the picture.

    Raises:
        ParamsError: A transform fails, changes the size or the type of the picture, gives a mask
            other values than 0 and 1, or another result the second time.
    """
    scene = _scene(size, planes=planes, channels=channels)
    for transform in _leaves(transforms):
        name = type(transform).__name__
        results = [_apply(name, transform, scene, seed) for seed in _SEEDS]
        for result in results:
            if (fault := fault_of(scene, result, planes)) is not None:
                raise refused(name, fault)
        if any(not np.array_equal(results[0][key], results[-1][key]) for key in scene):
            raise refused(name, "gives another result with the same seed")


def fault_of(before: Mapping[str, Pixels], after: Mapping[str, Any], planes: int) -> str | None:
    """Return what is wrong with a changed picture and its mask; None: nothing.

    Args:
        before: uint8 `image` (H, W, C), and perhaps `mask`, of one plane (H, W) of 0 and 1, or of
            several packed as bits.
        after: What the transforms made of them.
        planes: Of the mask; 0: there is none.

    Example:
        >>> before = {"image": np.zeros((2, 2, 3), np.uint8), "mask": np.zeros((2, 2), np.uint8)}
        >>> fault_of(before, before | {"mask": before["mask"] + np.uint8(255)}, 1)
        'gives masks the value 255, not only 0 and 1'
    """
    for key, old in before.items():
        new = after[key]
        if new.shape[:2] != old.shape[:2]:
            return (
                f"changes the size of the {key} from {old.shape[0]} x {old.shape[1]} to "
                f"{new.shape[0]} x {new.shape[1]} (height x width)"
            )
        if new.dtype != np.uint8 or new.shape != old.shape:
            has_nan = np.issubdtype(new.dtype, np.floating) and bool(np.isnan(new).any())
            holding = ", with NaN in it" if has_nan else ""
            return f"makes of the {key} an array of {new.dtype}, shape {new.shape}{holding}"
    # 15 microseconds for 960 x 640 pixels.
    if planes == 1 and after["mask"].max() > 1:
        return f"gives masks the value {after['mask'].max()}, not only 0 and 1"
    if planes > 1 and mixes_classes(before["mask"], after["mask"]):
        return "mixes the classes of masks, whose pixels must be moved as they are, or be emptied"
    return None


def refused(name: str, why: str, *, details: Sequence[str] = ()) -> ParamsError:
    """Return the error that names a transform and says what is wrong with it."""
    fix = f"change its arguments, or take {name} out of {KEY}"
    if "changes the size" in why:
        fix += "; train.crop cuts smaller windows, and quarter turns need square pictures"
    return ParamsError(f"{KEY}: {name} {why}", file="params.yaml", details=details, fix=fix)


def first_line(error: Exception) -> str:
    """Return the first line of a library's error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _leaves(transforms: Sequence[Any]) -> Iterator[Any]:
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            yield from _leaves(transform.transforms)
        else:
            yield transform


def _scene(size: tuple[int, int], *, planes: int, channels: int) -> dict[str, Pixels]:
    """Return a grainy, coloured picture, and the mask of a rectangle in its middle."""
    height, width = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 210, (4, 6, channels), dtype=np.uint8)
    layers = [
        cv2.resize(coarse[:, :, k], (width, height), interpolation=cv2.INTER_LINEAR)
        for k in range(channels)
    ]
    image = np.stack(layers, axis=2)
    image = image + rng.integers(0, 40, image.shape, dtype=np.uint8)
    image.setflags(write=False)  # as pictures in a store are
    if not planes:
        return {"image": image}
    mask = np.zeros(size, np.uint8)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
    # Of all classes at once: no value between this and none is a mask's.
    return {"image": image, "mask": pack_planes(np.stack([mask] * planes))}


def _apply(name: str, transform: Any, scene: dict[str, Pixels], seed: int) -> dict[str, Pixels]:
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
    try:
        with np.errstate(invalid="raise"):
            result: dict[str, Pixels] = transform(force_apply=True, **scene)
    except Exception as error:  # whatever a transform raises
        height, width, channels = scene["image"].shape
        raise refused(
            name,
            f"cannot be applied to a picture of {height} x {width} (height x width), "
            f"{channels} channels",
            details=[first_line(error)],
        ) from error
    return result
