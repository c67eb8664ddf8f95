"""Read an image file of any kind: what it holds, and its samples mapped to bytes.

JPEG, PNG, TIFF and their like by Pillow (`darkroom.images.codec`), arrays of numpy, and DICOM.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.images import codec
from darkroom.images.codec import Header, Pixels
from darkroom.images.geometry import RGB
from darkroom.images.levels import Levels, auto_levels, check_finite, to_bytes
from darkroom.raw.images import dicom, npy, tiff
from darkroom.raw.large import LargeFile

Sufficient = Callable[[int, int], tuple[int, int]]
"""Height and width of an original -> those at which decoding it loses nothing."""


@dataclass(frozen=True)
class Samples:
    """The samples of an image file.

    Attributes:
        values: (h, w, C), of any real dtype; uint8 are bytes already, RGB where C is 3. Of a JPEG
            perhaps at a reduced size.
        header: Of the original.
        window: What levels are where none are set: the file's own, "auto", or the high byte of 16
            bits.
        inverted: Whether the least value is white.
    """

    values: NDArray[Any]
    header: Header
    window: Levels | Literal["high byte"] = None
    inverted: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether the values are no bytes yet."""
        return self.values.dtype not in (np.uint8, np.bool_)


def is_picture(data: bytes, name: str) -> bool:
    """Return whether a file is left to Pillow: neither an array nor DICOM."""
    return not npy.is_array(data) and not dicom.is_dicom(data, name)


def count_channels(data: bytes | LargeFile, *, name: str) -> int:
    """Return the channels of an image file, by its header: 3 of a picture in grey or colour.

    An array of numpy has 3 for one plane, or as many as it has planes.

    Raises:
        DataError: It is damaged, or no image.
    """
    if isinstance(data, LargeFile) or not npy.is_array(data):
        return RGB
    with codec.decoder_errors_reported(name):
        planes = npy.read_array_header(data, name=name).channels
    return RGB if planes == 1 else planes


def read_samples(
    data: bytes | LargeFile,
    *,
    name: str,
    levels: Levels = None,
    sufficient: Sufficient | None = None,
) -> Samples:
    """Return the samples of an image file.

    Args:
        data: The file's bytes, or a TIFF that is read in parts.
        name: Of the file, for messages.
        levels: Of `map_samples`; without, colours of 16 bits keep their high byte at once.
        sufficient: For JPEGs that need not be decoded in full.

    Raises:
        DataError: It is damaged, too large, or of a kind that is not read.
        ResourceError: It is DICOM, and pydicom is not installed.
    """
    with codec.decoder_errors_reported(name):
        if isinstance(data, LargeFile):
            return _large_tiff(data, name, sufficient)
        if npy.is_array(data):
            return _array(data, name)
        if dicom.is_dicom(data, name):
            return _frame(data, name, levels)
        layout = tiff.large_layout(data, name=name, more_than=codec.MAX_PIXELS)
        if layout is not None:
            return _reduced(data, layout, name, sufficient)
    header = codec.read_header(data, name=name)
    deep = codec.decode_deep(data, name=name, colours=levels is not None)
    if deep is not None:
        return Samples(deep, header, "high byte" if deep.dtype == np.uint16 else None)
    at_least = sufficient(header.height, header.width) if sufficient else None
    return Samples(codec.decode_image(data, name=name, at_least=at_least), header)


def map_samples(samples: Sequence[Samples], levels: Levels, *, name: str) -> list[Pixels]:
    """Return the samples of an image's files as uint8 (h, w, C), in order.

    With "auto", all files of the image have the levels of their samples together.

    Raises:
        DataError: Samples are not finite, or need levels and there are none.
    """
    for each in samples:
        check_finite(each.values, name)
    if levels == "auto":
        deep = [each.values.ravel() for each in samples if each.is_deep]
        levels = auto_levels(np.concatenate(deep)) if deep else None
    mapped = []
    for each in samples:
        own = each.window if levels is None else levels
        if own == "high byte":
            pixels = (each.values >> 8).astype(np.uint8)
        else:
            pixels = to_bytes(each.values, own, name=name)
        mapped.append(np.uint8(255) - pixels if each.inverted else pixels)
    return mapped


def with_channels(pixels: Pixels, channels: int, *, name: str) -> Pixels:
    """Return uint8 (h, w, channels): grey is repeated, and colours that are all grey are one.

    Raises:
        DataError: They are of another number of channels.
    """
    count = pixels.shape[2]
    if count == channels:
        return pixels
    if (count, channels) == (1, RGB):
        return np.repeat(pixels, RGB, axis=2)
    if (count, channels) == (RGB, 1) and is_grey(pixels):
        return pixels[:, :, :1]
    raise DataError(
        "an image of other channels than most images have",
        file=name,
        found="colours" if (count, channels) == (RGB, 1) else f"{count} channels",
        expected="grey" if (count, channels) == (RGB, 1) else f"{channels}",
        fix="store all images in one way, or leave this one out (data.train.where)",
    )


def is_grey(pixels: Pixels) -> bool:
    """Return whether all channels are equal."""
    return not (pixels != pixels[:, :, :1]).any()


def _large_tiff(file: LargeFile, name: str, sufficient: Sufficient | None) -> Samples:
    layout = tiff.large_layout(file, name=name, more_than=0)
    if layout is None:
        raise DataError(
            "too large to be read, and no TIFF that is read in parts",
            file=name,
            found=f"{len(file):,} bytes, and no picture at the place that the header names",
            expected="a TIFF of 8 bits, grey or RGB",
        )
    return _reduced(file, layout, name, sufficient)


def _reduced(
    data: bytes | LargeFile, layout: tiff.Layout, name: str, sufficient: Sufficient | None
) -> Samples:
    size = (layout.height, layout.width)
    wanted = sufficient(*size) if sufficient else size
    return Samples(*tiff.read_reduced(data, layout, name=name, at_least=wanted))


def _array(data: bytes, name: str) -> Samples:
    values = npy.read_array(data, name=name)
    height, width, channels = values.shape
    mode = f"{values.dtype}{f' x {channels}' if channels > 1 else ''}"
    return Samples(values, Header("NPY", mode, height, width, 1, 1))


def _frame(data: bytes, name: str, levels: Levels) -> Samples:
    frame = dicom.read_frame(data, name=name, most_pixels=codec.MAX_PIXELS, windowed=levels is None)
    height, width, _ = frame.values.shape
    header = Header("DICOM", frame.mode, height, width, 1, 1)
    return Samples(frame.values, header, frame.window or "auto", frame.inverted)
