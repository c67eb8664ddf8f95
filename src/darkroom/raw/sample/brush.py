"""Strokes, fills and soft spots on an RGB canvas: what every drawn picture is painted with.

A canvas is uint8 (H, W, 3), RGB, and is painted in place. Points are float (N, 2) as (x, y) in
pixels of the canvas. A colour is three numbers, 0 to 255.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from darkroom.images.geometry import cv2

Canvas = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
Colour = Sequence[float]

SHIFT = 4  # sixteenths of a pixel


def fixed(points: Points) -> npt.NDArray[np.int32]:
    """Return points in sixteenths of a pixel, int32, as cv2 takes them."""
    return np.rint(np.asarray(points) * (1 << SHIFT)).astype(np.int32)


def mix(one: Colour, other: Colour, share: float) -> tuple[float, ...]:
    """Return the colour that lies `share` (0 to 1) of the way from one to the other."""
    return tuple(a + (b - a) * share for a, b in zip(one, other, strict=True))


def fill(canvas: Canvas, points: Points, colour: Colour, *, hard: bool = False) -> None:
    """Fill a closed polygon; its edges are smoothed, or `hard`: each pixel is in or out."""
    cv2.fillPoly(canvas, [fixed(points)], colour, cv2.LINE_8 if hard else cv2.LINE_AA, SHIFT)


def stroke(
    canvas: Canvas, points: Points, colour: Colour, width_px: float = 1, closed: bool = False
) -> None:
    """Draw a line through the points, edges smoothed."""
    thick = max(1, round(width_px))
    cv2.polylines(canvas, [fixed(points)], closed, colour, thick, cv2.LINE_AA, SHIFT)


def ellipse(
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    start: float = 0,
    stop: float = 360,
    count: int = 32,
) -> Points:
    """Return `count` points along an ellipse, `start` to `stop` degrees, clockwise."""
    return np.asarray(_unit_arc(start, stop, count) * radii + centre)


@lru_cache(maxsize=256)
def _unit_arc(start: float, stop: float, count: int) -> Points:
    angle = np.radians(np.linspace(start, stop, count))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def spline(corners: Sequence[tuple[float, float]] | Points, steps: int = 6) -> Points:
    """Return a smooth closed outline through the corners (Catmull-Rom)."""
    p = np.asarray(corners, dtype=np.float64)
    ring = np.concatenate([p[-1:], p, p[:2]])
    t = (np.arange(steps) / steps)[None, :, None]
    a, b, c, d = (ring[i : i + len(p), None] for i in range(4))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.asarray(curve.reshape(-1, 2))


def arc(corners: Sequence[tuple[float, float]] | Points, steps: int = 6) -> Points:
    """Return a smooth open line through the corners."""
    p = np.asarray(corners, dtype=np.float64)
    ends = np.concatenate([p[:1], p, p[-1:]])
    return spline(ends, steps)[steps : steps * len(p) + 1]


def _window(canvas: Canvas, points: Points, margin: int) -> tuple[slice, slice] | None:
    low = np.floor(points.min(axis=0)).astype(int) - margin
    high = np.ceil(points.max(axis=0)).astype(int) + margin + 1
    x0, y0 = np.maximum(low, 0)
    x1, y1 = np.minimum(high, (canvas.shape[1], canvas.shape[0]))
    return None if x1 <= x0 or y1 <= y0 else (slice(y0, y1), slice(x0, x1))


def _cover(points: Points, window: tuple[slice, slice], opacity: float, blur_px: float) -> Canvas:
    """Return how much of each pixel of the window is covered, of 255, in three equal channels."""
    rows, columns = window
    cover = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    inside = points - np.array([columns.start, rows.start])
    cv2.fillPoly(cover, [fixed(inside)], round(255 * opacity), cv2.LINE_AA, SHIFT)
    if blur_px > 0:
        # two boxes look like a Gaussian of this deviation and cost the same at every width
        box = 2 * round(np.sqrt(6 * blur_px**2 + 1) / 2 - 0.5) + 1
        cover = cv2.blur(cv2.blur(cover, (box, box)), (box, box))
    return np.asarray(cv2.merge([cover] * 3))


def _laid(region: Canvas, paint: Canvas | Colour, cover: Canvas) -> Canvas:
    under = cv2.multiply(region, 255 - cover, scale=1 / 255)
    if isinstance(paint, np.ndarray):
        over = cv2.multiply(paint, cover, scale=1 / 255)
    else:
        over = cv2.multiply(cover, (*paint, 0.0), scale=1 / 255)
    return np.asarray(cv2.add(under, over))


def glaze(
    canvas: Canvas, points: Points, colour: Colour, opacity: float, blur_px: float = 0
) -> None:
    """Fill a polygon see-through (opacity 0 to 1), its edges blurred by a Gaussian."""
    window = _window(canvas, points, round(3 * blur_px) + 1)
    if window is not None:
        canvas[window] = _laid(canvas[window], colour, _cover(points, window, opacity, blur_px))


def shade(canvas: Canvas, points: Points, top: Colour, bottom: Colour) -> None:
    """Fill a polygon with a colour that runs from its top to its bottom."""
    window = _window(canvas, points, 1)
    if window is None:
        return
    rows = np.arange(window[0].start, window[0].stop, dtype=np.float32)
    low, high = points[:, 1].min(), points[:, 1].max()
    down = np.clip((rows - low) / max(high - low, 1e-6), 0, 1)[:, None, None]
    first, last = np.asarray(top, np.float32), np.asarray(bottom, np.float32)
    wide = window[1].stop - window[1].start
    paint = np.repeat((first + (last - first) * down).astype(np.uint8), wide, axis=1)
    canvas[window] = _laid(canvas[window], paint, _cover(points, window, 1, 0))


def soft_noise(
    rng: np.random.Generator, height: int, width: int, cell_px: int
) -> npt.NDArray[np.float32]:
    """Return smooth noise (height, width), float32, mean 0 and deviation about 1."""
    coarse = rng.standard_normal((height // cell_px + 4, width // cell_px + 4), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
