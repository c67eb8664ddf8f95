"""Windows: exact, anywhere, the same for the same seed, and of the size that was asked for."""

import numpy as np
import pytest

from darkroom.errors import ParamsError
from darkroom.training.augment.build import Augmentation, build

HEIGHT, WIDTH = 12, 20


def numbered() -> tuple[np.ndarray, np.ndarray]:
    """Return a picture whose pixels tell their place, and a mask that does so in part."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
    image = np.stack([y, x, y * 20 + x], axis=2)
    return image, (x % 3 == y % 3).astype(np.uint8)


def cut(crop: tuple[int, int], preset: str = "none") -> Augmentation:
    return build(preset, crop=crop, masks=True, size=(HEIGHT, WIDTH))


def test_a_window_is_the_picture_and_its_mask_at_one_place() -> None:
    image, mask = numbered()
    for seed in range(50):
        part, moved = cut((5, 7))(image, mask, seed)
        assert part.shape == (5, 7, 3)
        assert moved is not None
        top, left = part[0, 0, :2].tolist()
        assert np.array_equal(part, image[top : top + 5, left : left + 7])
        assert np.array_equal(moved, mask[top : top + 5, left : left + 7])


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
def test_what_follows_works_on_the_window(preset: str) -> None:
    image, mask = numbered()
    image.setflags(write=False)
    for seed in range(10):
        part, moved = cut((8, 8), preset)(image, mask, seed)
        assert part.shape == (8, 8, 3)
        assert moved is not None
        assert moved.shape == (8, 8)
        assert moved.max() <= 1


@pytest.mark.parametrize("crop", [(HEIGHT + 1, 4), (4, WIDTH + 1)])
def test_a_window_larger_than_the_picture_is_refused(crop: tuple[int, int]) -> None:
    with pytest.raises(ParamsError) as early:
        cut(crop)
    with pytest.raises(ParamsError) as late:
        build("none", crop=crop, masks=False)(numbered()[0], None, 1)
    for fault in (early, late):
        assert "train.crop is larger than the stored pictures" in str(fault.value)
        assert f"found: {crop[0]} x {crop[1]}" in str(fault.value)
        assert f"expected: at most {HEIGHT} x {WIDTH}" in str(fault.value)


def test_transforms_by_name_are_tried_on_a_window() -> None:
    zoom = [{"RandomResizedCrop": {"size": [8, 10], "p": 1.0}}]
    made = build(zoom, crop=(8, 10), masks=True)
    assert made(*numbered(), 1)[0].shape == (8, 10, 3)
    with pytest.raises(ParamsError, match="RandomResizedCrop changes the size of pictures"):
        build(zoom, crop=(8, 8), masks=True)
