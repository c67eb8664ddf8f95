"""Which files of a source a competition needs: those that its section names.

Apart from what reads them: fetch needs the names alone, and starts sooner without
pandas.
"""

from collections.abc import Collection

from darkroom.params.data import Data, Rows, TableFile, part_rows
from darkroom.raw.tables import table_files
from darkroom.raw.templates import Template


def required_files(names: Collection[str], data: Data) -> list[str]:
    """Return which of the names in a source folder the index needs: tables and containers.

    All of them, if a template leaves the container to the cells.

    Args:
        names: Of files, as paths relative to the source.
        data: The section of the competition.

    Raises:
        MissingFileError: One is not there; the message names the nearest.
    """
    needed: set[str] = set()
    if data.like is not None:
        needed.update(table_files(names, data.like, key="data.like"))
    for key, rows in part_rows(data).items():
        for entry in _tables(rows):
            needed.update(table_files(names, entry.table, key=f"data.{key}.table"))
        for name, text in _templates(rows):
            containers = Template(text, f"data.{key}.{name}").containers(names)
            if containers is None:
                return sorted(names)
            needed.update(containers)
    return sorted(needed)


def _tables(rows: Rows) -> list[TableFile]:
    """Return the tables of a part, in order."""
    listed = rows.table if isinstance(rows.table, list) else [rows.table]
    return [
        each if isinstance(each, TableFile) else TableFile(table=each)
        for each in listed
        if each is not None
    ]


def _templates(rows: Rows) -> list[tuple[str, str]]:
    """Return the path templates of a part, with their keys."""
    templates = [("files", rows.files)] if rows.files is not None else []
    if rows.image is not None:
        listed = rows.image if isinstance(rows.image, list) else [rows.image]
        templates += [("image", text) for text in listed]
    if isinstance(rows.mask, dict):
        templates += [(f"mask.{name}", text) for name, text in rows.mask.items()]
    elif rows.mask is not None:
        templates.append(("mask", rows.mask))
    return templates
