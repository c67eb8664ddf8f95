"""Planes as bits: there and back, moved alike, and refused where classes would be mixed."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ParamsError
from darkroom.training.augment.build import build_augmentation
from darkroom.training.augment.planes import mixes_classes, pack_planes, unpack_planes
from darkroom.training.augment.presets import PRESETS

HEIGHT, WIDTH = 24, 40


def drawn(planes: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2, (planes, HEIGHT, WIDTH), dtype=np.uint8)


@given(st.integers(1, 30), st.integers(0, 9))
def test_there_and_back(planes: int, seed: int) -> None:
    mask = drawn(planes, seed)
    packed = pack_planes(mask)
    assert packed.shape == (HEIGHT, WIDTH, *([-(-planes // 8)] if planes > 8 else []))
    assert np.array_equal(unpack_planes(packed, planes), mask)


def test_a_single_plane_is_not_copied() -> None:
    mask = drawn(1)
    assert np.shares_memory(pack_planes(mask), mask)
    assert np.shares_memory(unpack_planes(mask[0], 1), mask)


@pytest.mark.parametrize("planes", [3, 8])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_plane_is_moved_as_it_is_alone(preset: str, planes: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    mask = drawn(planes)
    together = build_augmentation(preset, crop=(16, 24), planes=planes)
    alone = build_augmentation(preset, crop=(16, 24), planes=1)
    for seed in range(4):
        changed, moved = together(image, mask, seed)
        assert moved is not None
        assert moved.shape == (planes, 16, 24)
        for plane, its_own in zip(moved, mask, strict=True):
            same, lonely = alone(image, its_own[None], seed)
            assert np.array_equal(same, changed)
            assert lonely is not None
            assert np.array_equal(plane, lonely[0])


@pytest.mark.parametrize("preset", PRESETS)
def test_groups_of_planes_are_moved_alike(preset: str) -> None:
    image, mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.repeat(drawn(1), 20, axis=0)
    for seed in range(4):
        _, moved = build_augmentation(preset, planes=20)(image, mask, seed)
        assert moved is not None
        assert (moved == moved[0]).all()


def test_a_pixel_of_one_class_stays_of_one_class() -> None:
    classes = np.random.default_rng(2).integers(0, 5, (HEIGHT, WIDTH))
    mask = (classes == np.arange(5)[:, None, None]).astype(np.uint8)
    turn = build_augmentation([{"ElasticTransform": {"alpha": 30.0, "p": 1.0}}], planes=5)
    _, moved = turn(np.zeros((HEIGHT, WIDTH, 3), np.uint8), mask, 3)
    assert moved is not None
    assert not np.array_equal(moved, mask)
    assert moved.sum(axis=0).max() == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Rotate", {"mask_interpolation": 1, "limit": [20, 40]}),
        ("CoarseDropout", {"fill_mask": 1}),
    ],
)
@pytest.mark.parametrize("planes", [2, 8, 9])
def test_what_mixes_classes_is_refused(name: str, arguments: Any, planes: int) -> None:
    with pytest.raises(ParamsError, match=f"{name} mixes the classes of masks"):
        build_augmentation([{name: arguments}], planes=planes, size=(HEIGHT, WIDTH))


def test_what_the_trial_does_not_draw_every_batch_checks() -> None:
    zoom = {"Affine": {"scale": [0.97, 1.3], "fill_mask": 1, "p": 1.0}}
    augment = build_augmentation([zoom], planes=2, size=(HEIGHT, WIDTH))  # its draws all zoom in
    image, mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8), drawn(2)
    mask[0] = 0
    refusals = set()
    for seed in range(100):
        try:
            augment(image, mask, seed)
        except ParamsError as error:
            refusals.add(str(error).splitlines()[0])
    assert len(refusals) == 1
    assert "train.augment: Affine mixes the classes of masks" in refusals.pop()


def test_values_of_their_own() -> None:
    before = np.array([[0, 3], [5, 3]], np.uint8)
    assert not mixes_classes(before, np.array([[0, 0], [5, 5]], np.uint8))
    assert not mixes_classes(before, np.array([[3, 3], [3, 3]], np.uint8))
    assert mixes_classes(before, np.array([[4, 3], [5, 3]], np.uint8))
    assert not mixes_classes(before + np.uint8(1), np.zeros_like(before)), "emptied"
