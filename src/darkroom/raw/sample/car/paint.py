"""Paint one view of a car: skin, glass, lights and wheels, back to front, with its silhouette."""

import numpy as np
import numpy.typing as npt

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import SHIFT, Canvas, fill, fixed
from darkroom.raw.sample.car import details
from darkroom.raw.sample.car.body import SILL_RINGS, bottom, skin
from darkroom.raw.sample.car.camera import HEIGHT, WIDTH, Camera, Floats, Scene, turn
from darkroom.raw.sample.car.shapes import Car
from darkroom.raw.sample.car.wheels import Wheel, paint_tread, paint_wheel, wheels


def paint_car(camera: Camera, car: Car, view: int) -> tuple[Canvas, npt.NDArray[np.uint8]]:
    """Return a car seen in view 1 to 16 and its mask: uint8 (1280, 1918, 3) and (1280, 1918) 0/1.

    The picture is black where the mask is 0. The mask is the silhouette: skin, wheels, mirrors
    and aerial, without the shadow.
    """
    scene = Scene(np.zeros((HEIGHT, WIDTH, 3), np.uint8), camera, car, view)
    mesh = skin(car)
    sides = [s for s in (-1, 1) if scene.faces(_flank_middle(car, s), np.array([0.0, s, 0.0]))]
    for wheel in sorted(wheels(car), key=lambda w: -_depth(scene, w)):
        paint_tread(scene, wheel)
    details.paint_mirrors(scene, [s for s in (-1, 1) if s not in sides])
    _paint_underside(scene)
    _paint_skin(scene, mesh)
    details.paint_ends(scene)
    details.paint_screens(scene)
    for side in sides:
        details.paint_flank(scene, side)
        for wheel in wheels(car):
            if wheel.side == side:
                paint_wheel(scene, wheel)
    details.paint_mirrors(scene, sides)
    details.paint_aerial(scene)
    bare = np.asarray(cv2.inRange(scene.canvas, (0, 0, 0), (7, 7, 7)), dtype=np.uint8)
    return scene.canvas, ~bare & np.uint8(1)


def footprint(car: Car, view: int) -> Floats:
    """Return where the car stands, (N, 3) metres in the studio."""
    x, y = car.length / 2, car.width / 2
    box = np.array([[x * 0.94, y * 0.7], [x * 0.8, y], [-x * 0.85, y], [-x * 0.96, y * 0.8]])
    outline = np.concatenate([box, box[::-1] * [1, -1]])
    return turn(np.concatenate([outline, np.zeros((len(outline), 1))], axis=1), view)


def _flank_middle(car: Car, side: int) -> Floats:
    return np.array([[0.0, side * car.width / 2, car.height / 2]])


def _depth(scene: Scene, wheel: Wheel) -> float:
    return float(turn(wheel.hub, scene.view)[1])


def _paint_underside(scene: Scene) -> None:
    """Close what would be seen through beneath the skin with a dark band at axle height."""
    car = scene.car
    x = np.linspace(0.06, 0.94, 12)
    for side in (-1, 1):
        y = np.full_like(x, side * car.width * 0.42)
        low = np.stack([(0.5 - x) * car.length, y, bottom(car, x) - 0.03], axis=1)
        high = low + np.array([0, 0, 0.25])
        fill(scene.canvas, scene.see(np.concatenate([low, high[::-1]])), (16, 17, 18), hard=True)


def _paint_skin(scene: Scene, mesh: Floats) -> None:
    world = turn(mesh, scene.view)
    corners = [world[:-1, :-1], world[1:, :-1], world[1:, 1:], world[:-1, 1:]]
    middle = np.mean(corners, axis=0)
    normal = np.cross(corners[3] - corners[1], corners[2] - corners[0])
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    # a gloss finish shows every facet: neighbours share their slant
    normal = cv2.GaussianBlur(normal, (5, 9), 1.1, sigmaY=1.8, borderType=cv2.BORDER_REPLICATE)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True) + 1e-12
    view = middle - scene.camera.place
    far = np.linalg.norm(view, axis=-1)
    view /= far[..., None]
    facing = -(normal * view).sum(axis=-1)
    colours = _light(scene.car, normal, view, facing)
    pixels = fixed(scene.camera.see(np.stack(corners, axis=-2)))
    seen = np.nonzero(facing.ravel() > -0.02)[0]
    order = seen[np.argsort(-far.ravel()[seen], kind="stable")]
    polygons = pixels.reshape(-1, 4, 2)[order]
    for polygon, colour in zip(polygons, colours.reshape(-1, 3)[order].tolist(), strict=True):
        cv2.fillConvexPoly(scene.canvas, polygon, colour, cv2.LINE_8, SHIFT)


def _light(car: Car, normal: Floats, view: Floats, facing: Floats) -> Floats:
    """Return colours (..., 3): paint under a big soft box, and the studio mirrored in it."""
    up = normal[..., 2]
    key = np.array([-0.45, -0.6, 0.66])
    lit = 0.4 + 0.3 * np.clip(up * 0.5 + 0.5, 0, 1) + 0.36 * np.clip(normal @ key, 0, 1)
    mirrored = view + 2 * facing[..., None] * normal
    studio = _studio_mirrored(mirrored[..., 2], mirrored[..., 0])
    sheen = (car.gloss * (0.1 + 0.5 * (1 - np.clip(facing, 0, 1)) ** 4))[..., None]
    paint = np.broadcast_to(np.asarray(car.paint), normal.shape).copy()
    for sills in (slice(None, SILL_RINGS), slice(-SILL_RINGS, None)):
        paint[:, sills], sheen[:, sills] = (38, 40, 42), 0.04
    tinted = paint * (lit * (0.6 + 0.56 * studio))[..., None]
    return np.asarray(np.clip(tinted * (1 - sheen) + 250 * studio[..., None] * sheen, 8, 255))


def _studio_mirrored(up: Floats, aside: Floats) -> Floats:
    """Return how bright (0 to 1) the studio is in a direction: floor, wall, lamps above."""
    floor = 0.3 + 0.22 * np.clip(-up, 0, 1)
    wall = 0.74 + 0.12 * np.clip(aside, -1, 1)
    lamps = 0.28 * np.clip((up - 0.62) / 0.1, 0, 1)
    share = np.clip((up + 0.02) / 0.1, 0, 1)
    return np.asarray(floor + (wall + lamps - floor) * share)
