"""The results do not depend on the environment: locale, time zone, hash seed, umask, folders."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.conftest import Tally
from tests.faults.stages import ROOT, STAGES, Finished, outputs, results
from tests.support import tiny

NOWHERE = "/proc/nowhere"  # a folder that nobody can make


@dataclass(frozen=True)
class Environment:
    """What is unusual around a run.

    Attributes:
        variables: Set.
        absent: Variables that are removed.
        umask: Of the process.
        cores: That preprocessing spreads its work over.
        through_link: The current folder is reached through a link.
        has_stdin: False: it is closed.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    umask: int = 0o022
    cores: int = 1
    through_link: bool = False
    has_stdin: bool = True


ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
THREADS = {"OPENBLAS_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "ARROW_IO_THREADS": "3"}
ENVIRONMENTS = {
    "an ASCII locale": Environment(ASCII),
    "another language": Environment({"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    "no language": Environment(absent=("LANG", "LC_ALL", "LC_CTYPE", "TERM", "USER", "LOGNAME")),
    "another time zone": Environment({"TZ": "Asia/Kathmandu"}),
    "another hash seed": Environment({"PYTHONHASHSEED": "4242"}),
    "a strict umask": Environment(umask=0o077),
    "a folder reached through a link": Environment(through_link=True),
    "other numbers of threads": Environment(THREADS, cores=2),
    "no home and no stdin": Environment(absent=("HOME",), has_stdin=False),
    "a home that can't be written, a narrow terminal": Environment(
        {"HOME": NOWHERE, "XDG_CACHE_HOME": NOWHERE, "COLUMNS": "20", "LINES": "2"}
    ),
}
EVERYTHING = Environment(
    {**ASCII, **THREADS, "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "4242", "COLUMNS": "20"},
    absent=("HOME", "TERM", "USER", "LOGNAME"),
    umask=0o077,
    cores=2,
    through_link=True,
    has_stdin=False,
)
CASES = [
    pytest.param(EVERYTHING, id="all at once"),
    *(pytest.param(e, id=name, marks=pytest.mark.long) for name, e in ENVIRONMENTS.items()),
]
PROGRAM = """
import sys
from tests.faults.stages import STAGES, run_stage, words_of
if __name__ == "__main__":
    for stage in STAGES:
        if code := run_stage(*words_of(stage), cores={cores}):
            sys.exit(code)
"""


def _run(root: Path, environment: Environment) -> None:
    folder = root
    if environment.through_link:
        folder = root.with_name("link")
        folder.symlink_to(root)
    program = root.with_name("program.py")  # a file: the processes that it starts import it
    program.write_text(PROGRAM.format(cores=environment.cores))
    variables = {k: v for k, v in os.environ.items() if k not in environment.absent}
    process = subprocess.Popen(
        [sys.executable, str(program)],
        cwd=folder,
        env=variables | {"PYTHONPATH": str(ROOT), **environment.variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        umask=environment.umask,
        preexec_fn=None if environment.has_stdin else _close_stdin,
    )
    words, _ = process.communicate(timeout=300)
    assert process.returncode == 0, words.decode(errors="replace")


def _close_stdin() -> None:
    os.close(0)


@pytest.mark.slow
@pytest.mark.parametrize("environment", CASES)
def test_the_environment_changes_no_bit(
    finished: Finished, tmp_path: Path, tally: Tally, environment: Environment
) -> None:
    root = tmp_path / "project"
    shutil.copytree(finished.new, root)
    for stage in STAGES:
        for path in outputs(stage):
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
    _run(root, environment)
    for stage in STAGES:
        new = results(root, stage)
        changed = [path for path, data in results(finished.new, stage).items() if new[path] != data]
        assert changed == [], stage
    assert tiny.leftovers(root) == []
    tally("environments", environments=1)


def test_there_are_ten_environments() -> None:
    assert len(ENVIRONMENTS) == 10
