"""From probabilities to gzip rows: Darkroom, the usual callback, and the limits of both.

    python -m benchmarks.submission [--data FOLDER] [--rows N] [--quick]

Probabilities are 1024x1024 float32, rows are run lengths at 1918x1280. The usual callback
enlarges with cv2, thresholds, finds runs by two lines of numpy, and writes through csv and
`gzip.open`, which compresses at level 9. All ways take turns on the same pictures, a few rows
at a time, in one process and one thread, so that a busy machine slows all of them alike.
"""

import argparse
import csv
import gzip
import io
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import psutil
from isal import isal_zlib
from PIL import Image

from benchmarks import REALDATA
from darkroom.images import rle
from darkroom.submission.upsample import encode_probabilities
from darkroom.submission.writer import Writer

Floats = npt.NDArray[np.float32]

HEIGHT, WIDTH = 1280, 1918
SIDE = 1024
THRESHOLD = 0.5
TIE = 1e-4  # see darkroom.submission.upsample: how near the threshold sides may differ
TURN = 8  # rows a way writes before the next takes its turn
PICTURES, QUICK_PICTURES = 32, 4
MEMORY_ROWS, QUICK_MEMORY_ROWS = 100_000, 40
DATA = REALDATA / "carvana"
HEADER = ["img", "rle_mask"]
EXAMPLES = {
    "first pixel set": [1, 1, 0, 0, 1, 1],
    "last pixel set": [0, 1, 1, 0, 1, 1],
    "all set": [1, 1, 1],
}


def real_masks(folder: Path, count: int) -> list[npt.NDArray[np.uint8]]:
    with zipfile.ZipFile(folder / "train_masks.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".gif"))
        return [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names[:count]]


def drawn_masks(count: int) -> list[npt.NDArray[np.uint8]]:
    """Return outlines like a car's: a wavy ellipse and two wheels, (HEIGHT, WIDTH) of 0/1."""
    masks = []
    angles = np.linspace(0, 2 * np.pi, 400)
    for seed in range(count):
        rng = np.random.default_rng(seed)
        waves = 1 + sum(rng.uniform(0, 0.03) * np.sin(k * angles + k) for k in range(2, 30))
        x = WIDTH / 2 + 700 * waves * np.cos(angles)
        y = HEIGHT / 2 + 300 * waves * np.sin(angles)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        cv2.fillPoly(mask, [np.stack([x, y], axis=1).astype(np.int32)], 1)
        for wheel in (550, 1350):
            cv2.circle(mask, (wheel, 900), int(rng.integers(80, 130)), 1, -1)
        masks.append(mask)
    return masks


def smoothed(mask: npt.NDArray[np.uint8]) -> Floats:
    """Return probabilities (SIDE, SIDE) as a network would give: the mask's, a little soft."""
    small = cv2.resize(mask.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    soft: Floats = cv2.GaussianBlur(small, (0, 0), 1.5)
    return soft


def enlarged(probabilities: Floats) -> Floats:
    picture: Floats = cv2.resize(probabilities, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return picture


def usual_runs(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
    """Return the runs that the usual lines find: wrong where the first or last pixel is set."""
    pixels = mask.flatten()
    runs = np.where(pixels[1:] != pixels[:-1])[0] + 2
    runs[1::2] = runs[1::2] - runs[:-1:2]
    return runs


def our_text(probabilities: Floats) -> str:
    return encode_probabilities(probabilities, THRESHOLD, HEIGHT, WIDTH)


def usual_text(mask: npt.NDArray[np.uint8]) -> str:
    return " ".join(map(str, usual_runs(mask)))


class Table(Protocol):
    """A csv writer."""

    def writerow(self, row: Sequence[str], /) -> object:
        """Write a row."""


@dataclass
class Way:
    """One way of doing (a part of) the work, and the time it took so far."""

    name: str
    row: Callable[[int], None]
    wall_s: float = 0.0
    cpu_s: float = 0.0
    rows: int = 0

    def take_turn(self, first: int) -> None:
        """Do the next rows, and note the time they took."""
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(first, first + TURN):
            self.row(number)
        self.wall_s += time.perf_counter() - wall
        self.cpu_s += time.process_time() - cpu
        self.rows += TURN

    @property
    def rows_per_core_s(self) -> float:
        """Rows for each second of CPU time."""
        return self.rows / max(self.cpu_s, 1e-9)


@dataclass
class Inputs:
    """The pictures, in every form that a contender starts from."""

    source: str
    probabilities: list[Floats]
    masks: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        for number, probabilities in enumerate(self.probabilities):
            self.masks.append((enlarged(probabilities) > THRESHOLD).astype(np.uint8))
            line = f"{name_of(number)},{our_text(probabilities)}\n"
            self.lines.append(line.encode())


def read_inputs(folder: Path, count: int) -> Inputs:
    if (folder / "train_masks.zip").is_file():
        return Inputs("real Carvana masks", [smoothed(mask) for mask in real_masks(folder, count)])
    masks = drawn_masks(count)
    return Inputs(f"drawn masks, for {folder.name}/ is absent", [smoothed(mask) for mask in masks])


def name_of(number: int) -> str:
    return f"{number * 2654435761 % 2**48:012x}_{number % 16 + 1:02}.jpg"


def measure(data: Inputs, rows: int, folder: Path) -> tuple[list[Way], float]:
    """Return the ways, timed in turns, and the size of our file over that of the usual one."""
    usual_path, our_path = folder / "usual.csv.gz", folder / "ours.csv.gz"
    with Writer(our_path, HEADER) as writer, gzip.open(usual_path, "wt", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        ways = ways_of(data, writer, table)
        for first in range(0, rows, TURN):
            for way in ways:
                way.take_turn(first)
    return ways, our_path.stat().st_size / usual_path.stat().st_size


def ways_of(data: Inputs, writer: Writer, table: Table) -> list[Way]:
    """Return ours, the baseline, and the parts that bound them."""
    count = len(data.probabilities)
    squeeze = isal_zlib.compressobj(2, isal_zlib.DEFLATED, 31)

    def ours(number: int) -> None:
        writer.write([name_of(number), our_text(data.probabilities[number % count])])

    def usual(number: int) -> None:
        picture = enlarged(data.probabilities[number % count])
        mask = (picture > THRESHOLD).astype(np.uint8)
        table.writerow([name_of(number), usual_text(mask)])

    def our_rle(number: int) -> None:
        our_text(data.probabilities[number % count])

    def usual_rle(number: int) -> None:
        usual_runs(data.masks[number % count])

    def compare(number: int) -> None:
        np.greater(data.probabilities[number % count], np.float32(THRESHOLD))

    def compress(number: int) -> None:
        squeeze.compress(data.lines[number % count])

    return [
        Way("ours", ours),
        Way("usual callback", usual),
        Way("part: ours, probabilities to RLE text", our_rle),
        Way("limit: one look at 1024x1024 float32", compare),
        Way("limit: numpy runs of a ready 1918x1280 mask", usual_rle),
        Way("limit: compression alone (isal)", compress),
    ]


def grown_mib(data: Inputs, rows: int, folder: Path) -> float:
    """Return by how much the process grew, at most, while ours wrote that many rows."""
    process = psutil.Process()
    count = len(data.probabilities)
    highest = before = 0
    warm = rows // 10 if rows < MEMORY_ROWS else 1_000
    with Writer(folder / "memory.csv.gz", HEADER) as writer:
        for number in range(-warm, rows):
            writer.write([name_of(number), our_text(data.probabilities[number % count])])
            if number == -1:
                before = process.memory_info().rss
            if number % 100 == 99:
                highest = max(highest, process.memory_info().rss)
    return max(0, max(highest, process.memory_info().rss) - before) / 2**20


def agreement(data: Inputs) -> str:
    """Say how many pixels of ours differ from cv2's picture, and how near the threshold."""
    differing, furthest = 0, 0.0
    for probabilities in data.probabilities:
        picture = enlarged(probabilities)
        ours = rle.decode(our_text(probabilities), HEIGHT, WIDTH)
        differ = ours != (picture > THRESHOLD)
        differing += int(differ.sum())
        furthest = max(furthest, float(np.abs(picture[differ] - THRESHOLD).max(initial=0)))
    if furthest > TIE:
        raise SystemExit(f"ours differs from cv2 at {furthest:g} from the threshold")
    total = len(data.probabilities) * HEIGHT * WIDTH
    near = f", at most {furthest:.1e} from the threshold" if differing else ""
    return f"{differing} of {total:,} pixels differ from cv2's{near}"


def faults_of_usual(data: Inputs) -> list[str]:
    """Say where the baseline's runs are wrong: on what we have, and on small known masks."""
    wrong = sum(usual_text(mask) != rle.encode(mask) for mask in data.masks)
    lines = [f"the usual RLE is wrong for {wrong} of these {len(data.masks)} masks"]
    for name, row in EXAMPLES.items():
        mask = np.array([row], np.uint8)
        try:
            text = usual_text(mask)
        except ValueError:
            text = "an exception"
        lines.append(f"  {name} {row}: right {rle.encode(mask)!r}, usual {text!r}")
    return lines


def table_of(ways: Sequence[Way]) -> list[str]:
    baseline = next(way for way in ways if way.name == "usual callback")
    lines = [f"{'':45}{'rows/s':>9}{'rows/s a core':>15}{'ms of CPU':>11}{'x usual':>9}"]
    for way in ways:
        ratio = way.rows_per_core_s / baseline.rows_per_core_s
        lines.append(
            f"{way.name:45}{way.rows / way.wall_s:9,.0f}{way.rows_per_core_s:15,.0f}"
            f"{1000 / way.rows_per_core_s:11.3f}{ratio:9.2f}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.submission", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="holds train_masks.zip")
    parser.add_argument("--rows", type=int, default=800, help="for the times")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(0)
    data = read_inputs(options.data, QUICK_PICTURES if options.quick else PICTURES)
    rows = TURN if options.quick else options.rows
    memory_rows = QUICK_MEMORY_ROWS if options.quick else MEMORY_ROWS
    print(f"{data.source}, {len(data.masks)} in turn; {SIDE}x{SIDE} to {WIDTH}x{HEIGHT}")
    print(agreement(data))
    print(*faults_of_usual(data), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        ways, size_ratio = measure(data, rows, Path(folder))
        print(*table_of(ways), sep="\n")
        print(f"size: ours is {size_ratio:.3f} of the usual file's")
        grown = grown_mib(data, memory_rows, Path(folder))
        print(f"memory: ours grew by {grown:.1f} MiB over {memory_rows:,} rows")


if __name__ == "__main__":
    main()
