"""Five kinds of car as side profiles, and the choice of one car: size, colour, wheels."""

from dataclasses import dataclass

import numpy as np

Profile = tuple[tuple[float, float], ...]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Shape:
    """A kind of car. Profiles run from front (x = 0) to rear (1); heights are shares of the roof's.

    Lengths are metres. `panes` are the side windows, `shield` and `rear_glass` the x at which the
    windscreen and the rear window begin and end, `axles` the x of the wheels.
    """

    name: str
    length: float
    width: float
    height: float
    tyre_radius: float
    top: Profile
    belt: Profile
    panes: tuple[Profile, ...]
    shield: tuple[float, float]
    rear_glass: tuple[float, float]
    axles: tuple[float, float]
    doors: tuple[float, ...]
    nose: float


@dataclass(frozen=True)
class Car:
    """One car: a shape, stretched a little, and its looks."""

    shape: Shape
    length: float
    width: float
    height: float
    tyre_radius: float
    clearance: float
    paint: Colour
    gloss: float
    rim: Colour
    spokes: int
    glass: Colour
    lamp: Colour
    chrome: bool
    cladding: bool
    year: int


SHAPES = (
    Shape(
        "Sedan", 4.75, 1.84, 1.46, 0.335,
        ((0, 0.44), (0.02, 0.51), (0.1, 0.6), (0.28, 0.685), (0.42, 0.955), (0.5, 1), (0.62, 0.985),
         (0.71, 0.945), (0.86, 0.735), (0.965, 0.715), (1, 0.6)),
        ((0, 0.5), (0.25, 0.625), (0.9, 0.69), (1, 0.66)),
        (((0.325, 0.66), (0.425, 0.915), (0.515, 0.945), (0.53, 0.665)),
         ((0.545, 0.667), (0.53, 0.945), (0.63, 0.93), (0.7, 0.89), (0.735, 0.69)),
         ((0.747, 0.695), (0.716, 0.878), (0.79, 0.72))),
        (0.29, 0.415), (0.72, 0.85), (0.185, 0.795), (0.318, 0.538, 0.74), 0.085,
    ),
    Shape(
        "Hatch", 4.05, 1.74, 1.5, 0.315,
        ((0, 0.44), (0.02, 0.53), (0.1, 0.615), (0.26, 0.69), (0.4, 0.95), (0.5, 1), (0.75, 0.975),
         (0.87, 0.93), (0.96, 0.68), (0.985, 0.62), (1, 0.52)),
        ((0, 0.5), (0.25, 0.63), (0.9, 0.7), (1, 0.66)),
        (((0.31, 0.665), (0.415, 0.91), (0.535, 0.945), (0.555, 0.67)),
         ((0.572, 0.672), (0.553, 0.945), (0.74, 0.92), (0.775, 0.7)),
         ((0.792, 0.705), (0.758, 0.91), (0.845, 0.87), (0.87, 0.73))),
        (0.27, 0.395), (0.875, 0.952), (0.19, 0.815), (0.3, 0.562, 0.785), 0.1,
    ),
    Shape(
        "SUV", 4.7, 1.9, 1.75, 0.375,
        ((0, 0.48), (0.015, 0.585), (0.08, 0.63), (0.25, 0.675), (0.365, 0.945), (0.45, 1),
         (0.7, 0.99), (0.9, 0.945), (0.965, 0.68), (0.985, 0.62), (1, 0.5)),
        ((0, 0.54), (0.25, 0.64), (0.95, 0.69), (1, 0.66)),
        (((0.285, 0.665), (0.375, 0.915), (0.49, 0.95), (0.505, 0.67)),
         ((0.522, 0.672), (0.508, 0.95), (0.69, 0.94), (0.71, 0.685)),
         ((0.73, 0.69), (0.712, 0.938), (0.875, 0.9), (0.915, 0.71))),
        (0.257, 0.36), (0.905, 0.96), (0.185, 0.8), (0.275, 0.513, 0.72), 0.085,
    ),
    Shape(
        "Van", 4.95, 1.95, 1.83, 0.345,
        ((0, 0.4), (0.015, 0.47), (0.07, 0.54), (0.185, 0.63), (0.34, 0.935), (0.42, 1),
         (0.8, 0.985), (0.935, 0.945), (0.975, 0.66), (0.99, 0.55), (1, 0.45)),
        ((0, 0.48), (0.2, 0.575), (0.95, 0.63), (1, 0.6)),
        (((0.225, 0.615), (0.255, 0.69), (0.26, 0.61)),
         ((0.275, 0.612), (0.285, 0.755), (0.36, 0.905), (0.475, 0.945), (0.485, 0.625)),
         ((0.503, 0.627), (0.493, 0.945), (0.7, 0.94), (0.71, 0.635)),
         ((0.728, 0.638), (0.718, 0.938), (0.915, 0.905), (0.94, 0.66))),
        (0.195, 0.335), (0.937, 0.972), (0.175, 0.79), (0.268, 0.495, 0.72), 0.1,
    ),
    Shape(
        "Pickup", 5.45, 1.98, 1.84, 0.4,
        ((0, 0.5), (0.012, 0.59), (0.06, 0.635), (0.24, 0.67), (0.335, 0.945), (0.4, 1),
         (0.55, 0.985), (0.6, 0.94), (0.632, 0.69), (0.645, 0.665), (0.97, 0.66), (0.99, 0.62),
         (1, 0.5)),
        ((0, 0.56), (0.24, 0.635), (0.95, 0.655), (1, 0.64)),
        (((0.27, 0.665), (0.345, 0.91), (0.44, 0.945), (0.45, 0.67)),
         ((0.464, 0.672), (0.455, 0.945), (0.545, 0.93), (0.585, 0.9), (0.6, 0.685))),
        (0.247, 0.332), (0.602, 0.631), (0.175, 0.775), (0.26, 0.457, 0.612), 0.07,
    ),
)  # fmt: skip

# tones of the studio's own wall and floor are among them, so that no threshold finds every car
PAINTS: tuple[tuple[Colour, float], ...] = (
    ((228, 229, 228), 0.9), ((176, 180, 184), 0.9), ((118, 122, 127), 0.8), ((78, 82, 88), 0.7),
    ((30, 31, 34), 0.9), ((34, 62, 122), 1.0), ((150, 22, 30), 1.0), ((24, 70, 58), 1.0),
    ((186, 172, 148), 0.8), ((196, 92, 30), 1.0), ((62, 128, 178), 1.0), ((96, 26, 44), 1.0),
    ((212, 172, 52), 1.0),
)  # fmt: skip


def choose_car(rng: np.random.Generator, number: int) -> Car:
    """Return car `number` (from 0): kinds and paints take turns, the rest is drawn from `rng`."""
    shape = SHAPES[number % len(SHAPES)]
    paint, gloss = PAINTS[number * 5 % len(PAINTS)]
    tone = rng.uniform(0.94, 1.06)
    rim_grey = float(rng.choice([205, 178, 190, 62]))
    return Car(
        shape=shape,
        length=shape.length * rng.uniform(0.95, 1.04),
        width=shape.width * rng.uniform(0.97, 1.03),
        height=shape.height * rng.uniform(0.96, 1.05),
        tyre_radius=shape.tyre_radius * rng.uniform(0.97, 1.05),
        clearance=shape.tyre_radius * rng.uniform(0.52, 0.62),
        paint=(paint[0] * tone, paint[1] * tone, paint[2] * tone),
        gloss=gloss,
        rim=(rim_grey, rim_grey + 2, rim_grey + 5),
        spokes=int(rng.choice([5, 6, 7, 10])),
        glass=(26 + rng.uniform(0, 14), 31 + rng.uniform(0, 14), 35 + rng.uniform(0, 14)),
        lamp=(226, 230, 232),
        chrome=bool(rng.random() < 0.6),
        cladding=shape.name in ("SUV", "Pickup") and bool(rng.random() < 0.6),
        year=int(rng.integers(2003, 2018)),
    )
