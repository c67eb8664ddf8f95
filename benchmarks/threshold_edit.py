"""What an edited threshold costs: `python -m benchmarks.threshold_edit`.

The project is drawn, 300 pictures, and thrown away. Its stages run once; then the threshold is
edited, and `evaluate` and `submission` run again, each a process of its own, as `dvc repro` runs
them. Beside them stands `predict`, which they do not need. All in CPU seconds, user and system.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support import tiny

KINDS = ("masks", "multilabel", "multiclass")
AGAIN = ("evaluate", "submission")


@dataclass(frozen=True)
class Cost:
    """CPU seconds of one kind of target.

    Attributes:
        predict: Of the predictions, which an edited threshold does not ask for.
        edits: Of each edit: both stages that run again.
    """

    predict: float
    edits: list[float]


def cpu_seconds(*verbs: str) -> float:
    """Return the CPU seconds of verbs on the project in the current folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for verb in verbs:
        command = [sys.executable, "-m", "darkroom.cli.main", verb, tiny.NAME]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def measure(kind: str, folder: Path, edits: int) -> Cost:
    """Return what edits cost in a drawn project of a kind of `tests.support.tiny.KINDS`."""
    tiny.project(folder, kind, train={"epochs": 1})
    tiny.edit(folder, lambda params: params.update(folds=[0]))
    with chdir(folder):
        cpu_seconds("fetch", "index", "split", "preprocess", "train")
        predict = cpu_seconds("predict")
        cpu_seconds(*AGAIN)
        costs = []
        for number in range(edits):
            # Of classes no threshold is asked for: the stages run again as they are.
            if kind != "multiclass":
                tiny.edit(folder, partial(_set_threshold, threshold=0.3 + number / 100))
            costs.append(cpu_seconds(*AGAIN))
    return Cost(predict, costs)


def _set_threshold(params: tiny.Params, threshold: float) -> None:
    params[tiny.NAME]["evaluate"] = {"threshold": threshold}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each kind of target."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.threshold_edit", description=__doc__
    )
    parser.add_argument("--train", type=int, default=200, help="training pictures (default 200)")
    parser.add_argument("--test", type=int, default=100, help="test pictures (default 100)")
    parser.add_argument("--edits", type=int, default=5, help="edits a kind (default 5)")
    options = parser.parse_args(arguments)
    tiny.TRAIN, tiny.TEST = options.train, options.test
    print(f"{options.train} training and {options.test} test pictures; CPU seconds")
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            cost = measure(kind, Path(folder) / kind, options.edits)
        middle, least = statistics.median(cost.edits), min(cost.edits)
        print(
            f"{kind:10}  edit {middle:.2f} (least {least:.2f}), predict {cost.predict:.2f}: "
            f"{middle / cost.predict:.2f}x"
        )


if __name__ == "__main__":
    main()
