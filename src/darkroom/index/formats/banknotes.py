"""ATM banknotes: seven euro notes, three tars of pictures and three tables of labels.

The subsets repeat each other's file names with different pictures, so a training id begins with
its subset: "training/0.jpeg".
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from darkroom.index.card import Card
from darkroom.index.formats import labels
from darkroom.index.formats.labels import EncodedTargets, TargetCells
from darkroom.index.formats.rows import assemble_index, check_same_names, files_by_name, image_rows
from darkroom.index.table import Index
from darkroom.params.data import BanknoteColumns, BanknotesData
from darkroom.project.names import pick_name
from darkroom.raw import tables
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table

OFFICIAL = {"training": "train", "validation": "valid", "test": "test"}
TARGET = "class"


@dataclass(frozen=True)
class Notes:
    """One subset's pictures and labels, in the order of its table."""

    table: Table
    names: list[str]
    images: list[str]
    labels: list[str]


def required_files(names: Collection[str], data: BanknotesData) -> list[str]:  # noqa: ARG001
    """Return three containers of pictures and three tables."""
    containers = [pick_name(names, _container(subset)) for subset in OFFICIAL]
    return sorted(
        containers
        + [pick_name(names, _table(subset), suffixes=tables.SUFFIXES) for subset in OFFICIAL]
    )


def build_index(archives: Archives, data: BanknotesData) -> Index:
    """Return the index; classes are the texts of the target column, in numeric order."""
    subsets = {subset: _read_subset(archives, subset, data.columns) for subset in OFFICIAL}
    cells = {
        p: TargetCells(notes.table, [notes.labels], p != "test") for p, notes in subsets.items()
    }
    coded = labels.encode_targets("multiclass", [TARGET], cells)
    frames = {subset: _rows(subset, notes, coded) for subset, notes in subsets.items()}
    card = Card(
        task="multiclass",
        targets=(TARGET,),
        classes=coded.classes,
        declared={
            "train images": len(subsets["training"].names) + len(subsets["validation"].names),
            "test images": len(subsets["test"].names),
        },
        header=("id", "class"),
    )
    return assemble_index(
        archives, [frames["training"], frames["validation"]], frames["test"], card
    )


def _container(subset: str) -> str:
    return f"{subset}_data_pytorch"


def _table(subset: str) -> str:
    return f"{subset}_labels.csv"


def _read_subset(archives: Archives, subset: str, columns: BanknoteColumns) -> Notes:
    table = tables.read_table(archives, _table(subset))
    names = table.unique_names(columns.image)
    keys = [_key(name) for name in names]
    tables.check_unique(keys, table.lines, table.file)
    container = archives.find(_container(subset))
    files = files_by_name(archives, container, key=_key)
    check_same_names(keys, files, listed_in=table.file, held_in=container)
    images = [files[key] for key in keys]
    return Notes(table, names, images, table.column(columns.target))


def _key(name: str) -> str:
    """Return a file name with .jpg written as .jpeg, so that a table matches either."""
    path = PurePosixPath(name)
    return path.stem + (".jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else path.suffix)


def _rows(subset: str, notes: Notes, coded: EncodedTargets) -> pd.DataFrame:
    test = subset == "test"
    return image_rows(
        "test" if test else "train",
        ids=notes.names if test else [f"{subset}/{name}" for name in notes.names],
        images=notes.images,
        official=OFFICIAL[subset],
        targets={TARGET: coded.numbers[subset][0]},
    )
