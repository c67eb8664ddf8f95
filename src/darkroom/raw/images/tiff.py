"""Read a TIFF that is too large to hold: strip by strip or tile by tile, each at once made smaller.

Each part is handed to Pillow as a small TIFF of its own, so all compressions that it knows work.
See TIFF revision 6.0, Adobe 1992; BigTIFF differs in the width of its offsets alone.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from darkroom.errors import DataError
from darkroom.images.codec import Header, Pixels
from darkroom.images.geometry import DIVISORS, RGB, can_reduce
from darkroom.raw.archives import TIFF_MAGIC
from darkroom.raw.large import LargeFile

MAX_SIDE = 2**17
"""131,072 px: scanners of whole slides reach 120,000."""

MAX_PART_PIXELS = 2**24
"""16.8 million pixels of a strip or tile, 50 MB as RGB."""

_BIG = b"+"
_MAX_PAGES = 100
_REDUCED_COPY = 1  # bit of the tag of a page's kind
# Tags, by the names of the specification.
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_ROWS, _COUNTS, _PLANAR = 273, 274, 277, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _FORMAT = 322, 323, 324, 325, 339
_PREDICTOR, _JPEG_TABLES, _SUBSAMPLING, _FILL_ORDER, _EXTRA = 317, 347, 530, 266, 338
_SHORT, _LONG, _UNDEFINED = 3, 4, 7  # types of values
_NONE = 1  # compression
_GREY, _RGB, _YCBCR = 1, 2, 6  # photometric interpretations
_ENCODING = (_COMPRESSION, _PHOTOMETRIC, _PREDICTOR, _JPEG_TABLES, _SUBSAMPLING, _FILL_ORDER)
_FORM = (_WIDTH, _HEIGHT, _BITS, _SAMPLES, _STRIP_ROWS, _TILE_WIDTH, _TILE_HEIGHT, *_ENCODING)
_SEPARATE = 2  # planar configuration: each channel has parts of its own


@dataclass(frozen=True)
class Layout:
    """Where the parts of a TIFF lie, and how each is encoded.

    Attributes:
        height: Of the picture, px.
        width: Of the picture, px.
        part: Height and width of a strip or tile, px; the last may be smaller or reach beyond.
        places: Offset and length in the file of each part, in order.
        samples: Of a pixel.
        separate: Whether each channel has parts of its own, one channel behind the other.
        tiled: Whether parts are tiles, which are always whole.
        tags: Of the encoding, as each part's own file has them.
    """

    height: int
    width: int
    part: tuple[int, int]
    places: list[tuple[int, int]]
    samples: int
    separate: bool
    tiled: bool
    tags: dict[int, Any]


def large_layout(data: bytes | LargeFile, *, name: str, more_than: int) -> Layout | None:
    """Return the layout of a TIFF of more pixels than a number; None: it is smaller, or no TIFF.

    Raises:
        DataError: It is that large and of several pictures, or of a kind that is not read in parts.
    """
    with _open(data) as file:
        if file.read(4) not in TIFF_MAGIC:
            return None
        file.seek(0)
        return _layout(file, len(data), name, more_than)


def _open(data: bytes | LargeFile) -> BinaryIO:
    return data.open() if isinstance(data, LargeFile) else io.BytesIO(data)


def _layout(file: BinaryIO, size: int, name: str, more_than: int) -> Layout | None:
    pages = _pages(file)
    first = next(pages, None)
    if first is None or _WIDTH not in first or _HEIGHT not in first:
        return None  # Pillow says why
    height, width = int(first[_HEIGHT]), int(first[_WIDTH])
    if height * width <= more_than:
        return None
    full = [first, *(page for page in pages if not page.get(_SUBFILE, 0) & _REDUCED_COPY)]
    is_planes = _is_planes(full)
    if len(full) > 1 and not is_planes:
        raise DataError("the file holds several pictures", file=name, found=f"{len(full)} pages")
    _check_kind(first, name)
    tiled = _TILE_OFFSETS in first
    part = (
        (int(first[_TILE_HEIGHT]), int(first[_TILE_WIDTH]))
        if tiled
        else (min(int(first.get(_STRIP_ROWS, height)), height), width)
    )
    tags = (_TILE_OFFSETS, _TILE_COUNTS) if tiled else (_OFFSETS, _COUNTS)
    offsets, counts = (
        [value for page in full for value in np.atleast_1d(page[tag]).tolist()] for tag in tags
    )
    layout = Layout(
        height,
        width,
        part,
        list(zip(offsets, counts, strict=True)),
        RGB if is_planes else int(first.get(_SAMPLES, 1)),
        is_planes or first.get(_PLANAR) == _SEPARATE,
        tiled,
        {tag: first[tag] for tag in _ENCODING if tag in first},
    )
    layout = _cut(layout)
    _check_parts(layout, size, name)
    return layout


def _cut(layout: Layout) -> Layout:
    """Return a layout with the rows of a large strip as parts, if that is all, and uncompressed.

    So tifffile writes by default, a strip a page or channel.
    """
    height, width = layout.height, layout.width
    row = width * (1 if layout.separate else layout.samples)  # bytes
    is_whole = not layout.tiled and layout.part == (height, width)
    is_plain = layout.tags.get(_COMPRESSION, _NONE) == _NONE and max(height, width) <= MAX_SIDE
    is_plain = is_plain and all(count == height * row for _, count in layout.places)
    if not (is_whole and is_plain) or height * width <= MAX_PART_PIXELS:
        return layout
    rows = max(1, MAX_PART_PIXELS // 16 // width)
    places = [
        (start + top * row, min(rows, height - top) * row)
        for start, _ in layout.places
        for top in range(0, height, rows)
    ]
    return replace(layout, part=(rows, width), places=places)


def read_reduced(
    data: bytes | LargeFile, layout: Layout, *, name: str, at_least: tuple[int, int]
) -> tuple[Pixels, Header]:
    """Return the picture at 1/8, 1/4 or 1/2 of its size, rounded up, uint8 (h, w, 3); its header.

    Each pixel is the mean of those that it stands for. Memory is that of the result, and of a few
    parts.

    Args:
        data: The file's bytes, or the file.
        layout: Of this file.
        name: The file, for messages.
        at_least: Height and width that suffice.

    Raises:
        DataError: It is damaged, or none of these sizes suffices.
    """
    height, width = layout.height, layout.width
    divisor = _divisor(height, width, at_least)
    if divisor == 1:
        raise DataError(
            "too large a picture to be stored at more than half of its size",
            file=name,
            found=f"{width} x {height} px",
            expected=f"at most {height // 2} px high or {width // 2} px wide when stored",
            fix="lower preprocess.height and preprocess.width",
        )
    sums = np.zeros((-(-height // divisor), -(-width // divisor), RGB), np.uint16)
    for top, left, channels, pixels in _parts(data, layout):
        rows, columns = min(height - top, pixels.shape[0]), min(width - left, pixels.shape[1])
        part = _block_sums(pixels[:rows, :columns], top, left, divisor)
        at = np.s_[top // divisor :, left // divisor :, channels]
        sums[at][: part.shape[0], : part.shape[1]] += part
    down, across = (_lengths(side, divisor) for side in (height, width))
    areas = (down[:, None] * across)[:, :, None]
    header = Header("TIFF", "RGB" if layout.samples >= RGB else "L", height, width, 1, 1)
    return ((sums + areas // 2) // areas).astype(np.uint8), header


def _divisor(height: int, width: int, at_least: tuple[int, int]) -> int:
    for divisor in DIVISORS:
        if can_reduce(height, divisor, at_least[0]) and can_reduce(width, divisor, at_least[1]):
            return divisor
    return 1


def _pages(file: BinaryIO) -> Iterator[ImageFileDirectory_v2]:
    """Yield the directory of each page; of a loop, a hundred."""
    header = file.read(8)
    if _BIG in header[2:4]:
        header += file.read(8)
    page = ImageFileDirectory_v2(header)
    for _ in range(_MAX_PAGES):
        if not page.next:
            return
        file.seek(page.next)
        page = ImageFileDirectory_v2(header)
        page.load(file)
        yield page


def _is_planes(pages: list[ImageFileDirectory_v2]) -> bool:
    """Return whether pages are red, green and blue of one picture: three in grey, all alike."""
    kinds = {str([page.get(tag) for tag in _FORM]) for page in pages}
    is_grey = pages[0].get(_PHOTOMETRIC) == _GREY and pages[0].get(_SAMPLES, 1) == 1
    return len(pages) == RGB and len(kinds) == 1 and is_grey


def _check_kind(page: ImageFileDirectory_v2, name: str) -> None:
    """Refuse what is not read in parts: other than 8 bits, palettes, rotations."""
    kind, samples = page.get(_PHOTOMETRIC), page.get(_SAMPLES, 1)
    allowed = {_GREY: (1, 2), _RGB: (3, 4), _YCBCR: (3,)}
    plain = set(page.get(_BITS, (1,))) == {8} and set(page.get(_FORMAT, (1,))) == {1}
    plain = plain and samples in allowed.get(int(kind or 0), ())
    if not plain or page.get(_ORIENTATION, 1) != 1:
        raise DataError(
            "too large a TIFF to be read whole, and of a kind that is not read in parts",
            file=name,
            found=f"{page.get(_BITS)} bits, {samples} samples, photometric {kind}, orientation "
            f"{page.get(_ORIENTATION, 1)}",
            expected="8 bits, grey or RGB, orientation 1",
        )


def _check_parts(layout: Layout, size: int, name: str) -> None:
    """Refuse claims that the file cannot hold, and parts that are as large as pictures."""
    rows, columns = _grid(layout)
    channels = layout.samples if layout.separate else 1
    inside = all(at >= 0 and 0 < count <= size - at for at, count in layout.places)
    legal = len(layout.places) == rows * columns * channels and inside
    # Parts that share bytes would make a small file a large picture.
    legal = legal and sum(count for _, count in layout.places) <= size
    if not legal or max(layout.height, layout.width) > MAX_SIDE:
        raise DataError(
            "the header claims a picture that the file does not hold",
            file=name,
            found=f"{layout.width} x {layout.height} px in {len(layout.places)} parts, {size:,} "
            "bytes",
            expected=f"{rows * columns * channels} parts, and sides of at most {MAX_SIDE} px",
        )
    if layout.part[0] * layout.part[1] > MAX_PART_PIXELS:
        raise DataError(
            "too large a TIFF to be read whole, and its strips or tiles are large too",
            file=name,
            found=f"strips or tiles of {layout.part[1]} x {layout.part[0]} px",
            expected=f"at most {MAX_PART_PIXELS} px",
            fix="store it with tiles of 512 x 512",
        )


def _grid(layout: Layout) -> tuple[int, int]:
    """Return how many parts there are down and across."""
    return -(-layout.height // layout.part[0]), -(-layout.width // layout.part[1])


def _parts(data: bytes | LargeFile, layout: Layout) -> Iterator[tuple[int, int, slice, Pixels]]:
    """Yield top, left, channels of the result and pixels (h, w, c) of each part."""
    with _open(data) as file:
        yield from _parts_of(file, layout)


def _parts_of(file: BinaryIO, layout: Layout) -> Iterator[tuple[int, int, slice, Pixels]]:
    rows, columns = _grid(layout)
    for number, (start, count) in enumerate(layout.places):
        plane, place = divmod(number, rows * columns)
        if layout.separate and plane >= RGB:
            return  # alpha
        top, left = place // columns * layout.part[0], place % columns * layout.part[1]
        height = layout.part[0] if layout.tiled else min(layout.part[0], layout.height - top)
        file.seek(start)
        part = _own_file(file.read(count), height, layout.part[1], layout)
        with Image.open(io.BytesIO(part), formats=["TIFF"]) as picture:
            is_grey = layout.separate or layout.samples < RGB
            pixels = np.asarray(picture.convert("L" if is_grey else "RGB"))
        if pixels.shape[:2] != (height, layout.part[1]):
            raise ValueError(f"a part of {pixels.shape[1]} x {pixels.shape[0]} px")
        channels = slice(plane, plane + 1) if layout.separate else slice(0, RGB)
        yield top, left, channels, pixels if pixels.ndim == 3 else pixels[:, :, None]


def _own_file(part: bytes, height: int, width: int, layout: Layout) -> bytes:
    """Return a TIFF of one strip or tile."""
    samples = 1 if layout.separate else layout.samples
    tags: dict[int, tuple[int, list[int] | bytes]] = {
        _WIDTH: (_LONG, [width]),
        _HEIGHT: (_LONG, [height]),
        _BITS: (_SHORT, [8] * samples),
        _OFFSETS: (_LONG, [8]),
        _SAMPLES: (_SHORT, [samples]),
        _STRIP_ROWS: (_LONG, [height]),
        _COUNTS: (_LONG, [len(part)]),
    }
    for tag, value in layout.tags.items():
        if isinstance(value, bytes):
            tags[tag] = (_UNDEFINED, value)
        else:
            tags[tag] = (_SHORT, list(value) if isinstance(value, tuple) else [value])
    if layout.separate:
        tags[_PHOTOMETRIC] = (_SHORT, [_GREY])
    elif samples in (2, 4):
        tags[_EXTRA] = (_SHORT, [0])
    return _with_directory(part, tags)


def _with_directory(part: bytes, tags: dict[int, tuple[int, list[int] | bytes]]) -> bytes:
    """Return a file of the part's bytes, at offset 8, and a directory behind it."""
    body = part + b"\0" * (len(part) % 2)
    start = 8 + len(body)
    behind = start + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, (kind, value) in sorted(tags.items()):
        packed = (
            value
            if isinstance(value, bytes)
            else struct.pack(f"<{len(value)}{'H' if kind == _SHORT else 'L'}", *value)
        )
        field = packed.ljust(4, b"\0")
        if len(packed) > 4:
            field = struct.pack("<L", behind + len(values))
            values += packed + b"\0" * (len(packed) % 2)
        entries += struct.pack("<HHL", tag, kind, len(value)) + field
    directory = struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<L", start) + body + directory + values


def _block_sums(pixels: Pixels, top: int, left: int, size: int) -> NDArray[np.uint16]:
    """Return the sums of blocks of `size` px each way that begin at multiples of it."""
    height, width, channels = pixels.shape
    before = top % size, left % size
    rows, columns = -(-(before[0] + height) // size), -(-(before[1] + width) // size)
    padded = np.zeros((rows * size, columns * size, channels), np.uint8)
    padded[before[0] : before[0] + height, before[1] : before[1] + width] = pixels
    down = padded[::size].astype(np.uint16)
    for row in range(1, size):
        down += padded[row::size]
    across = down[:, ::size].copy()
    for column in range(1, size):
        across += down[:, column::size]
    return across


def _lengths(side: int, size: int) -> NDArray[np.uint16]:
    """Return how many pixels of a side each block stands for; the last may stand for fewer."""
    lengths = np.full(-(-side // size), size, np.uint16)
    lengths[-1] = side - (len(lengths) - 1) * size
    return lengths
