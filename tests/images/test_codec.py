import csv
import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from darkroom.errors import ArtifactError, DataError
from darkroom.images import codec
from tests.support.realdata import REALDATA, needs_realdata

NASTY = REALDATA / "nasty"
GREYS = np.array([[0, 64], [128, 255]], np.uint8)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def drawn(height: int = 48, width: int = 64) -> codec.Pixels:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 5 % 256, columns * 4 % 256, (rows + columns) % 256], 2).astype(np.uint8)


def message(fault: pytest.ExceptionInfo[DataError]) -> str:
    return str(fault.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_pixels_written(kind: str) -> None:
    pixels = drawn()
    assert np.array_equal(codec.decode_image(saved(Image.fromarray(pixels), kind)), pixels)


def test_a_header_has_size_mode_and_orientation() -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = saved(Image.fromarray(drawn(48, 64)), "JPEG", exif=exif)
    assert codec.read_header(data) == codec.Header("JPEG", "RGB", 48, 64, 1, 6)


@pytest.mark.parametrize("mode", ["L", "RGB", "YCbCr", "CMYK"])
@pytest.mark.parametrize("metadata", ["none", "exif", "xmp"])
def test_the_quick_header_of_a_jpeg_is_the_one_that_pillow_reads(
    mode: str, metadata: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[274] = 6
    xmp = (
        b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'
    )
    options: dict[str, Any] = {"none": {}, "exif": {"exif": exif}, "xmp": {"xmp": xmp[29:]}}
    picture = Image.fromarray(drawn(48, 64)).convert(mode)
    data = saved(picture, "JPEG", progressive=True, **options[metadata])
    header = codec.read_header(data)
    is_quick = codec._plain_jpeg_header(data, "a.jpg") is not None
    assert is_quick == (metadata == "none" and mode != "CMYK")
    assert header.exif == (1 if metadata == "none" else 6)
    monkeypatch.setattr(codec, "_plain_jpeg_header", lambda *_: None)
    assert header == codec.read_header(data)


def test_exif_orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned = saved(Image.fromarray(drawn(48, 64)), "JPEG", exif=exif)
    assert codec.decode_image(turned).shape == (48, 64, 3)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_plain_mode_becomes_rgb(mode: str) -> None:
    black_white = np.array([[0, 255], [255, 0]], np.uint8)
    picture = Image.fromarray(black_white).convert(mode)
    decoded = codec.decode_image(saved(picture, "PNG"))
    assert np.array_equal(decoded, np.repeat(black_white[:, :, None], 3, axis=2))


def test_alpha_is_dropped_not_blended() -> None:
    clear = np.zeros((1, 1, 4), np.uint8)
    clear[0, 0] = (10, 20, 30, 0)
    assert codec.decode_image(saved(Image.fromarray(clear), "PNG")).tolist() == [[[10, 20, 30]]]


def test_sixteen_bit_grey_keeps_its_high_byte() -> None:
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    decoded = codec.decode_image(saved(Image.fromarray(grey), "PNG"))
    assert decoded[0, :, 0].tolist() == [0, 0, 1, 255]


def test_cmyk_jpeg_is_read() -> None:
    white = Image.new("CMYK", (16, 16), (0, 0, 0, 0))
    assert codec.decode_image(saved(white, "JPEG")).min() > 250


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_modes_that_need_a_guess_are_refused_by_name(mode: str) -> None:
    with pytest.raises(DataError) as fault:
        codec.decode_image(saved(Image.new(mode, (4, 4)), "TIFF"), name="raw/a.tif")
    assert "raw/a.tif: the samples have no plain 8-bit meaning" in message(fault)
    assert f"Pillow mode '{mode}'" in message(fault)


def test_several_pictures_are_refused() -> None:
    frames = [Image.new("L", (4, 4), level) for level in (0, 128, 255)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError) as fault:
        codec.decode_image(data, name="a.gif")
    assert "a.gif: the file holds several pictures" in message(fault)
    assert "3 frames" in message(fault)


def test_a_tiff_with_a_preview_is_one_picture() -> None:
    pages = [Image.fromarray(drawn(8, 8)), Image.fromarray(drawn(4, 4))]
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert codec.read_header(data).frames == 1
    assert codec.decode_image(data).shape == (8, 8, 3)


def test_three_grey_pages_of_a_tiff_are_red_green_and_blue() -> None:
    pixels = drawn(8, 9)
    planes = [Image.fromarray(pixels[:, :, k]) for k in range(3)]
    data = saved(planes[0], "TIFF", save_all=True, append_images=planes[1:])
    assert codec.read_header(data) == codec.Header("TIFF", "RGB", 8, 9, frames=1, exif=1)
    assert np.array_equal(codec.decode_image(data), pixels)
    with pytest.raises(DataError, match="several pictures"):
        codec.decode_mask(data)


@pytest.mark.parametrize("sizes", [[8, 8], [8, 8, 7], [8, 8, 8, 8]])
def test_other_pages_are_several_pictures(sizes: list[int]) -> None:
    pages = [Image.fromarray(drawn(size, 9)[:, :, 0]) for size in sizes]
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=f"several pictures\n  found: {len(sizes)} frames"):
        codec.decode_image(data)


def test_at_least_halves_a_jpeg_where_half_suffices() -> None:
    data = codec.encode_jpeg(drawn(1280, 1918), 90)
    assert codec.decode_image(data).shape == (1280, 1918, 3)
    assert codec.decode_image(data, at_least=(640, 959)).shape == (640, 959, 3)
    assert codec.decode_image(data, at_least=(641, 959)).shape == (1280, 1918, 3)
    assert codec.decode_image(data, at_least=(100, 100)).shape == (160, 240, 3)


def test_a_truncated_jpeg_is_refused_at_every_length() -> None:
    data = codec.encode_jpeg(drawn(), 90)
    for length in range(len(data) - 1):
        with pytest.raises(DataError, match=r"raw/a\.jpg: "):
            codec.decode_image(data[:length], name="raw/a.jpg")
        with pytest.raises(DataError):
            codec.decode_image(data[:length], at_least=(10, 10))


def test_padding_before_the_end_of_a_jpeg_is_harmless() -> None:
    data = codec.encode_jpeg(drawn(), 90)
    padded = data[:-2] + b"\x00\x01\x02" + data[-2:] + b"more"
    assert np.array_equal(codec.decode_image(padded), codec.decode_image(data))


def png_that_claims(height: int, width: int) -> bytes:
    chunks = b""
    for kind, body in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
    ):
        chunks += struct.pack(">I", len(body)) + kind + body
        chunks += struct.pack(">I", zlib.crc32(kind + body))
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("side", [12_000, 60_000])
def test_a_giant_is_refused_by_its_header(side: int) -> None:
    jpeg = bytearray(codec.encode_jpeg(drawn(), 90))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", side, side)
    for data in (bytes(jpeg), png_that_claims(side, side)):
        for read in (codec.read_header, codec.decode_image, codec.decode_mask):
            with pytest.raises(DataError) as fault:
                read(data, name="bomb")
            assert "bomb: the header claims too large a picture" in message(fault)
            assert "at most 134217728 pixels" in message(fault)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "a.jpg: the file is empty"),
        (b"<html>quota exceeded</html>", "a.jpg: not an image, or its header is broken"),
        (b"\xff\xd8\xff", "a.jpg: cannot decode the image"),
    ],
)
def test_what_is_no_image_is_named(data: bytes, words: str) -> None:
    with pytest.raises(DataError) as fault:
        codec.decode_image(data, name="a.jpg")
    assert words in message(fault)


def test_ultra_thin_images_are_fine() -> None:
    assert codec.decode_image(codec.encode_jpeg(drawn(1, 3000), 90)).shape == (1, 3000, 3)
    assert codec.decode_image(saved(Image.fromarray(drawn(3000, 1)), "PNG")).shape == (3000, 1, 3)


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (0, 0), (1, 1), (255, 255)])
def test_masks_of_two_values_become_0_and_1(values: tuple[int, int]) -> None:
    pixels = np.array([values], np.uint8)
    for picture in (Image.fromarray(pixels), Image.fromarray(pixels).convert("RGB")):
        mask, _ = codec.decode_mask(saved(picture, "PNG"))
        assert mask.dtype == np.uint8
        assert mask.tolist() == (pixels > 0).astype(int).tolist()


def test_a_one_bit_mask_is_read() -> None:
    picture = Image.fromarray(GREYS).convert("1", dither=Image.Dither.NONE)
    mask, value = codec.decode_mask(saved(picture, "PNG"))
    assert (mask.tolist(), value) == ([[0, 0], [1, 1]], "0/1")


@pytest.mark.parametrize("levels", [(0, 255), tuple(range(16))])
def test_a_bmp_that_pillow_decodes_to_other_pixels_is_refused(levels: tuple[int, ...]) -> None:
    """Eight bits a pixel, of which Pillow reads one; four, of which it reads eight."""
    indices = Image.fromarray(np.array([[0, 1, 1, 0, 1, 0, 0, 1]] * 8, np.uint8), "L")
    picture = indices.convert("P")
    picture.putpalette([level for level in levels for _ in range(3)])
    data = bytearray(saved(picture, "BMP"))
    if len(levels) == 16:
        data[28:30] = struct.pack("<H", 4)
    for read in (codec.decode_mask, codec.decode_image):
        with pytest.raises(DataError, match="a BMP of other bits"):
            read(bytes(data), name="a.bmp")
    whole = saved(Image.fromarray(GREYS), "BMP")
    assert codec.decode_image(whole)[:, :, 0].tolist() == GREYS.tolist()


def test_other_mask_values_are_named() -> None:
    with pytest.raises(DataError) as fault:
        codec.decode_mask(saved(Image.fromarray(GREYS), "PNG"), name="masks/a.png")
    assert "masks/a.png: not a mask's values" in message(fault)
    assert "found: 0, 64, 128, 255" in message(fault)


def test_a_mask_that_a_jpeg_has_blurred_is_told_what_to_do() -> None:
    """As those of Kvasir-SEG: grey levels near 0 and 255, with no threshold that is right."""
    disc = np.hypot(*(np.mgrid[:64, :64] - 32)) < 20
    with pytest.raises(DataError, match="a JPEG does not keep such values"):
        codec.decode_mask(saved(Image.fromarray(disc.astype(np.uint8) * 255), "JPEG"))


@pytest.mark.parametrize("level", [0, 255])
def test_a_mask_in_the_alpha_channel_is_refused(level: int) -> None:
    """It would be all background, or all foreground."""
    colour, alpha = np.full((2, 2), level, np.uint8), np.array([[0, 255], [0, 0]], np.uint8)
    for planes in ([colour, alpha], [colour, colour, colour, alpha]):
        with pytest.raises(DataError, match="a shape in its alpha channel"):
            codec.decode_mask(saved(Image.fromarray(np.stack(planes, 2)), "PNG"))
    for planes in ([alpha, alpha], [alpha, colour], [colour, colour]):
        mask, _ = codec.decode_mask(saved(Image.fromarray(np.stack(planes, 2)), "PNG"))
        assert mask.tolist() == (planes[0] > 0).tolist()


def test_a_turned_tiff_is_refused() -> None:
    data = io.BytesIO()
    Image.fromarray(drawn()).save(data, "TIFF", tiffinfo={274: 6})
    for read in (codec.decode_image, codec.decode_mask):
        with pytest.raises(DataError, match="a TIFF with an orientation tag"):
            read(data.getvalue())


def test_a_coloured_mask_is_refused() -> None:
    with pytest.raises(DataError, match="the mask is coloured"):
        codec.decode_mask(saved(Image.fromarray(drawn()), "PNG"))


def test_stored_jpeg_decodes_into_a_buffer() -> None:
    data = codec.encode_jpeg(drawn(), 95)
    batch = np.zeros((2, 48, 64, 3), np.uint8)
    codec.decode_jpeg_fast(np.frombuffer(data, np.uint8), out=batch[1])
    assert np.array_equal(batch[1], codec.decode_jpeg_fast(data))
    assert np.abs(batch[1].astype(int) - drawn()).mean() < 4
    assert not batch[0].any()


@pytest.mark.parametrize("height", [47, 49])
def test_stored_jpeg_of_another_size_is_refused(height: int) -> None:
    data = codec.encode_jpeg(drawn(), 95)
    with pytest.raises(ArtifactError, match="a stored JPEG"):
        codec.decode_jpeg_fast(data, out=np.zeros((height, 64, 3), np.uint8))


def refusal(read: Callable[..., Any], data: bytes, name: str) -> str:
    """Return the words of the DataError; "" where there is none. Nothing else may be raised."""
    try:
        read(data, name=name)
    except DataError as fault:
        return str(fault)
    return ""


@needs_realdata
@pytest.mark.slow
def test_nasty_files_are_read_as_pillow_does_or_refused_by_name() -> None:
    refused_although_readable = {"multi_frame", "pillow__lab", "16bit.s", "g4_orientation"}
    with (NASTY / "MANIFEST.csv").open(newline="") as file:
        entries = list(csv.DictReader(file))
    assert len(entries) > 100
    for entry in entries:
        name, data = entry["file"], (NASTY / entry["file"]).read_bytes()
        refused = any(word in name for word in refused_although_readable)
        several = entry["frames"] not in ("", "1.0")
        words = refusal(codec.decode_image, data, name)
        assert bool(words) == (entry["pillow_load"] != "ok" or several or refused), name
        if words:
            assert words.startswith(f"{name}: ")
        else:
            shape = codec.decode_image(data).shape
            assert shape == (float(entry["h"]), float(entry["w"]), 3)
            header = codec.read_header(data)
            assert (header.height, header.width) == shape[:2]
            assert header.exif == max(1, int(float(entry["exif_orientation"] or 1)))


@needs_realdata
@pytest.mark.slow
def test_nasty_files_give_a_header_and_a_mask_or_a_data_error() -> None:
    for path in sorted(NASTY.rglob("*.*")):
        for read in (codec.read_header, codec.decode_mask):
            words = refusal(read, path.read_bytes(), path.name)
            assert not words or words.startswith(f"{path.name}: ")


KINDS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"]
WHOLE = {kind: saved(Image.fromarray(drawn(16, 16)).convert("RGB"), kind) for kind in KINDS}


@given(
    kind=st.sampled_from(KINDS),
    cut=st.integers(0, 2000),
    flips=st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 255)), max_size=4),
)
def test_damage_gives_pixels_or_a_data_error_and_nothing_else(
    kind: str, cut: int, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(WHOLE[kind])
    for place, bits in flips:
        data[place % len(data)] ^= bits
    broken = bytes(data[: cut or None])
    for read in (codec.decode_image, codec.decode_mask, codec.read_header):
        words = refusal(read, broken, "raw/odd")
        assert not words or words.startswith("raw/odd: ")


def test_running_out_of_memory_is_not_blamed_on_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    jpeg = codec.encode_jpeg(np.zeros((8, 8, 3), np.uint8), 90)
    monkeypatch.setattr("simplejpeg.decode_jpeg", full)
    with pytest.raises(MemoryError):
        codec.decode_image(jpeg)
    monkeypatch.setattr("PIL.Image.open", full)
    with pytest.raises(MemoryError):
        codec.decode_mask(jpeg)


def test_libtiff_prints_nothing_of_a_broken_file(capfd: pytest.CaptureFixture[str]) -> None:
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(out, "TIFF", compression="tiff_lzw")
    data = bytearray(out.getvalue())
    data[3000:5000] = bytes(2000)
    with pytest.raises(DataError, match="cannot decode the image"):
        codec.decode_image(bytes(data), name="a.tif")
    assert capfd.readouterr().err == ""
