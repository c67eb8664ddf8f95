"""A car's skin as a surface: any (x, height) of its flank, nose or top becomes a point in metres.

Axes of the car: x forward (the nose at +length/2), y to its left, z up from the floor.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from darkroom.raw.sample.car.shapes import Car, Profile

Floats = npt.NDArray[np.float64]
Outline = Sequence[tuple[float, float]]

STATIONS = 88
SILL_RINGS, DOOR_RINGS, PANE_RINGS, ROOF_RINGS = 3, 12, 8, 12
ROUND = 2.7  # exponent of the roof's rounding: 2 is a circle, more is squarer
PLAN = 3.2  # and of the nose and tail seen from above


@lru_cache(maxsize=64)
def _rounded_table(profile: Profile, blur: float) -> tuple[Floats, Floats]:
    at = np.linspace(-0.1, 1.1, 241)
    knots = np.asarray(profile)
    height = np.interp(at, knots[:, 0], knots[:, 1])
    kernel = np.exp(-0.5 * (np.arange(-12, 13) * 0.005 / blur) ** 2)
    return at, np.convolve(np.pad(height, 12, mode="edge"), kernel / kernel.sum(), mode="valid")


def _rounded(profile: Profile, x: Floats, blur: float) -> Floats:
    """Return the profile at x, its corners rounded over a length of about `blur`."""
    return np.interp(x, *_rounded_table(profile, blur))


def top(car: Car, x: Floats) -> Floats:
    """Return the height in metres of the car's middle line at x (0 front to 1 rear)."""
    return _rounded(car.shape.top, x, 0.011) * car.height


def belt(car: Car, x: Floats) -> Floats:
    """Return the height in metres at which the windows begin."""
    return _rounded(car.shape.belt, x, 0.03) * car.height


def bottom(car: Car, x: Floats) -> Floats:
    """Return the height of the lower edge: low between the wheels, lifted at both ends."""
    lift = 0.05 * np.clip(0.1 - x, 0, 1) / 0.1 + 0.09 * np.clip(x - 0.88, 0, 1) / 0.12
    return car.clearance + lift * car.height


def sill_height(car: Car) -> float:
    """Return how many metres above the lower edge bare dark plastic ends and paint begins."""
    return (0.13 if car.cladding else 0.055) * car.height


def half_width(car: Car, x: Floats) -> Floats:
    """Return half the car's width in metres at x, as seen from above."""
    nose = np.clip(1 - x / car.shape.nose, 0, 1)
    tail = np.clip(1 - (1 - x) / (car.shape.nose * 0.75), 0, 1)
    end = np.maximum(nose, tail)
    waist = 1 - 0.035 * np.abs(2 * x - 1) ** 2.5
    return car.width / 2 * waist * np.maximum(1 - end**PLAN, 0) ** (1 / PLAN)


def flank(car: Car, x: Floats, z: Floats) -> Floats:
    """Return y in metres of the left flank at (x, z): bulged below, leaning in above the belt."""
    low, waist = bottom(car, x), belt(car, x)
    part = np.clip((z - low) / (waist - low), 0, 1)
    bulge = 0.085 * np.abs(part - 0.66) ** 1.5 + 0.03 * np.clip(0.12 - part, 0, 1) / 0.12
    lean = np.maximum(z - waist, 0) / car.height
    shoulder = 0.022 * (1 - np.exp(-lean / 0.02)) + 0.36 * lean + 0.25 * lean**2
    shrink = half_width(car, x) / (car.width / 2)
    return half_width(car, x) - (bulge + shoulder) * car.width * 0.75 * shrink


def _crown(car: Car, x: Floats) -> Floats:
    """Return over how many metres below the top the section is rounded off."""
    return 0.05 * car.height + 0.035 * np.clip(top(car, x) - belt(car, x), 0, None)


def cover(car: Car, x: Floats, y: Floats) -> Floats:
    """Return the height of the skin above (x, y): bonnet, screens, roof, boot."""
    edge = top(car, x) - _crown(car, x)
    share = np.clip(np.abs(y) / np.maximum(flank(car, x, edge), 1e-6), 0, 1)
    return edge + _crown(car, x) * (1 - share**ROUND) ** (1 / ROUND)


def skin(car: Car) -> Floats:
    """Return the grid of the skin, (STATIONS + 1, rings + 1, 3) metres, right flank to left.

    Its first and last SILL_RINGS rings are the sills. Every crease of the body lies on a ring.
    """
    # more stations at both ends, where the plan turns fast
    t = np.linspace(0, 1, STATIONS + 1)
    x = (t - 0.88 * np.sin(2 * np.pi * t) / (2 * np.pi))[:, None]
    low, edge = bottom(car, x), top(car, x) - _crown(car, x)
    sill = low + sill_height(car)
    waist = np.minimum(belt(car, x), edge)
    side_z = np.concatenate(
        [_between(low, sill, SILL_RINGS), _between(sill, waist, DOOR_RINGS),
         _between(waist, edge, PANE_RINGS)], axis=1,
    )  # fmt: skip
    turn = np.linspace(0, np.pi / 2, ROOF_RINGS + 1)[None, :]
    y_roof = flank(car, x, edge) * np.cos(turn) ** (2 / ROUND)
    z_roof = edge + _crown(car, x) * np.sin(turn) ** (2 / ROUND)
    y = np.concatenate([flank(car, x, side_z), y_roof], axis=1)
    z = np.concatenate([side_z, z_roof], axis=1)
    left = np.stack([np.broadcast_to((0.5 - x) * car.length, y.shape), y, z], axis=-1)
    right = left * np.array([1, -1, 1])
    return np.concatenate([right, left[:, -2::-1]], axis=1)


def _between(low: Floats, high: Floats, rings: int) -> Floats:
    return low + (high - low) * (np.arange(rings) / rings)[None, :]


def on_flank(car: Car, outline: Outline | Floats, side: int) -> Floats:
    """Return (N, 3) metres for an outline of (x, share of height) on side +1 (left) or -1."""
    at = np.asarray(outline, dtype=np.float64)
    x, z = at[:, 0], at[:, 1] * car.height
    return np.stack([(0.5 - x) * car.length, side * flank(car, x, z), z], axis=1)


def on_top(car: Car, outline: Outline | Floats) -> Floats:
    """Return (N, 3) metres for (x, y as a share of the width there) on the upper skin."""
    at = np.asarray(outline, dtype=np.float64)
    x = at[:, 0]
    y = at[:, 1] * flank(car, x, top(car, x) - _crown(car, x))
    return np.stack([(0.5 - x) * car.length, y, cover(car, x, y)], axis=1)


def on_end(car: Car, outline: Outline | Floats, end: int) -> Floats:
    """Return (N, 3) metres for (share of half width -1..1, share of height) on nose +1 or tail -1.

    The nose and the tail are where the plan closes: x follows from how far out a point lies.
    """
    at = np.asarray(outline, dtype=np.float64)
    out = np.clip(np.abs(at[:, 0]), 0, 0.999)
    depth = car.shape.nose * (1 if end > 0 else 0.75)
    near = depth * (1 - (1 - out**PLAN) ** (1 / PLAN))
    x = near if end > 0 else 1 - near
    z = at[:, 1] * car.height
    y = np.sign(at[:, 0]) * np.minimum(flank(car, x, z), np.abs(at[:, 0]) * car.width / 2)
    return np.stack([(0.5 - x) * car.length, y, z], axis=1)
