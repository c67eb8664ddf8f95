"""What each stage costs at 1, 4 and 16 times the rows: CPU seconds, peak memory, exponents.

    python -m benchmarks.scale [--layout table celeba] [--rows 1000000] [--divide 16 4 1]
                               [--verbs index split ...] [--work FOLDER] [--keep]

Two layouts are drawn: `table` is a CSV table with a class a picture, and 32-pixel JPEGs in one zip;
`celeba` is CelebA's own, 178x218 faces with 40 attributes. Every fifth image (of CelebA every
tenth) is to be predicted. A few pictures are nearly the same as others, a few the same to the byte.
Each verb is a process of its own. `--rows` is the largest number of rows, `--divide` says what the
sizes are. `--work` keeps what was drawn (and with `--keep` the projects too, so that one verb can
be measured again with `--verbs`).

The exponent is that of the part of the cost that grows: with a cost of a + b n^k at three sizes,
a factor q apart, (c3 - c2) / (c2 - c1) is q^k, whatever a. The growth of memory is that of the
main process from the second size to the third.
"""

import argparse
import math
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.harness import ROOT, Cell, Goal, Report, Table, Usage, parser, run_module

NAME = "scale"
VERBS = (
    *("fetch", "index", "split", "fold", "preprocess", "audit", "train"),
    *("predict", "evaluate", "submission", "check"),
)
BY_FOLD = ("fold", "train")
ROWS, QUICK_ROWS = {"table": 32_000, "celeba": 8_000}, 1_600
CLASSES = 7
EXPONENT, GROWTH, MEMORY_MB = 1.05, 1.10, 300
_LEAST_S = 0.3  # a smaller difference between two sizes is noise
_TWIN, _COPY = 500, 1000  # how often a picture is nearly, or to the byte, the one before it

SMALL_NETWORK: dict[str, Any] = {
    "model": {"name": "small_cnn", "width": 2, "depth": 2},
    "train": {
        "epochs": 1,
        "batch_size": 64,
        "lr": 0.01,
        "augment": "none",
        "workers": 0,
        "accelerator": "cpu",
    },
    "predict": {"batch_size": 256, "accelerator": "cpu"},
}


def picture(number: int, height: int, width: int, grain: NDArray[np.uint8]) -> bytes:
    """Return smooth noise with a grain as a JPEG; which one depends on the number alone."""
    source = number
    quality = 90
    if number % _TWIN == _TWIN - 1:
        source, quality = number - 1, 80
    elif number % _COPY == 1:
        source = number - 1
    coarse = np.random.default_rng(source).integers(30, 200, (8, 8, 3), dtype=np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.imencode(".jpg", cv2.add(pixels, grain), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()


def pictures(count: int, height: int, width: int) -> Iterator[bytes]:
    """Yield that many pictures."""
    grain = np.random.default_rng(0).integers(0, 24, (height, width, 3), dtype=np.uint8)
    return (picture(number, height, width, grain) for number in range(count))


def write_zip(path: Path, names: Iterable[str], contents: Iterable[bytes]) -> None:
    """Write a zip of files, stored as they are."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in zip(names, contents, strict=True):
            archive.writestr(zipfile.ZipInfo(name), data)


def draw_table(folder: Path, rows: int) -> None:
    """Draw `pictures.zip`, `train.csv` (id, class) and `test.csv` (id)."""
    ids = [f"{number * 2654435761 % 2**32:08x}" for number in range(rows)]
    train = "".join(
        f"{each},c{number % CLASSES}\n" for number, each in enumerate(ids) if number % 5
    )
    (folder / "train.csv").write_text(f"id,class\n{train}")
    (folder / "test.csv").write_text("id\n" + "".join(f"{each}\n" for each in ids[::5]))
    names = (f"pictures/{each}.jpg" for each in ids)
    write_zip(folder / "pictures.zip", names, pictures(rows, 32, 32))


def draw_celeba(folder: Path, rows: int) -> None:
    """Draw CelebA's own files: one zip of faces, and two tables, one with spaces for commas."""
    draw_celeba_tables(folder, rows)
    names = (f"img_align_celeba/{number:06}.jpg" for number in range(1, rows + 1))
    write_zip(folder / "img_align_celeba.zip", names, pictures(rows, 218, 178))


def draw_celeba_tables(folder: Path, rows: int) -> None:
    """Draw its tables of 40 attributes, and of the official parts."""
    names = [f"{number:06}.jpg" for number in range(1, rows + 1)]
    attributes = [f"Attribute_{number}" for number in range(40)]
    signs = np.random.default_rng(1).integers(0, 2, (rows, 40), dtype=np.int8) * 2 - 1
    with (folder / "list_attr_celeba.txt").open("w") as file:
        file.write(f"{rows}\n{' '.join(attributes)} \n")
        for name, values in zip(names, signs.tolist(), strict=True):
            file.write(f"{name} {' '.join(f'{value:2}' for value in values)}\n")
    parts = (0 if place < 0.8 * rows else 1 if place < 0.9 * rows else 2 for place in range(rows))
    lines = (f"{name} {part}\n" for name, part in zip(names, parts, strict=True))
    (folder / "list_eval_partition.txt").write_text("".join(lines))


DRAW: dict[str, Callable[[Path, int], None]] = {"table": draw_table, "celeba": draw_celeba}


def section(layout: str) -> dict[str, Any]:
    """Return the section of a layout; that of CelebA is the one of params.yaml, but the network."""
    if layout == "celeba":
        shipped = yaml.safe_load((ROOT / "params.yaml").read_text())["celeba"]
        shipped["data"].pop("sample")
        return dict(shipped) | SMALL_NETWORK
    return {
        "data": {
            "task": "multiclass",
            "train": {
                "table": "train.csv",
                "image": "pictures.zip/pictures/{id}.jpg",
                "targets": "class",
            },
            "test": {"table": "test.csv", "image": "pictures.zip/pictures/{id}.jpg"},
            "header": ["id", "class"],
        },
        "split": {"by": "stratify", "folds": 5},
        "preprocess": {"height": 32, "width": 32, "fit": "stretch", "store": "jpeg"},
        "evaluate": {},
        **SMALL_NETWORK,
    }


def make_project(root: Path, layout: str, raw: Path) -> None:
    """Write params.yaml of a project that learns what was drawn."""
    settings = section(layout)
    settings["data"]["source"] = str(raw)
    write_params(root, settings)


def write_params(root: Path, settings: Mapping[str, Any]) -> None:
    """Write params.yaml of a project with one section, in a folder that is made if need be."""
    root.mkdir(parents=True, exist_ok=True)
    keys: dict[str, Any] = {
        "seed": 7,
        "competitions": [NAME],
        "folds": [0],
        "transfers": [],
        "blends": [],
        "pseudo_labels": [],
        NAME: dict(settings),
    }
    (root / "params.yaml").write_text(yaml.safe_dump(keys, sort_keys=False))


def drawn(work: Path, layout: str, rows: int) -> Path:
    """Return the folder of the raw files, which are drawn unless they are there."""
    folder = (work / f"{layout}-{rows}-raw").resolve()
    if not folder.is_dir():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        DRAW[layout](part, rows)
        part.rename(folder)
    return folder


def measure(layout: str, rows: int, verbs: Sequence[str], work: Path, *, keep: bool) -> list[Usage]:
    """Return what each verb costs at a number of rows."""
    root = work / f"{layout}-{rows}"
    make_project(root, layout, drawn(work, layout, rows))
    usages = []
    for verb in verbs:
        fold = ("--fold", "0") if verb in BY_FOLD else ()
        log = root / "log.txt"
        usages.append(run_module("darkroom.cli.main", verb, NAME, *fold, folder=root, log=log))
        print(f"{layout}, {rows:,} rows: {verb} {usages[-1].cpu_s:.1f} CPU s", flush=True)
    if not keep:
        shutil.rmtree(root)
    return usages


def exponent(costs: Sequence[float], factor: float) -> float | None:
    """Return k of costs a + b n^k at the last three sizes, each `factor` times the one before.

    None: the differences are too small to say.
    """
    if len(costs) < 3:
        return None
    low, middle, high = costs[-3:]
    if middle - low < _LEAST_S or high <= middle:
        return None
    return math.log((high - middle) / (middle - low), factor)


def tabulate(
    layout: str, sizes: Sequence[int], verbs: Sequence[str], usages: Sequence[Sequence[Usage]]
) -> tuple[Table, list[Goal]]:
    """Return the table of a layout, a row a verb and three columns a size.

    With it the goals: the highest exponent, the most growth, and the peaks at a million rows.
    """
    header = ["stage"]
    for unit in ("CPU s", "main, MB", "worker, MB"):
        header += [f"{unit} at {size:,}" for size in sizes]
    header += ["anonymous, MB", "exponent", "memory grows"]
    table = Table(header, title=layout)
    exponents: list[Goal] = []
    growths: list[Goal] = []
    peaks: list[Goal] = []
    factor = sizes[-1] / sizes[-2] if len(sizes) > 1 else 0.0
    for verb, each in zip(verbs, zip(*usages, strict=True), strict=True):
        name = f"{layout}, {verb}"
        power = exponent([usage.cpu_s for usage in each], factor)
        growth = each[-1].main_mb / each[-2].main_mb if len(each) > 1 else None
        cells: list[Cell] = [verb, *(usage.cpu_s for usage in each)]
        cells += [usage.main_mb for usage in each]
        cells += [usage.worker_mb or None for usage in each]
        table.rows.append([*cells, max(usage.anonymous_mb for usage in each), power, growth])
        if power is not None:
            exponents.append(Goal(f"{name}: exponent", power, EXPONENT, at_least=False, unit=""))
        if growth is not None:
            growths.append(Goal(f"{name}: memory grows", growth, GROWTH, at_least=False))
        if sizes[-1] >= 1_000_000 and verb in ("index", "audit"):
            peak = each[-1].main_mb
            peaks.append(Goal(f"{name}: peak", peak, MEMORY_MB, at_least=False, unit=" MB"))
    worst = [max(each, key=lambda goal: goal.measured) for each in (exponents, growths) if each]
    return table, [*worst, *peaks]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table a layout."""
    options = _options(arguments)
    result = Report("CPU seconds (user and system) and peak resident memory of each stage")
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        for layout in options.layout:
            most = QUICK_ROWS if options.quick else options.rows or ROWS[layout]
            sizes = [most // part for part in options.divide]
            usages = [
                measure(layout, rows, options.verbs, work, keep=options.keep) for rows in sizes
            ]
            table, goals = tabulate(layout, sizes, options.verbs, usages)
            result.tables.append(table)
            result.goals += goals
    result.finish(options)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    choices = parser("scale", __doc__)
    choices.add_argument("--layout", nargs="+", choices=list(DRAW), default=list(DRAW))
    choices.add_argument("--rows", type=int, help="the most rows")
    choices.add_argument("--divide", type=int, nargs="+", default=[16, 4, 1])
    choices.add_argument("--verbs", nargs="+", choices=VERBS, default=list(VERBS))
    choices.add_argument("--work", type=Path, help="keep what was drawn in this folder")
    choices.add_argument("--keep", action="store_true", help="keep the projects there too")
    return choices.parse_args(arguments)


if __name__ == "__main__":
    main()
