"""Transforms by name: each supported one works and is repeatable; others are refused."""

import json
import subprocess
import sys
from typing import Any

import albumentations
import numpy as np
import pytest

from darkroom.errors import ParamsError
from darkroom.training.augment import transforms
from darkroom.training.augment.build import build_augmentation
from darkroom.training.augment.transforms import named_transforms, transform_names

SIZE = (48, 64)
# Where the defaults change nothing, change the size, or leave out what must be given.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "AdditiveNoise": {"noise_type": "gaussian", "spatial_mode": "per_pixel"},
    "Affine": {"rotate": [-30, 30], "scale": [0.8, 1.2], "translate_percent": [-0.1, 0.1]},
    "CoarseDropout": {"fill": "random", "fill_mask": 0},
    "CropAndPad": {"percent": [-0.1, 0.1]},
    "GridElasticDeform": {"num_grid_xy": [4, 4], "magnitude": 5},
    "Morphological": {"operation": "erosion", "scale": [2, 4]},
    "RandomCropFromBorders": {},
    "RandomResizedCrop": {"size": list(SIZE)},
    "RandomSizedCrop": {"size": list(SIZE), "min_max_height": [20, 40]},
    "Resize": {"height": SIZE[0], "width": SIZE[1]},
    "XYMasking": {"num_masks_x": 2, "mask_x_length": 5, "fill_mask": 0},
}
RESIZING = {
    "CenterCrop": {"height": 16, "width": 16},
    "Crop": {"x_max": 16, "y_max": 16},
    "CropNonEmptyMaskIfExists": {"height": 16, "width": 16},
    "D4": {},
    "LongestMaxSize": {"max_size": 32},
    "Pad": {"padding": 4},
    "PadIfNeeded": {},
    "RandomCrop": {"height": 16, "width": 16},
    "RandomCropFromBorders": {},
    "RandomRotate90": {},
    "RandomScale": {},
    "SmallestMaxSize": {"max_size": 32},
    "SquareSymmetry": {},
    "Transpose": {},
}
PROGRAM = """
import hashlib, json, random, sys
import numpy as np
from darkroom.training.augment.build import Augmentation

names, arguments, mark = json.loads(sys.argv[1])
rng = np.random.default_rng(0)
image = np.kron(rng.integers(30, 220, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
image += rng.integers(0, 30, image.shape, dtype=np.uint8)
mask = np.zeros((1, *image.shape[:2]), np.uint8)
mask[0, 12:36, 16:48] = 1
random.seed(mark)
np.random.seed(mark)
found = {}
for name in names:
    changes = Augmentation([{name: {"p": 1.0} | arguments.get(name, {})}])
    changes(image, mask, mark)
    digest = hashlib.sha256()
    for seed in (1, 2**64 - 1):
        for made in changes(image, mask, seed):
            digest.update(made.tobytes())
    found[name] = digest.hexdigest()
print(json.dumps(found))
"""


def usable() -> list[str]:
    """Return the transforms, but for groups, that keep the size."""
    return [n for n in transform_names() if n not in (*transforms.GROUPS, *RESIZING)]


@pytest.mark.slow
def test_every_transform_does_the_same_in_every_process() -> None:
    def run(names: list[str], mark: int) -> Any:
        words = json.dumps([names, ARGUMENTS, mark])
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first, second = run(usable(), 1), run(usable()[::-1], 2)
    assert len(first) > 75
    assert first == second


@pytest.mark.slow
def test_every_transform_passes_the_trial() -> None:
    for name in usable():
        made = build_augmentation([{name: ARGUMENTS.get(name, {})}], planes=1, size=SIZE)
        image, mask = made(np.full((*SIZE, 3), 99, np.uint8), np.ones((1, *SIZE), np.uint8), 1)
        assert image.shape == (*SIZE, 3), name
        assert mask is not None, name
        assert set(np.unique(mask)) <= {0, 1}, name


@pytest.mark.parametrize("name", RESIZING)
def test_transforms_that_change_the_size_are_refused(name: str) -> None:
    with pytest.raises(ParamsError) as fault:
        build_augmentation([{name: RESIZING[name]}], planes=1, size=SIZE)
    assert f"train.augment: {name} changes the size of the image" in str(fault.value)
    assert "from 48 x 64 to " in str(fault.value)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Normalize", "pictures stay bytes from 0 to 255"),
        ("FDA", "it needs other pictures"),
        ("RandomSizedBBoxSafeCrop", "it follows boxes"),
        ("CubicSymmetry", "it changes volumes"),
        ("Lambda", "it takes functions"),
    ],
)
def test_transforms_without_a_use_are_refused(name: str, why: str) -> None:
    with pytest.raises(ParamsError) as fault:
        named_transforms([{name: {}}])
    assert f"train.augment: {name} cannot be used here" in str(fault.value)
    assert f"expected: a transform of one picture: {why}" in str(fault.value)


def test_every_transform_of_the_library_is_supported_or_refused() -> None:
    kinds = (albumentations.BasicTransform, albumentations.BaseCompose)
    there = {
        name
        for name, kind in vars(albumentations).items()
        if isinstance(kind, type) and issubclass(kind, kinds)
    }
    volumes = {name for name in there if name.endswith("3D")} | {"CubicSymmetry"}
    bases = {"BasicTransform", "BaseCompose", "DualTransform", "ImageOnlyTransform"}
    assert there == set(transform_names()) | set(transforms._ABSENT) | volumes | bases


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"HorizontlFlip": {}}, ["no transform of this name", "did you mean HorizontalFlip?"]),
        ({"BasicTransform": {}}, ["no transform of this name"]),
        ({"core": {}}, ["no transform of this name"]),
        (
            {"Affine": {"rotat": 3}},
            ["Affine has no argument 'rotat'", "scale, translate_percent", "did you mean rotate?"],
        ),
        ({"Affine": {"strict": True}}, ["Affine has no argument 'strict'"]),
        (
            {"Affine": {"rotate": "far"}},
            [
                "Affine does not take this as rotate",
                "found: rotate: 'far'",
                "expected: rotate: tuple[float, float] | float",
            ],
        ),
        (
            {"HorizontalFlip": {"p": 2}},
            ["HorizontalFlip does not take this as p", "less than or equal to 1", "found: p: 2"],
        ),
        ({"Resize": {"height": 9}}, ["Resize needs width", "found: height", "width: int"]),
        ({"CropAndPad": {}}, ["Both px and percent parameters cannot be None"]),
        ({"OneOf": {}}, ["OneOf needs transforms", "found: no arguments"]),
        ({"OneOf": {"transforms": []}}, ["transforms: there are none"]),
        ({"OneOf": {"transforms": "Blur"}}, ["train.augment: OneOf is not a list of transforms"]),
        ({"OneOf": {"transforms": [{"Bluur": {}}]}}, ["train.augment: OneOf: ", "mean Blur?"]),
        ({"OneOf": {"transforms": [{"Blur": {"p": 0}}]}}, ["each has p: 0"]),
        ({"OneOf": {"transforms": [{"Blur": {}}], "p": 3}}, ["p: 3 is not from 0 to 1"]),
        ({"SomeOf": {"transforms": [{"Blur": {}}], "n": 0}}, ["n: 0 is not 1 or more"]),
        ({"SomeOf": {"transforms": [{"Blur": {}}], "n": 2}}, ["greater than number of transf"]),
        ({"Blur": {}, "Rotate": {}}, ["each entry is one transform by name"]),
        ({"Blur": 3}, ["each entry is one transform by name", "found: {'Blur': 3}"]),
        ("Blur", ["each entry is one transform by name", "found: Blur"]),
    ],
)
def test_invalid_entries_are_refused(entry: Any, words: list[str]) -> None:
    with pytest.raises(ParamsError) as fault:
        named_transforms([entry])
    for word in words:
        assert word in str(fault.value)


def test_lists_are_lists() -> None:
    with pytest.raises(ParamsError, match=r"train\.augment is not a list of transforms"):
        named_transforms({"Blur": {}})  # type: ignore[arg-type]


def test_groups_hold_groups_and_no_arguments_are_none() -> None:
    (group,) = named_transforms(
        [
            {
                "OneOf": {
                    "p": 0.25,
                    "transforms": [
                        {"Blur": None},
                        {"Sequential": {"transforms": [{"Rotate": {"limit": [3, 3]}}]}},
                    ],
                }
            }
        ]
    )
    assert isinstance(group, albumentations.OneOf)
    assert group.p == 0.25
    assert [type(member).__name__ for member in group.transforms] == ["Blur", "Sequential"]
    assert group.transforms[1].transforms[0].limit == (3, 3)
