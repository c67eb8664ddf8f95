"""Read arrays of numpy's files as images: .npy, and .npz of a single array. Nothing is unpickled.

The header is checked before anything is allocated: its claim must be the file's own size. See
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

import io
import math
import zipfile
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.images.codec import decoder_errors_reported

MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK\x03\x04"
MAX_BYTES = 2**29
"""512 MiB of an array: an archive's largest file."""

_KINDS = "buif"  # booleans, unsigned, signed, floats
_HEADER_BYTES = 2**16
_NAMES = {1: npy_format.read_array_header_1_0, 2: npy_format.read_array_header_2_0}


class ArrayHeader(NamedTuple):
    """What an array's header says.

    Attributes:
        height: Of the picture, px.
        width: Of the picture, px.
        channels: Of the picture; 1 for an array of two axes.
        axis: Of the channels in the array: 0, 2, or None.
        dtype: Of the samples.
    """

    height: int
    width: int
    channels: int
    axis: int | None
    dtype: np.dtype[Any]


def is_array(data: bytes) -> bool:
    """Return whether a file begins as one of numpy's does."""
    return data[: len(MAGIC)] == MAGIC or data[: len(ZIP_MAGIC)] == ZIP_MAGIC


def read_array_header(data: bytes, *, name: str) -> ArrayHeader:
    """Return what the header of a .npy or .npz file says; no value is read.

    Raises:
        DataError: It is damaged, or no picture; see `channel_axis`.
    """
    shape, _, dtype, _ = _header(_unzipped(data, name, most=_HEADER_BYTES), name)
    axis = channel_axis(shape, name)
    height, width = (side for place, side in enumerate(shape) if place != axis)
    return ArrayHeader(height, width, 1 if axis is None else shape[axis], axis, dtype)


def read_array(data: bytes, *, name: str) -> NDArray[Any]:
    """Return the array of a .npy or .npz file as (H, W, C), in its own dtype.

    Raises:
        DataError: It is damaged, of another size than its header claims, or no picture.
    """
    data = _unzipped(data, name)
    shape, is_fortran, dtype, start = _header(data, name)
    axis = channel_axis(shape, name)
    expected = math.prod(shape) * dtype.itemsize
    if len(data) - start != expected:
        raise DataError(
            "the array is not of the size that its header claims",
            file=name,
            found=f"{len(data) - start:,} bytes",
            expected=f"{expected:,} bytes: {_words(shape)} of {dtype}",
            fix="download it again",
        )
    flat = np.frombuffer(data, dtype, offset=start)
    array = flat.reshape(shape, order="F" if is_fortran else "C")
    array = array[:, :, None] if axis is None else np.moveaxis(array, axis, 2)
    return np.ascontiguousarray(array.astype(dtype.newbyteorder("="), copy=False))


def read_values(data: bytes, *, name: str) -> NDArray[np.uint16]:
    """Return an array of one value a pixel, as a mask is, uint16 (H, W).

    Raises:
        DataError: As `read_array`; or it has several planes, or other values than 0 to 65,535.
    """
    with decoder_errors_reported(name):
        array = read_array(data, name=name)
        values = array[:, :, 0].astype(np.uint16)
    if array.shape[2] != 1:
        raise DataError(
            "a mask of several planes",
            file=name,
            found=f"{array.shape[2]} planes",
            expected="one value a pixel: shape (H, W), (H, W, 1) or (1, H, W)",
        )
    if not np.array_equal(values, array[:, :, 0]):
        raise DataError(
            "a mask of values that are no classes",
            file=name,
            found=f"{array.dtype} from {array.min():g} to {array.max():g}",
            expected="whole numbers from 0 to 65535",
        )
    return values


def channel_axis(shape: tuple[int, ...], name: str) -> int | None:
    """Return the axis of the channels: the first or the last of three, where one is small.

    Small means at most half as long as each of the two others. None: two axes, no channels.

    Raises:
        DataError: Another number of axes, none that is small, or an axis of length 0.

    Example:
        >>> [channel_axis(shape, "a.npy") for shape in ((6, 273, 256), (64, 48, 3), (28, 28))]
        [0, 2, None]
    """
    if min(shape, default=0) > 0 and math.prod(shape) <= MAX_BYTES:
        if len(shape) == 2:
            return None
        if len(shape) == 3:
            first, middle, last = shape
            if 2 * first <= min(middle, last):
                return 0
            if 2 * last <= min(first, middle):
                return 2
    raise DataError(
        "this array is no picture",
        file=name,
        found=f"shape {_words(shape)}",
        expected="(H, W), (H, W, C) or (C, H, W), with C at most half of H and W, and at most "
        f"{MAX_BYTES:,} values",
        fix="store each picture as an array of such a shape",
    )


def _header(data: bytes, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, Fortran order, dtype, and where the values begin."""
    file = io.BytesIO(data[:_HEADER_BYTES])
    try:
        version = npy_format.read_magic(file)
        if version[0] not in _NAMES:
            raise DataError(
                "an array of a version that is not read", file=name, found=f"version {version[0]}"
            )
        shape, is_fortran, dtype = _NAMES[version[0]](file)
    except ValueError as error:
        raise DataError(
            "the header of the array is damaged",
            file=name,
            found=str(error)[:200],
            expected="its shape, its dtype, and the order of its values",
            fix="download it again",
        ) from None
    if dtype.kind not in _KINDS:  # objects are pickled; others are no brightness
        raise DataError(
            "this array holds no numbers",
            file=name,
            found=str(dtype),
            expected="booleans, integers or floats",
        )
    return shape, is_fortran, dtype, file.tell()


def _unzipped(data: bytes, name: str, *, most: int | None = None) -> bytes:
    """Return the only array of a .npz file, or its first `most` bytes; a .npy file as it is."""
    if data[: len(ZIP_MAGIC)] != ZIP_MAGIC:
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            names = ", ".join(member.filename for member in members[:5])
            raise DataError(
                "a file of several arrays",
                file=name,
                found=f"{len(members)}: {names}",
                expected="a single array",
                fix="store each picture as a .npy file",
            )
        if members[0].file_size > MAX_BYTES:
            raise DataError(
                "the header claims too large an array",
                file=name,
                found=f"{members[0].file_size:,} bytes",
                expected=f"at most {MAX_BYTES:,} bytes",
            )
        with archive.open(members[0]) as member:
            return member.read(members[0].file_size if most is None else most)


def _words(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
