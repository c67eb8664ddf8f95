"""Images of other than three channels as one grey JPEG."""

import numpy as np
import pytest

from darkroom.errors import ArtifactError, DataError
from darkroom.store.jpeg_planes import decode_planes, encode_planes


def waves(height: int, width: int, channels: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(rows / 9 + k) * np.cos(columns / (7 + k)) for k in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


@pytest.mark.parametrize("shape", [(13, 17, 1), (8, 8, 2), (21, 30, 6), (1, 1, 4)])
def test_every_channel_comes_back_nearly(shape: tuple[int, int, int]) -> None:
    pixels, out = waves(*shape), np.zeros(shape, np.uint8)
    decode_planes(encode_planes(pixels, 95), name="shard", out=out)
    assert np.abs(out.astype(int) - pixels).max() <= 8


def test_a_channel_does_not_touch_the_next() -> None:
    """Of 13 rows: without the fill, the block of rows 8 to 15 would hold rows of both."""
    pixels = np.zeros((13, 16, 2), np.uint8)
    pixels[:, :, 1] = 255
    out = np.empty_like(pixels)
    decode_planes(encode_planes(pixels, 50), name="shard", out=out)
    assert np.array_equal(out, pixels)


def test_a_jpeg_of_another_size_or_damaged_is_refused() -> None:
    data = encode_planes(waves(16, 16, 2), 90)
    with pytest.raises(ArtifactError, match="another size"):
        decode_planes(data, name="shard", out=np.empty((16, 16, 3), np.uint8))
    with pytest.raises(ArtifactError, match="damaged"):
        decode_planes(data[:100], name="shard", out=np.empty((16, 16, 2), np.uint8))


def test_channels_higher_than_a_jpeg_are_refused() -> None:
    with pytest.raises(DataError, match="store: raw"):
        encode_planes(np.zeros((8192, 8, 8), np.uint8), 90)
