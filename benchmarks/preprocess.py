"""From raw pictures to stored ones: images for each CPU second, and what a second worker adds.

    python -m benchmarks.preprocess [--data FOLDER] [--faces FOLDER] [--quick] [--json FILE]

Carvana's 1918x1280 JPEGs and GIF masks to 959x640, and CelebA's 178x218 faces to 80x96, both
stored as JPEGs of quality 90. Ours is the stage `preprocess`: it also compares each file's sha256,
collects facts and a thumbnail, and digests its shards. Beside it three usual scripts on one core,
which decode in full from the same zip, resize, encode and write a file each: Pillow (the usual
one), cv2 and torchvision. Ours is run on two numbers of pictures and the difference counts, so that
the start of processes is left out; on one core and on two, where the machine has two.
"""

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg
from torchvision.transforms import v2

from benchmarks import REALDATA
from benchmarks.harness import Goal, Report, Table, Usage, parser, run_module, take_turns
from benchmarks.loader import DATA, drawn_pictures, face_files, real_pictures
from benchmarks.scale import NAME, SMALL_NETWORK, write_params, write_zip

QUALITY = 90
CPU_GOAL, WORKERS_GOAL = 4, 1.9
ROUNDS = 2


@dataclass(frozen=True)
class Case:
    """Pictures to store.

    Attributes:
        name: Of the table.
        images: JPEGs, used again and again.
        masks: GIFs, one an image; none of labels.
        size: Stored height and width.
        counts: Of pictures: the difference of the two is measured.
    """

    name: str
    images: Sequence[bytes]
    masks: Sequence[bytes]
    size: tuple[int, int]
    counts: tuple[int, int]


def draw(case: Case, count: int, folder: Path) -> None:
    """Write a table and zips of that many pictures, each of other bytes than all others."""
    folder.mkdir(parents=True)
    ids = [f"{number:06}" for number in range(count)]
    rows = [f"{name},c{number % 2}\n" for number, name in enumerate(ids)]
    (folder / "train.csv").write_text("id,class\n" + "".join(rows))
    (folder / "test.csv").write_text(f"id\n{ids[0]}\n")
    for name, ending, files in (("train", ".jpg", case.images), ("masks", ".gif", case.masks)):
        if files:
            names = [f"{name}/{each}{ending}" for each in ids]
            # Bytes behind the end of a picture are ignored.
            data = (files[n % len(files)] + n.to_bytes(4, "big") for n in range(count))
            write_zip(folder / f"{name}.zip", names, data)


def make_project(case: Case, count: int, root: Path) -> None:
    """Draw the raw files and index them."""
    draw(case, count, root / "drawn")
    height, width = case.size
    train: dict[str, Any] = {"table": "train.csv", "image": "train.zip/train/{id}.jpg"}
    mask = {"mask": "masks.zip/masks/{id}.gif"}
    data: dict[str, Any] = {
        "source": "drawn",
        "task": "segmentation" if case.masks else "binary",
        "train": train | (mask if case.masks else {"targets": "class"}),
        "test": {"table": "test.csv", "image": train["image"]},
        "header": ["id", "rle" if case.masks else "class"],
    }
    stored = {"height": height, "width": width, "fit": "stretch", "store": "jpeg"}
    settings = {
        "data": data,
        "split": {"by": "stratify", "folds": 2},
        "preprocess": stored | {"quality": QUALITY},
        **SMALL_NETWORK,
        "evaluate": {},
    }
    if case.masks:
        settings["model"] = {"name": "unet", "width": 2, "depth": 1}
        settings["split"] = {"by": "group", "folds": 2}
    write_params(root, settings)
    for verb in ("fetch", "index"):
        run_module("darkroom.cli.main", verb, NAME, folder=root, log=root / "log.txt")


def stage(root: Path, cores: int) -> Usage:
    """Run preprocess on so many cores, and return what it cost."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:cores])
    try:
        log = root / "log.txt"
        return run_module("darkroom.cli.main", "preprocess", NAME, folder=root, log=log)
    finally:
        os.sched_setaffinity(0, allowed)


def by_pillow(image: bytes, mask: bytes | None, size: tuple[int, int], out: Path) -> None:
    """Decode, resize and encode with Pillow."""
    with Image.open(io.BytesIO(image)) as picture:
        picture.resize(size[::-1], Image.Resampling.BICUBIC).save(out, quality=QUALITY)
    store_mask(mask, size, out)


def by_cv2(image: bytes, mask: bytes | None, size: tuple[int, int], out: Path) -> None:
    """Decode, resize and encode with OpenCV."""
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    out.write_bytes(data.tobytes())
    store_mask(mask, size, out)


def by_torchvision(image: bytes, mask: bytes | None, size: tuple[int, int], out: Path) -> None:
    """Decode, resize and encode with torchvision."""
    pixels = decode_jpeg(torch.frombuffer(bytearray(image), dtype=torch.uint8), ImageReadMode.RGB)
    small = v2.functional.resize(pixels, list(size), antialias=True)
    out.write_bytes(encode_jpeg(small, QUALITY).numpy().tobytes())
    store_mask(mask, size, out)


def store_mask(mask: bytes | None, size: tuple[int, int], out: Path) -> None:
    """Resize a mask with Pillow, which alone reads GIF, and write it as a PNG."""
    if mask is not None:
        with Image.open(io.BytesIO(mask)) as picture:
            picture.resize(size[::-1], Image.Resampling.NEAREST).save(out.with_suffix(".png"))


SCRIPTS = {"Pillow (usual)": by_pillow, "cv2": by_cv2, "torchvision": by_torchvision}


def run_script(store: Callable[..., None], case: Case, drawn: Path, out: Path, count: int) -> int:
    """Store pictures one after the other, read from the zips."""
    out.mkdir(exist_ok=True)
    names = [f"{number:06}" for number in range(count)]
    with zipfile.ZipFile(drawn / "train.zip") as archive:
        masks = zipfile.ZipFile(drawn / "masks.zip") if case.masks else None
        for name in names:
            mask = masks.read(f"masks/{name}.gif") if masks else None
            store(archive.read(f"train/{name}.jpg"), mask, case.size, out / f"{name}.jpg")
        if masks:
            masks.close()
    return count


def measure(case: Case, work: Path, rounds: int) -> tuple[Table, list[Goal]]:
    """Return the table and goals of a case."""
    roots = [work / f"{case.name}-{count}" for count in case.counts]
    for root, count in zip(roots, case.counts, strict=True):
        make_project(case, count, root)
    few = max(1, case.counts[0] // 2)
    scripts = {
        name: partial(run_script, store, case, roots[0] / "drawn", work / "out", few)
        for name, store in SCRIPTS.items()
    }
    more = case.counts[1] - case.counts[0]
    cores = min(2, len(os.sched_getaffinity(0)))
    costs: dict[int, list[tuple[float, float]]] = {}
    # The scripts before and after the stage: of both turns the faster one counts.
    before = take_turns(scripts, 1)
    for _ in range(rounds):
        for count in range(1, cores + 1):
            small, large = (stage(root, count) for root in roots)
            costs.setdefault(count, []).append(
                (large.cpu_s - small.cpu_s, large.wall_s - small.wall_s)
            )
    after = take_turns(scripts, 1)
    rates = {name: max(rate.cpu, before[name].cpu) for name, rate in after.items()}
    return tabulate(case.name, more, costs, rates)


def tabulate(
    name: str, count: int, costs: dict[int, list[tuple[float, float]]], rates: dict[str, float]
) -> tuple[Table, list[Goal]]:
    """Return the table and goals of what pictures cost.

    Args:
        name: Of the case.
        count: Of pictures.
        costs: By cores, of each round: CPU and wall seconds of that many pictures.
        rates: Pictures for each CPU second of the scripts.
    """
    table = Table(["", "img a CPU s", "img/s", "against the usual"], title=name)
    usual = rates["Pillow (usual)"]
    table.rows += [[each, rate, None, rate / usual] for each, rate in rates.items()]
    walls = {}
    for cores, each in costs.items():
        cpu = count / sorted(cpu for cpu, _ in each)[len(each) // 2]
        walls[cores] = count / sorted(wall for _, wall in each)[len(each) // 2]
        table.rows.append([f"Darkroom, {cores} cores", cpu, walls[cores], cpu / usual])
    ours = float(table.rows[len(rates)][1] or 0)
    goals = [Goal(f"{name}: a core against the usual", ours / usual, CPU_GOAL)]
    goals += [
        Goal(f"{name}: a core against {other}", ours / rate, 1.0)
        for other, rate in rates.items()
        if rate != usual
    ]
    if len(walls) > 1:
        goals.append(Goal(f"{name}: wall, from 1 to 2 cores", walls[2] / walls[1], WORKERS_GOAL))
    return table, goals


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("preprocess", __doc__)
    choices.add_argument("--data", type=Path, default=DATA, help="folder of Carvana's zip files")
    choices.add_argument("--faces", type=Path, default=REALDATA / "celeba", help="of CelebA's zip")
    choices.add_argument("--rounds", type=int, default=ROUNDS)
    options = choices.parse_args(arguments)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    is_real = (options.data / "train.zip").is_file()
    cars = real_pictures(options.data, 64) if is_real else drawn_pictures(8)
    faces, kind = face_files(options.faces)
    quick = options.quick
    cases = [
        Case(
            "1918x1280 and mask",
            [car.image for car in cars],
            [car.mask for car in cars],
            (640, 959),
            (4, 8) if quick else (64, 448),
        ),
        Case("178x218", faces, [], (96, 80), (20, 40) if quick else (1_000, 9_000)),
    ]
    result = Report(f"{'Real' if is_real else 'Drawn'} cars, {kind}; stored as JPEGs of {QUALITY}")
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            table, goals = measure(case, Path(folder), 1 if quick else options.rounds)
            result.tables.append(table)
            result.goals += goals
    result.finish(options)


if __name__ == "__main__":
    main()
