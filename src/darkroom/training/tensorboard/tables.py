"""Tables of counts as pictures: truth by prediction, and a bar a label."""

from collections.abc import Sequence
from functools import lru_cache

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from darkroom.images.sheets import (
    COMPARE_LEGEND,
    EXCESS,
    FAINT,
    INK,
    MARGIN_PX,
    MISSED,
    PAPER,
    RIGHT,
    Colour,
    Pixels,
)

TABLE_PX = 560  # of all cells, where there are many
CELL_PX = (4, 84)  # the least and the most
NAMED_PX = 14  # lower cells have no names
NUMBERED_PX = 30  # smaller cells have no numbers
TEXT_PX = 13
ROW_PX, BAR_PX = 20, 420
EMPTY: Colour = (38, 40, 46)


def matrix(counts: NDArray[np.int64], names: Sequence[str]) -> Pixels:
    """Return the picture of a table (K, K), truth downwards, prediction across.

    A cell is the stronger in colour, the larger its share of its row. It says its count, or,
    where counts are too long for it, that share in percent.
    """
    size = len(counts)
    cell = int(np.clip(TABLE_PX // size, *CELL_PX))
    named = cell >= NAMED_PX
    longest = max(map(_width, names), default=0) if named else 0
    across = longest < cell - 4  # the columns' names have room as they are
    left, top = MARGIN_PX + 34 + longest, MARGIN_PX + 34 + (TEXT_PX if across else longest)
    picture = Image.new(
        "RGB", (left + size * cell + MARGIN_PX, top + size * cell + MARGIN_PX), PAPER
    )
    _name_axes(picture, names if named else [], (left, top), cell, across)
    draw = ImageDraw.Draw(picture)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    for (i, j), number in np.ndenumerate(counts):
        x, y = left + j * cell, top + i * cell
        colour = _mix(EMPTY, RIGHT if i == j else EXCESS, shares[i, j] ** 0.5)
        draw.rectangle((x, y, x + cell - 2, y + cell - 2), colour)
        if cell >= NUMBERED_PX and number:
            words = str(number)
            if _width(str(counts.max())) > cell - 6:
                words = f"{shares[i, j]:.0%}" if cell < 50 else f"{shares[i, j]:.1%}"
            middle = (x + cell / 2 - 1, y + cell / 2 - 1)
            draw.text(middle, words, _readable(colour), _font(TEXT_PX), anchor="mm")
    return np.asarray(picture)


def bars(counts: NDArray[np.int64], names: Sequence[str]) -> Pixels:
    """Return a picture of (K, 2, 2), truth by prediction of K labels: a bar a label.

    A bar's parts are the shares of the images in which the label was found, missed, said
    without being there, and rightly not said, after which stands the share that is right.
    """
    room = max(_width(name) for name in names) + 12
    width = MARGIN_PX * 2 + room + BAR_PX + 70
    top = MARGIN_PX + 28
    picture = Image.new("RGB", (width, top + len(counts) * ROW_PX + MARGIN_PX), PAPER)
    draw = ImageDraw.Draw(picture)
    _legend(draw, MARGIN_PX + room)
    for number, (name, ((absent, excess), (missed, hits))) in enumerate(
        zip(names, counts.tolist(), strict=True)
    ):
        y, x = top + number * ROW_PX, float(MARGIN_PX + room)
        middle, whole = y + ROW_PX / 2, max(1, absent + excess + missed + hits)
        draw.text((x - 10, middle), name, INK, _font(TEXT_PX), anchor="rm")
        for part, colour in ((hits, RIGHT), (missed, MISSED), (excess, EXCESS), (absent, EMPTY)):
            end = x + BAR_PX * part / whole
            if part:
                draw.rectangle((x, y + 3, max(x, end - 1), y + ROW_PX - 4), colour)
            x = end
        right = f"{(absent + hits) / whole:.1%}"
        draw.text((x + 62, middle), right, FAINT, _font(TEXT_PX), anchor="rm")
    return np.asarray(picture)


def _legend(draw: ImageDraw.ImageDraw, left: int) -> None:
    for name, colour in (*COMPARE_LEGEND, ("rightly absent", EMPTY)):
        draw.rectangle((left, MARGIN_PX, left + 12, MARGIN_PX + 12), colour)
        draw.text((left + 18, MARGIN_PX + 6), name, INK, _font(TEXT_PX), anchor="lm")
        left += 18 + _width(name) + 18


def _name_axes(
    picture: Image.Image, names: Sequence[str], corner: tuple[int, int], cell: int, across: bool
) -> None:
    """Write the names of the rows, and upright those of the columns, and what the axes are."""
    left, top = corner
    right, foot = picture.width - MARGIN_PX, picture.height - MARGIN_PX
    _write(picture, "prediction", ((left + right) // 2, MARGIN_PX + 2), FAINT, "mm")
    _upright(picture, "truth", (MARGIN_PX + 2, (top + foot) // 2), FAINT, "middle")
    for number, name in enumerate(names):
        middle = number * cell + cell // 2
        _write(picture, name, (left - 8, top + middle), INK, "rm")
        if across:
            _write(picture, name, (left + middle, top - 12), INK, "mm")
        else:
            _upright(picture, name, (left + middle, top - 8), INK, "foot")


def _write(
    picture: Image.Image, words: str, at: tuple[int, int], colour: Colour, anchor: str
) -> None:
    ImageDraw.Draw(picture).text(at, words, colour, _font(TEXT_PX), anchor=anchor)


def _upright(
    picture: Image.Image, words: str, at: tuple[int, int], colour: Colour, where: str
) -> None:
    """Write from below upwards, around `at` or ("foot") beginning there."""
    length, height = _width(words) + 2, TEXT_PX + 6
    strip = Image.new("RGB", (length, height), PAPER)
    _write(strip, words, (0, height // 2), colour, "lm")
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    top = at[1] - (length if where == "foot" else length // 2)
    picture.paste(turned, (at[0] - height // 2, top))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _readable(colour: Colour) -> Colour:
    return INK if sum(colour) < 330 else PAPER


def _width(words: str) -> int:
    return round(_font(TEXT_PX).getlength(words))


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans as matplotlib ships it: Pillow's own font lacks even é and ×."""
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
