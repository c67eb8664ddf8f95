"""Decode image files to pixels, strictly, and encode pixels.

Pixels are returned as stored: an EXIF orientation is reported in the header and never applied,
since masks and boxes are drawn on the stored pixels (a rotated TIFF is refused). An alpha channel
is dropped, not blended, as OpenCV and Pillow do. 16-bit samples keep their high byte, unless
they are decoded as they are (`decode_deep`). Whatever would need a guess (float, 32-bit, LAB,
several pictures in one file) is refused.
"""

import ctypes
import io
import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError, _imaging

from darkroom.errors import ArtifactError, DarkroomError, DataError
from darkroom.images import levels, pages, png
from darkroom.images.geometry import DIVISORS, can_reduce, cv2
from darkroom.images.labels import labels_from_levels, labels_from_palette

Pixels = NDArray[np.uint8]

MAX_PIXELS = 2**27
"""134 million pixels, 403 MB as RGB: a header that claims more is refused, nothing allocated."""

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
# Errors are reported as DataError. libtiff, in Pillow, would print its own words to stderr, too;
# where it can't be reached (Windows, or linked into Pillow without its names) it does.
logging.getLogger("PIL").addHandler(logging.NullHandler())
with suppress(OSError, AttributeError):
    _libtiff = ctypes.CDLL(_imaging.__file__)
    _libtiff.TIFFSetErrorHandler(None)
    _libtiff.TIFFSetWarningHandler(None)
_RGB_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_GREY_16_MODES = {"I;16", "I;16L", "I;16B", "I;16N"}
_DEEP_MODES = {"I", "F"}  # integers and floats of 32 bits
_ALPHA_MODES = {"LA", "PA", "RGBA"}
_JPEG_TO_RGB = {"YCbCr", "RGB", "Gray"}  # libjpeg-turbo makes RGB of these; Pillow of CMYK
_JPEG = b"\xff\xd8\xff"
_ORIENTATION = 274  # EXIF and TIFF tag
_STRIP_PIXELS = 2**24
_OS2_HEADER_BYTES = 12  # of the first BMPs; all later headers begin alike


@dataclass(frozen=True)
class Header:
    """The header of an image file.

    Attributes:
        format: "JPEG", "PNG", "GIF", ...
        mode: Pillow's name for the samples: "RGB", "L", "P", "CMYK", "I;16", ...
        height: In stored pixels, before any EXIF rotation.
        width: In stored pixels.
        frames: Pictures in the file. Previews (of MPO and TIFF files) do not count.
        exif: EXIF orientation, 1 to 8; 1 where none is given.
    """

    format: str
    mode: str
    height: int
    width: int
    frames: int
    exif: int


def read_header(data: bytes, *, name: str = "image") -> Header:
    """Return the header of an image file.

    No pixel is decoded, but those of a PNG whose orientation stands behind them.

    Raises:
        DataError: It is not an image of a known format, or it claims more than MAX_PIXELS.
    """
    if plain := _plain_jpeg_header(data, name):
        return plain
    with decoder_errors_reported(name), _open_picture(data, name) as picture:
        if picture.format == "PNG" and png.has_late_orientation(data):
            picture.load()
        is_planes = bool(pages.plane_pages(picture))
        return Header(
            format="JPEG" if picture.format == "MPO" else str(picture.format),
            mode="RGB" if is_planes else picture.mode,
            height=picture.height,
            width=picture.width,
            frames=1 if is_planes else pages.count_frames(picture),
            exif=_orientation(picture),
        )


def _plain_jpeg_header(data: bytes, name: str) -> Header | None:
    """Return the header of a JPEG without EXIF or XMP; None: Pillow reads it, ten times slower."""
    if data[:3] != _JPEG or any(mark in data for mark in (b"Exif", b"http://ns.adobe.com/xap/")):
        return None  # they may hold an orientation
    with suppress(ValueError):
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours in _JPEG_TO_RGB:
            _check_size(height, width, name)
            return Header("JPEG", "L" if colours == "Gray" else "RGB", height, width, 1, 1)
    return None


def decode_image(
    data: bytes, *, name: str = "image", at_least: tuple[int, int] | None = None
) -> Pixels:
    """Return the picture as uint8 (H, W, 3), RGB.

    A TIFF of three grey pages of one size is one picture, and they its red, green and blue: so
    are some slides of HuBMAP, Hacking the Kidney, 2020.

    Args:
        data: The file's bytes.
        name: The file, for messages.
        at_least: Height and width that suffice. A JPEG is then decoded at 1/2, 1/4 or 1/8 of
            its size (rounded up) where that is still as large: several times faster. The last row
            and column then stand in part for what lies beyond the picture's edge.

    Raises:
        DataError: It is broken, truncated, too large, several pictures, or of a kind that has no
            plain 8-bit RGB meaning.
    """
    with decoder_errors_reported(name):
        if data[:3] == _JPEG:
            pixels = _decode_jpeg(data, name, at_least)
            if pixels is not None:
                return pixels
        with _open_whole_picture(data, name, or_planes=True) as picture:
            planes = pages.plane_pages(picture)
            return pages.stack_pages(picture, planes) if planes else _to_rgb(picture, name)


def decode_deep(data: bytes, *, name: str = "image", colours: bool = True) -> NDArray[Any] | None:
    """Return the samples (H, W, C) of more than 8 bits, as they are; None: they are of 8.

    Grey of 16 or 32 bits or floats, or RGB of 16 bits, whose alpha is dropped.

    Args:
        data: The file's bytes.
        name: The file, for messages.
        colours: Whether RGB of 16 bits is wanted, which is decoded twice.

    Raises:
        DataError: As `decode_image`.
    """
    if data[:3] == _JPEG:  # no JPEG that is decoded has more
        return None
    with decoder_errors_reported(name):
        with _open_picture(data, name) as picture:
            is_grey = picture.mode in _GREY_16_MODES | _DEEP_MODES
            is_deep = colours and ";16" in str([tile[3] for tile in picture.tile])
            if not (is_grey or is_deep):
                return None
        with _open_whole_picture(data, name) as picture:
            picture.load()
            if is_grey:
                return np.asarray(picture)[:, :, None]
        # Pillow keeps the high bytes of RGB. OpenCV does not notice damage, but Pillow has.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3 or pixels.shape[2] < 3:
            return None
        return np.ascontiguousarray(pixels[:, :, 2::-1])


def decode_mask(data: bytes, *, name: str = "mask") -> tuple[Pixels, str]:
    """Return the mask as uint8 (H, W) of 0 and 1, and what stood for 0 and 1 in the file.

    Accepts values {0, 1} and {0, largest}, and palettes of two colours: see
    `darkroom.images.labels`. A coloured file without palette must have equal channels; alpha is
    dropped.

    Raises:
        DataError: It is broken, or has other values; the message names them.
    """
    with decoder_errors_reported(name), _open_whole_picture(data, name) as picture:
        samples = _samples(picture, name)
        if picture.mode in ("P", "PA"):
            palette = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
            return labels_from_palette(samples, palette, name)
        return labels_from_levels(samples, name)


def decode_mask_values(data: bytes, *, name: str = "mask") -> NDArray[np.unsignedinteger]:
    """Return the values of a mask file whose values are classes, uint8 or uint16 (H, W).

    They are grey levels, or indices of a palette, whatever its colours. Alpha is dropped.

    Raises:
        DataError: It is broken, or its pixels have three values.
    """
    with decoder_errors_reported(name), _open_whole_picture(data, name) as picture:
        return _samples(picture, name, expected="one value a pixel: grey, or a palette's index")


def encode_jpeg(pixels: Pixels, quality: int) -> bytes:
    """Return uint8 (H, W, 3) RGB pixels as a JPEG, colour at half resolution (4:2:0).

    4:2:0 decodes a quarter faster than 4:4:4 and costs 1 dB; most photographs are stored so.
    """
    pixels = np.ascontiguousarray(pixels)
    return bytes(simplejpeg.encode_jpeg(pixels, quality, "RGB", colorsubsampling="420"))


def decode_jpeg_fast(
    data: bytes | memoryview | Pixels, *, name: str = "shard", out: Pixels | None = None
) -> Pixels:
    """Return a JPEG from a shard as uint8 (H, W, 3), RGB.

    Args:
        data: Bytes, or a view of a memory map, which is not copied.
        name: The file, for messages.
        out: uint8 (H, W, 3), contiguous, to decode into.

    Raises:
        ArtifactError: The JPEG is damaged, or not of the size of `out`.
    """
    try:
        # Colour is repeated, not interpolated: 6 % faster, 0.2 dB worse (`make bench`).
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", fastupsample=True, buffer=out)
    except ValueError as fault:
        raise ArtifactError(f"a stored JPEG is damaged: {fault}", file=name) from None
    if out is not None and pixels.shape != out.shape:
        raise ArtifactError(
            "a stored JPEG has another size", file=name, found=pixels.shape, expected=out.shape
        )
    return pixels


@contextmanager
def decoder_errors_reported(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises into a DataError that names the file; silence warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (DarkroomError, MemoryError):  # out of memory is no fault of the file
            raise
        # OSError, ValueError, SyntaxError, struct.error, KeyError: all mean the same.
        except Exception as fault:
            reason = str(fault) or type(fault).__name__
            reason = re.sub(r" ?<_io\.BytesIO[^>]*>", "", reason)
            reason = re.sub(r"^b'(.*)'$", r"\1", reason)
            raise DataError(f"cannot decode the image: {reason}", file=name) from None


@contextmanager
def _open_picture(data: bytes, name: str) -> Iterator[ImageFile.ImageFile]:
    if not data:
        raise DataError("the file is empty", file=name, found="0 bytes", expected="an image")
    try:
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise DataError(
            "not an image, or its header is broken",
            file=name,
            found=f"{len(data)} bytes that begin {bytes(data[:12])!r}",
            expected=", ".join(FORMATS),
        ) from None
    except Image.DecompressionBombError as fault:
        claimed = re.search(r"\d+", str(fault))
        raise _too_large(name, f"{claimed[0] if claimed else 'too many'} pixels") from None
    with picture:
        _check_size(picture.height, picture.width, name)
        yield picture


@contextmanager
def _open_whole_picture(
    data: bytes, name: str, *, or_planes: bool = False
) -> Iterator[ImageFile.ImageFile]:
    """Open a file to decode it: a single picture, and undamaged as far as the format can tell."""
    with _open_picture(data, name) as picture:
        planes = pages.plane_pages(picture) if or_planes else []
        if not planes:
            _check_single_picture(picture, name)
        for page in planes:
            picture.seek(page)
            _check_tiff(picture, name)
        if picture.format == "PNG":
            png.check_crcs(data, name)
        if picture.format == "BMP":
            _check_bmp(data, picture.mode, name)
        yield picture
        if picture.format == "PNG":
            png.check_rows(data, picture, name)


def _check_bmp(data: bytes, mode: str, name: str) -> None:
    """Refuse a BMP that Pillow decodes to other pixels.

    It takes a palette of black and white for one bit a pixel, and one of greys for eight bits,
    whatever the header says: BmpImagePlugin._bitmap, Pillow 13.
    """
    (bits,) = struct.unpack_from("<H", data, 24 if data[14] == _OS2_HEADER_BYTES else 28)
    expected = {"1": 1, "L": 8}.get(mode, bits)
    if bits != expected:
        raise DataError(
            "a BMP of other bits a pixel than its palette of greys has",
            file=name,
            found=f"{bits} bits a pixel",
            expected=f"{expected}, or a palette of {2**bits} colours",
            fix="store the picture as PNG",
        )


def _too_large(name: str, found: str) -> DataError:
    return DataError(
        "the header claims too large a picture",
        file=name,
        found=found,
        expected=f"at most {MAX_PIXELS} pixels",
    )


def _check_size(height: int, width: int, name: str) -> None:
    if height * width > MAX_PIXELS:
        raise _too_large(name, f"{width} x {height} pixels")
    if height < 1 or width < 1:
        raise DataError("the picture has no pixels", file=name, found=f"{width} x {height}")


def _orientation(picture: Image.Image) -> int:
    try:
        # Not picture.getexif(): of a PNG without EXIF that decodes all pixels first.
        value = Image.Image.getexif(picture).get(_ORIENTATION, 1)
    except Exception:  # broken EXIF does not matter to the pixels
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _check_single_picture(picture: ImageFile.ImageFile, name: str) -> None:
    frames = pages.count_frames(picture)
    if frames != 1:
        raise DataError("the file holds several pictures", file=name, found=f"{frames} frames")
    if picture.format == "TIFF":
        _check_tiff(picture, name)


def _check_tiff(picture: ImageFile.ImageFile, name: str) -> None:
    """Refuse the page of a TIFF that is not whole, or not upright."""
    parts = [box for _, box, *_ in picture.tile if box]
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in parts)
    if area < picture.width * picture.height:
        raise DataError(
            "the TIFF has fewer strips than its header claims",  # Pillow leaves the rest black
            file=name,
            found=f"{area:,} pixels",
            expected=f"{picture.width} x {picture.height} px",
        )
    if _orientation(picture) != 1:  # Pillow rotates the pixels of a TIFF, and of no other format
        raise DataError(
            "a TIFF with an orientation tag",
            file=name,
            found=f"orientation {_orientation(picture)}",
            expected="orientation 1: pixels as they are stored",
            fix="store the picture upright, without the tag",
        )


def _decode_jpeg(data: bytes, name: str, at_least: tuple[int, int] | None) -> Pixels | None:
    """Return uint8 (H, W, 3), or None for a JPEG that Pillow has to convert (CMYK)."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    _check_size(height, width, name)
    if colours not in _JPEG_TO_RGB:
        return None
    reduced = _scale_arguments(height, width, at_least)
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", **reduced))
    except ValueError as fault:
        # Padding between the last block and the end marker: common on the web, harmless.
        if "extraneous bytes before marker 0xd9" not in str(fault):
            raise
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=False, **reduced))


def _scale_arguments(height: int, width: int, at_least: tuple[int, int] | None) -> dict[str, int]:
    """Return simplejpeg's arguments for the smallest fast scale that is large enough."""
    if at_least is None:
        return {}
    for divisor in DIVISORS:
        if can_reduce(height, divisor, at_least[0]) and can_reduce(width, divisor, at_least[1]):
            return {"min_height": -(-height // divisor), "min_width": -(-width // divisor)}
    return {}


def _to_rgb(picture: Image.Image, name: str) -> Pixels:
    if picture.mode not in _RGB_MODES | _GREY_16_MODES:
        raise DataError(
            "the samples have no plain 8-bit meaning",
            file=name,
            found=f"Pillow mode {picture.mode!r}",
            expected="1-, 8- or 16-bit grey, palette, RGB, YCbCr or CMYK, with alpha or without",
            fix=levels.ADVICE
            if picture.mode in _DEEP_MODES
            else "convert the file to one of these",
        )
    picture.load()  # raises for a truncated file, which convert alone would not
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    # In strips: Pillow's pictures take four bytes a pixel, and each conversion copies them.
    rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        bottom = min(top + rows, picture.height)
        is_whole = rows >= picture.height
        strip = picture if is_whole else picture.crop((0, top, picture.width, bottom))
        if picture.mode in _GREY_16_MODES:
            pixels[top:bottom] = (np.asarray(strip) >> 8)[:, :, None]
        else:
            pixels[top:bottom] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))
    return pixels


def _samples(
    picture: Image.Image, name: str, *, expected: str = "0 and 1, or 0 and 255"
) -> NDArray[np.unsignedinteger]:
    """Return a mask's samples (H, W): palette indices, grey levels, or equal RGB channels."""
    samples = np.asarray(picture)
    if samples.dtype == np.bool_:
        return samples.astype(np.uint8)
    if samples.dtype.kind != "u":
        raise DataError(
            "a mask cannot have samples of this kind",
            file=name,
            found=f"Pillow mode {picture.mode!r}",
            expected="samples of 1, 8 or 16 bits",
            fix="store the masks as 8-bit grey: 0 for background, 255 for foreground",
        )
    if samples.ndim == 2:
        return samples
    colours = samples[:, :, : 1 if samples.shape[2] == 2 else 3]
    if (colours != colours[:, :, :1]).any():
        raise DataError("the mask is coloured", file=name, expected=expected)
    alpha = samples[:, :, -1]
    is_plain = not (colours != colours[0, 0]).any()
    if picture.mode in _ALPHA_MODES and is_plain and (alpha != alpha[0, 0]).any():
        raise DataError(
            "the mask is one colour all over, with a shape in its alpha channel",
            file=name,
            found=f"Pillow mode {picture.mode!r}",
            expected=f"{expected}, in the colour: alpha is dropped",
            fix="store the alpha channel as a grey picture: 0 for background, 255 for foreground",
        )
    return np.asarray(colours[:, :, 0])
