"""Masks of several classes: a colour each, what is wrong, and one class as before."""

import numpy as np

from darkroom.images import class_pictures, sheets
from darkroom.images.class_pictures import (
    CONFUSED,
    class_colour,
    class_legend,
    compare_masks,
    draw_masks,
    mask_panels,
)

GREY = np.full((40, 60, 3), 100, np.uint8)


def planes(*boxes: tuple[int, int]) -> np.ndarray:
    """Return planes (K, 40, 60), each 1 in the columns from `left` to `right`."""
    masks = np.zeros((len(boxes), 40, 60), np.uint8)
    for mask, (left, right) in zip(masks, boxes, strict=True):
        mask[:, left:right] = 1
    return masks


def test_colours_differ_from_each_other_and_from_right_and_wrong() -> None:
    colours = np.array([class_colour(number) for number in range(30)], int)
    marks = np.array([sheets.PAPER, sheets.RIGHT, sheets.EXCESS, sheets.MISSED], int)
    apart = np.abs(colours[:10, None] - colours[None, :10]).sum(2) + 999 * np.eye(10, dtype=int)
    assert apart.min() > 60
    assert np.abs(colours[:10, None] - marks).sum(2).min() > 30
    assert len({tuple(colour) for colour in colours.tolist()}) == 30
    assert class_legend(["a", "b"]) == (("a", class_colour(0)), ("b", class_colour(1)))


def test_one_class_is_outlined_and_compared() -> None:
    mask = planes((10, 30))
    assert np.array_equal(draw_masks(GREY, mask, 0), sheets.outline(GREY, mask[0], apart=True))
    answer = planes((20, 40))
    expected = sheets.compare(GREY, mask[0], answer[0])
    assert np.array_equal(compare_masks(GREY, mask, answer), expected)
    assert np.array_equal(mask_panels(GREY, mask, answer), expected)


def test_a_pixel_has_the_colour_of_its_classes() -> None:
    drawn = draw_masks(GREY, planes((5, 30), (20, 50)), 2).astype(int)
    amber, sky = (np.array(class_colour(number)) for number in (0, 1))
    assert np.abs(drawn[20, 12] - (40 + 0.6 * amber)).max() <= 1
    assert np.abs(drawn[20, 40] - (40 + 0.6 * sky)).max() <= 1
    assert np.abs(drawn[20, 25] - (40 + 0.3 * (amber + sky))).max() <= 1
    assert drawn[20, 56].tolist() == [70] * 3, "of no class: darker"


def test_unknown_pixels_are_hatched() -> None:
    drawn = draw_masks(GREY, planes((0, 20), (20, 30), (40, 60)), 2)
    stripes = (drawn[:, 42:58] == sheets.FAINT).all(axis=2).mean()
    assert 0.4 < stripes < 0.6


def test_a_class_taken_for_another_has_a_colour_of_its_own() -> None:
    truth = planes((0, 10), (10, 20), (50, 60))  # the last one is unknown
    answer = planes((0, 5), (5, 30))
    answer[0, :, 52:] = 1
    drawn = compare_masks(GREY, truth, answer).astype(int)

    def is_like(column: int, colour: tuple[int, int, int], share: float) -> bool:
        expected = 100 * (1 - share) + np.array(colour) * share
        return bool(np.abs(drawn[20, column] - expected).max() <= 1)

    assert is_like(2, sheets.RIGHT, 0.35)
    assert is_like(7, CONFUSED, 0.9)
    assert is_like(15, sheets.RIGHT, 0.35)
    assert is_like(25, sheets.EXCESS, 0.9)
    assert drawn[20, 56].tolist() == [45] * 3, "nobody knows"
    missed = compare_masks(GREY, planes((0, 10), (10, 20)), planes((0, 10), (30, 31)))
    assert np.abs(missed[20, 15] - (10 + np.array(sheets.MISSED) * 0.9)).max() <= 1


def test_panels_lie_along_the_shorter_side() -> None:
    masks = planes((0, 10), (10, 20))
    high = np.zeros((60, 40, 3), np.uint8)
    side_by_side = mask_panels(high, masks.transpose(0, 2, 1), masks.transpose(0, 2, 1))
    assert side_by_side.shape[0] == 60
    assert side_by_side.shape[1] > 3 * 40
    wide = np.zeros((40, 100, 3), np.uint8)
    masks = np.zeros((2, 40, 100), np.uint8)
    assert class_pictures.mask_panels(wide, masks, masks).shape[1] == 100
