"""The studio's camera, and the scene that one photograph is painted in.

Points in metres on and above the turntable become pixels of a photograph.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.raw.sample.brush import Canvas, Points
from darkroom.raw.sample.car.shapes import Car

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT = 1918, 1280
VIEWS = 16


@dataclass(frozen=True)
class Camera:
    """A camera `distance` metres before the turntable's axis, `height` metres above the floor.

    `focal_px` is the focal length; the axis meets the floor at `axis_px` (x, y).
    """

    distance: float = 9.0
    height: float = 2.05
    focal_px: float = 2560.0
    axis_px: tuple[float, float] = (959.0, 800.0)

    @property
    def place(self) -> Floats:
        """Where the camera stands: x to the right, y away from it, z up."""
        return np.array([0.0, -self.distance, self.height])

    def see(self, points: Floats) -> Floats:
        """Return pixels (..., 2) of points (..., 3) in metres in the studio."""
        depth = points[..., 1] + self.distance
        u = self.axis_px[0] + self.focal_px * points[..., 0] / depth
        fall = (self.height - points[..., 2]) / depth - self.height / self.distance
        return np.stack([u, self.axis_px[1] + self.focal_px * fall], axis=-1)


def turn(points: Floats, view: int) -> Floats:
    """Turn a car's points or directions (..., 3) as in view 1 to 16: 1 is its nose, 9 its tail."""
    angle = np.radians(-90 - (view - 1) * 360 / VIEWS)
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]))


@dataclass(frozen=True)
class Scene:
    """One view of a car: the canvas (black where nothing is painted yet), camera, car and view."""

    canvas: Canvas
    camera: Camera
    car: Car
    view: int

    def see(self, points: Floats) -> Points:
        """Return pixels (N, 2) of points (N, 3) in metres of the car."""
        return self.camera.see(turn(points, self.view))

    def faces(self, points: Floats, normal: Floats) -> bool:
        """Return whether a patch with this outward normal, both in the car's axes, can be seen."""
        middle = turn(points.mean(axis=0), self.view)
        return bool(turn(normal, self.view) @ (self.camera.place - middle) > 0)
