"""What the benchmarks share: turns, costs of processes, tables, goals and `--json`.

All contenders of a benchmark take turns within one run, so that a busy machine slows all of them
alike, and what is compared is a ratio. CPU seconds are user and system, child processes included.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
Cell = str | float | int | None
_SAMPLE_S = 0.05  # between two looks at a process's memory

# The high-water mark is written as the process ends: one that is over soon is not missed.
_PROBE = """
import runpy, sys
place, sys.argv = sys.argv[1], sys.argv[2:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    try:
        open(place, "w").write(open("/proc/self/status").read())
    except OSError:
        pass
"""


@dataclass(frozen=True)
class Rate:
    """How fast a contender is: medians of its turns.

    Attributes:
        wall: Items a second.
        cpu: Items for each CPU second, of all its processes.
    """

    wall: float
    cpu: float


@dataclass(frozen=True)
class Usage:
    """What a process cost.

    Attributes:
        cpu_s: User and system, child processes included.
        wall_s: From start to end.
        main_mb: Peak resident memory of the process itself, mapped files too, MB (10**6 bytes).
        anonymous_mb: The same without the pages of files, as sampled.
        worker_mb: The peak of its largest child process, as sampled; 0: it had none.
    """

    cpu_s: float
    wall_s: float
    main_mb: float
    anonymous_mb: float
    worker_mb: float


@dataclass(frozen=True)
class Goal:
    """What a ratio or an amount should be.

    Attributes:
        what: It is of.
        measured: Its value.
        bound: To reach.
        at_least: Whether more is better.
        unit: Behind both numbers.
    """

    what: str
    measured: float
    bound: float
    at_least: bool = True
    unit: str = "x"

    @property
    def is_met(self) -> bool:
        """Whether it is reached."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


@dataclass
class Table:
    """Rows of cells under a header."""

    header: Sequence[str]
    rows: list[Sequence[Cell]] = field(default_factory=list)
    title: str = ""

    def lines(self) -> list[str]:
        """Return it in Markdown, line by line."""
        cells = [[text(cell) for cell in row] for row in self.rows]
        all_rows = [list(self.header), ["---"] * len(self.header), *cells]
        title = [f"{self.title}:", ""] if self.title else []
        return [*title, *(f"| {' | '.join(row)} |" for row in all_rows)]


@dataclass
class Report:
    """What a benchmark has measured.

    Attributes:
        title: Of what, in which form.
        tables: Of it.
        goals: And whether they are met.
        notes: Lines below.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return it as text, line by line."""
        lines = [self.title]
        for table in self.tables:
            lines += ["", *table.lines()]
        if self.goals:
            rows: list[Sequence[Cell]] = [_goal_row(goal) for goal in self.goals]
            lines += ["", *Table(["goal", "measured", "to reach", ""], rows).lines()]
        if self.notes:
            lines += ["", *self.notes]
        return lines

    def finish(self, options: argparse.Namespace) -> None:
        """Print it, and write it to the file of `--json`, if there is one."""
        print("\n".join(self.lines()), flush=True)
        if options.json:
            goals = [asdict(goal) | {"met": goal.is_met} for goal in self.goals]
            content = {
                "title": self.title,
                "tables": [
                    {
                        "title": table.title,
                        "rows": [dict(zip(table.header, row, strict=True)) for row in table.rows],
                    }
                    for table in self.tables
                ],
                "goals": goals,
                "notes": self.notes,
            }
            options.json.write_text(json.dumps(content, indent=1) + "\n")


def _goal_row(goal: Goal) -> list[Cell]:
    sense = "at least" if goal.at_least else "at most"
    bound = f"{sense} {text(goal.bound)}{goal.unit}"
    return [
        goal.what,
        f"{text(goal.measured)}{goal.unit}",
        bound,
        "met" if goal.is_met else "missed",
    ]


def text(cell: Cell) -> str:
    """Return a cell as text; a float has three digits that count, or all before its point."""
    if cell is None:
        return ""
    if isinstance(cell, str | int):
        return cell if isinstance(cell, str) else f"{cell:,}"
    digits = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2 if abs(cell) >= 0.1 else 3
    return f"{cell:,.{digits}f}"


def parser(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser of the options that every benchmark has: `--json` and `--quick`."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", type=Path, help="write the figures to this file too")
    made.add_argument("--quick", action="store_true", help="only see that it works")
    return made


def take_turns(contenders: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, Rate]:
    """Return the rate of each contender; a first round warms up and does not count.

    Args:
        contenders: Each does some work and returns of how many items it was.
        rounds: That count. Another one begins in each.
    """
    rates: dict[str, list[Rate]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            cpu, wall = cpu_seconds(), time.perf_counter()
            count = contenders[name]()
            wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
            if number:
                rates[name].append(Rate(count / max(wall, 1e-9), count / max(cpu, 1e-9)))
    return {
        name: Rate(
            statistics.median(rate.wall for rate in each),
            statistics.median(rate.cpu for rate in each),
        )
        for name, each in rates.items()
    }


def cpu_seconds() -> float:
    """Return the CPU seconds so far of this process and its children, running or over."""
    me = psutil.Process()
    total = time.process_time()
    times = me.cpu_times()
    total += times.children_user + times.children_system
    for child in me.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:  # over since it was listed
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return float(total)


def child_cpu_s(command: Sequence[str], folder: Path) -> float:
    """Run a command in a folder, silently, and return the CPU seconds of it and its children.

    Raises:
        SystemExit: It failed.
    """
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    before = psutil.Process().cpu_times()
    done = subprocess.run(command, cwd=folder, check=False, text=True, **quiet)  # type: ignore[call-overload]
    after = psutil.Process().cpu_times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    user = after.children_user - before.children_user
    return float(user + after.children_system - before.children_system)


def run_module(module: str, *arguments: str, folder: Path, log: Path | None = None) -> Usage:
    """Run a module in a process of its own, and return what it cost.

    Args:
        module: By its dotted name, as `python -m` runs it.
        arguments: Of it.
        folder: It runs in.
        log: What it prints is added to this file; None: nowhere.

    Raises:
        SystemExit: It failed.
    """
    with tempfile.TemporaryDirectory() as place:
        status = Path(place) / "status"
        command = [sys.executable, "-c", _PROBE, str(status), module, *arguments]
        with open(log or os.devnull, "ab") as out:  # noqa: PTH123
            start = time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out)
            peaks = _watch(process)
            _, code, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(code)
        if process.returncode:
            where = f": see {log}" if log else ""
            raise SystemExit(f"{module} {' '.join(arguments)} failed{where}")
        high = _kilobytes(status.read_text(), "VmHWM") if status.is_file() else 0
    return Usage(
        used.ru_utime + used.ru_stime,
        wall,
        max(high * 1024 / 1e6, peaks[0]),
        peaks[1],
        peaks[2],
    )


def _watch(process: subprocess.Popen[bytes]) -> tuple[float, float, float]:
    """Return the peaks of a process until it ends, MB: resident, anonymous, largest child."""
    main = anonymous = worker = 0.0
    seen: set[int] = set()  # a child that is about to run a program shares its parent's memory
    watched = psutil.Process(process.pid)
    while not _is_over(process.pid):
        try:
            resident, own = _memory(watched.pid)
            main, anonymous = max(main, resident), max(anonymous, own)
            children = {child.pid for child in watched.children(recursive=True)}
            worker = max([worker, *(_memory(child)[0] for child in children & seen)])
            seen = children
        except (psutil.Error, OSError):  # a child that is over
            pass
        time.sleep(_SAMPLE_S)
    return main, anonymous, worker


def _is_over(pid: int) -> bool:
    """Return whether a child process has ended; it can still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _memory(pid: int) -> tuple[float, float]:
    """Return the high-water mark of a process and its anonymous memory now, MB."""
    path = Path(f"/proc/{pid}/status")
    if not path.is_file():  # no Linux
        resident = psutil.Process(pid).memory_info().rss / 1e6
        return resident, resident
    status = path.read_text()
    return tuple(_kilobytes(status, key) * 1024 / 1e6 for key in ("VmHWM", "RssAnon"))  # type: ignore[return-value]


def _kilobytes(status: str, key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) if match else 0
