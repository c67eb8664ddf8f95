"""Hostile archives, tables, images and params.yaml: refused or read, in bounded time and memory.

`tests/support/hostile_archives.py` and its like draw them; the tests of their rooms hold the words.
"""

import functools
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.conftest import Tally
from tests.faults.seed_files import SEEDS, digest
from tests.faults.trials import Read, read_all
from tests.support.hostile_archives import hostile_archives, hostile_tables
from tests.support.hostile_images import hostile_images
from tests.support.hostile_params import hostile_params

Inputs = tuple[tuple[str, bytes], ...]

KINDS = {
    "archives": hostile_archives,
    "tables": hostile_tables,
    "images": hostile_images,
    "params": hostile_params,
}


@functools.cache
def inputs(kind: str) -> Inputs:
    """Return the names and bytes of all hostile inputs of a kind."""
    return tuple(KINDS[kind]())


def _file(folder: str, number: int) -> Path:
    """Return an input that the test has written: to draw them all takes longer than to read one."""
    (path,) = Path(folder, str(number)).iterdir()
    return path


def read_archive(folder: str, number: int) -> str:
    """Read every member of an archive."""
    return digest(SEEDS["zip"].read(_file(folder, number)))


def read_image(folder: str, number: int) -> str:
    """Decode an image."""
    return digest(SEEDS["png"].read(_file(folder, number)))


def read_mask(folder: str, number: int) -> str:
    """Decode an image as a mask."""
    return digest(SEEDS["png mask"].read(_file(folder, number)))


def read_table(folder: str, number: int) -> str:
    """Read a table."""
    return digest(SEEDS["table"].read(_file(folder, number)))


def read_params(folder: str, number: int) -> str:
    """Read and check a params.yaml."""
    path = Path("params.yaml")
    path.write_bytes(_file(folder, number).read_bytes())
    return digest(SEEDS["params.yaml"].read(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "read"),
    [
        ("archives", read_archive),
        ("tables", read_table),
        ("images", read_image),
        ("images", read_mask),
        ("params", read_params),
    ],
)
def test_hostile_input_is_refused_in_words(
    tmp_path: Path, tally: Tally, kind: str, read: Read
) -> None:
    names = [name for name, _ in inputs(kind)]
    root, folder = tmp_path / "project", tmp_path / "inputs"
    root.mkdir()
    for number, (name, data) in enumerate(inputs(kind)):
        path = folder / str(number) / (name if kind != "params" else "params.yaml")
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    trials = read_all(read, str(folder), root=root, count=len(names))
    name = "hostile masks" if read is read_mask else f"hostile {kind}"
    tally(name, inputs=len(names), **Counter(each.outcome for each in trials))
    assert [(names[each.number], each) for each in trials if each.is_fault] == []
    outside = sorted(path.name for path in tmp_path.iterdir())
    assert outside == ["inputs", "project"], "it stays inside"
