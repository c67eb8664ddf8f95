"""Reduced JPEG decoding does not move a picture: edges at known places, in stored pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from benchmarks.alignment import Triple, draw_edge, find_edge, measure_shift, random_triples
from darkroom.images import codec
from darkroom.images.geometry import FITS, Fit, fit_image, fit_mask, restore, sufficient_size


def stored(data: bytes, triple: Triple) -> codec.Pixels:
    """Return what preprocess stores of a JPEG."""
    size, to = (triple.height, triple.width), (triple.to_height, triple.to_width)
    reduced = codec.decode_image(data, at_least=sufficient_size(*size, *to, triple.fit))
    assert reduced.shape[:2] != size, "it is not decoded in full"
    return fit_image(reduced, *to, triple.fit, original=size)


@pytest.mark.parametrize(
    ("size", "to"),
    [
        ((1025, 1025), (128, 128)),  # found at 120.80 of 121.6 with the rounded size
        ((1537, 2049), (192, 256)),  # 242.43 of 243.2
        ((481, 641), (60, 80)),  # 75.19 of 76
        ((1280, 1918), (128, 192)),  # Carvana's pictures: 182.20 of 182.4
        ((769, 1025), (385, 513)),  # half of it, rounded up: OpenCV would copy
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_an_edge_at_95_percent_is_stored_there(
    size: tuple[int, int], to: tuple[int, int], axis: int
) -> None:
    triple = Triple(*size, *to, "stretch", axis, 0.95)
    data = codec.encode_jpeg(draw_edge(triple), 98)
    assert find_edge(stored(data, triple), triple) == pytest.approx(0.95 * to[axis], abs=0.02)


def test_no_size_or_fit_moves_an_edge() -> None:
    shifts = [measure_shift(triple) for triple in random_triples(45, seed=1)]
    assert {shift.divisor for shift in shifts} == {1, 2, 4, 8}
    assert max(abs(shift.reduced) for shift in shifts) < 0.02
    assert max(abs(shift.restored) for shift in shifts) < 0.02


@pytest.mark.slow  # many sizes, and with them what is rare; `make bench` measures 2,000
def test_none_of_many_sizes_moves_an_edge() -> None:
    shifts = [measure_shift(triple) for triple in random_triples(300, seed=2)]
    assert max(abs(shift.reduced) for shift in shifts) < 0.02
    assert max(abs(shift.restored) for shift in shifts) < 0.02


@pytest.mark.parametrize("left", range(9))
@pytest.mark.parametrize("to", [300, 150, 75, 36])
def test_crop_begins_where_a_reduced_pixel_does(left: int, to: int) -> None:
    triple = Triple(320, 320 + 2 * left, to, to, "crop", 1, 0.7)
    source, scale = triple.placement.source, 320 / to
    assert source.left % {300: 1, 150: 2, 75: 4, 36: 8}[to] == 0
    assert abs(source.left - left) <= scale / 2
    assert 0 <= source.left <= 2 * left
    data = codec.encode_jpeg(draw_edge(triple), 98)
    reduced = codec.decode_image(data, at_least=(to, to))
    fitted = fit_image(reduced, to, to, "crop", original=(320, 320 + 2 * left))
    assert find_edge(fitted, triple) == pytest.approx(0.7 * to, abs=0.02)


@pytest.mark.parametrize("fit", FITS)
def test_image_and_mask_agree_along_a_slanted_edge(fit: Fit) -> None:
    height, width = 1001, 1023
    rows, columns = np.mgrid[:height, :width]
    mask = (columns + 0.5 < 600 + 0.2718 * rows).astype(np.uint8)
    pixels = np.where(mask, 200, 60).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    to = (233, 241)  # no simple fractions: what rounds a mask averages out along the edge
    triple = Triple(height, width, *to, fit, 1, 0.5)
    fitted = stored(codec.encode_jpeg(pixels, 98), triple)
    box = triple.placement.stored
    mask_columns = fit_mask(mask, *to, fit)[box.slices].mean(axis=0).sum()
    assert find_edge(fitted, triple) == pytest.approx(float(mask_columns), abs=0.02)


def test_a_perfect_segmenter_finds_discs_again() -> None:
    rows, columns = np.mgrid[:1025, :1025]
    disc = np.zeros((1025, 1025), np.uint8)
    for row in range(60, 1000, 110):
        disc |= (np.hypot(rows + 0.5 - row, columns + 0.5 - 960) <= 30).astype(np.uint8)
    pixels = (disc * 140 + 60)[:, :, None].repeat(3, axis=2)
    triple = Triple(1025, 1025, 128, 128, "stretch", 0, 0.5)
    levels = stored(codec.encode_jpeg(pixels, 98), triple)[:, :, 1].astype(np.float32)
    back = restore((levels - np.float32(60)) / np.float32(140), 1025, 1025, "stretch") > 0.5
    dice = 2 * np.sum(back & (disc > 0)) / (back.sum() + disc.sum())
    assert dice > 0.98  # 0.836 with the rounded size


def test_an_exif_rotation_moves_nothing() -> None:
    triple = Triple(769, 1025, 96, 128, "crop", 1, 0.95)
    exif, upright, turned = Image.Exif(), io.BytesIO(), io.BytesIO()
    picture = Image.fromarray(draw_edge(triple))
    picture.save(upright, "JPEG", quality=98)
    exif[274] = 6
    picture.save(turned, "JPEG", quality=98, exif=exif)
    assert np.array_equal(stored(upright.getvalue(), triple), stored(turned.getvalue(), triple))
    assert find_edge(stored(turned.getvalue(), triple), triple) == pytest.approx(
        0.95 * 128, abs=0.02
    )


def test_a_smaller_copy_than_suffices_is_refused() -> None:
    copy = np.zeros((160, 241, 3), np.uint8)  # 1/2, of which a whole pixel is one stored one
    with pytest.raises(ValueError, match="less than suffices"):
        fit_image(copy, 320, 320, "crop", original=(320, 482))


def test_a_copy_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="rounded up"):
        fit_image(np.zeros((50, 60, 3), np.uint8), 10, 10, "stretch", original=(101, 119))


@pytest.mark.parametrize("height", range(1, 40))
def test_small_pictures_keep_their_edges(height: int) -> None:
    """A reduced copy must show what is stored, however few pixels that are."""
    for to in range(1, height + 1):
        triple = Triple(height, 64, to, 64, "stretch", 0, 0.5)
        data = codec.encode_jpeg(draw_edge(triple), 98)
        reduced = codec.decode_image(data, at_least=(to, 8))
        fitted = fit_image(reduced, to, 64, "stretch", original=(height, 64))
        assert find_edge(fitted, triple) == pytest.approx(to / 2, abs=0.1), to
