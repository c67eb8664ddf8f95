import pickle
import subprocess
import sys

import numpy as np
import pytest

from darkroom.augment import PRESETS, build
from darkroom.errors import ParamsError

CHANGING = [name for name in PRESETS if name != "none"]


def scene() -> tuple[np.ndarray, np.ndarray]:
    """Return a bright rectangle, left of the middle, on a dark and textured ground; its mask."""
    rng = np.random.default_rng(0)
    image = rng.integers(20, 50, (96, 128, 3), dtype=np.uint8)
    mask = np.zeros((96, 128), np.uint8)
    mask[30:70, 20:60] = 1
    image[mask == 1] += 170
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
    image, mask = scene()
    augment = build(preset)
    for seed in range(30):
        changed, moved = augment(image, mask, seed)
        assert moved is not None
        assert changed.dtype == moved.dtype == np.uint8
        assert changed.shape == image.shape
        assert set(np.unique(moved)) == {0, 1}
        bright = changed.mean(axis=2) > changed.mean()
        both = 2 * np.logical_and(bright, moved).sum() / (bright.sum() + moved.sum())
        assert both > 0.85, (seed, both)  # blur and mirrored edges cost some


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
        assert moved[:, :64].sum() > moved[:, 64:].sum()


def test_images_go_without_masks() -> None:
    image, _ = scene()
    changed, moved = build("light")(image, None, 3)
    assert moved is None
    assert changed.shape == image.shape


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ParamsError) as fault:
        build("heavy")
    assert "no such augmentation" in str(fault.value)
    assert "expected: none, flip, light, strong, notes" in str(fault.value)


@pytest.mark.slow
def test_importing_speaks_to_nobody_and_warns_of_nothing() -> None:
    code = (
        "import socket\n"
        "def refuse(*_): raise AssertionError('a connection was tried')\n"
        "socket.socket.connect = refuse\n"
        "import darkroom.augment"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
