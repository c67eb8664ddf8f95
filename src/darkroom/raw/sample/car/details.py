"""What lies on a car's skin: windows, lights, grille, plate, doors, mirrors, aerial."""

import numpy as np

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import Colour, Points, fill, mix, shade, stroke
from darkroom.raw.sample.car.body import PLAN, Outline, belt, flank, on_end, on_flank, on_top, top
from darkroom.raw.sample.car.camera import Floats, Scene
from darkroom.raw.sample.car.wheels import paint_arch, wheels


def paint_flank(scene: Scene, side: int) -> None:
    """Paint wheel arches, doors, windows and handles of one side."""
    car, line = scene.car, mix(scene.car.paint, (0, 0, 0), 0.5)
    for wheel in wheels(car):
        if wheel.side == side:
            paint_arch(scene, wheel)
    for door in car.shape.doors:
        waist = float(belt(car, np.array([door]))[0]) / car.height
        seam = [(door, z) for z in np.linspace(0.29, waist, 8)]
        stroke(scene.canvas, scene.see(on_flank(car, seam, side)), line, 2)
    for door in car.shape.doors[1:]:
        _handle(scene, side, door)
    for pane in car.shape.panes:
        outline = _dense(list(pane))
        frame = scene.see(on_flank(car, outline, side))
        stroke(scene.canvas, frame, mix(car.paint, (10, 10, 10), 0.75), 7, closed=True)
        if car.chrome:
            stroke(scene.canvas, frame, (176, 180, 184), 4, closed=True)
        shade(scene.canvas, frame, mix(car.glass, (150, 160, 166), 0.5), car.glass)


def _handle(scene: Scene, side: int, door: float) -> None:
    car = scene.car
    z = float(belt(car, np.array([door]))[0]) / car.height - 0.055
    for drop, colour in ((0.006, mix(car.paint, (0, 0, 0), 0.55)), (0.0, _trim(scene))):
        box = [(door - 0.045, z - drop), (door - 0.012, z - drop + 0.004)]
        box += [(door - 0.012, z - drop + 0.022), (door - 0.045, z - drop + 0.018)]
        fill(scene.canvas, scene.see(on_flank(car, box, side)), colour)


def _trim(scene: Scene) -> Colour:
    return (196, 200, 204) if scene.car.chrome else mix(scene.car.paint, (255, 255, 255), 0.14)


def paint_screens(scene: Scene) -> None:
    """Paint the windscreen and the rear window."""
    car = scene.car
    for (first, last), ahead in ((car.shape.shield, 1.0), (car.shape.rear_glass, -1.0)):
        outline = _dense([(first, -0.86), (first, 0.86), (last, 0.82), (last, -0.82)], 10)
        points = on_top(car, outline)
        rise = float(np.ptp(top(car, np.array([first, last]))))
        slope = rise / ((last - first) * car.length)
        if not scene.faces(points, np.array([ahead * slope, 0, 1.0])):
            continue
        seen = scene.see(points)
        stroke(scene.canvas, seen, (18, 19, 20), 5, closed=True)
        shade(scene.canvas, seen, mix(car.glass, (168, 178, 184), 0.45), car.glass)
        if ahead > 0:
            _dashboard(scene, first, last)


def _dashboard(scene: Scene, first: float, last: float) -> None:
    edge = first + (last - first) * 0.17
    dash = _dense([(first, -0.84), (first, 0.84), (edge, 0.8), (edge, -0.8)], 10)
    fill(scene.canvas, scene.see(on_top(scene.car, dash)), mix(scene.car.glass, (0, 0, 0), 0.4))


def paint_ends(scene: Scene) -> None:
    """Paint the nose (lamps, grille, plate) or the tail (lamps, plate), whichever is seen."""
    for end in (1, -1):
        middle = on_end(scene.car, [(-0.5, 0.4), (0.5, 0.4)], end)
        if scene.faces(middle, np.array([float(end), 0.0, 0.0])):
            (_nose if end > 0 else _tail)(scene)


def _nose(scene: Scene) -> None:
    car = scene.car
    high = float(top(car, np.array([0.012]))[0]) / car.height - 0.045
    grille: Outline = [(-0.5, high), (0.5, high), (0.42, high - 0.12), (-0.42, high - 0.12)]
    _patch(scene, 1, grille, (20, 21, 23), rim=(186, 190, 194) if car.chrome else None)
    for bar in (0.3, 0.55, 0.8):
        z = high - 0.12 * bar
        _line(scene, 1, [(-0.45, z), (0.45, z)], (112, 116, 120) if car.chrome else (48, 50, 52))
    intake: Outline = [(-0.66, 0.245), (0.66, 0.245), (0.56, 0.175), (-0.56, 0.175)]
    _patch(scene, 1, intake, (18, 19, 20))
    for side in (-1, 1):
        lamp = [(0.54, high - 0.075), (0.56, high - 0.005), (0.93, high + 0.03)]
        lamp += [(0.985, high + 0.01), (0.94, high - 0.06)]
        _patch(scene, 1, [(side * y, z) for y, z in lamp], car.lamp, rim=(60, 62, 66))
        for y in (0.68, 0.83):
            _round(scene, side * y, high - 0.022, 0.028, (120, 126, 132))
        _round(scene, side * 0.78, 0.24, 0.024, (216, 218, 214))
    _plate(scene, 1, 0.285)


def _tail(scene: Scene) -> None:
    car = scene.car
    waist = float(belt(car, np.array([0.97]))[0]) / car.height
    tall = 0.2 if car.shape.name in ("Van", "SUV", "Pickup") else 0.12
    for side in (-1, 1):
        lamp = [(0.62, waist - 0.03), (0.985, waist - 0.01), (0.985, waist - tall)]
        lamp += [(0.7 if tall < 0.2 else 0.8, waist - tall + 0.02)]
        _patch(scene, -1, [(side * y, z) for y, z in lamp], (168, 18, 22), rim=(70, 8, 10))
        gleam = [(0.78, waist - 0.055), (0.95, waist - 0.05), (0.95, waist - 0.085)]
        _patch(scene, -1, [(side * y, z) for y, z in gleam], (228, 128, 112))
    _patch(scene, -1, [(-0.7, 0.25), (0.7, 0.25), (0.66, 0.2), (-0.66, 0.2)], (26, 27, 28))
    seam = mix(car.paint, (0, 0, 0), 0.5)
    _line(scene, -1, [(-0.74, 0.315), (0.74, 0.315)], seam)
    _plate(scene, -1, 0.43 if car.shape.name != "Pickup" else 0.3)


def _plate(scene: Scene, end: int, z: float) -> None:
    wide, tall = 0.27, 0.13 / scene.car.height / 2
    frame: Outline = [(-wide, z - tall), (wide, z - tall), (wide, z + tall), (-wide, z + tall)]
    _patch(scene, end, frame, (236, 238, 240), rim=(70, 110, 160))
    for y in (-0.16, -0.08, 0.03, 0.11, 0.19):
        _line(scene, end, [(y, z - tall * 0.5), (y, z + tall * 0.5)], (60, 84, 130))


def _patch(
    scene: Scene, end: int, outline: Outline, colour: Colour, rim: Colour | None = None
) -> None:
    dense = _dense(outline, 8)
    for side in (-1, 1):
        if (side * dense[:, 0]).max() > 0.6:
            dense[:, 0] = side * np.minimum(side * dense[:, 0], _turned(scene, end, side))
    if np.ptp(dense[:, 0]) < 0.02:
        return
    seen = scene.see(_proud(on_end(scene.car, dense, end), end))
    if rim is not None:
        stroke(scene.canvas, seen, rim, 4, closed=True)
    fill(scene.canvas, seen, colour)


def _turned(scene: Scene, end: int, side: int) -> float:
    """Return how far out (share of half width) the nose or tail still faces the camera."""
    car = scene.car
    depth = car.shape.nose * (1 if end > 0 else 0.75) * car.length
    for out in (0.985, 0.96, 0.93, 0.9, 0.85, 0.8, 0.7):
        slope = depth * (1 - out**PLAN) ** (1 / PLAN - 1) * out ** (PLAN - 1)
        normal = np.array([end * car.width / 2, side * slope, 0])
        if scene.faces(on_end(car, [(side * out, 0.4)], end), normal):
            return out
    return 0.6


def _line(scene: Scene, end: int, points: Outline, colour: Colour) -> None:
    dense = _dense(points, 8)[: 8 * (len(points) - 1) + 1]
    stroke(scene.canvas, scene.see(_proud(on_end(scene.car, dense, end), end)), colour, 2)


def _round(scene: Scene, y: float, z: float, size: float, colour: Colour) -> None:
    angle = np.linspace(0, 2 * np.pi, 17)[:-1]
    ring = np.stack([y + 1.6 * size * np.cos(angle), z + size * np.sin(angle)], axis=1)
    fill(scene.canvas, scene.see(_proud(on_end(scene.car, ring, 1), 1)), colour)


def _proud(points: Floats, end: int) -> Floats:
    return np.asarray(points + np.array([0.004 * end, 0, 0]))


def _dense(outline: Outline, steps: int = 6) -> Floats:
    """Return the outline with points along its edges, so that it bends with the skin."""
    p = np.asarray(outline, dtype=np.float64)
    t = (np.arange(steps) / steps)[None, :, None]
    return np.asarray((p[:, None] * (1 - t) + np.roll(p, -1, 0)[:, None] * t).reshape(-1, 2))


def paint_mirrors(scene: Scene, sides: list[int]) -> None:
    """Paint the wing mirrors of the given sides."""
    car = scene.car
    x = car.shape.panes[0][0][0] + 0.035
    z = float(belt(car, np.array([x]))[0]) + 0.075
    for side in sides:
        y = float(flank(car, np.array([x]), np.array([z]))[0]) + 0.1
        middle = np.array([(0.5 - x) * car.length, side * y, z])
        arm = middle - np.array([[0, side * 0.14, 0.06], [0.03, -side * 0.02, 0.05]])
        stroke(scene.canvas, scene.see(arm), (24, 25, 26), 9)
        fill(scene.canvas, _shell(scene, middle, (0.055, 0.105, 0.07)), _shaded(scene), hard=True)
        if scene.faces(middle[None], np.array([-1.0, 0, 0])):
            pane = middle + np.array([-0.05, 0, 0])
            fill(scene.canvas, scene.see(_oval(pane, 0.1, 0.06)), (122, 132, 140))


def _shaded(scene: Scene) -> Colour:
    return mix(scene.car.paint, (24, 25, 27), 0.25)


def _oval(middle: Floats, across: float, up: float) -> Floats:
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    flat = np.stack([0 * angle, across * np.cos(angle), up * np.sin(angle)], axis=1)
    return np.asarray(middle + flat)


def _shell(scene: Scene, middle: Floats, radii: tuple[float, float, float]) -> Points:
    """Return the outline in pixels of an oval body at `middle`."""
    turn, rise = np.mgrid[0 : 2 * np.pi : 17j, -np.pi / 2 : np.pi / 2 : 9j].reshape(2, -1)
    ball = np.stack([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)], 1)
    seen = scene.see(middle + np.cbrt(ball) * radii * 0.92)
    return np.asarray(cv2.convexHull(seen.astype(np.float32))[:, 0], dtype=np.float64)


def paint_aerial(scene: Scene) -> None:
    """Paint the aerial: a thin thing that a mask must not lose."""
    car = scene.car
    x = car.shape.rear_glass[0] - 0.03
    foot = on_top(car, [(x, 0.0)])[0]
    tip = foot + np.array([-0.14, 0.0, 0.12])
    stroke(scene.canvas, scene.see(np.array([foot, tip])), (22, 23, 24), 3)
