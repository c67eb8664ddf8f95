"""What DVC costs: shards beside a folder of files, and a `dvc repro` with nothing to do.

    python -m benchmarks.dvc [--images 20000] [--quick] [--json FILE]

The same stored pictures (JPEGs of 96x80 and 2.6 kB each) are recorded by `dvc add` for the first
time, compared (`dvc status`), and brought back from the cache (`dvc checkout`), as shards and as a
file each. CPU seconds of the whole command, its imports included; `dvc version`'s are told too.

The second table is of this repository's own graph, three competitions: every output is replaced by
a small file and committed, so that `dvc repro` finds that nothing changed.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unittest import mock

from benchmarks.harness import ROOT, Goal, Report, Table, child_cpu_s, parser
from benchmarks.scale import pictures
from darkroom.store.shard import ShardFormat
from darkroom.store.store import StoredImage, rows_per_shard, shard_name, write_shard

IMAGES, QUICK_IMAGES, ROUNDS = 20_000, 100, 3
FILES_GOAL, REPRO_GOAL_S = 5, 1.2
KINDS = ("a file each", "shards")
_COMMIT = """
from pathlib import Path
from dvc.repo import Repo
repo = Repo()
for stage in repo.index.stages:
    for out in stage.outs:
        path = Path(out.fs_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path.relative_to(repo.root_dir)))
repo.commit(force=True)
"""


def stored_pictures(count: int) -> Iterator[bytes]:
    """Yield pictures of other bytes each: a few hundred, with a number behind their end."""
    few = list(pictures(256, 96, 80))
    return (few[number % len(few)] + number.to_bytes(4, "big") for number in range(count))


def write_files(folder: Path, count: int) -> None:
    """Write a file a picture."""
    folder.mkdir()
    for number, data in enumerate(stored_pictures(count)):
        (folder / f"{number:06}.jpg").write_bytes(data)


def write_shards(folder: Path, count: int) -> None:
    """Write the shards that preprocess would."""
    folder.mkdir()
    data, size = list(stored_pictures(count)), rows_per_shard(count)
    for start in range(0, count, size):
        rows = (
            StoredImage(f"{start + number:06}", image, b"", 218, 178)
            for number, image in enumerate(data[start : start + size])
        )
        path = folder / shard_name("train", start // size)
        write_shard(path, rows, ShardFormat(96, 80, "crop", "jpeg"))


WRITE: Mapping[str, Callable[[Path, int], None]] = dict(
    zip(KINDS, (write_files, write_shards), strict=True)
)


def run_dvc(folder: Path, *arguments: str) -> float:
    """Run DVC in a folder and return its CPU seconds."""
    return child_cpu_s([sys.executable, "-m", "dvc", *arguments], folder)


def record(kind: str, count: int, root: Path) -> dict[str, float]:
    """Return the CPU seconds of the first record, of a comparison, and of a checkout."""
    root.mkdir()
    run_dvc(root, "init", "--no-scm")
    WRITE[kind](root / "data", count)
    costs = {"first record": run_dvc(root, "add", "data")}
    run_dvc(root, "status")
    costs["nothing changed"] = run_dvc(root, "status")
    shutil.rmtree(root / "data")
    costs["checkout"] = run_dvc(root, "checkout")
    shutil.rmtree(root)
    return costs


def committed_project(root: Path) -> None:
    """Copy what this repository's graph depends on, and commit a small file for each output."""
    root.mkdir()
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, root)
    for name in ("src", "metrics"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    run_dvc(root, "init", "--no-scm")
    child_cpu_s([sys.executable, "-c", _COMMIT], root)
    # A stage that ran would cost more than all of this, and fail besides.
    said = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    if "Data and pipelines are up to date." not in said:
        raise SystemExit(f"dvc repro found something to do: {said}")


def measure(images: int, rounds: int, work: Path) -> Report:
    """Return both tables; kinds take turns."""
    costs: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    project = work / "project"
    committed_project(project)
    repro = []
    for _ in range(rounds):
        for kind in KINDS:
            costs[kind].append(record(kind, images, work / "recorded"))
        repro.append(run_dvc(project, "repro"))
    version = run_dvc(work, "version")
    return tabulate(images, costs, repro, version)


def tabulate(
    images: int, costs: Mapping[str, list[dict[str, float]]], repro: list[float], version: float
) -> Report:
    """Return the tables and goals of all rounds' costs."""
    result = Report("DVC's CPU seconds, its imports included; medians")
    table = Table(["", *KINDS, "ratio", "ratio without imports"], title=f"{images:,} pictures")
    for what in costs[KINDS[0]][0]:
        files, shards = (statistics.median(each[what] for each in costs[kind]) for kind in KINDS)
        net = (files - version) / max(shards - version, 0.01)
        table.rows.append([what, files, shards, files / shards, net])
        result.goals.append(Goal(f"{what}: a file each against shards", files / shards, FILES_GOAL))
    middle = statistics.median(repro)
    graph = Table(["", "CPU s"], [["dvc repro", middle], ["dvc version", version]])
    graph.title = "nothing to do, three competitions"
    result.tables += [table, graph]
    result.goals.append(
        Goal("dvc repro, nothing to do", middle, REPRO_GOAL_S, at_least=False, unit=" s")
    )
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("dvc", __doc__)
    choices.add_argument("--images", type=int, default=IMAGES)
    choices.add_argument("--rounds", type=int, default=ROUNDS)
    options = choices.parse_args(arguments)
    count, rounds = (QUICK_IMAGES, 1) if options.quick else (options.images, options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        # Nothing of what this user's DVC remembers or is set to takes part.
        own = {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": f"{folder}/cache",
            "DVC_GLOBAL_CONFIG_DIR": f"{folder}/config",
        }
        with mock.patch.dict(os.environ, own):
            result = measure(count, rounds, Path(folder))
    result.finish(options)


if __name__ == "__main__":
    main()
