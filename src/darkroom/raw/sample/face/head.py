"""Head, neck and clothes of a portrait, and the light on them."""

import numpy as np

from darkroom.raw.sample.brush import Points, arc, ellipse, mix, spline
from darkroom.raw.sample.face.sitter import Corners, Sitter, mirrored

DARK = (40, 22, 18)


def outline(sitter: Sitter) -> list[tuple[float, float]]:
    """Return the corners of the face: jaw by sex, width and length by shape."""
    male = sitter.has("Male")
    wide, jaw, chin, low = 40.0, (35.0 if male else 29.5), (19.0 if male else 12.5), 70.0
    if sitter.has("Oval_Face"):
        wide, jaw, chin, low = wide - 2.5, jaw - 3, chin - 1, low + 5
    if sitter.has("Chubby"):
        wide, jaw, chin, low = wide + 3.5, jaw + 8, chin + 8, low - 1
    return mirrored(
        [(0, -58), (24, -52), (37, -28), (wide, -2), (wide - 2, 22), (jaw, 46), (chin, low - 7),
         (0, low)]
    )  # fmt: skip


def paint_body(sitter: Sitter) -> None:
    """Paint neck, shoulders and what is worn on them."""
    rng, skin = sitter.rng, sitter.skin
    wide = 31 if sitter.has("Male") else 23
    slope = 74 if sitter.has("Male") else 66
    neck = [(-wide, 20), (-wide, 84), (-wide - 16, 120), (wide + 16, 120), (wide, 84), (wide, 20)]
    sitter.fill(neck, mix(skin, DARK, 0.12))
    sitter.glaze(ellipse((2, 66), (wide + 4, 22)), mix(skin, DARK, 0.75), 0.5, 4)
    cloth = tuple(rng.uniform(20, 225, 3))
    if sitter.has("Wearing_Necktie"):
        cloth = mix((34, 38, 52), (70, 72, 80), float(rng.uniform(0, 1)))
    shoulders = [(-150, 140), (-slope - 20, 106), (-slope + 22, 94), (-wide - 2, 84), (0, 104)]
    shoulders += [(-x, y) for x, y in reversed(shoulders[:-1])]
    sitter.fill(spline(shoulders), cloth)
    if sitter.has("Wearing_Necktie"):
        _tie(sitter, wide)
    elif sitter.has("Male"):
        sitter.stroke(arc([(-wide - 2, 84), (0, 105), (wide + 2, 84)]), mix(cloth, DARK, 0.35), 2)
    if sitter.has("Wearing_Necklace"):
        _necklace(sitter, wide)


def _tie(sitter: Sitter, wide: float) -> None:
    red, green, blue = sitter.rng.uniform(20, 200, 3)
    tie = (red, green * 0.5, blue)
    for side in (-1, 1):
        collar = [(side * (wide + 4), 74), (0, 90), (side * 13, 106), (side * (wide + 14), 92)]
        sitter.fill(collar, (240, 241, 244))
    sitter.fill([(-15, 106), (0, 88), (15, 106), (18, 140), (-18, 140)], (232, 233, 238))
    sitter.fill([(-7, 88), (7, 88), (5, 97), (12, 140), (-12, 140), (-5, 97)], tie)
    sitter.stroke([(-5, 97), (5, 97)], mix(tie, DARK, 0.5), 1)


def _necklace(sitter: Sitter, wide: float) -> None:
    gold = ((226, 190, 84), (236, 236, 240), (70, 160, 150))[int(sitter.rng.integers(3))]
    chain = arc([(-wide - 6, 84), (-14, 98), (0, 101), (14, 98), (wide + 6, 84)], 5)
    sitter.stroke(chain, mix(gold, DARK, 0.25), 1.5)
    for bead in chain[1::2]:
        sitter.fill(ellipse((bead[0], bead[1]), (2.1, 2.1), count=10), gold)


def paint_head(sitter: Sitter) -> None:
    """Paint ears and face, lit from one side, with the marks of age and weight."""
    skin, shadow = sitter.skin, mix(sitter.skin, DARK, 0.55)
    for side in (-1, 1):
        middle = (side * 40.5 - sitter.yaw * 0.8, 8)
        sitter.fill(ellipse(middle, (7, 12)), mix(skin, DARK, 0.06))
        sitter.fill(ellipse((middle[0] + side, 8), (3.4, 7)), mix(skin, DARK, 0.22))
    if sitter.has("Double_Chin"):
        sitter.fill(spline(mirrored([(0, 50), (29, 52), (24, 72), (0, 81)])), mix(skin, DARK, 0.07))
        sitter.stroke(arc([(-21, 74), (0, 82), (21, 74)]), shadow, 1)
    face = spline(outline(sitter))
    sitter.fill(face, skin)
    lit = float(np.sign(sitter.rng.uniform(-1, 1)))
    cheek = [(lit * 44, -40), (lit * 23, -10), (lit * 27, 30), (lit * 12, 72), (lit * 46, 60)]
    sitter.glaze(_within(cheek, face), shadow, 0.3, 5)
    sitter.glaze(ellipse((-lit * 9, -26), (19, 12)), mix(skin, (255, 250, 240), 0.7), 0.45, 5)
    if sitter.has("Double_Chin"):
        sitter.stroke(arc([(-18, 66), (0, 72), (18, 66)]), mix(skin, DARK, 0.4), 1.5)
    _cheeks(sitter)
    if not sitter.has("Young"):
        _wrinkles(sitter)


def _within(corners: Corners, face: Points) -> Points:
    low, high = face.min(axis=0), face.max(axis=0)
    return np.asarray(np.clip(np.asarray(corners), low + 3, high - 2))


def _cheeks(sitter: Sitter) -> None:
    skin = sitter.skin
    for side in (-1, 1):
        if sitter.has("High_Cheekbones"):
            bone = ellipse((side * 25, 17), (9, 4.2))
            sitter.glaze(bone, mix(skin, (255, 252, 244), 0.8), 0.6, 2, 0.4)
            hollow = [(side * 37, 26), (side * 33, 36), (side * 19, 40), (side * 22, 33)]
            sitter.glaze(hollow, mix(skin, DARK, 0.6), 0.34, 2.5, 0.3)
        if sitter.has("Rosy_Cheeks"):
            sitter.glaze(ellipse((side * 24, 23), (11, 8)), (232, 74, 84), 0.55, 3, 0.4)
        elif sitter.has("Heavy_Makeup"):
            sitter.glaze(ellipse((side * 26, 22), (9, 6)), (214, 96, 100), 0.22, 3, 0.4)


def _wrinkles(sitter: Sitter) -> None:
    line = mix(sitter.skin, DARK, 0.32)
    for y in (-38, -32, -26):
        sitter.stroke(arc([(-19, y + 1), (-6, y - 1), (7, y), (19, y + 1)]), line, 0.6, 0.5)
    for side in (-1, 1):
        sitter.stroke(arc([(side * 12, 24), (side * 19, 35), (side * 21, 44)]), line, 1.2, 0.6)
        for drop in (-3, 1, 5):
            sitter.stroke([(side * 31, drop * 0.6), (side * 36, drop * 1.4)], line, 0.6, 0.5)
