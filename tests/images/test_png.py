"""PNG files whose checksums are wrong, and headers that are read without the pixels."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from darkroom.errors import DataError
from darkroom.images import codec, png

MASK = (np.hypot(*np.mgrid[-60:60, -70:70]) < 50).astype(np.uint8) * 255


def png_of(pixels: codec.Pixels | NDArray[np.uint16], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_no_flipped_bit_gives_another_mask() -> None:
    data = png_of(MASK)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DataError, match=r"m\.png: "):
            codec.decode_mask(bytes(flipped), name="m.png")


def test_the_damaged_chunk_is_named() -> None:
    data = bytearray(png_of(MASK))
    data[data.index(b"IDAT") + 10] ^= 4
    for decode in (codec.decode_image, codec.decode_mask):
        with pytest.raises(DataError) as refusal:
            decode(bytes(data), name="m.png")
        assert "m.png: the PNG is damaged" in str(refusal.value)
        assert "another checksum of chunk 'IDAT'" in str(refusal.value)


def test_a_file_that_ends_before_its_last_chunk_is_refused() -> None:
    data = png_of(MASK)
    with pytest.raises(DataError, match="the PNG ends early"):
        codec.decode_mask(data[:-1])
    assert codec.decode_mask(data + b"what follows does not matter")[0].sum() == MASK.sum() // 255


def test_a_damaged_comment_does_not_matter() -> None:
    data, end = png_of(MASK), len(png_of(MASK)) - 12
    comment = bytearray(chunk(b"zzzz", b"drawn by hand"))
    comment[-1] ^= 1
    png.check_crcs(data[:end] + bytes(comment) + data[end:], "m.png")


def test_a_header_decodes_no_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: object) -> None:
        raise AssertionError("pixels are decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    exif = Image.Exif()
    exif[274] = 6
    assert codec.read_header(png_of(MASK)) == codec.Header("PNG", "L", 120, 140, 1, 1)
    assert codec.read_header(png_of(MASK, exif=exif)).exif == 6
    data = png_of(MASK)
    dated = data[:-12] + chunk(b"tEXt", b"date:create\x002020") + data[-12:]  # by ImageMagick
    assert codec.read_header(dated).exif == 1


def test_an_orientation_behind_the_pixels_is_seen() -> None:
    exif = Image.Exif()
    exif[274] = 8
    data, tiff = png_of(MASK), exif.tobytes().removeprefix(b"Exif\0\0")
    profile = b"\nexif\n%8d\n%s\n" % (len(tiff) + 6, (b"Exif\0\0" + tiff).hex().encode())
    packed = b"Raw profile type exif\0\0" + zlib.compress(profile)
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation='8'/>".replace(b"'", b'"')
    for late in (chunk(b"eXIf", tiff), chunk(b"zTXt", packed), chunk(b"iTXt", xmp)):
        file = data[:-12] + late + data[-12:]
        assert codec.read_header(file).exif == 8
        assert np.array_equal(codec.decode_image(file)[:, :, 0], MASK)


def test_missing_rows_of_16_bits_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def getbbox(*_: object, **__: object) -> None:
        raise AssertionError("Pillow reads beyond rows of 16 bits")

    monkeypatch.setattr(Image.Image, "getbbox", getbbox)
    data = png_of(np.full((9, 7), 65535, np.uint16))
    rows = zlib.compress((b"\0" + b"\xff" * 14) * 8)
    place = data.index(b"IDAT") - 4
    short = data[:place] + chunk(b"IDAT", rows) + data[-12:]
    assert (codec.decode_image(data) == 255).all()
    with pytest.raises(DataError, match="fewer rows than its header claims"):
        codec.decode_image(short)
