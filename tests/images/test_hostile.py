"""Files that lie or are damaged: each is decoded right or refused in words, at little cost."""

import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import DataError
from darkroom.images import codec
from tests.support.hostile_images import LIMIT_SIDE, PICTURE, SOUND, hostile_images, png, saved

FILES = dict(hostile_images())
GREY = {"png_grey_alpha.png": 0, "gif_transparent.gif": 0}
LOSSY = 8  # grey levels that a JPEG may differ by
LONGEST_S = 5


def outcome(decode: Callable[..., Any], name: str) -> Any:
    """Return what decoding gives, or the words of its refusal; nothing else may be raised."""
    start = time.perf_counter()
    try:
        return decode(FILES[name], name=name)
    except DataError as error:
        return str(error)
    finally:
        assert time.perf_counter() - start < LONGEST_S


def test_there_are_enough_files() -> None:
    assert len(FILES) == 92
    assert set(SOUND) < set(FILES)


@pytest.mark.parametrize("name", sorted(FILES))
def test_each_file_is_decoded_right_or_refused(name: str) -> None:
    pixels = outcome(codec.decode_image, name)
    if name not in SOUND:
        assert isinstance(pixels, str), "it is decoded"
        assert pixels.startswith(f"{name}: ")
        assert len(pixels) < 1000
    else:
        assert not isinstance(pixels, str), pixels
        expected = PICTURE.astype(int)
        if name in GREY:
            expected = expected[:, :, GREY[name], None].repeat(3, axis=2)
        assert pixels.shape == PICTURE.shape
        assert np.abs(pixels - expected).max() <= (LOSSY if name.startswith("jpeg") else 0)
    for decode in (codec.decode_mask, codec.read_header):
        other = outcome(decode, name)
        assert not isinstance(other, str) or other.startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("png_60000x60000.png", "the header claims too large a picture"),
        ("png_pixels_crc.png", "another checksum of chunk 'IDAT' at byte 41"),
        ("png_fewer_rows_than_claimed.png", "the PNG has fewer rows than its header claims"),
        ("png_interlaced_with_a_pass_less.png", "the PNG has fewer rows than its header claims"),
        ("png_three_frames.png", "the file holds several pictures\n  found: 3 frames"),
        ("gif_300_frames.gif", "the file holds several pictures\n  found: 300 frames"),
        ("tiff_fewer_strips_than_claimed.tif", "the TIFF has fewer strips than its header claims"),
        ("tiff_rotated.tif", "a TIFF with an orientation tag"),
        ("tiff_float.tif", "the samples have no plain 8-bit meaning"),
        ("jpeg_half.jpg", "cannot decode the image"),
        ("page.jpg", "not an image, or its header is broken"),
        ("empty.png", "the file is empty"),
    ],
)
def test_the_words_of_a_refusal(name: str, words: str) -> None:
    assert words in outcome(codec.decode_image, name)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_black_last_row_is_no_missing_row(mode: str) -> None:
    picture = Image.new(mode, (9, 7))
    assert codec.decode_image(saved(picture, "PNG")).shape == (7, 9, 3)


@pytest.mark.slow
@pytest.mark.parametrize("colour", [0, 2])
def test_the_largest_picture_takes_little_more_than_itself(colour: int) -> None:
    """Its pixels are 403 MB, and Pillow's copy of them four bytes each."""
    code = (
        "import sys\n"
        "from darkroom.images import codec\n"
        "pixels = codec.decode_image(sys.stdin.buffer.read())\n"
        f"assert pixels.shape == ({LIMIT_SIDE}, {LIMIT_SIDE}, 3) and not pixels.any()\n"
        # ru_maxrss would count the memory of the process that started this one.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    row = 1 + LIMIT_SIDE * (3 if colour == 2 else 1)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(row)) for _ in range(LIMIT_SIDE)) + packer.flush()
    file = png(LIMIT_SIDE, LIMIT_SIDE, colour=colour, data=data)
    ended = subprocess.run(
        [sys.executable, "-c", code], input=file, capture_output=True, check=True
    )
    assert int(ended.stdout) * 1024 < 1.2e9
