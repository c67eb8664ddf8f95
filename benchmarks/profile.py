"""Where a short training spends its time: `python -m benchmarks.profile`.

First the imports, by package; then the functions of Darkroom that take longest, and the functions
of all packages in which most time is spent. The project is drawn, tiny, and thrown away.
"""

import argparse
import cProfile
import pstats
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import chdir
from importlib import import_module
from pathlib import Path

from darkroom.cli.main import main as darkroom
from tests.support import tiny

IMPORT = re.compile(r"^import time: +(\d+) \| +\d+ \| +([^.\s]+)", re.MULTILINE)
STAGE = "darkroom.stages.train"


def import_seconds(module: str) -> Counter[str]:
    """Return the seconds that a new process takes to import a module, by top-level package."""
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    seconds: Counter[str] = Counter()
    for microseconds, package in IMPORT.findall(report):
        seconds[package] += int(microseconds) / 1e6  # type: ignore[assignment]
    return seconds


def profiled_training(folder: Path, epochs: int) -> cProfile.Profile:
    """Train on a tiny project under the profiler."""
    tiny.project(folder, "masks", train={"epochs": epochs})
    profile = cProfile.Profile()
    with chdir(folder):
        tiny.run("fetch", "index", "split", "preprocess")
        import_module(STAGE)
        with profile:
            darkroom(["train", tiny.NAME])
    return profile


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both reports."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20, help="of each table (default 20)")
    options = parser.parse_args(arguments)
    seconds = import_seconds(STAGE)
    print(f"import {STAGE}: {sum(seconds.values()):.1f} s")
    for package, each in seconds.most_common(options.rows):
        print(f"  {each:6.2f} s  {package}")
    with tempfile.TemporaryDirectory() as folder:
        stats = pstats.Stats(profiled_training(Path(folder), options.epochs))
    print("\nDarkroom's functions by the time until they return:")
    stats.sort_stats("cumulative").print_stats("src/darkroom", options.rows)
    print("All functions by their own time:")
    stats.sort_stats("tottime").print_stats(options.rows)


if __name__ == "__main__":
    main()
