"""Draw the raw files of the ATM banknote set: three archives of lit, turned notes, three tables."""

from functools import partial
from pathlib import Path

import numpy as np
import simplejpeg

from darkroom.images.geometry import cv2
from darkroom.project import files
from darkroom.raw.sample.brush import Canvas
from darkroom.raw.sample.notes import DENOMINATIONS, draw_note
from darkroom.raw.sample.packing import Member, map_in_order, write_tar_gz

SUBSETS = ("training", "validation", "test")
QUALITY = 75
# (width, height) by class, as in the real set, where size alone predicts the class too
SIZES = ((510, 262), (510, 269), (510, 276), (510, 280), (510, 283), (430, 230), (510, 261))


def draw_banknotes(folder: Path, seed: int, *, each: int = 10, workers: int = 1) -> None:
    """Draw `<subset>_data_pytorch.tar.gz` and `<subset>_labels.csv` for the three subsets.

    `each` is the number of pictures of a note in each subset, ten in the real set. The three tables
    have the same bytes, the pictures differ. The bytes depend on the seed and on `each` alone.
    """
    table = _table(each)
    drawn = map_in_order(partial(_photographs, seed, each), SUBSETS, workers)
    for subset, members in zip(SUBSETS, drawn, strict=True):
        write_tar_gz(folder / f"{subset}_data_pytorch.tar.gz", members)
        files.write(folder / f"{subset}_labels.csv", table)


def _photographs(seed: int, each: int, subset: str) -> list[Member]:
    """Return the pictures of a subset, notes in order: 0.jpeg, 1.jpeg and so on."""
    members: list[Member] = []
    for number in range(len(DENOMINATIONS)):
        # one print a note: every picture of it shows the same serial number, as in the real set
        note = draw_note(number, np.random.default_rng([seed, 4, number]))
        for turn in range(each):
            index = each * number + turn
            rng = np.random.default_rng([seed, 5, SUBSETS.index(subset), index])
            picture = _lit(_tilted(note, SIZES[number], rng), rng)
            data = simplejpeg.encode_jpeg(picture, QUALITY, colorsubsampling="420")
            members.append((f"{subset}_data_pytorch/{index}.jpeg", bytes(data)))
    return members


def _tilted(note: Canvas, size: tuple[int, int], rng: np.random.Generator) -> Canvas:
    """Return the note turned and tilted a little, filling the picture except for black corners."""
    width, height = size
    angle = np.radians(rng.uniform(-8, 8))
    zoom = rng.uniform(0.95, 1.1)
    c, s = np.cos(angle) * zoom, np.sin(angle) * zoom
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([width, height]) / 2
    turned = corners @ np.array([[c, s], [-s, c]]) * (1 + rng.uniform(-0.035, 0.035, (4, 2)))
    target = turned + np.array([width, height]) / 2 + rng.uniform(-7, 7, 2)
    high, wide = note.shape[:2]
    source = np.array([[0, 0], [wide, 0], [wide, high], [0, high]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, target.astype(np.float32))
    smooth = cv2.GaussianBlur(note, (0, 0), 0.8)  # the note is drawn twice as large
    return np.asarray(cv2.warpPerspective(smooth, matrix, size, flags=cv2.INTER_LINEAR))


def _lit(picture: Canvas, rng: np.random.Generator) -> Canvas:
    """Return the picture under another lamp: hue, saturation, brightness, contrast, grain.

    Hues move so far that neighbours overlap: colour alone must not separate a ten from a fifty.
    """
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)
    levels = np.arange(256)
    hue = (levels + round(rng.uniform(-22, 22))) % 180
    saturation = np.clip(levels * rng.uniform(0.45, 1.25), 0, 255)
    contrast, brightness = rng.uniform(0.8, 1.2), rng.uniform(0.68, 1.18)
    value = np.clip(((levels - 128) * contrast + 128) * brightness, 0, 255)
    value[:4] = 0  # the background stays black
    table = np.stack([hue, saturation, value], axis=1).astype(np.uint8)
    lit = cv2.cvtColor(cv2.LUT(hsv, table[None]), cv2.COLOR_HSV2RGB)
    grain = 4.5 * rng.standard_normal(lit.shape[:2], dtype=np.float32)
    spread = cv2.merge([np.rint(grain).astype(np.int16)] * 3)
    return np.asarray(cv2.add(lit, spread, dtype=cv2.CV_8U))


def _table(each: int) -> bytes:
    rows = [",denomination,filename,y"]
    for index in range(each * len(DENOMINATIONS)):
        number = index // each
        rows.append(f"{index},{DENOMINATIONS[number]},{index}.jpeg,{number}")
    return ("\n".join(rows) + "\n").encode("ascii")
