"""Draw the raw files of the Carvana Image Masking Challenge: cars, silhouettes, tables."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import Image

from darkroom.images.geometry import cv2
from darkroom.raw.sample.brush import Canvas
from darkroom.raw.sample.car.camera import HEIGHT, VIEWS, WIDTH, Camera
from darkroom.raw.sample.car.paint import footprint, paint_car
from darkroom.raw.sample.car.shapes import choose_car
from darkroom.raw.sample.car.studio import draw_seams, draw_studio, drop_shadow
from darkroom.raw.sample.packing import map_in_order, write_zip, write_zipped_csv

Mask = npt.NDArray[np.uint8]

QUALITY = 62  # gives files of the size of the real ones, about 100 kB
NOISE = 2.2
MAKES = ("Aperture", "Halide", "Lumen", "Sprocket", "Vignette")
TRIMS = ("Base", "S", "LT", "Sport", "Touring", "Limited")


@dataclass(frozen=True)
class _CarJob:
    """One car to photograph: what a worker needs to know."""

    seed: int
    number: int
    name: str
    masked: bool


@dataclass(frozen=True)
class _Photographs:
    """A car's photographs: JPEG, GIF and run-length text of each view (the last two if masked)."""

    name: str
    photographs: list[bytes]
    masks: list[bytes]
    runs: list[str]
    about: list[str]


def draw_carvana(
    folder: Path, seed: int, *, train_cars: int = 10, test_cars: int = 3, workers: int = 1
) -> None:
    """Draw train.zip, train_masks.zip, test.zip and the three zipped tables into `folder`.

    Layout, names and sizes are those of the competition: 16 views a car, 1918x1280, JPEG; masks
    GIF, palette index 0/1; runs row-major from 1. The bytes depend on seed and counts alone.
    """
    names = _names(seed, train_cars + test_cars)
    trained, tested = sorted(names[:train_cars]), sorted(names[train_cars:])
    jobs = [
        _CarJob(seed, number, name, masked=number < train_cars)
        for number, name in enumerate(trained + tested)
    ]
    albums = list(map_in_order(_photograph, jobs, workers))
    train, test = albums[:train_cars], albums[train_cars:]
    write_zip(folder / "train.zip", [m for a in train for m in _photographs("train", a)])
    write_zip(folder / "train_masks.zip", [m for a in train for m in _masks(a)])
    write_zip(folder / "test.zip", [m for a in test for m in _photographs("test", a)])
    head = ["img", "rle_mask"]
    runs = [[_image(a, view), text] for a in train for view, text in enumerate(a.runs, 1)]
    write_zipped_csv(folder / "train_masks.csv.zip", [head, *runs])
    empty = [[_image(a, view), "1 1"] for a in test for view in range(1, VIEWS + 1)]
    write_zipped_csv(folder / "sample_submission.csv.zip", [head, *empty])
    about = [a.about for a in sorted(albums, key=lambda album: album.name)]
    columns = ["id", "year", "make", "model", "trim1", "trim2"]
    write_zipped_csv(folder / "metadata.csv.zip", [columns, *about], quote_all=True)


def _names(seed: int, count: int) -> list[str]:
    """Return distinct names of 12 hexadecimal digits."""
    rng = np.random.default_rng([seed, 1])
    names: dict[str, None] = {}
    while len(names) < count:
        names[rng.bytes(6).hex()] = None
    return list(names)


def _image(album: _Photographs, view: int) -> str:
    return f"{album.name}_{view:02d}.jpg"


def _photographs(part: str, album: _Photographs) -> list[tuple[str, bytes]]:
    return [(f"{part}/{_image(album, v)}", data) for v, data in enumerate(album.photographs, 1)]


def _masks(album: _Photographs) -> list[tuple[str, bytes]]:
    return [
        (f"train_masks/{album.name}_{view:02d}_mask.gif", data)
        for view, data in enumerate(album.masks, 1)
    ]


def _photograph(job: _CarJob) -> _Photographs:
    """Draw the 16 views of one car; its random numbers depend on no other car."""
    rng = np.random.default_rng([job.seed, 2, job.number])
    camera = Camera(height=2.05 + rng.uniform(-0.15, 0.2), axis_px=_axis(rng))
    studio = draw_studio(rng, camera)
    car = choose_car(rng, job.number)
    grain = _grain(rng)
    album = _Photographs(job.name, [], [], [], [])
    for view in range(1, VIEWS + 1):
        room = studio.copy()
        draw_seams(room, camera, view)
        drop_shadow(room, camera, footprint(car, view))
        picture, mask = paint_car(camera, car, view)
        _stand(room, picture, mask)
        dy, dx = rng.integers(0, 33, 2)
        cv2.add(room, grain[dy : dy + HEIGHT, dx : dx + WIDTH], dst=room, dtype=cv2.CV_8U)
        album.photographs.append(simplejpeg.encode_jpeg(room, QUALITY, colorsubsampling="420"))
        if job.masked:
            album.masks.append(_gif(mask))
            album.runs.append(_runs(mask))
    make, trim = str(rng.choice(MAKES)), str(rng.choice(TRIMS))
    model = car.shape.name
    album.about.extend([job.name, str(car.year), make, model, model, trim])
    return album


def _axis(rng: np.random.Generator) -> tuple[float, float]:
    return 959 + float(rng.uniform(-25, 25)), 800 + float(rng.uniform(-25, 30))


def _grain(rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Return the sensor's noise, a little larger than the picture: each view takes another part."""
    noise = rng.standard_normal((HEIGHT + 32, WIDTH + 32), dtype=np.float32)
    return np.asarray(cv2.merge([np.rint(NOISE * noise).astype(np.int16)] * 3))


def _stand(room: Canvas, picture: Canvas, mask: Mask) -> None:
    """Put a car into the studio, its edge as soft as a lens would make it."""
    x, y, width, height = cv2.boundingRect(mask)
    window = (slice(max(y - 4, 0), y + height + 4), slice(max(x - 4, 0), x + width + 4))
    around = cv2.GaussianBlur((mask[window] - np.uint8(1)) & np.uint8(255), (5, 5), 0.9)
    behind = cv2.multiply(room[window], cv2.merge([around] * 3), scale=1 / 255)
    room[window] = cv2.add(behind, cv2.GaussianBlur(picture[window], (5, 5), 0.9))


def _gif(mask: Mask) -> bytes:
    picture = Image.frombytes("P", (mask.shape[1], mask.shape[0]), mask.tobytes())
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.info["version"] = b"89a"  # Pillow writes 87a where nothing needs more
    written = io.BytesIO()
    picture.save(written, "GIF")
    return written.getvalue()


def _runs(mask: Mask) -> str:
    """Return a mask as `start length` pairs, row by row, the first pixel being 1."""
    flat = np.pad(mask.ravel(), 1)
    pairs = (np.flatnonzero(flat[1:] != flat[:-1]) + 1).reshape(-1, 2)
    pairs[:, 1] -= pairs[:, 0]
    return " ".join(map(str, pairs.ravel().tolist()))
