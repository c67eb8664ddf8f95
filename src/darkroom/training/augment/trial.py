"""Try transforms out: they must keep the size, leave masks at 0 and 1, and be repeatable."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import albumentations as A
import numpy as np

from darkroom.errors import ParamsError
from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2
from darkroom.training.augment.transforms import KEY

SIZE = (256, 256)
_SEEDS = (1, 2, 3, 1)  # the first again: earlier calls must not matter


def check_transforms(transforms: Sequence[Any], size: tuple[int, int], *, masks: bool) -> None:
    """Apply each transform to a synthetic image, whatever its p; an error names it.

    Args:
        transforms: Of albumentations; of a group, each member is tried.
        size: Height and width of the picture.
        masks: Whether it comes with a mask.

    Raises:
        ParamsError: A transform fails, changes the size or the type of the picture, gives a mask
            other values than 0 and 1, or another result the second time.
    """
    scene = _scene(size, masks=masks)
    for transform in _leaves(transforms):
        name = type(transform).__name__
        results = [_apply(name, transform, scene, seed) for seed in _SEEDS]
        for result in results:
            _check_result(name, scene, result)
        if any(not np.array_equal(results[0][key], results[-1][key]) for key in scene):
            raise _refused(name, "gives another result with the same seed")


def size_error(subject: str, before: Sequence[int], after: Sequence[int]) -> ParamsError:
    """Return the error of a transform that changes the size of pictures."""
    return ParamsError(
        f"{subject} changes the size of pictures",
        file="params.yaml",
        found=f"{after[0]} x {after[1]} (height x width)",
        expected=f"{before[0]} x {before[1]}, as they are stored, or as train.crop cuts them",
        fix="use train.crop for smaller windows; quarter turns need square pictures",
    )


def first_line(error: Exception) -> str:
    """Return the first line of a library's error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _leaves(transforms: Sequence[Any]) -> Iterator[Any]:
    for transform in transforms:
        if isinstance(transform, A.BaseCompose):
            yield from _leaves(transform.transforms)
        else:
            yield transform


def _scene(size: tuple[int, int], *, masks: bool) -> dict[str, Pixels]:
    """Return a grainy, coloured picture, and the mask of a rectangle in its middle."""
    height, width = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 210, (4, 6, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    image = image + rng.integers(0, 40, image.shape, dtype=np.uint8)
    image.setflags(write=False)  # as pictures in a store are
    if not masks:
        return {"image": image}
    mask = np.zeros(size, np.uint8)
    mask[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 1
    return {"image": image, "mask": mask}


def _apply(name: str, transform: Any, scene: dict[str, Pixels], seed: int) -> dict[str, Pixels]:
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
    try:
        result: dict[str, Pixels] = transform(force_apply=True, **scene)
    except Exception as error:  # whatever a transform raises
        height, width = scene["image"].shape[:2]
        raise _refused(
            name,
            f"cannot be applied to a picture of {height} x {width} (height x width)",
            details=[first_line(error)],
        ) from error
    return result


def _check_result(name: str, scene: dict[str, Pixels], result: dict[str, Pixels]) -> None:
    for key, before in scene.items():
        after = result[key]
        if after.shape[:2] != before.shape[:2]:
            raise size_error(f"{KEY}: {name}", before.shape, after.shape)
        if after.dtype != np.uint8 or after.shape != before.shape:
            raise _refused(
                name, f"makes of the {key} an array of {after.dtype}, shape {after.shape}"
            )
    if "mask" in scene and result["mask"].max() > 1:
        raise _refused(name, f"gives masks the value {result['mask'].max()}, not only 0 and 1")


def _refused(name: str, why: str, *, details: Sequence[str] = ()) -> ParamsError:
    return ParamsError(
        f"{KEY}: {name} {why}",
        file="params.yaml",
        details=details,
        fix=f"change its arguments, or take {name} out of {KEY}",
    )
