"""Mask files whose palettes say more, or less, than their indices."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from darkroom.errors import DataError
from darkroom.images.codec import decode_mask
from darkroom.images.labels import labels_from_palette

WHITE, BLACK, RED, GREEN = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0)
MASK = np.array([[0, 0, 1], [0, 1, 1]], np.uint8)
PICTURES = {"part": MASK, "inverse": 1 - MASK, "full": np.ones_like(MASK), "empty": 0 * MASK}

Colour = tuple[int, int, int]


def saved(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def palette_png(indices: list[int], *colours: Colour) -> bytes:
    picture = Image.fromarray(np.array([indices], np.uint8), "P")
    picture.putpalette([level for colour in colours for level in colour])
    return saved(picture, "PNG")


def adaptive(picture: Image.Image) -> Image.Image:
    return picture.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE, colors=2)


WAYS: dict[str, Callable[[Image.Image], bytes]] = {
    "GIF of grey": lambda picture: saved(picture, "GIF"),
    "GIF of one bit": lambda picture: saved(picture.convert("1"), "GIF"),
    "GIF of RGB": lambda picture: saved(picture.convert("RGB"), "GIF"),
    "GIF of RGBA": lambda picture: saved(picture.convert("RGBA"), "GIF"),
    "quantized grey": lambda picture: saved(picture.quantize(2), "PNG"),
    "quantized RGB": lambda picture: saved(picture.convert("RGB").quantize(2), "PNG"),
    "adaptive PNG": lambda picture: saved(adaptive(picture), "PNG"),
    "adaptive TIFF": lambda picture: saved(adaptive(picture), "TIFF"),
    "web palette": lambda picture: saved(picture.convert("RGB").convert("P"), "PNG"),
    "grey ramp": lambda picture: saved(picture.convert("P"), "PNG"),
    "BMP": lambda picture: saved(picture.convert("P"), "BMP"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", PICTURES)
def test_white_is_foreground_however_black_and_white_is_written(way: str, shape: str) -> None:
    mask = PICTURES[shape]
    pixels, values = decode_mask(WAYS[way](Image.fromarray(mask * 255)))
    assert pixels.tolist() == mask.tolist()
    assert pixels.dtype == np.uint8
    assert values == ("0" if shape == "empty" else "0/255")


@given(indices=st.lists(st.booleans(), min_size=1, max_size=9), light_first=st.booleans())
def test_light_is_foreground_whatever_its_index(indices: list[bool], light_first: bool) -> None:
    colours = (WHITE, BLACK) if light_first else (BLACK, WHITE)
    pixels, _ = decode_mask(palette_png([int(index) for index in indices], *colours))
    assert pixels[0].tolist() == [int(index != light_first) for index in indices]


@pytest.mark.parametrize(
    ("indices", "colours", "labels", "values"),
    [
        ([0, 1], (BLACK, RED), [0, 1], "#000000/#ff0000"),
        ([0, 1], (WHITE, RED), [0, 1], "#ffffff/#ff0000"),
        ([1, 1], (WHITE, RED), [1, 1], "/#ff0000"),
        ([0, 0], (BLACK, RED), [0, 0], "#000000/"),
        ([0, 0], (WHITE, RED), [0, 0], "#ffffff/"),
        ([1, 1], (RED, WHITE), [1, 1], "/#ffffff"),
        ([0, 0], (BLACK, RED, GREEN), [0, 0], "0"),
        ([1, 1], (BLACK, (9, 9, 9)), [1, 1], "/#090909"),
        ([0, 1], (BLACK, (9, 9, 9)), [0, 1], "0/9"),
        ([0, 1], ((250, 250, 250), (3, 3, 3)), [1, 0], "3/250"),
        ([0, 1], (BLACK, BLACK), [0, 1], "#000000/#000000"),
        ([0, 1], (BLACK, (1, 1, 1)), [0, 1], "0/1"),
    ],
)
def test_two_colours(
    indices: list[int], colours: tuple[Colour, ...], labels: list[int], values: str
) -> None:
    pixels, found = decode_mask(palette_png(indices, *colours))
    assert (pixels[0].tolist(), found) == (labels, values)


@pytest.mark.parametrize(
    ("indices", "colours", "words"),
    [
        ([0, 1], (RED, BLACK), "index 0 is #ff0000, 1 is #000000"),
        ([0, 0], (WHITE, RED, GREEN), "index 0 is #ffffff, among other colours"),
        ([1, 1], (RED, BLACK), "index 1 is #000000"),
        ([1, 1], (BLACK, BLACK), "index 1 is #000000"),  # where index 1 differs, it is foreground
        ([0, 0], (WHITE, WHITE), "index 0 is #ffffff"),
        ([0, 2], (BLACK, RED, GREEN), "not a mask's values; found: the palette indices 0, 2"),
        ([0, 1, 2], (BLACK, RED, GREEN), "not a mask's values; found: 0, 1, 2"),
        ([0, 0], ((128, 128, 128), BLACK), "not a mask's values; found: 128"),
        ([1, 2], (RED, BLACK, (9, 9, 9)), "not a mask's values; found: 0, 9"),
    ],
)
def test_what_is_ambiguous_is_refused(
    indices: list[int], colours: tuple[Colour, ...], words: str
) -> None:
    with pytest.raises(DataError) as refusal:
        decode_mask(palette_png(indices, *colours), name="m.png")
    assert words in str(refusal.value).replace("\n  ", "; ")


def test_an_index_without_a_colour_is_refused() -> None:
    indices, palette = np.array([[0, 3]], np.uint8), np.array([BLACK, WHITE], np.uint8)
    with pytest.raises(DataError, match=r"m\.bmp: the mask's palette has too few colours"):
        labels_from_palette(indices, palette, "m.bmp")
