"""Wheels: where they stand, their tread, tyre, rim and spokes."""

from dataclasses import dataclass

import numpy as np

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import fill, mix, stroke
from darkroom.raw.sample.car.body import flank
from darkroom.raw.sample.car.camera import Floats, Scene
from darkroom.raw.sample.car.shapes import Car

TREAD = 0.22  # metres


@dataclass(frozen=True)
class Wheel:
    """A wheel: its hub on the outer face (3,) in metres of the car, and its side, +1 or -1."""

    hub: Floats
    radius: float
    side: int
    phase: float


def wheels(car: Car) -> list[Wheel]:
    """Return the four wheels."""
    placed = []
    for number, axle in enumerate(car.shape.axles):
        x = np.array([axle])
        y = float(flank(car, x, np.array([car.tyre_radius * 1.3]))[0]) - 0.015
        for side in (-1, 1):
            hub = np.array([(0.5 - axle) * car.length, side * y, car.tyre_radius])
            placed.append(Wheel(hub, car.tyre_radius, side, 0.7 * number + 0.2 * side))
    return placed


def disc(wheel: Wheel, share: float, inward: float = 0) -> Floats:
    """Return a circle (40, 3) around the hub, `share` of the radius, so many metres inward."""
    angle = np.linspace(0, 2 * np.pi, 41)[:-1]
    flat = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=1) * wheel.radius * share
    return np.asarray(wheel.hub + flat - [0, wheel.side * inward, 0])


def paint_tread(scene: Scene, wheel: Wheel) -> None:
    """Paint the rolling surface: what shows of a wheel below and before the body."""
    rims = np.concatenate([disc(wheel, 1), disc(wheel, 1, TREAD)])
    hull = cv2.convexHull(scene.see(rims).astype(np.float32))[:, 0]
    fill(scene.canvas, hull.astype(np.float64), (30, 30, 31), hard=True)
    for inward in (0.05, 0.11, 0.17):
        stroke(scene.canvas, scene.see(disc(wheel, 1, inward)[20:]), (16, 16, 17), 2)


def paint_arch(scene: Scene, wheel: Wheel) -> None:
    """Paint the dark opening in the flank above a wheel."""
    opening = disc(wheel, 1.16, -0.02)
    low = 0.86 * scene.car.clearance
    opening[:, 2] = np.maximum(opening[:, 2], low)
    if scene.car.cladding:
        trim = disc(wheel, 1.34, -0.02)
        trim[:, 2] = np.maximum(trim[:, 2], low)
        fill(scene.canvas, scene.see(trim), (44, 46, 48))
    fill(scene.canvas, scene.see(opening), (13, 14, 15))


def paint_wheel(scene: Scene, wheel: Wheel) -> None:
    """Paint the outer face of a wheel: tyre, rim, spokes, hub."""
    canvas, rim = scene.canvas, scene.car.rim
    fill(canvas, scene.see(disc(wheel, 1)), (33, 33, 34), hard=True)
    stroke(canvas, scene.see(disc(wheel, 0.86)), (50, 50, 52), 2, closed=True)
    fill(canvas, scene.see(disc(wheel, 0.72)), mix(rim, (255, 255, 255), 0.25))
    fill(canvas, scene.see(disc(wheel, 0.665, 0.03)), (38, 40, 42))
    for number in range(scene.car.spokes):
        fill(canvas, scene.see(_spoke(wheel, number, scene.car.spokes)), mix(rim, (60,) * 3, 0.1))
    fill(canvas, scene.see(disc(wheel, 0.2)), rim)
    fill(canvas, scene.see(disc(wheel, 0.1)), mix(rim, (20,) * 3, 0.55))


def _spoke(wheel: Wheel, number: int, count: int) -> Floats:
    angle = wheel.phase + 2 * np.pi * number / count
    along = np.array([np.cos(angle), 0, np.sin(angle)])
    across = np.array([-np.sin(angle), 0, np.cos(angle)])
    wide, narrow = 1.15 / count, 0.62 / count
    corners = [(0.12, -narrow), (0.12, narrow), (0.69, wide), (0.69, -wide)]
    return np.array(
        [wheel.hub + wheel.radius * (out * along + aside * across) for out, aside in corners]
    )
