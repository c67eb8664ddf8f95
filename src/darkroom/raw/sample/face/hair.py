"""Hair and hats of a portrait: colour, length, bangs, straight or wavy, receding or bald."""

import numpy as np

from darkroom.raw.sample.brush import Points, arc, ellipse, mix, spline
from darkroom.raw.sample.face.sitter import Sitter

Outline = list[tuple[float, float]]

DARK = (20, 12, 10)


def paint_hair_behind(sitter: Sitter) -> None:
    """Paint the hair that falls behind the face: long for most women, short for most men."""
    if sitter.has("Bald"):
        return
    low, wide = _length(sitter)
    wavy = sitter.has("Wavy_Hair")
    side = [(0.0, -72.0), (30, -65), (47, -38), (wide - 3, 0), (wide, 30), (wide - 1, low - 14)]
    right = arc(np.array([*side, (wide * 0.72, low)]), 8)
    if wavy:
        swing = 4.4 * np.sin(right[:, 1] / 4.6 + sitter.rng.uniform(0, 6))
        right[:, 0] += swing * np.clip((right[:, 1] + 62) / 30, 0, 1)
    left = right[::-1] * np.array([-1, 1])
    sitter.fill([*right.tolist(), *left.tolist()], mix(sitter.hair, DARK, 0.28))
    if low > 40:
        _strands(sitter, wide, low, wavy)


def _length(sitter: Sitter) -> tuple[float, float]:
    """Return how far the hair falls and half its width."""
    if sitter.has("Male"):
        if sitter.has("Straight_Hair"):
            return 26, 46
        return (16, 50) if sitter.has("Wavy_Hair") else (4, 44)
    if sitter.has("Wavy_Hair"):
        return 112, 61
    return (110, 51) if sitter.has("Straight_Hair") else (30, 46)


def _strands(sitter: Sitter, wide: float, low: float, wavy: bool) -> None:
    light, dark = mix(sitter.hair, (255, 244, 224), 0.22), mix(sitter.hair, DARK, 0.55)
    y = np.linspace(-20, low - 8, 18)
    for number, out in enumerate((0.74, 0.81, 0.88, 0.95)):
        for side in (-1, 1):
            x = np.full_like(y, side * wide * out)
            if wavy:
                x += 3.4 * np.sin(y / 4.6 + number)
            sitter.stroke(np.stack([x, y], 1), light if number % 2 else dark, 1)


def paint_hair_before(sitter: Sitter) -> None:
    """Paint the hair above the forehead, down to the hairline, and bangs."""
    if sitter.has("Bald"):
        _bald(sitter)
        return
    crown = _crown(sitter)
    high = -31.0 if sitter.has("Male") else -35.0
    if sitter.has("Receding_Hairline"):
        half: Outline = [(40, -2), (38, -26), (29, -49), (14, -50)]
        line = [*half, (0.0, -43.0), *((-x, y) for x, y in reversed(half))]
    else:
        part = float(sitter.rng.uniform(-16, 16))
        half = [(41, 4), (37, -16), (27, high + 3)]
        line = [*half, (part, high - 6), *((-x, y) for x, y in reversed(half))]
    sitter.fill([*crown.tolist(), *arc(line).tolist()], sitter.hair)
    _gleam(sitter)
    if sitter.has("Bangs"):
        _bangs(sitter)
    if not sitter.has("Male", "Straight_Hair", "Wavy_Hair"):
        _bun(sitter)


def _crown(sitter: Sitter) -> Points:
    top = -74.0 if sitter.has("Wavy_Hair") else -69.0
    if sitter.has("Receding_Hairline"):
        top = -65.0
    crown = arc(np.array([(-43.5, 8), (-46, -18), (-37, -50), (0, top), (37, -50), (46, -18),
                          (43.5, 8)]), 8)  # fmt: skip
    if sitter.has("Wavy_Hair"):
        angle = np.linspace(0, 13 * np.pi, len(crown))
        crown = crown * (1 + 0.03 * np.sin(angle))[:, None]
    return crown


def _gleam(sitter: Sitter) -> None:
    light = mix(sitter.hair, (255, 246, 228), 0.4)
    if sitter.has("Wavy_Hair"):
        for x in (-30, -18, -6, 8, 20, 31):
            y = -48 - 14 * np.cos(x / 26)
            curl = ellipse((x, y + 8), (6, 5), start=170, stop=390, count=12)
            sitter.stroke(curl, light, 1)
    elif sitter.has("Straight_Hair"):
        for x in (-30, -22, -13, -4, 6, 15, 24, 31):
            sitter.stroke([(x * 0.6, -63), (x * 1.05, -42)], light, 1)
    else:
        sitter.glaze(ellipse((-8, -55), (22, 6)), light, 0.5, 3)


def _bangs(sitter: Sitter) -> None:
    rng = sitter.rng
    x = np.linspace(-39, 39, 14)
    low = -14 + rng.uniform(-1.5, 1.5, 14)
    low[::2] -= 6
    fringe = [*zip(x.tolist(), low.tolist(), strict=True), (37, -44), (0, -60), (-37, -44)]
    sitter.fill(fringe, sitter.hair)
    for at, end in zip(x[1:-1:2].tolist(), low[1:-1:2].tolist(), strict=True):
        sitter.stroke([(at * 0.85, -46), (at, end - 3)], mix(sitter.hair, DARK, 0.4), 0.8)


def _bun(sitter: Sitter) -> None:
    sitter.fill(ellipse((0, -74), (17, 13)), sitter.hair)
    knot = ellipse((0, -72), (11, 7), start=180, stop=360)
    sitter.stroke(knot, mix(sitter.hair, DARK, 0.4), 1)


def _bald(sitter: Sitter) -> None:
    sitter.glaze(ellipse((10, -46), (13, 6)), (255, 252, 246), 0.7, 2.5)
    for side in (-1, 1):
        fringe = spline([(side * 40, -16), (side * 44, 2), (side * 42, 10), (side * 38, 0)])
        sitter.glaze(fringe, mix(sitter.hair, DARK, 0.2), 0.45, 1)


def paint_hat(sitter: Sitter) -> None:
    """Paint a cap with a brim, a knitted hat or a straw one."""
    rng = sitter.rng
    kind, cloth = int(rng.integers(3)), tuple(rng.uniform(25, 215, 3))
    dome = arc(np.array([(-46, -30), (-45, -58), (-26, -82), (0, -88), (26, -82), (45, -58),
                         (46, -30)]))  # fmt: skip
    if kind == 2:
        cloth = (214, 182, 122)
        sitter.fill(ellipse((0, -34), (74, 11)), mix(cloth, DARK, 0.2))
    sitter.fill([*dome.tolist(), (0, -25)], cloth)
    sitter.glaze(ellipse((-14, -66), (16, 10)), (255, 255, 255), 0.25, 4)
    if kind == 0:
        sitter.fill(spline([(-46, -32), (0, -42), (46, -32), (38, -21), (0, -17), (-38, -21)]),
                    mix(cloth, DARK, 0.4))  # fmt: skip
    elif kind == 1:
        band = [(-47, -40), (0, -36), (47, -40), (46, -24), (0, -20), (-46, -24)]
        sitter.fill(spline(band), mix(cloth, (255, 255, 255), 0.35))
    else:
        sitter.fill([(-46, -44), (46, -44), (46, -33), (-46, -33)], (60, 40, 40))


def paint_earrings(sitter: Sitter) -> None:
    """Paint hoops or drops below the ears, before the hair."""
    gold = ((236, 196, 72), (240, 242, 248), (60, 170, 160))[int(sitter.rng.integers(3))]
    hoop = sitter.rng.random() < 0.5
    for side in (-1, 1):
        x = side * 43.5 - sitter.yaw * 0.8
        if hoop:
            ring = ellipse((x, 29), (5.5, 8))
            sitter.stroke([*ring.tolist(), ring[0].tolist()], gold, 1.8)
        else:
            sitter.fill(ellipse((x, 22), (2.4, 2.4), count=12), gold)
            sitter.fill(spline([(x, 23), (x + 4, 33), (x, 37), (x - 4, 33)]), gold)
