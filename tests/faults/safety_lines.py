"""Lines that keep data safe: each is taken out in turn, and the tests must notice.

`make safety` does it, in a copy of the tree, and prints which removals went unnoticed. The tests
that are run are those of the room, and the attack that the line is for.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.safety.line import HOUSE, ROOT, SafetyLine
from tests.faults.safety.reading import READING
from tests.faults.safety.writing import WRITING

LINES = (*WRITING, *READING)
MOST_UNNOTICED = 2
LEFT_OUT = (".git", ".venv", ".dvc", ".darkroom", ".mypy_cache", ".ruff_cache", ".pytest_cache",
            "__pycache__", ".hypothesis")  # fmt: skip
LIMIT_S = 400.0
FAILED = 1  # pytest's exit code; others mean that it could not run the tests


def copy_tree(folder: Path) -> Path:
    """Copy what the tests need, and return the copy."""
    root = folder / "tree"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    return root


def is_noticed(line: SafetyLine, root: Path) -> bool:
    """Run the tests of a line without it, in a copy of the tree; return whether one fails."""
    path = root / HOUSE / line.file
    sound = path.read_text()
    path.write_text(line.without(sound))
    options = ("-q", "-x", "-m", "not long", "-p", "no:cacheprovider")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *line.tests],
            cwd=root,
            env=os.environ | {"PYTHONPATH": os.pathsep.join((str(root / "src"), str(root)))},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired:
        return True  # it hangs without the line
    finally:
        path.write_text(sound)
    if done.returncode not in (0, FAILED):
        raise RuntimeError(f"{line.purpose}: the tests could not run:\n{done.stdout[-2000:]}")
    return done.returncode == FAILED


def main() -> int:
    """Take out each line, print what came of it, and return 0 if enough were noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only lines whose purpose or file has one of them")
    words = parser.parse_args().words
    lines = [each for each in LINES if is_chosen(each, words)]
    faults = [fault for line in lines if (fault := line.fault())]
    if faults:
        print("\n".join(faults), file=sys.stderr)
        return 2
    unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = copy_tree(Path(folder))
        for line in lines:
            start = time.monotonic()
            noticed = is_noticed(line, root)
            unnoticed += not noticed
            state = "noticed" if noticed else "NOT NOTICED"
            print(f"{time.monotonic() - start:6.1f} s  {state:<12} {line.file}: {line.purpose}",
                  flush=True)  # fmt: skip
    print(f"{len(lines) - unnoticed} of {len(lines)} removals noticed")
    return int(unnoticed > MOST_UNNOTICED)


def is_chosen(line: SafetyLine, words: list[str]) -> bool:
    """Return whether a line is chosen by words of the command line."""
    return not words or any(word in f"{line.file} {line.purpose}" for word in words)


if __name__ == "__main__":
    sys.exit(main())
