"""ATM banknotes: seven euro notes, three tars of pictures and three tables of labels.

The parts repeat each other's file names with different pictures, so a training id begins with
its part: "training/0.jpeg".
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from darkroom.index.formats import labels
from darkroom.index.formats.contract import Competition
from darkroom.index.formats.labels import Cells, Targets
from darkroom.index.formats.rows import agree, files_by_name, finish, rows
from darkroom.index.table import Card, Index
from darkroom.project.names import pick
from darkroom.raw import tables
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table

OFFICIAL = {"training": "train", "validation": "valid", "test": "test"}
TARGET = "class"


@dataclass(frozen=True)
class Columns:
    """Where the label tables keep the file name and the class: by position from 0, or name."""

    image: int | str = 2
    target: int | str = 3


@dataclass(frozen=True)
class Options:
    """What may be chosen: copies of the tables have other headers."""

    columns: Columns = field(default_factory=Columns)


@dataclass(frozen=True)
class Notes:
    """One part's pictures and labels, in the order of its table."""

    table: Table
    names: list[str]
    images: list[str]
    labels: list[str]


def wanted(names: Collection[str], options: Options) -> list[str]:  # noqa: ARG001
    """Return three containers of pictures and three tables."""
    containers = [pick(names, _container(part)) for part in OFFICIAL]
    return sorted(
        containers + [pick(names, _table(part), suffixes=tables.SUFFIXES) for part in OFFICIAL]
    )


def index(raw: Path, spool: Path, options: Options) -> Index:
    """Index the notes; class labels are the texts of the target column, in numeric order."""
    archives = Archives(raw, spool)
    parts = {part: _read(archives, part, options.columns) for part in OFFICIAL}
    cells = {p: Cells(notes.table, [notes.labels], p != "test") for p, notes in parts.items()}
    coded = labels.targets("multiclass", [TARGET], cells)
    frames = {part: _rows(part, notes, coded) for part, notes in parts.items()}
    card = Card(
        task="multiclass",
        targets=(TARGET,),
        classes=coded.classes,
        declared={
            "train images": len(parts["training"].names) + len(parts["validation"].names),
            "test images": len(parts["test"].names),
        },
        header=("id", "class"),
    )
    return finish(archives, [frames["training"], frames["validation"]], frames["test"], card)


def _container(part: str) -> str:
    return f"{part}_data_pytorch"


def _table(part: str) -> str:
    return f"{part}_labels.csv"


def _read(archives: Archives, part: str, columns: Columns) -> Notes:
    table = tables.read(archives.root, _table(part))
    names = table.names(columns.image)
    keys = [_key(name) for name in names]
    tables.unique(keys, table.lines, table.file)
    container = archives.find(_container(part))
    files = files_by_name(archives, container, key=_key)
    agree(keys, files, lists=table.file, holds=container)
    images = [files[key] for key in keys]
    return Notes(table, names, images, table.column(columns.target))


def _key(name: str) -> str:
    """Return a file name such that a table of .jpg finds its .jpeg."""
    path = PurePosixPath(name)
    return path.stem + (".jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else path.suffix)


def _rows(part: str, notes: Notes, coded: Targets) -> pd.DataFrame:
    test = part == "test"
    return rows(
        "test" if test else "train",
        ids=notes.names if test else [f"{part}/{name}" for name in notes.names],
        images=notes.images,
        official=OFFICIAL[part],
        targets={TARGET: coded.numbers[part][0]},
    )


COMPETITION = Competition(Options, wanted, index)
