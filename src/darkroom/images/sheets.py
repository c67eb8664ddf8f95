"""Contact sheets: many small pictures with captions on one page, for people to look at.

Pictures are uint8 (H, W, C); a sheet is RGB, see `as_rgb`. A sheet is a pure function of its
arguments, so the same pictures give the same bytes.
"""

import bisect
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from darkroom.images.geometry import RGB, cv2
from darkroom.project import files
from darkroom.project.packages import extras_needed

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER: Colour = (23, 24, 28)
INK: Colour = (236, 236, 232)
FAINT: Colour = (158, 160, 166)
ACCENT: Colour = (226, 72, 52)
RIGHT: Colour = (58, 190, 160)
EXCESS: Colour = (255, 92, 56)
MISSED: Colour = (255, 214, 64)
# The mark of an answer that is right, is wrong, or is neither.
ANSWER_MARKS: dict[bool | None, Colour | None] = {True: RIGHT, False: EXCESS, None: None}
COMPARE_LEGEND = (("correct", RIGHT), ("false positive", EXCESS), ("false negative", MISSED))

GAP_PX = 12
MARGIN_PX = 20
HEADED_WIDTH_PX = 640
CAPTION_SIZE_PX = 14
TITLE_SIZE_PX = 26
TEXT_SIZE_PX = 15
LEADING = 1.3
LEGEND_ROW_PX = 26
MOST_LINES = 20


def grid(
    tiles: Sequence[Pixels],
    captions: Sequence[str] = (),
    *,
    columns: int,
    tile_height: int = 200,
    title: str = "",
    text: Sequence[str] = (),
    legend: Sequence[tuple[str, Colour]] = (),
    marks: Sequence[Colour | None] = (),
) -> Pixels:
    """Return a page of tiles in rows of `columns`, each over its caption.

    Args:
        tiles: Pictures of any sizes; each is scaled to `tile_height`, its shape kept. A very
            wide one is made lower instead, so that no tile is over three times as wide as high.
        captions: One a tile, or none at all. Lines are broken at newlines and, where too wide,
            between words; an ellipsis stands for what is beyond 20 lines.
        columns: Tiles a row; the page is no wider than the tiles need.
        tile_height: Pixels.
        title: A heading over a coloured bar; with `text`, lines below it, and `legend`,
            names with their colours.
        marks: A colour drawn as a bar under each tile (right or wrong, say), or None.
    """
    _check_lengths(len(tiles), captions=len(captions), marks=len(marks))
    scaled = [_scale(as_rgb(tile), tile_height) for tile in tiles]
    width = max([tile.shape[1] for tile in scaled], default=tile_height)
    lines = [_caption_lines(caption, width) for caption in captions]
    across = max(1, min(columns, len(tiles)))
    page_width = 2 * MARGIN_PX + across * width + (across - 1) * GAP_PX
    if title or text:
        page_width = max(page_width, HEADED_WIDTH_PX)
    head = _header(title, text, legend, page_width)
    # Where all tiles are very wide, none is as high as it might be.
    tile_height = max([tile.shape[0] for tile in scaled], default=tile_height)
    tops = [MARGIN_PX // 2]  # of each row, and the end of the last
    for first in range(0, len(tiles), across):
        most = max(map(len, lines[first : first + across]), default=0)
        tops.append(tops[-1] + tile_height + most * _leading(CAPTION_SIZE_PX) + GAP_PX + 4)
    page = _blank(tops[-1] + MARGIN_PX - MARGIN_PX // 2, max(page_width, head.shape[1]))
    corners = [
        (tops[i // across], MARGIN_PX + i % across * (width + GAP_PX)) for i in range(len(tiles))
    ]
    for (top, left), tile, mark in zip(corners, scaled, marks or [None] * len(tiles), strict=True):
        _paste(page, tile, top + tile_height - tile.shape[0], left)
        if mark:
            page[top + tile_height : top + tile_height + 4, left : left + tile.shape[1]] = mark
    page = _write_captions(page, corners, lines, tile_height + 5, width)
    return stack([head, page]) if head.size else page


def enlarged(image: Pixels, planes: Pixels | None, height: int) -> tuple[Pixels, Pixels | None]:
    """Return an image and its masks at least `height` high, so that what is drawn on it is fine.

    Args:
        image: uint8 (H, W, C).
        planes: uint8 (K, H, W) of 0 and 1, or None.
        height: Pixels; a very wide one is made less high, as tiles are.
    """
    if image.shape[0] >= height:
        return image, planes
    larger = _scale(as_rgb(image), height)
    if larger.shape[0] <= image.shape[0]:
        return image, planes
    if planes is None:
        return larger, None
    size = (larger.shape[1], larger.shape[0])
    smooth = [cv2.resize(plane * np.uint8(255), size) for plane in planes]  # bilinear
    return larger, np.asarray(np.stack(smooth) > 127, np.uint8)


def as_rgb(pixels: Pixels) -> Pixels:
    """Return uint8 (H, W, 3) to look at, of uint8 (H, W, C).

    The first three channels stand for red, green and blue; of one or two, the first is grey.
    """
    if pixels.shape[2] >= RGB:
        return pixels[:, :, :RGB]
    return np.repeat(pixels[:, :, :1], RGB, axis=2)


def stack(pages: Sequence[Pixels]) -> Pixels:
    """Return pages one below the other, the narrower ones padded with background."""
    width = max(page.shape[1] for page in pages)
    whole = _blank(sum(page.shape[0] for page in pages), width)
    top = 0
    for page in pages:
        _paste(whole, page, top, 0)
        top += page.shape[0]
    return whole


def outline(
    image: Pixels,
    mask: Pixels,
    colour: Colour = ACCENT,
    *,
    thickness: int | None = None,
    apart: bool = False,
) -> Pixels:
    """Return the image with the contours of the mask (H, W; 0 is outside) drawn on it.

    Args:
        thickness: Pixels; when None, enough to survive being scaled down to a tile.
        apart: Whether the line runs around the mask at a distance, so that the mask's edge can be
            compared with the object's. Holes narrower than twice the distance get no line.
    """
    _check_same_size(image, mask)
    thick = thickness or max(1, round(min(image.shape[:2]) / 130))
    area = (mask != 0).astype(np.uint8)
    if apart:
        reach = thick // 2 + max(1, thick // 3) + 3  # half of the line with its dark border
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        area = np.asarray(cv2.dilate(area, disc), np.uint8)
    contours, _ = cv2.findContours(area, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    drawn = np.ascontiguousarray(as_rgb(image)).copy()
    cv2.drawContours(drawn, contours, -1, (0, 0, 0), thick + 2 * max(1, thick // 3), cv2.LINE_AA)
    cv2.drawContours(drawn, contours, -1, colour, thick, cv2.LINE_AA)
    return drawn


def compare(
    image: Pixels, truth: Pixels, prediction: Pixels, *, height: int | None = None
) -> Pixels:
    """Return the darkened image, with true positives, false positives and misses tinted.

    Args:
        image: (H, W, C).
        truth: Mask (H, W); 0 is outside.
        prediction: Mask (H, W); 0 is outside.
        height: The height of the result, in pixels; None keeps the image's own. Errors one
            pixel thin stay visible when it is smaller: they are tinted by the square root of
            the area that they cover.
    """
    _check_same_size(image, truth)
    _check_same_size(image, prediction)
    true, predicted = truth != 0, prediction != 0
    areas = (
        (true & predicted, RIGHT, 0.35),
        (predicted & ~true, EXCESS, 0.9),
        (true & ~predicted, MISSED, 0.9),
    )
    return tint(image, areas, height=height)


def tint(
    image: Pixels,
    areas: Sequence[tuple[npt.NDArray[np.bool_], Colour, float]],
    *,
    height: int | None = None,
) -> Pixels:
    """Return the darkened image with areas tinted.

    Args:
        image: (H, W, C).
        areas: Pixels (H, W), the colour that they get, and its share, 0 to 1.
        height: See `compare`.
    """
    for area, _, _ in areas:
        _check_same_size(image, area)
    scaled = as_rgb(image) if height is None else _scale(as_rgb(image), height)
    size = (scaled.shape[1], scaled.shape[0])
    plain = scaled.astype(np.float32)
    tinted = plain * np.float32(0.45)
    for area, colour, share_of_colour in areas:
        share = cv2.resize(area.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        target = plain * (1 - share_of_colour) + np.array(colour, np.float32) * share_of_colour
        tinted += np.sqrt(share)[..., None] * (target - tinted)
    return np.asarray(np.clip(tinted + 0.5, 0, 255), np.uint8)


def write_jpeg(path: Path, pixels: Pixels) -> None:
    """Write a picture as JPEG (quality 90, colours at full resolution), atomically."""
    encoded = BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=90, subsampling=0, optimize=True)
    files.write(path, encoded.getvalue())


def _header(
    title: str, text: Sequence[str], legend: Sequence[tuple[str, Colour]], width: int
) -> Pixels:
    """Return the head of a page: a bar, the title, lines of text, the legend; or (0, 0, 3)."""
    if not (title or text or legend):
        return _blank(0, 0)
    rows = [(title, TITLE_SIZE_PX, INK)] if title else []
    room = width - 2 * MARGIN_PX
    rows += [(line, TEXT_SIZE_PX, FAINT) for a in text for line in _wrap(a, TEXT_SIZE_PX, room)]
    heights = [_leading(size) for _, size, _ in rows]
    places = _legend_places([name for name, _ in legend], width)
    legend_rows = 1 + places[-1][0] if places else 0
    height = 4 + MARGIN_PX // 2 + sum(heights) + legend_rows * LEGEND_ROW_PX
    page = _blank(height + 4, width)
    page[:4] = ACCENT
    picture = Image.fromarray(page)
    draw = ImageDraw.Draw(picture)
    top = 4 + MARGIN_PX // 2
    for (line, size, colour), step in zip(rows, heights, strict=True):
        draw.text((MARGIN_PX, top), _clip(line, size, width - 2 * MARGIN_PX), colour, _font(size))
        top += step
    for (name, colour), (row, left) in zip(legend, places, strict=True):
        below = top + row * LEGEND_ROW_PX
        draw.rectangle((left, below + 6, left + 14, below + 20), fill=colour)
        draw.text((left + 21, below + 3), _clip(name, TEXT_SIZE_PX, room), INK, _font(TEXT_SIZE_PX))
    return np.asarray(picture)


def _legend_places(names: Sequence[str], width: int) -> list[tuple[int, int]]:
    """Return the row, from 0, and the left edge of each name of a legend."""
    row, left, places = 0, MARGIN_PX, list[tuple[int, int]]()
    for name in names:
        wide = 21 + round(_font(TEXT_SIZE_PX).getlength(name))
        if left > MARGIN_PX and left + wide > width - MARGIN_PX:
            row, left = row + 1, MARGIN_PX
        places.append((row, left))
        left += wide + 24
    return places


def _write_captions(
    page: Pixels,
    corners: Sequence[tuple[int, int]],
    captions: Sequence[Sequence[str]],
    below: int,
    width: int,
) -> Pixels:
    """Return the page with each caption's lines `below` pixels under its tile's corner."""
    picture = Image.fromarray(page)
    draw = ImageDraw.Draw(picture)
    for (top, left), lines in zip(corners, captions, strict=False):
        for number, line in enumerate(lines):
            draw.text(
                (left, top + below + number * _leading(CAPTION_SIZE_PX)),
                _clip(line, CAPTION_SIZE_PX, width),
                FAINT if number else INK,
                _font(CAPTION_SIZE_PX),
            )
    return np.asarray(picture)


def _scale(tile: Pixels, height: int) -> Pixels:
    """Return the tile `height` high, or lower if it would be over three times as wide."""
    factor = min(height / tile.shape[0], 3 * height / tile.shape[1])
    size = (max(1, round(tile.shape[1] * factor)), max(1, round(tile.shape[0] * factor)))
    if size == (tile.shape[1], tile.shape[0]):
        return tile
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(tile, size, interpolation=how), np.uint8)


def _caption_lines(caption: str, width: int) -> list[str]:
    """Return a caption's lines, broken between words to `width`; an ellipsis ends too many."""
    lines = [piece for line in caption.split("\n") for piece in _wrap(line, CAPTION_SIZE_PX, width)]
    if len(lines) > MOST_LINES:
        lines[MOST_LINES - 1] += " …"
    return lines[:MOST_LINES]


def _wrap(line: str, size: int, width: int) -> Iterator[str]:
    """Yield the line broken between words, each piece no wider than `width` pixels."""
    piece = ""
    for word in line.split(" "):
        longer = f"{piece} {word}" if piece else word
        if piece and _font(size).getlength(longer) > width:
            yield piece
            longer = word
        piece = longer
    yield piece


def _clip(line: str, size: int, width: int) -> str:
    """Return the line, its end replaced by an ellipsis where it is wider than `width` pixels."""
    font = _font(size)
    if font.getlength(line) <= width:
        return line
    # By halves: a label of 10,000 letters would be measured 10,000 times.
    wide = bisect.bisect_right(
        range(1, len(line)), width, key=lambda n: math.ceil(font.getlength(line[:n] + "…"))
    )
    return line[:wide] + "…"


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans as matplotlib ships it: Pillow's default font lacks é and ×."""
    with extras_needed():
        import matplotlib  # noqa: PLC0415  (an extra: pages without words need none)
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


def _leading(size: int) -> int:
    return round(size * LEADING)


def _blank(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), PAPER, np.uint8)


def _paste(page: Pixels, tile: Pixels, top: int, left: int) -> None:
    page[top : top + tile.shape[0], left : left + tile.shape[1]] = tile


def _check_lengths(tiles: int, **others: int) -> None:
    for name, count in others.items():
        if count not in (0, tiles):
            raise ValueError(f"{count} {name} for {tiles} tiles: give one a tile, or none")


def _check_same_size(image: Pixels, mask: npt.NDArray[Any]) -> None:
    if image.shape[:2] != mask.shape:
        raise ValueError(f"a mask of {mask.shape} for an image of {image.shape[:2]}")
