"""Presets and crops: exact masks, a function of the seed, and the size that was asked for."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import albumentations
import numpy as np
import pytest

from darkroom.errors import ParamsError
from darkroom.training.augment.build import Augmentation, build_augmentation
from darkroom.training.augment.presets import PRESETS

HEIGHT, WIDTH = 12, 20


def build(preset: str) -> Augmentation:
    return build_augmentation(preset, planes=1)


CHANGING = [name for name in PRESETS if name != "none"]


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Return a bright rectangle, left of the middle, on a dark and textured ground; its mask."""
    rng = np.random.default_rng(0)
    image = rng.integers(20, 50, (96, 128, 3), dtype=np.uint8)
    mask = np.zeros((1, 96, 128), np.uint8)
    mask[0, 30:70, 20:60] = 1
    image[mask[0] == 1] += 170
    return image, mask


@pytest.mark.parametrize("preset", PRESETS)
def test_the_result_depends_on_the_seed_alone(preset: str) -> None:
    image, mask = scene()
    augment = build(preset)
    first = augment(image, mask, 5)
    for seed in (6, 7, 2**64 - 1):
        augment(image, mask, seed)
    for again in (augment, build(preset), pickle.loads(pickle.dumps(augment))):
        second = again(image, mask, 5)
        assert np.array_equal(first[0], second[0])
        assert first[1] is not None
        assert second[1] is not None
        assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("preset", CHANGING)
def test_seeds_give_different_pictures_and_leave_the_given_one(preset: str) -> None:
    image, mask = scene()
    augment = build(preset)
    results = {augment(image, mask, seed)[0].tobytes() for seed in range(12)}
    assert len(results) == 2 if preset == "flip" else len(results) > 8
    assert np.array_equal(image, scene()[0])
    assert np.array_equal(mask, scene()[1])


@pytest.mark.parametrize("preset", PRESETS)
def test_masks_stay_exact_and_follow_the_picture(preset: str) -> None:
    _, mask = scene()
    image = np.repeat(40 + 160 * mask[0, ..., None], 3, axis=2)
    augment = build(preset)
    followed = 0
    for seed in range(30):
        changed, moved = augment(image, mask, seed)
        assert moved is not None
        assert changed.dtype == moved.dtype == np.uint8
        assert changed.shape == image.shape
        assert moved.max() <= 1
        grey = changed.mean(axis=2)
        if moved.min() == moved.max() or grey.std() < 2:  # a window of one; a change to black
            continue
        followed += 1
        # Of a colour turned round, light is where the mask is not.
        agreement = abs(np.corrcoef(grey.ravel(), moved.ravel())[0, 1])
        assert agreement > 0.7, (seed, agreement)  # blur and smooth edges cost some
    assert followed > 15


def test_none_changes_nothing() -> None:
    image, mask = scene()
    changed, moved = build("none")(image, mask, 1)
    assert np.array_equal(changed, image)
    assert moved is not None
    assert np.array_equal(moved, mask)


def test_banknotes_are_never_mirrored() -> None:
    image, mask = scene()
    augment = build("notes")
    for seed in range(40):
        _, moved = augment(image, mask, seed)
        assert moved is not None
        assert moved[..., :64].sum() > moved[..., 64:].sum()


def test_images_go_without_masks() -> None:
    image, _ = scene()
    changed, moved = build("light")(image, None, 3)
    assert moved is None
    assert changed.shape == image.shape


def test_the_changes_of_a_preset_are_drawn_apart() -> None:
    """Were all drawn from one number, a fifth would see no change: 1 - 0.8, the largest p."""
    image, _ = scene()
    light = build("light")
    changed = [not np.array_equal(light(image, None, seed)[0], image) for seed in range(400)]
    assert np.mean(changed) > 0.96  # 1 - 0.5 * 0.2 * 0.2 * 0.5 is 0.99


def test_a_flip_is_independent_of_later_transforms() -> None:
    mask = np.zeros((1, 32, 64), np.uint8)
    mask[..., :8] = 1
    image = np.repeat(mask[0, ..., None] * np.uint8(100) + np.uint8(50), 3, axis=2)
    twice = build_augmentation(
        [
            {"HorizontalFlip": {"p": 0.5}},
            {"RandomBrightnessContrast": {"brightness_limit": [0.3, 0.3], "p": 0.5}},
        ],
        planes=1,
    )
    pairs = []
    for seed in range(600):
        changed, moved = twice(image, mask, seed)
        assert moved is not None
        pairs.append((bool(moved[0, 0, 0]), bool(changed.max() > 150)))
    flipped, bright = np.array(pairs).T
    assert 0.4 < flipped.mean() < 0.6
    assert 0.4 < bright.mean() < 0.6
    assert 0.4 < bright[flipped].mean() < 0.6


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ParamsError) as fault:
        build("heavy")
    assert "no such augmentation" in str(fault.value)
    assert "expected: none, flip, light, strong, notes, random_resized" in str(fault.value)


def test_pictures_that_a_transform_would_resize_are_refused_when_met() -> None:
    turn = build_augmentation([{"RandomRotate90": {"p": 1.0}}], planes=0)  # a square was tried
    square = np.zeros((8, 8, 3), np.uint8)
    assert turn(square, None, 1)[0].shape == square.shape
    with pytest.raises(ParamsError) as fault:
        turn(np.zeros((8, 16, 3), np.uint8), None, 3)
    assert (
        "train.augment: RandomRotate90 changes the size of the image from 8 x 16 to 16 x 8"
        in str(fault.value)
    )
    assert "train.crop cuts smaller windows" in str(fault.value)
    with pytest.raises(ParamsError, match="RandomRotate90 changes the size of the image"):
        build_augmentation([{"RandomRotate90": {}}], planes=0, size=(8, 16))


def test_a_transform_that_fails_is_a_params_error() -> None:
    grid = build_augmentation([{"RandomGridShuffle": {"grid": [4, 4], "p": 1.0}}], planes=0)
    grid._compose.transforms[0].get_params = None  # whatever may go wrong in it
    with pytest.raises(ParamsError) as fault:
        grid(np.zeros((8, 8, 3), np.uint8), None, 1)
    assert "train.augment: RandomGridShuffle cannot be applied to a picture" in str(fault.value)
    assert "TypeError: 'NoneType' object is not callable" in str(fault.value)


@pytest.mark.parametrize(
    "choice",
    [
        [{"Affine": {"scale": [0.97, 1.3], "fill_mask": 255, "p": 1.0}}],
        [
            {"HorizontalFlip": {"p": 0.5}},
            {
                "OneOf": {
                    "transforms": [
                        {"Affine": {"scale": [0.97, 1.3], "fill_mask": 255}},
                        {"VerticalFlip": {}},
                    ]
                }
            },
            {"Rotate": {"limit": [-9, 9], "p": 0.5}},
        ],
    ],
)
def test_what_the_trial_does_not_draw_every_batch_checks(choice: Any) -> None:
    """137 of 400 masks held 255 after such a trial, and training went on with negative losses."""
    image, mask = scene()
    augment = build_augmentation(choice, planes=1, size=(96, 96))  # its draws all zoom in
    refusals = set()
    for seed in range(200):
        try:
            _, moved = augment(image, mask, seed)
        except ParamsError as error:
            refusals.add(str(error).splitlines()[0])
        else:
            assert moved is not None
            assert set(np.unique(moved)) <= {0, 1}
    words = "params.yaml: train.augment: Affine gives masks the value 255, not only 0 and 1"
    assert refusals == {words}


class Odd(albumentations.ImageOnlyTransform):  # type: ignore[misc]  # untyped
    """Changes a picture as a function does."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__(p=1.0)
        self.change = change

    def apply(self, img: Any, **_: Any) -> Any:
        return self.change(img)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: image / np.float32(255), "an array of float32, shape (96, 128, 3)"),
        (lambda image: np.full(image.shape, np.nan), "of float64, shape (96, 128, 3), with NaN"),
        (lambda image: image[..., :2], "an array of uint8, shape (96, 128, 2)"),
        (lambda image: np.full(image.shape, np.nan).astype(np.uint8), "cannot be applied"),
    ],
)
def test_a_picture_that_cannot_be_one_is_refused_and_its_transform_named(
    change: Callable[[Any], Any], words: str
) -> None:
    """Assigned to a batch of bytes, NaN was any byte."""
    image, mask = scene()
    augment = build_augmentation([{"HorizontalFlip": {"p": 1.0}}], planes=1)
    augment._compose = albumentations.Compose([*augment._compose.transforms, Odd(change)])
    with pytest.raises(ParamsError, match=r"train\.augment: Odd ") as fault:
        augment(image, mask, 1)
    assert words in str(fault.value)


def test_a_list_travels_to_a_worker_as_it_is() -> None:
    image, mask = scene()
    named = build_augmentation(
        [{"OneOf": {"transforms": [{"Rotate": {}}, {"GaussNoise": {}}], "p": 1.0}}],
        crop=(64, 80),
        planes=1,
    )
    again = pickle.loads(pickle.dumps(named))
    assert again == named
    for seed in range(6):
        first, second = named(image, mask, seed), again(image, mask, seed)
        assert first[0].tobytes() == second[0].tobytes()
        assert first[0].shape == (64, 80, 3)


@pytest.mark.slow
def test_importing_opens_no_connection_and_gives_no_warning() -> None:
    code = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a connection was tried')\n"
        "socket.socket.connect = refuse\n"
        "import darkroom.training.augment.build"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")


def numbered() -> tuple[np.ndarray, np.ndarray]:
    """Return a picture whose pixels tell their place, and a mask that does so in part."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
    image = np.stack([y, x, y * 20 + x], axis=2)
    return image, (x % 3 == y % 3).astype(np.uint8)[None]


def cut(crop: tuple[int, int], preset: str = "none") -> Augmentation:
    return build_augmentation(preset, crop=crop, planes=1, size=(HEIGHT, WIDTH))


def test_a_window_is_the_picture_and_its_mask_at_one_place() -> None:
    image, mask = numbered()
    for seed in range(50):
        part, moved = cut((5, 7))(image, mask, seed)
        assert part.shape == (5, 7, 3)
        assert moved is not None
        top, left = part[0, 0, :2].tolist()
        assert np.array_equal(part, image[top : top + 5, left : left + 7])
        assert np.array_equal(moved, mask[:, top : top + 5, left : left + 7])


def test_every_place_is_drawn_and_about_as_often() -> None:
    image, _ = numbered()
    window = cut((HEIGHT - 2, WIDTH - 3))
    places = [tuple(window(image, None, seed)[0][0, 0, :2].tolist()) for seed in range(1200)]
    counts = {place: places.count(place) for place in set(places)}
    assert set(counts) == {(top, left) for top in range(3) for left in range(4)}
    assert 60 < min(counts.values()) < 100 < max(counts.values()) < 140  # 100 each, but for chance


def test_the_place_is_a_function_of_the_seed() -> None:
    image, mask = numbered()
    window = cut((4, 4))
    first = window(image, mask, 9)[0].copy()
    for seed in range(5):
        window(image, mask, seed)
    assert np.array_equal(window(image, mask, 9)[0], first)
    assert np.array_equal(cut((4, 4))(image, mask, 9)[0], first)


def test_a_window_of_the_whole_size_is_the_picture() -> None:
    image, mask = numbered()
    part, moved = cut((HEIGHT, WIDTH))(image, mask, 3)
    assert np.array_equal(part, image)
    assert moved is not None
    assert np.array_equal(moved, mask)


@pytest.mark.parametrize("preset", ["flip", "light", "strong"])
def test_later_transforms_get_the_window(preset: str) -> None:
    image, mask = numbered()
    image.setflags(write=False)
    for seed in range(10):
        part, moved = cut((8, 8), preset)(image, mask, seed)
        assert part.shape == (8, 8, 3)
        assert moved is not None
        assert moved.shape == (1, 8, 8)
        assert moved.max() <= 1


def test_a_window_with_foreground_holds_a_pixel_of_each_class_as_often() -> None:
    """Of two classes one has 48 times the pixels of the other; a third plane is unknown."""
    image = numbered()[0]
    mask = np.zeros((3, HEIGHT, WIDTH), np.uint8)
    mask[0, :8, :6] = 1
    mask[1, 11, 19] = 1
    mask[2] = 1
    window = build_augmentation("none", crop=(5, 7), planes=3, size=(HEIGHT, WIDTH), classes=2)
    held = np.zeros(2)
    corners = set()
    for seed in range(400):
        part, moved = window(image, mask, seed, True)
        assert moved is not None
        assert part.shape == (5, 7, 3)
        classes = moved[:2].any(axis=(1, 2))
        assert classes.any()
        held += classes
        corners.add(tuple(part[0, 0, :2].tolist()))
    assert 160 < held.min() <= held.max() < 240
    assert (7, 13) in corners, "at the edge as far out as the picture goes"
    assert len(corners) > 15
    empty = np.zeros_like(mask)
    empty[2] = 1
    places = {tuple(window(image, empty, seed, True)[0][0, 0, :2].tolist()) for seed in range(300)}
    assert len(places) > 60, "without any: anywhere"
    assert np.array_equal(window(image, empty, 3, True)[0], window(image, empty, 3)[0])


def test_presets_and_transforms_stand_in_one_list() -> None:
    image, mask = scene()
    several = build_augmentation(
        ["flip", "random_resized", "trivial", {"GaussNoise": {"p": 0.2}}], planes=1, size=(96, 128)
    )
    changed, moved = several(image, mask, 3)
    assert moved is not None
    assert changed.shape == image.shape
    again = pickle.loads(pickle.dumps(several))
    assert np.array_equal(again(image, mask, 3)[0], changed)
    flipped = build_augmentation(["flip"], planes=1)
    for seed in range(4):
        assert np.array_equal(flipped(image, mask, seed)[0], build("flip")(image, mask, seed)[0])


def test_a_random_box_is_erased_and_the_mask_stays() -> None:
    image, mask = np.full((40, 60, 3), 100, np.uint8), np.ones((1, 40, 60), np.uint8)
    erase = build_augmentation("none", planes=1, erase=0.5)
    shares = []
    for seed in range(400):
        changed, moved = erase(image, mask, seed)
        assert moved is not None
        assert np.array_equal(moved, mask)
        hidden = (changed != image).any(axis=2)
        shares.append(float(hidden.mean()))
        if hidden.any():
            rows, columns = hidden.any(axis=1), hidden.any(axis=0)
            assert hidden[np.ix_(rows, columns)].mean() > 0.9, "one box, full of noise"
    erased = np.array([share for share in shares if share])
    assert 0.4 < len(erased) / 400 < 0.6
    assert 0.01 < erased.min() < erased.max() < 0.35


@pytest.mark.parametrize("crop", [(HEIGHT + 1, 4), (4, WIDTH + 1)])
def test_a_window_larger_than_the_picture_is_refused(crop: tuple[int, int]) -> None:
    with pytest.raises(ParamsError) as early:
        cut(crop)
    with pytest.raises(ParamsError) as late:
        build_augmentation("none", crop=crop, planes=0)(numbered()[0], None, 1)
    for fault in (early, late):
        assert "train.crop is larger than the stored pictures" in str(fault.value)
        assert f"found: {crop[0]} x {crop[1]}" in str(fault.value)
        assert f"expected: at most {HEIGHT} x {WIDTH}" in str(fault.value)


def test_transforms_by_name_are_tried_on_a_window() -> None:
    zoom = [{"RandomResizedCrop": {"size": [8, 10], "p": 1.0}}]
    made = build_augmentation(zoom, crop=(8, 10), planes=1)
    assert made(*numbered(), 1)[0].shape == (8, 10, 3)
    with pytest.raises(ParamsError, match="RandomResizedCrop changes the size of the image"):
        build_augmentation(zoom, crop=(8, 8), planes=1)


@pytest.mark.parametrize("preset", CHANGING)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_presets_change_pictures_of_any_channels(preset: str, channels: int) -> None:
    image, mask = scene()
    image = np.concatenate([image] * 2, axis=2)[:, :, :channels].copy()
    augment = build_augmentation(preset, planes=1, channels=channels)
    results = [augment(image, mask, seed) for seed in range(12)]
    assert {result.shape for result, _ in results} == {image.shape}
    assert len({result.tobytes() for result, _ in results}) >= 2
    again = pickle.loads(pickle.dumps(augment))
    assert np.array_equal(again(image, mask, 3)[0], results[3][0])


def test_a_transform_of_colours_is_refused_for_other_channels() -> None:
    choice = [{"HueSaturationValue": {"p": 0.5}}]
    with pytest.raises(ParamsError, match=r"HueSaturationValue cannot be applied.* 6 channels"):
        build_augmentation(choice, planes=0, channels=6)
    noise = build_augmentation([{"GaussNoise": {"p": 1.0}}], planes=0, channels=6)
    image = np.full((8, 8, 6), 90, np.uint8)
    assert (noise(image, None, 3)[0] != image).any()
