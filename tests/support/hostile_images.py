"""Image files that lie, are damaged, or would take all memory: small, and the same each time.

Those of SOUND are odd but right, and show PICTURE as far as their format can.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 24, 32
LIMIT_SIDE = 11585  # its square is the largest picture that is decoded
_ROWS, _COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
PICTURE = np.stack([_ROWS * 8, _COLUMNS * 6, (_ROWS + _COLUMNS) * 4], 2).astype(np.uint8)

SOUND = (
    *("png_more_rows_than_claimed.png", "png_compression_1.png"),
    *("png_interlaced.png", "png_16_bits.png", "png_exif_garbage.png", "png_exif_loop.png"),
    *("png_late_exif.png", "png_unknown_chunk.png", "png_tail.png", "png_grey_alpha.png"),
    *("jpeg_tail.jpg", "jpeg_cmyk.jpg", "jpeg_exif_garbage.jpg", "jpeg_exif_loop.jpg"),
    *("jpeg_orientation_99.jpg", "jpeg_preview_behind.jpg"),
    *("jpeg_progressive.jpg", "jpeg_named.png", "jpeg_two_in_a_row.jpg", "jpeg_comments.jpg"),
    "jpeg_standard_huffman.jpg",
    *("gif_transparent.gif", "bmp_top_down.bmp", "webp_lossless.webp", "ppm_comment.ppm"),
    *("tiff_directory_loop.tif", "tiff_preview.tif"),
    *("tiff_big_endian.tif", "tiff_lzw.tif"),
)
"""Names of the files that must be decoded; each of the others must be refused."""


def hostile_images() -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each of 92 files."""
    for group in (_png, _jpeg, _gif, _bmp_ppm, _tiff, _others):
        for name, build in group().items():
            yield name, build()


def saved(pixels: Any, kind: str, **options: Any) -> bytes:
    """Return pixels, or a picture of Pillow's, as a file."""
    file = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(file, kind, **options)
    return file.getvalue()


Files = dict[str, Callable[[], bytes]]


def png_chunk(kind: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int = WIDTH,
    height: int = HEIGHT,
    *,
    depth: int = 8,
    colour: int = 2,
    flags: tuple[int, int, int] = (0, 0, 0),
    before: bytes = b"",
    data: bytes | None = None,
    end: bytes = b"",
) -> bytes:
    """Return a PNG of these claims; its pixels are PICTURE's unless `data` is given."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, *flags)
    pixels = png_chunk(b"IDAT", zlib.compress(_rows()) if data is None else data)
    last = end or png_chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before + pixels + last


def _rows() -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in PICTURE)


def _zeros(count: int) -> bytes:
    """Return so many zeros, compressed."""
    packer, block = zlib.compressobj(1), bytes(2**20)
    parts = [packer.compress(block[: min(2**20, count - at)]) for at in range(0, count, 2**20)]
    return b"".join(parts) + packer.flush()


def _exif(orientation: int = 1, *, loop: bool = False) -> bytes:
    entry = struct.pack(">HHIHH", 274, 3, 1, orientation, 0)
    following = 8 if loop else 0
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", 1) + entry + struct.pack(">I", following)


def _png() -> Files:
    swap = 33  # bytes up to the end of IHDR
    grey_alpha = np.stack([PICTURE[:, :, 0], PICTURE[:, :, 0]], 2)
    end, text = png_chunk(b"IEND"), png_chunk(b"zTXt", b"a\0\0" + _zeros(2**30))
    return {
        "png_60000x60000.png": lambda: png(60_000, 60_000),
        "png_2147483647x1.png": lambda: png(2**31 - 1, 1),
        "png_4294967295x4294967295.png": lambda: png(2**32 - 1, 2**32 - 1),
        "png_0x5.png": lambda: png(0, 5),
        "png_5x0.png": lambda: png(5, 0),
        "png_more_rows_than_claimed.png": lambda: png(data=zlib.compress(_rows() + bytes(2**28))),
        "png_fewer_rows_than_claimed.png": lambda: png(height=HEIGHT + 9),
        "png_interlaced_with_a_pass_less.png": lambda: _interlaced(6),
        "png_bomb_just_too_large.png": lambda: png(
            LIMIT_SIDE + 1, LIMIT_SIDE + 1, colour=0, data=_zeros(2**20)
        ),
        "png_no_pixels.png": lambda: png(data=b""),
        "png_no_end.png": lambda: png()[:-12],
        "png_pixels_crc.png": lambda: png()[:-20] + b"\0\0\0\0" + png()[-16:],
        "png_header_crc.png": lambda: png()[:29] + b"\0\0\0\0" + png()[33:],
        "png_two_headers.png": lambda: png(before=png()[8:swap].replace(b"\0\x18", b"\x20\0")),
        "png_header_behind_pixels.png": lambda: png()[:8] + png()[swap:-12] + png()[8:swap] + end,
        "png_no_palette.png": lambda: png(colour=3),
        "png_3_bits.png": lambda: png(depth=3),
        "png_colour_5.png": lambda: png(colour=5),
        "png_interlace_7.png": lambda: png(flags=(0, 0, 7)),
        "png_compression_1.png": lambda: png(flags=(1, 0, 0)),
        "png_row_filter_9.png": lambda: png(data=zlib.compress(b"\x09" * 97 * HEIGHT)),
        "png_damaged_zlib.png": lambda: png(data=b"x\x9c" + b"\xff" * 99),
        "png_text_bomb.png": lambda: png(before=text),
        "png_chunk_of_2_gb.png": lambda: png(before=b"\x7f\xff\xff\xfftEXt"),
        "png_three_frames.png": lambda: saved(
            PICTURE,
            "PNG",
            save_all=True,
            append_images=[Image.fromarray(PICTURE // k) for k in (2, 3)],
        ),
        "png_interlaced.png": lambda: _interlaced(7),
        "png_16_bits.png": lambda: png(
            depth=16,
            data=zlib.compress(
                b"".join(b"\0" + (row * np.uint16(256)).astype(">u2").tobytes() for row in PICTURE)
            ),
        ),
        "png_grey_alpha.png": lambda: saved(grey_alpha, "PNG"),
        "png_exif_garbage.png": lambda: png(before=png_chunk(b"eXIf", b"\xff" * 40)),
        "png_exif_loop.png": lambda: png(before=png_chunk(b"eXIf", _exif(loop=True))),
        "png_late_exif.png": lambda: png(end=png_chunk(b"eXIf", _exif(6)) + end),
        "png_unknown_chunk.png": lambda: png(before=png_chunk(b"zzZz", bytes(1000))),
        "png_tail.png": lambda: png() + b"PK\x03\x04" * 100,
    }


def _interlaced(count: int) -> bytes:
    """Return PICTURE in the first of the seven passes of Adam7."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    rows = b""
    for top, left, down, right in (*passes, (1, 0, 2, 1))[:count]:
        rows += b"".join(b"\0" + row.tobytes() for row in PICTURE[top::down, left::right])
    return png(flags=(0, 0, 1), data=zlib.compress(rows))


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def _jpeg() -> Files:
    plain = saved(PICTURE, "JPEG", quality=95, subsampling=0)
    progressive = saved(PICTURE, "JPEG", quality=95, subsampling=0, progressive=True)
    frame = plain.index(b"\xff\xc0")

    def edited(at: int, new: bytes) -> bytes:
        """Return the JPEG with other bytes in its frame header."""
        return plain[: frame + at] + new + plain[frame + at + len(new) :]

    def with_segment(marker: int, body: bytes) -> bytes:
        return plain[:2] + _segment(marker, body) + plain[2:]

    def without(marker: int) -> bytes:
        at = plain.index(bytes([0xFF, marker]))
        return plain[:at] + plain[at + 2 + int.from_bytes(plain[at + 2 : at + 4], "big") :]

    scans = progressive.rindex(b"\xff\xda")
    return {
        "jpeg_65535x65535.jpg": lambda: edited(5, b"\xff\xff\xff\xff"),
        "jpeg_0_rows.jpg": lambda: edited(5, b"\0\0"),
        "jpeg_0_columns.jpg": lambda: edited(7, b"\0\0"),
        "jpeg_wider_than_its_data.jpg": lambda: edited(5, b"\x10\0\x10\0"),
        "jpeg_12_bits.jpg": lambda: edited(4, b"\x0c"),
        "jpeg_5_components.jpg": lambda: edited(9, b"\x05"),
        "jpeg_sampling_0.jpg": lambda: edited(11, b"\0"),
        "jpeg_lossless.jpg": lambda: edited(1, b"\xc3"),
        "jpeg_half.jpg": lambda: plain[: len(plain) // 2],
        "jpeg_start_only.jpg": lambda: plain[:3],
        "jpeg_no_end.jpg": lambda: plain[:-2],
        "jpeg_no_quantization.jpg": lambda: without(0xDB),
        "jpeg_standard_huffman.jpg": lambda: without(0xC4),
        "jpeg_10000_scans.jpg": lambda: progressive[:-2] + progressive[scans:-2] * 10_000,
        "jpeg_cut_segment.jpg": lambda: plain[:2] + b"\xff\xe1\xff\xff" + plain[2:],
        "jpeg_tail.jpg": lambda: plain + b"\0" * 5000,
        "jpeg_cmyk.jpg": lambda: saved(Image.fromarray(PICTURE).convert("CMYK"), "JPEG"),
        "jpeg_exif_garbage.jpg": lambda: with_segment(0xE1, b"Exif\0\0" + b"\xff" * 99),
        "jpeg_exif_loop.jpg": lambda: with_segment(0xE1, b"Exif\0\0" + _exif(loop=True)),
        "jpeg_orientation_99.jpg": lambda: with_segment(0xE1, b"Exif\0\0" + _exif(99)),
        "jpeg_icc_garbage.jpg": lambda: with_segment(0xE2, b"ICC_PROFILE\0\x05\x01" + b"x" * 99),
        "jpeg_comments.jpg": lambda: plain[:2] + _segment(0xFE, b"c" * 99) * 2000 + plain[2:],
        "jpeg_progressive.jpg": lambda: progressive,
        "jpeg_two_in_a_row.jpg": lambda: plain + plain,
        "jpeg_named.png": lambda: plain,
        "jpeg_preview_behind.jpg": lambda: saved(
            PICTURE,
            "MPO",
            quality=95,
            save_all=True,
            append_images=[Image.fromarray(PICTURE[:8, :8])],
        ),
    }


def _gif() -> Files:
    plain = saved(PICTURE[:, :, 0], "GIF")
    frames = [Image.fromarray(np.roll(PICTURE[:, :, 1], k, axis=1)) for k in range(300)]
    descriptor = plain.rindex(b",\0\0\0\0")
    return {
        "gif_65535x65535.gif": lambda: plain[:6] + b"\xff\xff\xff\xff" + plain[10:],
        "gif_300_frames.gif": lambda: saved(frames[0], "GIF", save_all=True, append_images=frames),
        "gif_half.gif": lambda: plain[: len(plain) // 2],
        "gif_no_frame.gif": lambda: plain[:descriptor] + b";",
        "gif_frame_of_65535.gif": lambda: (
            plain[: descriptor + 5] + b"\xff\xff\xff\xff" + plain[descriptor + 9 :]
        ),
        "gif_code_of_12_bits.gif": lambda: plain[: descriptor + 10] + b"\x0c\x02\xff\xff\0;",
        "gif_transparent.gif": lambda: saved(PICTURE[:, :, 0], "GIF", transparency=0),
    }


def _bmp_ppm() -> Files:
    plain = saved(PICTURE, "BMP")
    ppm = b"P6 %d %d %d\n" % (WIDTH, HEIGHT, 255) + PICTURE.tobytes()
    down = struct.pack("<i", -HEIGHT)
    return {
        "bmp_2147483647_wide.bmp": lambda: plain[:18] + b"\xff\xff\xff\x7f" + plain[22:],
        "bmp_pixels_beyond_the_end.bmp": lambda: plain[:10] + b"\0\0\0\x40" + plain[14:],
        "bmp_5_bits.bmp": lambda: plain[:28] + b"\x05\0" + plain[30:],
        "bmp_top_down.bmp": lambda: (
            plain[:22] + down + plain[26:54] + PICTURE[:, :, ::-1].tobytes()
        ),
        "ppm_99999999_wide.ppm": lambda: b"P6 99999999 99999999 255\n" + bytes(99),
        "ppm_digits.ppm": lambda: b"P6 " + b"9" * 5000 + b" 1 255\n",
        "ppm_half.ppm": lambda: ppm[: len(ppm) // 2],
        "ppm_comment.ppm": lambda: ppm.replace(b"P6 ", b"P6\n# drawn\n", 1),
    }


def _tiff() -> Files:
    plain = saved(PICTURE, "TIFF")
    pages = [Image.fromarray(PICTURE) for _ in range(50)]
    preview = Image.fromarray(PICTURE[:8, :8])
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    directory = int.from_bytes(plain[4:8], "little")
    count = int.from_bytes(plain[directory : directory + 2], "little")
    following = directory + 2 + 12 * count

    def tagged(tag: int, value: int) -> bytes:
        """Return the file with another value of a tag."""
        at = directory + 2
        while int.from_bytes(plain[at : at + 2], "little") != tag:
            at += 12
        kind = struct.pack("<HIi", 4, 1, value)
        return plain[: at + 2] + kind + plain[at + 12 :]

    return {
        "tiff_directory_loop.tif": lambda: (
            plain[:following] + struct.pack("<I", directory) + plain[following + 4 :]
        ),
        "tiff_50_pages.tif": lambda: saved(
            pages[0], "TIFF", save_all=True, append_images=pages[1:]
        ),
        "tiff_float.tif": lambda: saved(PICTURE[:, :, 0].astype(np.float32), "TIFF"),
        "tiff_rotated.tif": lambda: saved(PICTURE, "TIFF", tiffinfo={274: 6}),
        "tiff_2147483647_wide.tif": lambda: tagged(256, 2**31 - 1),
        "tiff_strip_beyond_the_end.tif": lambda: tagged(273, 2**30),
        "tiff_fewer_strips_than_claimed.tif": lambda: tagged(257, HEIGHT + 9),
        "tiff_9_samples.tif": lambda: tagged(277, 9),
        "tiff_preview.tif": lambda: saved(PICTURE, "TIFF", save_all=True, append_images=[preview]),
        "tiff_big_endian.tif": lambda: saved(PICTURE, "TIFF", big_tiff=True),
        "tiff_lzw.tif": lambda: saved(PICTURE, "TIFF", compression="tiff_lzw"),
    }


def _others() -> Files:
    webp = saved(PICTURE, "WEBP", lossless=True)
    frames = [Image.fromarray(PICTURE // k) for k in (2, 3)]
    return {
        "webp_three_frames.webp": lambda: saved(
            PICTURE, "WEBP", lossless=True, save_all=True, append_images=frames
        ),
        "webp_half.webp": lambda: webp[: len(webp) // 2],
        "webp_lossless.webp": lambda: webp,
        "jpeg2000_half.jp2": lambda: saved(PICTURE, "JPEG2000")[:200],
        "empty.png": lambda: b"",
        "page.jpg": lambda: b"<!doctype html><title>Quota exceeded</title>",
        "drawing.png": lambda: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    }
