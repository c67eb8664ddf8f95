"""Raw masks by file and by run lengths, against pixels written out by hand."""

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.raw.archives import Archives
from darkroom.raw.masks import RawMask, read_mask, refuse_opposite_masks
from tests.support.packed import zip_of
from tests.support.tiny import png

MASK = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    files = {
        "255.png": png(MASK * 255),
        "1.png": png(MASK),
        "m.gif": png(MASK, "GIF"),
        "empty.png": png(MASK * 0),
        "odd.png": png(MASK * 100),
        "tall.png": png(MASK.T),
        "cut.png": png(MASK)[:50],
    }
    zip_of(tmp_path / "m.zip", files)
    return Archives(tmp_path, tmp_path / "unpacked")


def read(archives: Archives, mask: str) -> RawMask:
    return read_mask(archives, mask, 2, 3, name="train.zip/a.jpg")


def refused(archives: Archives, mask: str) -> str:
    with pytest.raises(DataError) as caught:
        read(archives, mask)
    return str(caught.value)


@pytest.mark.parametrize(
    ("mask", "values"),
    [
        ("m.zip/255.png", "0/255"),
        ("m.zip/1.png", "0/1"),
        ("m.zip/m.gif", "0/1"),
        ("rle:row 2 2 6 1", "run lengths"),
        ("rle:column 3 1 5 2", "run lengths"),
    ],
)
def test_the_same_mask_in_five_ways(archives: Archives, mask: str, values: str) -> None:
    raw_mask = read(archives, mask)
    assert raw_mask.pixels.tolist() == MASK.tolist()
    assert raw_mask.pixels.dtype == np.uint8
    assert raw_mask.values == values


@pytest.mark.parametrize(
    ("mask", "values"),
    [("m.zip/empty.png", "0"), ("rle:row", "run lengths"), ("rle:column", "run lengths")],
)
def test_an_empty_mask(archives: Archives, mask: str, values: str) -> None:
    raw_mask = read(archives, mask)
    assert raw_mask.pixels.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert raw_mask.values == values


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (
            "m.zip/tall.png",
            "m.zip/tall.png: the mask's size is not its image's\n"
            "  found: 2 x 3 px\n  expected: 3 x 2 px, as train.zip/a.jpg has",
        ),
        ("m.zip/odd.png", "m.zip/odd.png: not a mask's values\n  found: 0, 100"),
        ("m.zip/cut.png", "m.zip/cut.png: "),
        ("m.zip/none.png", "m.zip/none.png: no such file"),
        (
            "rle:row 5 3",
            "train.zip/a.jpg: its mask can't be decoded: a run goes past the last pixel, 6",
        ),
        ("rle:column 3 2 2 1", "its mask can't be decoded: a run begins before the one before"),
        ("rle:row 3", "a number without its pair"),
    ],
)
def test_what_is_no_mask_of_the_image_is_refused(archives: Archives, mask: str, words: str) -> None:
    assert words in refused(archives, mask)


@pytest.mark.parametrize(
    "values",
    [
        ["0/255", "0", "0/1", "run lengths", "", "0/65535"],
        ["#000000/#ff0000", "0", "/#ff0000", "0/255"],
        ["#000000/#000000", "#000000/#ff0000"],
    ],
)
def test_masks_that_agree_pass(values: list[str]) -> None:
    masks = list(zip("abcdef", values, strict=False))
    refuse_opposite_masks(masks)
    opposite = [("y", "#ffffff/#00ff00"), ("z", "#00ff00/#ffffff")]
    with pytest.raises(DataError, match="opposite meaning"):
        refuse_opposite_masks([*masks, *opposite])


@pytest.mark.parametrize(
    ("one", "other", "colour"),
    [
        ("#ffffff/#ff0000", "#ff0000/#ffffff", "#ff0000"),
        ("#ffffff/#ff0000", "0/255", "#ffffff"),
        ("#ff0000/", "/#ff0000", "#ff0000"),
    ],
)
def test_masks_of_opposite_meaning_are_refused(one: str, other: str, colour: str) -> None:
    with pytest.raises(DataError) as refusal:
        refuse_opposite_masks([("a", one), ("b", "0"), ("c", other)])
    assert "masks of opposite meaning" in str(refusal.value)
    assert f"{colour} is background in the mask of " in str(refusal.value)
