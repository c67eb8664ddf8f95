"""Who sits for a portrait: attributes, colours and proportions, and where the head is present."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from darkroom.raw.sample.brush import Canvas, Colour, Points, fill, glaze, mix, stroke

Floats = npt.NDArray[np.float64]
Corners = Sequence[tuple[float, float]] | Points

HEIGHT, WIDTH = 218, 178
SCALE = 2  # portraits are painted twice as large

SKINS = ((250, 222, 202), (238, 198, 170), (222, 174, 140), (196, 142, 104), (150, 100, 70),
         (108, 70, 50))  # fmt: skip
HAIR = {
    "Black_Hair": (28, 24, 24), "Blond_Hair": (222, 186, 112), "Brown_Hair": (98, 62, 38),
    "Gray_Hair": (176, 176, 178),
}  # fmt: skip
OTHER_HAIR = ((150, 66, 32), (168, 92, 50), (120, 40, 44))
EYES = ((70, 46, 30), (46, 32, 24), (86, 122, 152), (88, 112, 74))


@dataclass(frozen=True)
class Sitter:
    """One person. Points of a face are in pixels of the photograph around the point between the
    eyes: x to the right, y down; a positive `yaw` turns the head to the right.
    """

    canvas: Canvas
    present: frozenset[str]
    rng: np.random.Generator
    matrix: Floats
    yaw: float
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour

    def at(self, points: Corners, depth: float = 0) -> Points:
        """Return pixels of the canvas. What lies nearer (depth 0 to 1) moves more with the yaw."""
        p = np.asarray(points, dtype=np.float64) + np.array([self.yaw * depth, 0])
        return np.asarray(p @ self.matrix[:, :2].T + self.matrix[:, 2])

    def fill(self, points: Corners, colour: Colour, depth: float = 0) -> None:
        """Fill an outline."""
        fill(self.canvas, self.at(points, depth), colour)

    def stroke(self, points: Corners, colour: Colour, width: float, depth: float = 0) -> None:
        """Draw a line, its width in pixels of the photograph."""
        stroke(self.canvas, self.at(points, depth), colour, width * SCALE)

    def glaze(
        self, points: Corners, colour: Colour, opacity: float, blur: float = 0, depth: float = 0
    ) -> None:
        """Fill an outline see-through, blurred by so many pixels of the photograph."""
        glaze(self.canvas, self.at(points, depth), colour, opacity, blur * SCALE)

    def has(self, *names: str) -> bool:
        """Return whether any of the attributes is present."""
        return not self.present.isdisjoint(names)


def seat(attributes: dict[str, bool], rng: np.random.Generator, canvas: Canvas) -> Sitter:
    """Return a sitter with these attributes before a canvas uint8 (2 HEIGHT, 2 WIDTH, 3)."""
    present = frozenset(name for name, is_so in attributes.items() if is_so)
    tone = rng.choice(len(SKINS), p=(0.1, 0.3, 0.25, 0.15, 0.12, 0.08))
    skin: Colour = SKINS[max(int(tone), 1)]
    if "Pale_Skin" in present:
        skin = mix(SKINS[0], (244, 232, 228), 0.45)
    jitter = rng.uniform(-5, 5, 3)
    red = mix(skin, (178, 62, 66), 0.42)
    if "Wearing_Lipstick" in present:
        red = ((196, 24, 48), (214, 52, 92), (160, 18, 52), (222, 84, 84))[int(rng.integers(4))]
    return Sitter(
        canvas=canvas,
        present=present,
        rng=rng,
        matrix=_pose(rng),
        yaw=float(rng.normal(0, 2.6)),
        skin=tuple(np.clip(np.asarray(skin) + jitter, 0, 255)),
        hair=tuple(np.clip(_hair_colour(present, rng) + rng.uniform(-9, 9), 6, 250)),
        iris=EYES[int(rng.integers(len(EYES)))],
        lips=red,
    )


def _hair_colour(present: frozenset[str], rng: np.random.Generator) -> Floats:
    for name, colour in HAIR.items():
        if name in present:
            return np.asarray(colour, dtype=np.float64)
    return np.asarray(OTHER_HAIR[int(rng.integers(len(OTHER_HAIR)))], dtype=np.float64)


def _pose(rng: np.random.Generator) -> Floats:
    """Return the affine (2, 3) from points around the eyes to the canvas: tilted, moved a bit."""
    angle = np.radians(np.clip(rng.normal(0, 3.5), -9, 9))
    size = SCALE * rng.uniform(0.94, 1.06)
    c, s = size * np.cos(angle), size * np.sin(angle)
    middle = SCALE * (np.array([WIDTH / 2, 111.5]) + rng.normal(0, 1.6, 2))
    return np.array([[c, -s, middle[0]], [s, c, middle[1]]])


def mirrored(half: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Close an outline given from its top middle down its right side to its bottom middle."""
    inner = [point for point in half if point[0] != 0]
    return [*half, *((-x, y) for x, y in reversed(inner))]
