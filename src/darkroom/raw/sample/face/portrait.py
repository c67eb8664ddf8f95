"""A portrait: background, sitter and light, as a JPEG of 178x218."""

import numpy as np
import simplejpeg

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import Canvas, ellipse, glaze, soft_noise, spline
from darkroom.raw.sample.face.features import (
    paint_beard,
    paint_eyes,
    paint_mouth,
    paint_nose,
    paint_spectacles,
)
from darkroom.raw.sample.face.hair import (
    paint_earrings,
    paint_hair_before,
    paint_hair_behind,
    paint_hat,
)
from darkroom.raw.sample.face.head import outline, paint_body, paint_head
from darkroom.raw.sample.face.sitter import HEIGHT, SCALE, WIDTH, seat

QUALITY = 88
SETTINGS = ((236, 238, 240), (28, 28, 34), (120, 150, 186), (176, 132, 92), (92, 124, 88),
            (186, 92, 84), (204, 186, 150), (86, 74, 116))  # fmt: skip


def draw_portrait(attributes: dict[str, bool], rng: np.random.Generator) -> Canvas:
    """Return a face with the given attributes, uint8 (218, 178, 3)."""
    sitter = seat(attributes, rng, _background(rng))
    paint_hair_behind(sitter)
    paint_body(sitter)
    paint_head(sitter)
    paint_beard(sitter, outline(sitter))
    paint_eyes(sitter)
    paint_nose(sitter)
    paint_mouth(sitter)
    if sitter.has("Wearing_Earrings"):
        paint_earrings(sitter)
    paint_hair_before(sitter)
    if sitter.has("Eyeglasses"):
        paint_spectacles(sitter)
    if sitter.has("Wearing_Hat"):
        paint_hat(sitter)
    picture = cv2.resize(sitter.canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    return _photographed(picture, rng, blurred=sitter.has("Blurry"))


def encode_portrait(picture: Canvas) -> bytes:
    """Return a portrait as a JPEG of about the size of the real ones."""
    return bytes(simplejpeg.encode_jpeg(picture, QUALITY, colorsubsampling="420"))


def _background(rng: np.random.Generator) -> Canvas:
    base = np.asarray(SETTINGS[int(rng.integers(len(SETTINGS)))]) + rng.uniform(-24, 24, 3)
    other = np.clip(base + rng.uniform(-45, 45, 3), 0, 255)
    down = np.linspace(0, 1, SCALE * HEIGHT)[:, None, None]
    plain = np.clip(base * (1 - down) + other * down, 0, 255).astype(np.uint8)
    canvas = np.repeat(plain, SCALE * WIDTH, axis=1)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, SCALE * WIDTH), rng.uniform(0, SCALE * HEIGHT * 0.8)
        size = rng.uniform(18, 70)
        spot = ellipse((x, y), (size, size), count=18)
        if rng.random() < 0.4:
            spot = spline(spot[::5] + rng.normal(0, 12, spot[::5].shape))
        glaze(canvas, spot, rng.uniform(20, 240, 3).tolist(), rng.uniform(0.2, 0.6), 5)
    return canvas


def _photographed(picture: Canvas, rng: np.random.Generator, *, blurred: bool) -> Canvas:
    """Return the picture as a camera would: light, contrast, colour cast, grain, blur."""
    if blurred:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(2.0, 3.2)))
    gain = rng.uniform(0.95, 1.05, 3) * rng.uniform(0.86, 1.08)
    contrast, lift = rng.uniform(0.88, 1.08), rng.uniform(-6, 10)
    tone = (np.arange(256)[:, None] - 128) * contrast + 128 + lift
    table = np.clip(tone * gain + 0.5, 0, 255).astype(np.uint8)
    grain = 2.4 * rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32)
    grain += 2 * soft_noise(rng, HEIGHT, WIDTH, 40)
    spread = cv2.merge([np.rint(grain).astype(np.int16)] * 3)
    return np.asarray(cv2.add(cv2.LUT(picture, table[None]), spread, dtype=cv2.CV_8U))
