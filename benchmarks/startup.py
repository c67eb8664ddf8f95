"""How long a verb takes to start, beside what it must import.

    python -m benchmarks.startup [--verbs index train ...] [--rounds 5] [--quick] [--json FILE]

Each verb runs on a tiny project of 21 pictures, in a process of its own, and takes turns with a
process that only imports the libraries that the verb's work cannot do without (`NEEDS`), and with
`import torch` alone. CPU seconds (user and system), medians. Of verbs that start processes of
their own (preprocess, audit), these count too.
"""

import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Goal, Report, Table, child_cpu_s, parser
from tests.support import tiny

GOAL = 1.3
_PARAMS = ("pydantic", "ruamel.yaml")
_TABLES = (*_PARAMS, "pandas", "pyarrow")
_PIXELS = (*_TABLES, "cv2", "PIL.Image", "simplejpeg")
# What the work of each verb needs, whatever is written around it.
NEEDS: dict[str, tuple[str, ...]] = {
    "--help": ("argparse",),
    "params": _PARAMS,
    "fetch": _PARAMS,
    "index": _TABLES,
    "split": (*_TABLES, "scipy.sparse"),
    "fold": _TABLES,
    "preprocess": _PIXELS,
    "audit": _PIXELS,
    "train": (*_TABLES, "simplejpeg", "torch", "tensorboard.summary"),
    "predict": (*_TABLES, "simplejpeg", "torch"),
    "evaluate": _TABLES,
    "submission": (*_TABLES, "isal.igzip"),
    "check": (*_TABLES, "isal.igzip"),
    "summary": (*_TABLES, "isal.igzip"),  # it checks each submission
}
NAMELESS = ("--help", "params", "summary")


def command(verb: str) -> list[str]:
    """Return the command of a verb."""
    name = [] if verb in NAMELESS else [tiny.NAME]
    return [sys.executable, "-c", "from darkroom.cli import start; start()", verb, *name]


def import_cpu_s(modules: Sequence[str], folder: Path) -> float:
    """Return what importing these costs, with the interpreter's own start."""
    return child_cpu_s([sys.executable, "-c", f"import {', '.join(modules)}"], folder)


def measure(verbs: Sequence[str], rounds: int, root: Path) -> dict[str, tuple[float, float]]:
    """Return the medians of each verb and of what it must import, CPU seconds; torch's too."""
    costs: dict[str, list[tuple[float, float]]] = {verb: [] for verb in (*verbs, "import torch")}
    tiny.project(root, "multiclass", train={"augment": "none"})
    # The first round compiles, fills the page cache, and writes what later verbs read.
    for number in range(rounds + 1):
        for verb in NEEDS:
            if number == 0 or verb in verbs:
                own = child_cpu_s(command(verb), root)
                if number:
                    costs[verb].append((own, import_cpu_s(NEEDS[verb], root)))
            if verb == "train":  # done already, it would end at once
                shutil.rmtree(root / "models", ignore_errors=True) if number < rounds else None
        torch_s = import_cpu_s(["torch"], root)
        costs["import torch"].append((torch_s, torch_s))
    return {
        verb: (statistics.median(own for own, _ in each), statistics.median(n for _, n in each))
        for verb, each in costs.items()
    }


def report(costs: dict[str, tuple[float, float]]) -> Report:
    """Return the table and a goal a verb."""
    result = Report("CPU seconds of a verb on a tiny project, and of what it must import")
    table = Table(["verb", "CPU s", "its imports alone", "ratio", "against import torch"])
    torch_s = costs["import torch"][0]
    for verb, (own, needs) in costs.items():
        table.rows.append([verb, own, needs, own / needs, own / torch_s])
        if verb in NEEDS:
            result.goals.append(Goal(f"{verb} against its imports", own / needs, GOAL, False))
    result.tables.append(table)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("startup", __doc__)
    choices.add_argument("--verbs", nargs="+", choices=list(NEEDS), default=list(NEEDS))
    choices.add_argument("--rounds", type=int, default=2)
    options = choices.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rounds = 1 if options.quick else options.rounds
        costs = measure(options.verbs, rounds, Path(folder))
    report(costs).finish(options)


if __name__ == "__main__":
    main()
