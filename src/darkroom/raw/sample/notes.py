"""Seven invented notes of the Darkroom Bank: arches, guilloche waves, rosettes, big numerals.

They share with the real set what a network must cope with (hues, numerals, one side only), and
none of its designs.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import Canvas, Colour, Points, ellipse, fill, glaze, mix, stroke

DENOMINATIONS = (5, 10, 20, 50, 100, 200, 500)
INKS = ((104, 112, 118), (190, 74, 66), (52, 98, 170), (214, 124, 38), (58, 140, 76),
        (168, 142, 30), (128, 62, 144))  # fmt: skip
PAPER = (244, 242, 234)
WIDTH, HEIGHT = 1120, 580


def draw_note(number: int, rng: np.random.Generator) -> Canvas:
    """Return the face of note 0 to 6, uint8 (580, 1120, 3)."""
    ink = INKS[number]
    note = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    across = np.linspace(0, 1, WIDTH)[:, None]
    pale, strong = np.asarray(mix(PAPER, ink, 0.1)), np.asarray(mix(PAPER, ink, 0.52))
    note[:] = (pale + (strong - pale) * np.sin(across * 2.4) ** 2).astype(np.uint8)
    _waves(note, ink, number)
    _rosette(note, (300 + 22 * number, 300), 150, 5 + number, mix(ink, PAPER, 0.35))
    _arches(note, ink, number)
    _aperture(note, (92, 96), 52, 5 + number % 4, ink)
    _patch(note, number, ink)
    _serial(note, ink, rng)
    _lettering(note, number, ink)
    return note


def _waves(note: Canvas, ink: Colour, number: int) -> None:
    x = np.linspace(0, WIDTH, 120)
    for line in range(34):
        height = 12 * np.sin(x / (38 + 9 * number) + line * 0.31)
        height += 16 * np.sin(x / 173 + line * 0.13 * (number % 3 + 1))
        y = HEIGHT * (line + 0.5) / 34 + height
        shade = mix(ink, PAPER, 0.45 + 0.25 * (line % 2))
        stroke(note, np.stack([x, y], 1), shade, 1)


def _rosette(
    note: Canvas, middle: tuple[float, float], size: float, petals: int, ink: Colour
) -> None:
    angle = np.linspace(0, 2 * np.pi, 240)
    for turn in range(9):
        radius = size * (0.62 + 0.3 * np.cos(petals * angle + turn * 0.35)) * (1 - 0.07 * turn)
        curve = np.stack([np.cos(angle + 0.1 * turn), np.sin(angle + 0.1 * turn)], 1)
        stroke(note, np.asarray(middle) + curve * radius[:, None], ink, 1, closed=True)


def _arch(left: float, low: float, wide: float, tall: float, kind: int) -> Points:
    """Return a doorway: round, pointed, flat or a bell, by kind 0 to 3."""
    t = np.linspace(0, 1, 17)
    spring = low - tall + wide / 2
    x = left + wide * t
    rise = np.sqrt(np.clip(1 - (2 * t - 1) ** 2, 0, 1))
    if kind == 1:
        rise = 1.5 * (1 - np.abs(2 * t - 1) ** 1.4)
    elif kind == 2:
        rise = np.full_like(t, 0.9)
    elif kind == 3:
        rise = 1.2 * np.cos((2 * t - 1) * np.pi / 2) ** 2
    top = np.stack([x, spring - rise * wide / 2], 1)
    return np.concatenate([[[left, low]], top, [[left + wide, low]]])


def _arches(note: Canvas, ink: Colour, number: int) -> None:
    count, kind = number % 4 + 1 + number // 4, number % 4
    left, right, low = 470.0, 900.0, 500.0
    wide = (right - left) / count
    hall = [(left - 24, low + 14), (left - 24, 180), (right + 24, 180), (right + 24, low + 14)]
    glaze(note, np.array(hall), mix(ink, (0, 0, 0), 0.12), 0.5, 2)
    for place in range(count):
        start = left + wide * place
        for ring in range(4):
            inset = wide * 0.06 * (ring + 0.6)
            arch = _arch(start + inset, low, wide - 2 * inset, 300 - 2.2 * inset, kind)
            fill(note, arch, mix(ink, PAPER if ring % 2 else (20, 20, 24), 0.2 + 0.16 * ring))
    for step in range(3):
        base = low + 6 + 15 * step
        stroke(note, np.array([[left - 24 - 12 * step, base], [right + 24 + 12 * step, base]]),
               mix(ink, (20, 20, 24), 0.4), 6)  # fmt: skip


def _aperture(
    note: Canvas, middle: tuple[float, float], size: float, blades: int, ink: Colour
) -> None:
    """Draw the bank's emblem: a lens's iris of so many blades."""
    fill(note, ellipse(middle, (size, size)), mix(ink, (16, 20, 60), 0.7))
    for blade in range(blades):
        start = 2 * np.pi * blade / blades
        turned = start + np.array([0, 2.1])
        ends = np.asarray(middle) + size * np.stack([np.cos(turned), np.sin(turned)], 1)
        stroke(note, ends, (238, 214, 120), 3)


def _patch(note: Canvas, number: int, ink: Colour) -> None:
    """Draw the foil at the right: a strip on small notes, a round patch on large ones."""
    foil = ((92, 150, 150), (150, 140, 190), (190, 170, 110))
    if number < 3:
        for row in range(24):
            box = np.array([[1012, 0], [1072, 0], [1072, 25], [1012, 25]]) + np.array(
                [0, 24.5 * row]
            )
            fill(note, box, foil[(row + number) % 3])
            glaze(note, ellipse((1042, 12 + 24.5 * row), (20, 9)), ink, 0.5)
        return
    for ring, size in enumerate((72, 58, 44, 30)):
        fill(note, ellipse((1012, 340), (size, size * 1.15)), foil[(ring + number) % 3])
    _rosette(note, (1012, 340), 70, 3 + number, mix(ink, (20, 20, 60), 0.6))


def _serial(note: Canvas, ink: Colour, rng: np.random.Generator) -> None:
    digits = "".join(str(d) for d in rng.integers(0, 10, 10))
    cv2.putText(note, f"D{digits}", (700, 560), cv2.FONT_HERSHEY_SIMPLEX, 0.9,
                mix(ink, (0, 0, 0), 0.6), 2, cv2.LINE_AA)  # fmt: skip


def _lettering(note: Canvas, number: int, ink: Colour) -> None:
    sheet = Image.fromarray(note)
    pen = ImageDraw.Draw(sheet)
    value, dark = str(DENOMINATIONS[number]), _byte(mix(ink, (18, 18, 22), 0.55))
    big, small = ImageFont.load_default(168), ImageFont.load_default(92)
    words, faint = ImageFont.load_default(30), _byte(mix(ink, PAPER, 0.25))
    pen.text((980, 168), value, fill=dark, font=big, anchor="rs", stroke_width=3)
    pen.text((44, 540), value, fill=dark, font=small, anchor="ls", stroke_width=2)
    end = 60 + pen.textlength(value, font=small)
    pen.text((end, 540), "LUMEN", fill=dark, font=ImageFont.load_default(46), anchor="ls")
    pen.text((170, 60), "THE DARKROOM BANK", fill=dark, font=words, anchor="ls")
    pen.text((170, 96), "sample · not money", fill=faint, font=words, anchor="ls")
    note[:] = np.asarray(sheet)


def _byte(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(c) for c in colour)
    return red, green, blue
