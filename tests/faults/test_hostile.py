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


def _file(kind: str, number: int, folder: str) -> Path:
    name, data = inputs(kind)[number]
    path = Path(folder, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


def read_archive(number: int) -> str:
    """Read every member of an archive."""
    return digest(SEEDS["zip"].read(_file("archives", number, "archives")))


def read_image(number: int) -> str:
    """Decode an image."""
    return digest(SEEDS["png"].read(_file("images", number, "images")))


def read_mask(number: int) -> str:
    """Decode an image as a mask."""
    return digest(SEEDS["png mask"].read(_file("images", number, "images")))


def read_table(number: int) -> str:
    """Read a table."""
    return digest(SEEDS["table"].read(_file("tables", number, "tables")))


def read_params(number: int) -> str:
    """Read and check a params.yaml."""
    _, data = inputs("params")[number]
    path = Path("params.yaml")
    path.write_bytes(data)
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
    root = tmp_path / "project"
    root.mkdir()
    trials = read_all(read, root=root, count=len(names))
    name = "hostile masks" if read is read_mask else f"hostile {kind}"
    tally(name, inputs=len(names), **Counter(each.outcome for each in trials))
    assert [(names[each.number], each) for each in trials if each.is_fault] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"], "it stays inside"
