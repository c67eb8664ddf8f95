"""ATM banknotes: seven euro notes, three tars of pictures and three tables of labels.

The parts repeat each other's file names with different pictures, so a training id begins with
its part: "training/0.jpeg".
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from darkroom.index.formats import labels
from darkroom.index.formats.labels import EncodedTargets, TargetCells
from darkroom.index.formats.rows import assemble_index, check_same_names, files_by_name, image_rows
from darkroom.index.table import Card, Index
from darkroom.params.data import BanknoteColumns, BanknotesData
from darkroom.project.names import pick
from darkroom.raw import tables
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table

OFFICIAL = {"training": "train", "validation": "valid", "test": "test"}
TARGET = "class"


@dataclass(frozen=True)
class Notes:
    """One part's pictures and labels, in the order of its table."""

    table: Table
    names: list[str]
    images: list[str]
    labels: list[str]


def required_files(names: Collection[str], data: BanknotesData) -> list[str]:  # noqa: ARG001
    """Return three containers of pictures and three tables."""
    containers = [pick(names, _container(part)) for part in OFFICIAL]
    return sorted(
        containers + [pick(names, _table(part), suffixes=tables.SUFFIXES) for part in OFFICIAL]
    )


def build_index(archives: Archives, data: BanknotesData) -> Index:
    """Return the index; classes are the texts of the target column, in numeric order."""
    parts = {part: _read_part(archives, part, data.columns) for part in OFFICIAL}
    cells = {p: TargetCells(notes.table, [notes.labels], p != "test") for p, notes in parts.items()}
    coded = labels.encode_targets("multiclass", [TARGET], cells)
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
    return assemble_index(
        archives, [frames["training"], frames["validation"]], frames["test"], card
    )


def _container(part: str) -> str:
    return f"{part}_data_pytorch"


def _table(part: str) -> str:
    return f"{part}_labels.csv"


def _read_part(archives: Archives, part: str, columns: BanknoteColumns) -> Notes:
    table = tables.read_table(archives.root, _table(part))
    names = table.unique_names(columns.image)
    keys = [_key(name) for name in names]
    tables.check_unique(keys, table.lines, table.file)
    container = archives.find(_container(part))
    files = files_by_name(archives, container, key=_key)
    check_same_names(keys, files, listed_in=table.file, held_in=container)
    images = [files[key] for key in keys]
    return Notes(table, names, images, table.column(columns.target))


def _key(name: str) -> str:
    """Return a file name with .jpg written as .jpeg, so that a table matches either."""
    path = PurePosixPath(name)
    return path.stem + (".jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else path.suffix)


def _rows(part: str, notes: Notes, coded: EncodedTargets) -> pd.DataFrame:
    test = part == "test"
    return image_rows(
        "test" if test else "train",
        ids=notes.names if test else [f"{part}/{name}" for name in notes.names],
        images=notes.images,
        official=OFFICIAL[part],
        targets={TARGET: coded.numbers[part][0]},
    )
