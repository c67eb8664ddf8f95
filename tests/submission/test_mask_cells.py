"""What a whole file says of its masks: none at all, another size, another order."""

import numpy as np
import pytest

from darkroom.images import rle
from darkroom.images.rle import Order, Runs
from darkroom.submission.mask_cells import MaskCells

HEIGHT, WIDTH = 30, 50


def discs(count: int, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Return masks (height, width) of a disc each, spread over the image."""
    y, x = np.mgrid[:height, :width]
    centres = np.random.default_rng(0).uniform(0.2, 0.8, (count, 2)) * [height, width]
    return [np.hypot(y - a, x - b) < 0.15 * height for a, b in centres]


def warnings(texts: list[str], order: Order, height: int = HEIGHT, width: int = WIDTH) -> list[str]:
    cells = MaskCells(Runs(order), {"a": (height, width)}, objects=False)
    for row, text in enumerate(texts):
        assert cells.fault(row, "a", "a", text) is None
    return cells.warnings()


@pytest.mark.parametrize("order", ["row", "column"])
def test_sound_masks_give_no_warning(order: Order) -> None:
    assert warnings([rle.encode(mask, order) for mask in discs(12)], order) == []
    strip = np.zeros((HEIGHT, WIDTH), bool)
    strip[HEIGHT - 1] = True  # one pixel high: down the columns no run goes on
    assert warnings([rle.encode(strip, order)] * 12, order) == []
    wide = np.zeros((30, 100), bool)
    wide[20:23] = True  # longer than the other side is
    assert warnings([rle.encode(wide, order)] * 12, order, 30, 100) == []
    tall = np.zeros((100, 30), bool)
    tall[:, 20:23] = True
    assert warnings([rle.encode(tall, order)] * 12, order, 100, 30) == []
    assert warnings([rle.encode(np.ones((HEIGHT, WIDTH), bool), order)] * 12, order) == []
    assert warnings([""] * 9, order) == []


def test_masks_that_are_all_empty_are_warned_of() -> None:
    assert warnings([""] * 10, "row") == ["every mask is empty"]


@pytest.mark.parametrize(
    ("order", "written", "words"),
    [
        (
            "row",
            "column",
            "the runs seem to go along columns; data.runs.order expects them along rows",
        ),
        (
            "column",
            "row",
            "the runs seem to go along rows; data.runs.order expects them along columns",
        ),
    ],
)
def test_the_other_order_is_warned_of(order: Order, written: Order, words: str) -> None:
    texts = [rle.encode(mask, written) for mask in discs(12)]
    assert warnings(texts, order) == [words]
    assert warnings(texts[:9], order) == []
    square = [rle.encode(mask, written) for mask in discs(12, 40, 40)]
    assert warnings(square, order, 40, 40) == []  # both lines are as long


def test_masks_of_a_smaller_size_are_warned_of() -> None:
    half = [rle.encode(mask, "row") for mask in discs(12, HEIGHT // 2, WIDTH // 2)]
    (warning,) = warnings(half, "row")
    share = max(int(rle.bounds_from_text(text, 10**6)[-1]) for text in half) / (HEIGHT * WIDTH)
    assert warning == (
        f"all masks lie in the first {share:.0%} of their pixels: were they written at another "
        "size?"
    )


def test_objects_in_one_row_are_warned_of() -> None:
    words = "no image has two objects: is each in a row of its own?"
    for last, expected in (("30", [words]), ("0", [])):
        sizes = {str(number): (HEIGHT, WIDTH) for number in range(31)}
        cells = MaskCells(Runs(), sizes, objects=True)
        for name in (*map(str, range(30)), last):
            assert cells.fault(2, name, name, f"{HEIGHT * WIDTH - 30 + int(name)} 1") is None
        assert cells.warnings() == expected
