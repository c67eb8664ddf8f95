"""Write the code dependencies of dvc.yaml: `make deps`.

A stage depends on the files that its module imports, directly or not. Where these are most of the
Python files of a folder, the folder is the entry; elsewhere single files are. A folder with a wing
of which a stage imports nothing is no entry: an edit there would rerun it for nothing.
"""

import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

from darkroom.project import fingerprint

ROOT = Path(__file__).parents[2]
PIPELINE = ROOT / "dvc.yaml"
SOURCE = ROOT / "src/darkroom"
MOST = 2 / 3  # of a folder's Python files

has_code = cache(fingerprint.has_code)

_STAGE = re.compile(r"^  (\w+):$", re.MULTILINE)
_ENTRIES = re.compile(r"(?:^ {6}- src/\S+\n)+", re.MULTILINE)


def entries(stage: str) -> list[str]:
    """Return the files and folders that a stage's code lies in, relative to the project."""
    closure = fingerprint.import_closure(f"darkroom.stages.{stage}")
    return [path.relative_to(ROOT).as_posix() for path in _below(SOURCE, set(closure))]


def _below(folder: Path, closure: Collection[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path in closure:
            yield path
        elif path.is_dir():
            files = [file for file in path.rglob("*.py") if has_code(file)]
            imported = [file for file in files if file in closure]
            has_all_wings = _wings(path, imported) == _wings(path, files)
            if imported and has_all_wings and len(imported) >= MOST * len(files):
                yield path
            elif imported:
                yield from _below(path, closure)


def _wings(folder: Path, files: Collection[Path]) -> set[str]:
    """Return the subfolders of a folder that some of its files lie in."""
    return {file.relative_to(folder).parts[0] for file in files if file.parent != folder}


def rewritten(text: str) -> str:
    """Return dvc.yaml's text with the code entries of every stage as `entries` has them."""
    head, *stages = re.split(r"(?=^  \w+:$)", text, flags=re.MULTILINE)
    return head + "".join(map(_with_entries, stages))


def _with_entries(stage: str) -> str:
    name = _STAGE.match(stage)
    assert name is not None
    lines = "".join(f"      - {entry}\n" for entry in entries(name[1]))
    return _ENTRIES.sub(lines, stage, count=1)


if __name__ == "__main__":
    PIPELINE.write_text(rewritten(PIPELINE.read_text()))
