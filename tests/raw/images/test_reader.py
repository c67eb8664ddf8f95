"""Images of the index: one file, a list of files, and what preprocess plans for all of them."""

import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import DataError
from darkroom.images import codec
from darkroom.raw.archives import Archives, digest_of, joined_digest
from darkroom.raw.images.reader import ImageReader, plan_channels
from tests.support.hostile_images import png as raw_png
from tests.support.packed import zip_of

GREY = np.arange(40 * 30, dtype=np.uint32).reshape(40, 30)
RED = np.zeros((40, 30, 3), np.uint8)
RED[:, :, 0] = GREY % 251


def png(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FILES = {
    "grey.png": png((GREY % 256).astype(np.uint8)),
    "same.png": png(np.repeat((GREY % 256).astype(np.uint8)[:, :, None], 3, axis=2)),
    "red.png": png(RED),
    "small.png": png(np.zeros((8, 8), np.uint8)),
    "deep.png": png((GREY * 50).astype(np.uint16)),
    "dark.png": png((GREY // 2 + 200).astype(np.uint16)),
    "black.png": png(np.zeros((40, 30), np.uint16)),
    "float.tif": png((GREY / 7).astype(np.float32), "TIFF"),
    "six.npy": npy(np.stack([GREY + k for k in range(6)]).astype(np.float32)),
    "two.npy": npy(np.stack([GREY, GREY]).astype(np.float32)),
    "plane.npy": npy(GREY.astype(np.float16)),
    "photo.jpg": codec.encode_jpeg(np.repeat(RED, 8, axis=0).repeat(8, axis=1), 95),
    "broken.png": b"no image",
}


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    zip_of(tmp_path / "a.zip", FILES)
    return Archives(tmp_path, tmp_path / "unpacked")


def path(*names: str) -> str:
    members = [f"a.zip/{name}" for name in names]
    return members[0] if len(members) == 1 else json.dumps(members)


def test_a_single_file_is_what_the_codec_makes_of_it(archives: Archives) -> None:
    for name in ("grey.png", "same.png", "red.png", "deep.png", "photo.jpg"):
        raw = ImageReader(archives).read(path(name))
        assert np.array_equal(raw.pixels, codec.decode_image(FILES[name]))
        assert raw.header == codec.read_header(FILES[name])
        assert raw.bytes == len(FILES[name])
    reduced = ImageReader(archives).read(path("photo.jpg"), sufficient=lambda *_: (40, 30))
    assert reduced.pixels.shape == (40, 30, 3)


def test_files_are_stacked_in_order(archives: Archives) -> None:
    image = path("grey.png", "red.png", "same.png")
    reader = ImageReader(archives, plan_channels(archives, [image], None))
    assert reader.channels == (1, 3, 1)
    raw = reader.read(image)
    assert raw.pixels.shape == (40, 30, 5)
    assert np.array_equal(raw.pixels[:, :, 0], GREY % 256)
    assert np.array_equal(raw.pixels[:, :, 1:4], RED)
    assert np.array_equal(raw.pixels[:, :, 4], GREY % 256)
    assert (raw.header.format, raw.header.mode) == ("PNG", "L, RGB")
    assert (raw.low, raw.high) == (0, 255)


def test_a_list_of_one_grey_file_has_one_channel(archives: Archives) -> None:
    image = json.dumps(["a.zip/grey.png"])
    assert plan_channels(archives, [image], None) == (1,)
    assert plan_channels(archives, [path("grey.png")], None) == (3,)
    assert ImageReader(archives, (1,)).read(image).pixels.shape == (40, 30, 1)


def test_one_coloured_image_makes_its_place_three_channels(archives: Archives) -> None:
    images = [path("same.png", "grey.png"), path("red.png", "grey.png")]
    assert plan_channels(archives, images, None) == (3, 1)
    assert ImageReader(archives, (3, 1)).read(images[0]).pixels.shape == (40, 30, 4)
    with pytest.raises(DataError, match=r"(?s)a\.zip/red\.png.*found: colours.*expected: grey"):
        ImageReader(archives, (1, 1)).read(images[1])


def test_the_commonest_number_of_planes_is_planned(tmp_path: Path) -> None:
    """In whatever order they stand, the odd one is refused, and not the others."""
    planes = np.zeros((6, 40, 30), np.uint8)
    files = {f"{n}.npy": npy(planes[:6] if n == 3 else planes[:3]) for n in range(8)}
    zip_of(tmp_path / "a.zip", files)
    archives = Archives(tmp_path, tmp_path / "unpacked")
    for names in (list(files), list(files)[::-1], ["3.npy", "0.npy", "1.npy"]):
        assert plan_channels(archives, [path(name) for name in names], None) == (3,)


REFUSED: dict[str, tuple[tuple[str, ...], tuple[int, ...], Any, str]] = {
    "sizes": (("grey.png", "small.png"), (1, 1), None, r"small\.png.*different sizes.*8 x 8 px"),
    "files": (("grey.png", "red.png"), (1,), None, "another number of files"),
    "planes": (("two.npy",), (6,), "auto", "2 channels.*expected: 6"),
    "floats": (("six.npy",), (6,), None, r"float32.*preprocess\.levels"),
    "a float TIFF": (("float.tif",), (3,), None, r"preprocess\.levels"),
    "no list": (('["', ""), (1,), None, "no such file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_by_name(archives: Archives, name: str) -> None:
    names, channels, levels, words = REFUSED[name]
    with pytest.raises(DataError, match=f"(?s){words}"):
        ImageReader(archives, channels, levels).read(path(*names))


def test_levels_map_grey_of_16_bits_floats_and_planes(archives: Archives) -> None:
    reader = ImageReader(archives, levels=(200, 455))
    raw = reader.read(path("dark.png"))
    assert np.array_equal(raw.pixels[:, :, 0], (GREY // 2).clip(0, 255))
    assert (raw.low, raw.high) == (200, 799)
    raw = ImageReader(archives, levels=(0, 100)).read(path("float.tif"))
    expected = np.rint((GREY / 7).astype(np.float32).clip(0, 100) * np.float32(2.55))
    assert np.abs(raw.pixels[:, :, 1].astype(int) - expected).max() <= 1
    raw = ImageReader(archives, (6,), (5, 260)).read(path("six.npy"))
    assert np.array_equal(raw.pixels[:, :, 4], (GREY.astype(int) + 4 - 5).clip(0, 255))
    assert np.array_equal(reader.read(path("red.png")).pixels, RED)  # 8 bits stay


def test_levels_reach_16_bits_of_colour(tmp_path: Path) -> None:
    colours = np.stack([GREY, GREY * 2, GREY * 3], axis=2).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)

    zip_of(tmp_path / "a.zip", {"rgb.png": raw_png(30, 40, depth=16, data=zlib.compress(rows))})
    archives = Archives(tmp_path, tmp_path / "unpacked")
    raw = ImageReader(archives, levels=(0, 255)).read("a.zip/rgb.png")
    assert np.array_equal(raw.pixels, colours.clip(0, 255))
    assert raw.high == 3 * 1199


def test_auto_takes_the_range_of_all_files_of_an_image(archives: Archives) -> None:
    image = path("dark.png", "deep.png")
    raw = ImageReader(archives, (1, 1), "auto").read(image)
    assert raw.pixels[:, :, 0].max() <= 4  # 799 of 59,950
    assert raw.pixels[:, :, 1].max() == 255
    alone = ImageReader(archives, levels="auto").read(path("dark.png"))
    assert (alone.pixels.min(), alone.pixels.max()) == (0, 255)


def test_pictures_of_few_bits_in_16_are_refused_before_preprocessing(archives: Archives) -> None:
    with pytest.raises(DataError, match=r"(?s)nearly black.*above 799 in 2 files.*levels: auto"):
        plan_channels(archives, [path("dark.png"), path("black.png")], None)
    assert plan_channels(archives, [path("dark.png"), path("deep.png")], None) == (3,)
    assert plan_channels(archives, [path("dark.png")], "auto") == (3,)


@pytest.mark.parametrize("name", ["plane.npy", "six.npy", "float.tif"])
def test_values_that_need_levels_are_refused_before_preprocessing(
    archives: Archives, name: str
) -> None:
    images = [path("red.png"), path(name)]
    with pytest.raises(DataError, match=rf"(?s){name}.*do not fit into bytes.*levels: auto"):
        plan_channels(archives, images, None)


def test_broken_images_do_not_stop_the_plan(archives: Archives) -> None:
    assert plan_channels(archives, [path("broken.png"), path("six.npy")], "auto") == (6,)
    assert plan_channels(archives, [path("broken.png")], None) == (3,)
    assert plan_channels(archives, [path("plane.npy")], "auto") == (3,)
    assert plan_channels(archives, [path("broken.png", "broken.png")], None) == (3, 3)


def test_digests_of_all_files_are_compared(archives: Archives) -> None:
    names = ("grey.png", "same.png")
    digest = joined_digest([digest_of(FILES[name]) for name in names])
    reader = ImageReader(archives, (1, 1))
    reader.read(path(*names), digest=digest)
    with pytest.raises(DataError, match="not the image that was indexed"):
        reader.read(path(*reversed(names)), digest=digest)
    with pytest.raises(DataError, match="not the file that was indexed"):
        ImageReader(archives).read(path("red.png"), digest=digest)
