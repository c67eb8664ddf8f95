import csv
import io
import zipfile
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from darkroom.errors import DataError
from darkroom.images import rle
from darkroom.images.rle import Runs
from tests.support.realdata import REALDATA, needs_realdata

ORDERS: tuple[rle.Order, ...] = ("row", "column")


def mask_of(*rows: str) -> npt.NDArray[np.uint8]:
    return np.array([[int(pixel) for pixel in row] for row in rows], np.uint8)


@pytest.mark.parametrize(
    ("rows", "by_row", "by_column"),
    [
        (("000", "000"), "", ""),
        (("111", "111"), "1 6", "1 6"),
        (("100", "000"), "1 1", "1 1"),
        (("000", "001"), "6 1", "6 1"),
        (("110", "011"), "1 2 5 2", "1 1 3 2 6 1"),
        (("001", "100"), "3 2", "2 1 5 1"),
    ],
)
def test_known_masks(rows: tuple[str, ...], by_row: str, by_column: str) -> None:
    mask = mask_of(*rows)
    assert rle.encode(mask, "row") == by_row
    assert rle.encode(mask, "column") == by_column
    assert rle.encode(mask.astype(np.bool_), "column") == by_column


def test_a_mask_that_the_usual_numpy_lines_get_wrong() -> None:
    assert rle.encode(mask_of("110011")) == "1 2 5 2"


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_every_4x4_mask_there_and_back(order: rle.Order) -> None:
    bits = np.arange(1 << 16, dtype=">u2").view(np.uint8).reshape(-1, 2)
    masks = np.unpackbits(bits, axis=1).reshape(-1, 4, 4)
    texts = [rle.encode(mask, order) for mask in masks]
    assert len(set(texts)) == 1 << 16
    back = np.array([rle.decode(text, 4, 4, order) for text in texts])
    assert np.array_equal(back, masks)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_ten_thousand_random_masks_there_and_back(order: rle.Order) -> None:
    rng = np.random.default_rng(20)
    for _ in range(10_000):
        height, width = rng.integers(1, 60, 2)
        mask = (rng.random((height, width)) < rng.random()).astype(np.uint8)
        text = rle.encode(mask, order)
        assert np.array_equal(rle.decode(text, height, width, order), mask)


@given(st.lists(st.integers(1, 10**13), min_size=1, max_size=40))
def test_numbers_of_any_length_are_written_as_python_writes_them(steps: list[int]) -> None:
    bounds = np.cumsum(np.array([*steps, *steps], np.int64))
    numbers = bounds.copy()
    numbers[1::2] -= bounds[::2]
    numbers[::2] += 1
    assert rle.text_from_bounds(bounds) == " ".join(map(str, numbers.tolist()))


def test_a_picture_of_two_hundred_million_pixels() -> None:
    bounds = np.array([0, 9_999, 10_000, 20_000, 99_999_999, 200_000_001], np.int64)
    assert rle.text_from_bounds(bounds) == "1 9999 10001 10000 100000000 100000002"


def test_touching_runs_are_read() -> None:
    assert np.array_equal(rle.decode("1 2 3 1", 1, 4), mask_of("1110"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2 5", r"number without its pair\n  found: 3 numbers"),
        ("1,2", r"foreign characters\n  found: ','"),
        ("1 -2", r"foreign characters\n  found: '-'"),
        ("1.0 2", "foreign characters"),
        ("1\n2", "foreign characters"),
        ("١ 2", "foreign characters"),
        ("0 2", r'below 1\n  found: "0 2", run 1 of 1'),
        ("1 0", 'below 1\n  found: "1 0"'),
        ("1 1 12 2", r'past the last pixel, 12\n  found: "12 2", run 2 of 2'),
        ("13 1", "past the last pixel"),
        ("1 99999999999999999999999999", "past the last pixel"),
        ("99999999999999999999999999 1", "past the last pixel"),
        ("3 4 6 1", r'begins before the one before it ends\n  found: "6 1", run 2 of 2'),
        ("5 1 1 1", "begins before the one before it ends"),
    ],
)
def test_what_is_no_run_length_text(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rle.decode(text, 3, 4)


@pytest.mark.parametrize("text", ["1 2  5 2", " 1 2 5 2", "1   2 5 2  "])
def test_further_blanks_are_no_fault(text: str) -> None:
    assert np.array_equal(rle.decode(text, 2, 3), mask_of("110", "011"))
    assert rle.decode("  ", 2, 3).sum() == 0


@pytest.mark.parametrize(
    ("runs", "text", "none"),
    [
        (Runs(), "1 2 5 2", ""),
        (Runs(empty="-1"), "1 2 5 2", "-1"),
        (Runs(start=0, empty="1 0"), "0 2 4 2", "1 0"),
        (Runs(relative=True), "1 2 2 2", ""),
        (Runs(start=0, relative=True, empty="-"), "0 2 2 2", "-"),
    ],
)
def test_known_dialects(runs: Runs, text: str, none: str) -> None:
    bounds = rle.bounds_from_mask(mask_of("110", "011"))
    assert rle.text_from_bounds(bounds, runs) == text
    assert np.array_equal(rle.bounds_from_text(text, 6, runs), bounds)
    assert rle.normalise(text, runs) == "1 2 5 2"
    assert rle.text_from_bounds(bounds[:0], runs) == none
    assert rle.bounds_from_text(f" {none} ", 6, runs).size == 0
    assert rle.normalise(none, runs) == rle.normalise("", runs) == ""


@given(
    hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)),
    st.builds(
        Runs,
        st.sampled_from(ORDERS),
        st.sampled_from([0, 1]),
        st.booleans(),
        st.sampled_from(["", "-1", "1 0", "-"]),
    ),
)
def test_any_mask_in_any_dialect_there_and_back(mask: npt.NDArray[np.bool_], runs: Runs) -> None:
    bounds = rle.bounds_from_mask(mask, runs.order)
    text = rle.text_from_bounds(bounds, runs)
    assert np.array_equal(rle.bounds_from_text(text, mask.size, runs), bounds)
    assert np.array_equal(
        rle.mask_from_bounds(bounds, mask.shape[0], mask.shape[1], runs.order), mask
    )
    assert rle.normalise(text, runs) == rle.encode(mask, runs.order)


@pytest.mark.parametrize(
    ("runs", "text", "words"),
    [
        (Runs(empty="-1"), "", "an empty cell\n  expected: '-1' for an empty mask"),
        (Runs(empty="-1"), "-2", "foreign characters"),
        (Runs(empty="1 0"), "2 0", "below 1"),
        (Runs(start=0), "3 0", r'a length is below 1\n  found: "3 0", run 1 of 1'),
        (Runs(start=0), "11 2", 'past the last pixel, 11\n  found: "11 2"'),
        (Runs(start=0), "3 4 6 1", "begins before the one before it ends"),
        (Runs(relative=True), "0 2", "a start or a length is below 1"),
        (Runs(relative=True), "3 4 6 1", 'past the last pixel, 12\n  found: "6 1", run 2 of 2'),
        (Runs(start=0, relative=True), "5 3 4 1", 'past the last pixel, 11\n  found: "4 1"'),
        (Runs(relative=True), "9 9223372036854775807 9 9223372036854775807", "past the last pixel"),
    ],
)
def test_what_is_no_run_length_text_in_a_dialect(runs: Runs, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        rle.bounds_from_text(text, 12, runs)


def test_runs_in_any_order_are_sorted_and_still_may_not_overlap() -> None:
    assert rle.normalise("9 2 1 3 4 1", Runs()) == "1 3 4 1 9 2"
    assert rle.normalise("8 2 0 3", Runs(start=0)) == "1 3 9 2"
    with pytest.raises(DataError, match=r'before the one before it ends\n  found: "3 2", run 2'):
        rle.normalise("3 2 1 3", Runs())


@pytest.mark.parametrize("runs", [Runs(), Runs("column", 0, relative=True)])
def test_objects_of_a_picture_of_numbers(runs: Runs) -> None:
    labels = np.array([[0, 1, 1, 3], [2, 2, 1, 3], [0, 0, 0, 3]], np.int32)
    texts = rle.texts_from_labels(labels, runs)
    expected = [rle.bounds_from_mask(labels == number, runs.order) for number in (1, 2, 3)]
    assert texts == [rle.text_from_bounds(bounds, runs) for bounds in expected]
    assert rle.texts_from_labels(np.zeros((2, 2), np.int32), runs) == []
    assert rle.texts_from_labels(np.ones((2, 2), np.int32)) == ["1 4"]


@given(st.text(alphabet="0123456789 -,", max_size=30))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    try:
        mask = rle.decode(text, 5, 7)
    except DataError:
        return
    assert mask.shape == (5, 7)
    assert mask.max() <= 1
    assert mask.sum() == sum(map(int, text.split()[1::2]))


def test_a_mask_of_other_values_is_refused() -> None:
    with pytest.raises(DataError, match=r"found: \[0, 255\]\n  expected: only 0 and 1"):
        rle.encode(np.array([[0, 255]], np.uint8))


@needs_realdata
@pytest.mark.slow
def test_real_carvana_masks_give_the_real_table_to_the_letter() -> None:
    folder = REALDATA / "carvana"
    with zipfile.ZipFile(folder / "train_masks.csv.zip") as archive:
        table = io.StringIO(archive.read("train_masks.csv").decode())
        rows = list(csv.DictReader(table))
    assert len(rows) == 64
    with zipfile.ZipFile(folder / "train_masks.zip") as archive:
        for row in rows:
            name = row["img"].replace(".jpg", "_mask.gif")
            data = archive.read(f"train_masks/{name}")
            mask = np.asarray(Image.open(io.BytesIO(data)))
            assert rle.encode(mask, "row") == row["rle_mask"]
            assert np.array_equal(rle.decode(row["rle_mask"], 1280, 1918, "row"), mask)


@needs_realdata
def test_real_nuclei_masks_give_the_real_column_major_table_to_the_letter() -> None:
    folder = REALDATA / "nuclei"
    with (folder / "train_masks_column_major.csv").open(newline="") as table:
        lines = (line.rstrip("\r\n").split(",") for line in table)
        rows = [dict(zip(["img", "rle_mask"], line, strict=True)) for line in lines][1:]
    assert len(rows) == 120
    with zipfile.ZipFile(folder / "train_masks.zip") as archive:
        for row in rows:
            name = row["img"].replace(".png", "_mask.png")
            mask = np.asarray(Image.open(io.BytesIO(archive.read(f"train_masks/{name}")))) // 255
            assert rle.encode(mask, "column") == row["rle_mask"]


@pytest.mark.parametrize("layout", ["C", "F"])
@pytest.mark.parametrize("order", ["row", "column"])
@pytest.mark.parametrize("boxes", [0, 1, 3, 40, 3000])  # by bounds, or by pixels
@pytest.mark.parametrize("edges", [False, True])
def test_masks_with_few_and_many_runs(
    order: rle.Order, layout: Literal["C", "F"], boxes: int, edges: bool
) -> None:
    rng = np.random.default_rng(boxes)
    mask = np.zeros((83, 101), np.uint8)
    for _ in range(boxes):
        top, left = rng.integers(1, 80), rng.integers(1, 98)
        mask[top : top + 2, left : left + 3] ^= 1
    if edges:
        mask[:, [0, -1]] = 1
    flat = [0, *mask.ravel(order="C" if order == "row" else "F").tolist(), 0]
    expected = [at for at in range(len(flat) - 1) if flat[at] != flat[at + 1]]
    bounds = rle.bounds_from_mask(np.asarray(mask, order=layout), order)
    assert bounds.tolist() == expected
    assert bounds.dtype == np.int64
    assert np.array_equal(rle.mask_from_bounds(bounds, 83, 101, order), mask)
