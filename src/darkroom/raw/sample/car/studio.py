"""The empty studio: a white wall with lettering, a grey floor, the ring of the turntable."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import SHIFT, Canvas, Points, fixed, soft_noise, stroke
from darkroom.raw.sample.car.camera import HEIGHT, WIDTH, Camera, Floats, turn

LETTERING = "DARKROOM"
RING_RADIUS = 3.55
SEAMS = 8


def draw_studio(rng: np.random.Generator, camera: Camera) -> Canvas:
    """Return the studio without a car, uint8 (1280, 1918, 3)."""
    # light changes slowly: computing every fourth pixel suffices
    y, x = np.mgrid[0:HEIGHT:4, 0:WIDTH:4].astype(np.float32)
    aside = (x - WIDTH / 2) / WIDTH
    skirting = camera.axis_px[1] - 330 + 150 * aside**2
    wall = _enlarged(_wall(rng, aside, y))
    cv2.multiply(wall, cv2.merge([_lettering(rng)] * 3), dst=wall, scale=1 / 255)
    floor = _enlarged(_floor(rng, camera, x, y, skirting))
    edge = np.stack([x[0], skirting[0]], axis=1).astype(np.float64)
    room = _joined(wall, floor, edge)
    ring = camera.see(_circle(RING_RADIUS))
    stroke(room, ring + np.array([0, 3]), (176, 180, 182), 2, closed=True)
    stroke(room, ring, (84, 88, 92), 3, closed=True)
    return room


def _enlarged(light: Floats) -> Canvas:
    small = np.clip(light, 0, 255).astype(np.float32)
    return np.asarray(cv2.resize(small, (WIDTH, HEIGHT)) + 0.5).astype(np.uint8)


def _joined(wall: Canvas, floor: Canvas, edge: Points) -> Canvas:
    """Return the wall above the edge and the floor below it."""
    below = np.zeros((HEIGHT, WIDTH), np.uint8)
    outline = np.concatenate([[[0, edge[0, 1]]], edge, [[WIDTH, edge[-1, 1]]]])
    corners = [[WIDTH + 9, HEIGHT + 9], [-9, HEIGHT + 9]]
    cv2.fillPoly(below, [fixed(np.concatenate([outline, corners]))], 255, cv2.LINE_AA, SHIFT)
    share = cv2.merge([cv2.GaussianBlur(below, (5, 5), 1.0)] * 3)
    under = cv2.multiply(floor, share, scale=1 / 255)
    return np.asarray(cv2.add(cv2.multiply(wall, 255 - share, scale=1 / 255), under))


def draw_seams(room: Canvas, camera: Camera, view: int) -> None:
    """Draw the turntable's seams, which turn with the car, into a studio."""
    for seam in range(SEAMS):
        angle = 2 * np.pi * seam / SEAMS + 0.2
        ray = np.array([[r * np.cos(angle), r * np.sin(angle), 0] for r in (1.9, RING_RADIUS)])
        stroke(room, camera.see(turn(ray, view)), (138, 142, 146), 2)


def drop_shadow(room: Canvas, camera: Camera, footprint: Floats) -> None:
    """Darken the floor under a footprint (N, 3) in metres: wide and faint, close and dark."""
    small = np.zeros((HEIGHT // 8, WIDTH // 8), np.uint8)
    wide = cv2.convexHull((camera.see(footprint * [1.08, 1.08, 1]) / 8).astype(np.float32))
    tight = cv2.convexHull((camera.see(footprint * [0.97, 0.95, 1]) / 8).astype(np.float32))
    cv2.fillConvexPoly(small, wide.astype(np.int32), 90)
    soft = cv2.GaussianBlur(small, (0, 0), 5.0).astype(np.float32)
    small[...] = 0
    cv2.fillConvexPoly(small, tight.astype(np.int32), 135)
    soft += cv2.GaussianBlur(small, (0, 0), 1.8)
    rows = np.nonzero(soft.max(axis=1) > 0.5)[0]
    first, last = rows[0], rows[-1] + 1
    light = (255.5 - np.clip(soft[first:last], 0, 225)).astype(np.uint8)
    light = cv2.resize(light, (WIDTH, 8 * (last - first)))
    floor = room[8 * first : 8 * last]
    cv2.multiply(floor, cv2.merge([light] * 3), dst=floor, scale=1 / 255)


def _wall(rng: np.random.Generator, aside: Floats, y: Floats) -> Floats:
    bright = 238 - 16 * (y / 600 - 0.45) ** 2 - 70 * aside**2 + 6 * rng.uniform(-1, 1) * aside
    bright += 1.2 * soft_noise(rng, len(y), len(y[0]), 40)
    warm = np.array([1.0, 1.0, 0.995]) + rng.uniform(-0.006, 0.006, 3)
    return np.asarray(bright[..., None] * warm)


def _lettering(rng: np.random.Generator) -> Canvas:
    """Return how much light the wall keeps, of 255: uint8 (1280, 1918), dark where letters are."""
    sheet = Image.new("L", (WIDTH, HEIGHT), 255)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(290)
    gap, x = 42 + rng.uniform(-4, 4), 150 + rng.uniform(-12, 12)
    base = 492 + rng.uniform(-10, 10)
    widths = [pen.textlength(letter, font=font) for letter in LETTERING]
    gap *= (WIDTH - 2 * x - sum(widths)) / (gap * (len(LETTERING) - 1))
    for place, (letter, width) in enumerate(zip(LETTERING, widths, strict=True)):
        bold = 7 if place >= 4 else 0  # two weights, like many a showroom's name
        pen.text((x, base), letter, fill=90, font=font, anchor="ls", stroke_width=bold)
        x += width + gap
    return np.asarray(sheet)


def _floor(
    rng: np.random.Generator, camera: Camera, x: Floats, y: Floats, skirting: Floats
) -> Floats:
    near = np.clip((y - skirting) / (HEIGHT - 430), 0, 1)
    bright = 150 + 22 * near - 16 * np.exp(-((y - skirting) / 60))
    spot = ((x - camera.axis_px[0]) / 900) ** 2 + ((y - camera.axis_px[1] - 160) / 330) ** 2
    bright += 16 * np.exp(-spot) - 26 * ((x - WIDTH / 2) / WIDTH) ** 2
    for cell_px, strength in ((22, 1.6), (4, 0.9)):
        bright += strength * soft_noise(rng, len(x), len(x[0]), cell_px)
    tint = np.array([0.972, 1.0, 1.026]) + rng.uniform(-0.012, 0.012, 3)
    return np.asarray(bright[..., None] * tint)


def _circle(radius: float) -> Floats:
    angle = np.linspace(0, 2 * np.pi, 181)[:-1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), 0 * angle], axis=1)
