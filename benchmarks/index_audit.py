"""What an index costs beside reading and listing alone, and near duplicates beside other searches.

    python -m benchmarks.index_audit [--rows 32000] [--thumbs 200000] [--quick] [--json FILE]

Index: the stage on `benchmarks.scale`'s two layouts, at two sizes, whose difference counts, so that
the start of a process is left out. Beside it pandas reading the tables and zipfile listing the
names, which digest nothing; the limit is sha256 over each byte of the raw files, once.

Near duplicates: the audit's exact search on drawn 16x16 thumbnails, of which one in a hundred is
nearly another. Beside it two searches of all pairs of 64-bit hashes, as imagededup compares them:
its own (where it is installed), and one in numpy. Those are not exact: a hash forgets most of a
thumbnail. Ratios are of CPU seconds.
"""

import hashlib
import importlib.util
import math
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.harness import Goal, Report, Table, cpu_seconds, parser, run_module
from benchmarks.scale import NAME, drawn, make_project
from darkroom.index.audit.duplicates import TEST, find_near_duplicates

ROWS, THUMBS = 32_000, 200_000
HASH_GOAL, PEER_GOAL, EXPONENT_GOAL = 2, 10, 1.05
LAYOUTS = {"table": ["train.csv", "test.csv"], "celeba": ["list_attr_celeba.txt"]}
_BLOCK = 2**20
_DISTANCE = 10  # bits: imagededup's own limit

Pixels = NDArray[np.uint8]


def cpu_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    before = cpu_seconds()
    work()
    return cpu_seconds() - before


def read_and_list(raw: Path, layout: str) -> int:
    """Read the tables with pandas, list the archives, and return how many names there are."""
    for name in LAYOUTS[layout]:
        if name.endswith(".txt"):
            pd.read_csv(raw / name, sep=r"\s+", skiprows=1)
        else:
            pd.read_csv(raw / name)
    names = 0
    for path in raw.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            names += len(archive.namelist())
    return names


def digest_all(raw: Path) -> None:
    """Digest each byte of the raw files, once."""
    for path in sorted(raw.iterdir()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while data := file.read(_BLOCK):
                digest.update(data)


def index_costs(layout: str, rows: int, work: Path) -> list[float]:
    """Return the CPU seconds of the stage, of pandas, and of the digests, at a number of rows."""
    raw, root = drawn(work, layout, rows), work / f"{layout}-{rows}"
    make_project(root, layout, raw)
    run_module("darkroom.cli.main", "fetch", NAME, folder=root)
    least = [math.inf] * 3
    for _ in range(2):
        costs = [
            run_module("darkroom.cli.main", "index", NAME, folder=root).cpu_s,
            cpu_of(partial(read_and_list, raw, layout)),
            cpu_of(partial(digest_all, raw)),
        ]
        least = [min(pair) for pair in zip(least, costs, strict=True)]
    return least


def measure_index(rows: int, work: Path) -> Report:
    """Return the table and goals of both layouts."""
    header = ["", "index, CPU s", "pandas and a listing", "sha256 of each byte", "ratio", "limit x"]
    result = Report("", [Table(header, title=f"{rows - rows // 8:,} rows")])
    for layout in LAYOUTS:
        few, many = (index_costs(layout, count, work) for count in (rows // 8, rows))
        ours, peer, limit = (after - before for before, after in zip(few, many, strict=True))
        limit, peer = max(limit, 1e-3), max(peer, 1e-3)
        result.tables[0].rows.append([layout, ours, peer, limit, ours / peer, ours / limit])
        goal = Goal(f"index of {layout} against sha256", ours / limit, HASH_GOAL, at_least=False)
        result.goals.append(goal)
    return result


def draw_thumbs(count: int) -> Pixels:
    """Return thumbnails uint8 (count, 256), smooth; one in 100 is nearly another."""
    rng = np.random.default_rng(3)
    coarse = rng.normal(0, 40, (count, 4, 4)).astype(np.float32)
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2).reshape(count, 256)
    fine += rng.normal(0, 8, (count, 256)).astype(np.float32) + 128
    thumbs = np.clip(fine, 0, 255).astype(np.uint8)
    copies = np.arange(99, count, 100)
    thumbs[copies] = np.clip(thumbs[copies - 50] + rng.integers(-1, 2, (len(copies), 256)), 0, 255)
    return thumbs


def hashes_of(thumbs: Pixels) -> NDArray[np.uint64]:
    """Return a difference hash of each thumbnail: 64 bits of 8 x 9 means, as imagededup's."""
    small = thumbs.reshape(-1, 8, 2, 16).mean(axis=2)
    columns = np.linspace(0, 15, 9).round().astype(int)
    bits = small[:, :, columns[1:]] > small[:, :, columns[:-1]]
    return np.packbits(bits.reshape(-1, 64), axis=1).view(np.uint64)[:, 0]


def count_close(hashes: NDArray[np.uint64]) -> int:
    """Return how many pairs of hashes differ by few bits, by comparing all."""
    pairs = 0
    for row, value in enumerate(hashes[:-1]):
        pairs += int((np.bitwise_count(hashes[row + 1 :] ^ value) <= _DISTANCE).sum())
    return pairs


def by_imagededup(hashes: NDArray[np.uint64]) -> None:
    """Search as imagededup does, in its compiled search of all pairs."""
    from imagededup.handlers.search.retrieval import HashEval  # noqa: PLC0415
    from imagededup.methods import DHash  # noqa: PLC0415

    names = {str(number): f"{value:016x}" for number, value in enumerate(hashes.tolist())}
    HashEval(
        test=names,
        queries=names,
        distance_function=DHash.hamming_distance,
        verbose=False,
        threshold=_DISTANCE,
        search_method="brute_force_cython",
    ).retrieve_results()


def by_us(thumbs: Pixels) -> int:
    """Search as the audit does, and return how many pairs there are."""
    count = len(thumbs)
    sides = np.arange(count) % 3 - 1  # near duplicates lie apart by 50 rows: on two sides
    sides[sides == -1] = TEST
    found = find_near_duplicates(thumbs, sides, np.arange(count))
    return found.across_folds.count + found.train_test.count


def measure_duplicates(count: int) -> Report:
    """Return the table and goals: ours at three sizes, the peers at one that they manage."""
    thumbs = draw_thumbs(count)
    sizes = [count // 16, count // 4, count]
    ours = [cpu_of(partial(by_us, thumbs[:size])) for size in sizes]
    table = Table(["", "thumbnails", "CPU s", f"CPU s at {count:,}", "against ours"])
    table.title = "near duplicates"
    table.rows += [["Darkroom, exact", *pair, None, None] for pair in zip(sizes, ours, strict=True)]
    exponent = math.log(ours[2] / max(ours[1], 1e-3), 4)
    goals = [Goal("near duplicates: exponent", exponent, EXPONENT_GOAL, at_least=False, unit="")]
    peers: dict[str, tuple[Callable[[NDArray[np.uint64]], object], int]] = {
        "all pairs, numpy": (count_close, 50_000)
    }
    if importlib.util.find_spec("imagededup"):
        by_imagededup(hashes_of(thumbs[:10]))  # its imports are left out
        peers["imagededup"] = (by_imagededup, 4_000)
    hashes = hashes_of(thumbs)
    for name, (search, most) in peers.items():
        size = min(most, count)
        cost = cpu_of(partial(search, hashes[:size]))
        whole = cost * (count / size) ** 2
        table.rows.append([name, size, cost, whole, whole / ours[2]])
        goals.append(Goal(f"near duplicates against {name}", whole / ours[2], PEER_GOAL))
    note = "searches of all pairs are run on fewer, and their cost grows with the square"
    return Report("", [table], goals, [note])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("index_audit", __doc__)
    choices.add_argument("--rows", type=int, default=ROWS)
    choices.add_argument("--thumbs", type=int, default=THUMBS)
    options = choices.parse_args(arguments)
    rows, thumbs = (320, 1_600) if options.quick else (options.rows, options.thumbs)
    with tempfile.TemporaryDirectory() as folder:
        index = measure_index(rows, Path(folder))
    duplicates = measure_duplicates(thumbs)
    title = "Index and audit, CPU seconds, children included"
    goals = index.goals + duplicates.goals
    result = Report(title, index.tables + duplicates.tables, goals, duplicates.notes)
    result.finish(options)


if __name__ == "__main__":
    main()
