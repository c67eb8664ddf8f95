"""The place of a mask that is most wrong, and pictures of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.cli.report.originals import (
    MOST_PX,
    enlarged,
    framed,
    shrunk,
    worst_place,
    wrong_pixels,
)
from darkroom.images.geometry import Box


@given(
    st.integers(1, 99),
    st.integers(1, 99),
    st.lists(st.tuples(st.integers(0, 149), st.integers(0, 149)), min_size=1, max_size=30),
)
def test_no_other_square_holds_more_wrong_pixels(
    height: int, width: int, points: list[tuple[int, int]]
) -> None:
    wrong = np.zeros((height, width), bool)
    for row, column in points:
        wrong[row % height, column % width] = True
    box = worst_place(wrong)
    assert box is not None
    assert (box.height, box.width) == (min(64, height), min(64, width))
    assert 0 <= box.top <= height - box.height
    assert 0 <= box.left <= width - box.width
    windows = np.lib.stride_tricks.sliding_window_view(wrong, (box.height, box.width))
    assert wrong[box.slices].sum() == windows.sum(axis=(2, 3)).max()


def test_the_place_is_around_the_largest_error() -> None:
    wrong = np.zeros((300, 900), bool)
    wrong[10, 10] = True
    wrong[200:220, 700:740] = True
    assert worst_place(wrong) == Box(135, 645, 150, 150)


def test_a_mask_without_an_error_has_no_place() -> None:
    assert worst_place(np.zeros((9, 9), bool)) is None


def test_a_place_is_as_large_as_the_picture_asks_for() -> None:
    wrong = np.zeros((4000, 6000), bool)
    wrong[0, 0] = True
    assert worst_place(wrong) == Box(0, 0, 512, 512)


def test_unknown_pixels_are_not_wrong() -> None:
    truth = np.array([[[1, 1, 0]], [[0, 0, 0]], [[0, 1, 1]]], np.uint8)  # two classes, unknown
    answer = np.array([[[0, 0, 1]], [[0, 0, 0]]], np.uint8)
    assert wrong_pixels(truth, answer).tolist() == [[True, False, False]]


@pytest.mark.parametrize("size", [(10, 7), (300, 400), (600, 480)])
def test_a_crop_is_enlarged_by_whole_pixels(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    large = enlarged(pixels)
    times = large.shape[0] // size[0]
    assert large.shape == (times * size[0], times * size[1], 3)
    assert (large[::times, ::times] == pixels).all()


def test_only_a_very_large_picture_is_made_smaller() -> None:
    pixels = np.zeros((100, MOST_PX, 3), np.uint8)
    assert shrunk(pixels) is pixels
    assert shrunk(np.zeros((400, 2 * MOST_PX, 3), np.uint8)).shape == (200, MOST_PX, 3)


def test_a_frame_leaves_the_place_visible() -> None:
    pixels = np.full((100, 100, 3), 90, np.uint8)
    drawn = framed(pixels, Box(20, 30, 40, 50))
    assert (pixels == 90).all()
    assert (drawn[24:56, 34:76] == 90).all()
    assert (drawn[20, 30:80] != 90).all()
