import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import darkroom
from darkroom.images import geometry
from darkroom.images.geometry import (
    FITS,
    Box,
    Fit,
    Placement,
    cv2,
    fit_classes,
    fit_image,
    fit_mask,
    fit_placement,
    restore,
    sufficient_size,
)

sides = st.integers(1, 60)
fits = st.sampled_from(FITS)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    both = np.logical_and(one, other).sum()
    return float(2 * both / (one.sum() + other.sum()))


def disc(height: int, width: int, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows + 0.5 - height / 2, columns + 0.5 - width / 2)
    return np.asarray(distance <= radius, dtype=np.uint8)


@pytest.mark.parametrize(
    ("fit", "placement"),
    [
        ("stretch", Placement(Box(0, 0, 10, 10), Box(0, 0, 20, 40))),
        ("pad", Placement(Box(2, 0, 5, 10), Box(0, 0, 20, 40))),
        ("crop", Placement(Box(0, 0, 10, 10), Box(0, 10, 20, 20))),
    ],
)
def test_a_wide_picture_in_a_square(fit: Fit, placement: Placement) -> None:
    assert fit_placement(20, 40, 10, 10, fit) == placement


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of stretch, pad, crop"):
        fit_placement(2, 2, 2, 2, "squash")  # type: ignore[arg-type]


@given(height=sides, width=sides, to_height=sides, to_width=sides, fit=fits)
def test_boxes_lie_inside(height: int, width: int, to_height: int, to_width: int, fit: Fit) -> None:
    placement = fit_placement(height, width, to_height, to_width, fit)
    for box, (rows, columns) in (
        (placement.stored, (to_height, to_width)),
        (placement.source, (height, width)),
    ):
        assert 0 <= box.top < box.top + box.height <= rows
        assert 0 <= box.left < box.left + box.width <= columns


@given(height=sides, width=sides, fit=fits, seed=st.integers(0, 9))
def test_equal_size_changes_nothing(height: int, width: int, fit: Fit, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = rng.integers(0, 2, (height, width), dtype=np.uint8)
    probabilities = rng.random((height, width), dtype=np.float32)
    assert np.array_equal(fit_image(pixels, height, width, fit), pixels)
    assert np.array_equal(fit_mask(mask, height, width, fit), mask)
    assert np.array_equal(restore(probabilities, height, width, fit), probabilities)


def test_shrinking_averages_areas() -> None:
    pixels = np.repeat(np.array([[0, 100], [100, 200]], np.uint8)[:, :, None], 3, axis=2)
    assert fit_image(pixels, 1, 1, "stretch").tolist() == [[[100, 100, 100]]]


def test_pad_adds_black_borders_and_crop_cuts_the_sides() -> None:
    pixels = np.full((2, 4, 3), 200, np.uint8)
    pixels[:, 1:3] = 100
    assert fit_image(pixels, 4, 4, "pad")[:, 0, 0].tolist() == [0, 200, 200, 0]
    assert (fit_image(pixels, 2, 2, "crop") == 100).all()


@pytest.mark.parametrize(
    ("block", "label"),
    [([[1, 1], [0, 0]], 1), ([[1, 0], [0, 0]], 0), ([[1, 1], [1, 0]], 1), ([[0, 0], [0, 0]], 0)],
)
def test_a_mask_pixel_follows_the_majority_of_its_area(block: list[list[int]], label: int) -> None:
    assert fit_mask(np.array(block, np.uint8), 1, 1, "stretch").tolist() == [[label]]


def test_an_exact_half_counts_whatever_the_scale() -> None:
    for half in range(1, 40):
        mask = np.repeat(np.array([1, 0], np.uint8), half)[None]
        assert fit_mask(mask, 1, 1, "stretch").tolist() == [[1]], half


@given(height=sides, width=sides, to_height=sides, to_width=sides, fit=fits, seed=st.integers(0, 9))
def test_masks_stay_exact(
    height: int, width: int, to_height: int, to_width: int, fit: Fit, seed: int
) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, (height, width), dtype=np.uint8)
    fitted = fit_mask(mask, to_height, to_width, fit)
    assert fitted.dtype == np.uint8
    assert fitted.shape == (to_height, to_width)
    assert set(np.unique(fitted)) <= {0, 1}
    whole = fit_mask(np.ones_like(mask), to_height, to_width, fit)
    placed = fit_placement(height, width, to_height, to_width, fit).stored
    assert whole.sum() == placed.height * placed.width


@given(height=st.integers(200, 300), width=st.integers(200, 300), fit=fits)
def test_restored_masks_agree_with_the_original(height: int, width: int, fit: Fit) -> None:
    mask = disc(height, width, 80)
    stored = fit_mask(mask, 128, 160, fit).astype(np.float32)
    back = restore(stored, height, width, fit)
    assert back.shape == mask.shape
    assert dice(back > 0.5, mask) > 0.985


def test_pad_then_restore_keeps_a_centred_rectangle() -> None:
    mask = np.zeros((40, 80), np.uint8)
    mask[10:30, 20:60] = 1
    stored = fit_mask(mask, 80, 80, "pad")
    assert stored[30:50, 20:60].all()
    assert stored.sum() == mask.sum()
    assert np.array_equal(restore(stored.astype(np.float32), 40, 80, "pad") > 0.5, mask > 0)


def test_what_crop_cut_away_is_restored_as_zero() -> None:
    back = restore(np.ones((10, 10), np.float32), 20, 40, "crop")
    assert back[:, 10:30].min() == 1
    assert not back[:, :10].any()
    assert not back[:, 30:].any()


def test_image_and_mask_go_to_the_same_place() -> None:
    mask = np.zeros((50, 90), np.uint8)
    mask[20:41, 30:71] = 1
    pixels = np.repeat(mask[:, :, None] * 255, 3, axis=2)
    for fit in FITS:
        fitted = fit_image(pixels, 32, 32, fit)[:, :, 0] >= 127.5
        assert np.array_equal(fitted, fit_mask(mask, 32, 32, fit) > 0), fit


def test_what_suffices_to_decode() -> None:
    assert sufficient_size(1280, 1918, 640, 959, "stretch") == (640, 959)
    assert sufficient_size(1280, 1918, 640, 640, "pad") == (427, 640)
    assert sufficient_size(1280, 1918, 640, 640, "crop") == (640, 959)
    assert sufficient_size(10, 10, 640, 959, "stretch") == (10, 10)


def test_opencv_has_no_threads_of_its_own() -> None:
    assert cv2.getNumThreads() == 1


def test_opencv_is_imported_and_set_up_in_one_module() -> None:
    source = Path(darkroom.__file__).parent
    importers = [
        path.relative_to(source).as_posix()
        for path in sorted(source.rglob("*.py"))
        if re.search(r"^\s*(import cv2|from cv2)", path.read_text(), re.MULTILINE)
    ]
    assert importers == ["images/geometry.py"]


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("channels", [1, 2, 7])
def test_each_channel_is_resized_as_it_would_be_alone(fit: Fit, channels: int) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (37, 53, channels), dtype=np.uint8)
    fitted = fit_image(pixels, 24, 20, fit)
    assert fitted.shape == (24, 20, channels)
    for k in range(channels):
        alone = fit_image(np.repeat(pixels[:, :, k : k + 1], 3, axis=2), 24, 20, fit)
        assert np.array_equal(fitted[:, :, k], alone[:, :, 0])


def test_exclusive_classes_stay_exclusive_at_any_size() -> None:
    classes = np.random.default_rng(4).integers(0, 4, (37, 53))
    masks = (classes == np.arange(1, 4)[:, None, None]).astype(np.uint8)  # 0 is background
    for fit in FITS:
        for height, width in ((37, 53), (16, 16), (60, 80), (9, 71)):
            stored = fit_classes(masks, height, width, fit)
            assert stored.shape == (3, height, width)
            assert stored.sum(axis=0).max() == 1, (fit, height, width)


def test_a_pixel_is_of_the_class_that_covers_most_of_it() -> None:
    # Four originals a pixel: of one class; 2 and 2; 2, 1 and 1 of none; 1 and 3 of none.
    first = np.array([[1, 1, 0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 1]], np.uint8)
    second = np.array([[0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1, 0, 0]], np.uint8)
    first[:, 2:4] = [[0, 0], [1, 1]]
    stored = fit_classes(np.stack([first, second]), 1, 4, "stretch")
    assert stored.tolist() == [[[1, 1, 1, 0]], [[0, 0, 0, 0]]]
    alone = np.stack([first])
    assert np.array_equal(
        fit_classes(alone, 1, 4, "stretch")[0],
        fit_mask(first, 1, 4, "stretch"),
    ), "of one class: at least one half, as for any mask"


def test_what_is_left_beside_exclusive_classes_is_of_none() -> None:
    full = np.ones((1, 10, 20), np.uint8)
    stored = fit_classes(full, 8, 8, "pad")
    assert stored[0, 2:6].all()
    assert stored.sum() == 4 * 8


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(160, 240), (163, 245)])
def test_large_masks_are_made_smaller_first(
    fit: Fit, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = ((rows - 70) ** 2 + (columns - 110) ** 2 < 55**2).astype(np.uint8)
    plain = fit_mask(mask, 20, 30, fit)
    monkeypatch.setattr(geometry, "_WHOLE_PIXELS", 1000)
    large = fit_mask(mask, 20, 30, fit)
    assert plain.sum() > 100
    # Blocks of 8 px lie within stored pixels of 8; else a few on the outline differ.
    assert (large != plain).sum() <= (0 if shape == (160, 240) else 3)
