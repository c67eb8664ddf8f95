"""Files of any kind through one door: those of Pillow as `darkroom.images.codec` reads them."""

from typing import Any

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.images import codec
from darkroom.raw.images.pictures import map_samples, read_samples, with_channels
from tests.support.hostile_images import hostile_images

SLOW = {"png_text_bomb.png", "png_more_rows_than_claimed.png", "jpeg_10000_scans.jpg"}
FILES = {name: data for name, data in hostile_images() if name not in SLOW}


def read(data: bytes, name: str, levels: Any = None) -> np.ndarray:
    (pixels,) = map_samples([read_samples(data, name=name, levels=levels)], levels, name=name)
    return with_channels(pixels, 3, name=name)


@pytest.mark.parametrize("name", FILES)
def test_hostile_pictures_are_refused_or_read_as_the_codec_does(name: str) -> None:
    data = FILES[name]
    try:
        expected = codec.decode_image(data, name=name)
    except DataError:
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            read(data, name)
        if name != "tiff_float.tif":
            with pytest.raises(DataError):
                read(data, name, "auto")
    else:
        assert np.array_equal(read(data, name), expected)
        assert read(data, name, "auto").shape == expected.shape


@pytest.mark.parametrize("count", [2, 4])
def test_other_channels_than_planned_are_refused(count: int) -> None:
    with pytest.raises(DataError, match=rf"(?s)a\.npy.*found: {count} channels.*expected: 3"):
        with_channels(np.zeros((2, 2, count), np.uint8), 3, name="a.npy")
