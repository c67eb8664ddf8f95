"""Join tables on the columns that they share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from darkroom.errors import DataError
from darkroom.raw.tables.table import Table, refuse_rows


def join_tables(tables: Sequence[Table]) -> Table:
    """Return the first table with the columns of the others, joined on the columns they share.

    Every row of the first table stays, once and in its place.

    Args:
        tables: One or more. All columns that a table shares with the joined ones before it,
            unnamed ones excepted, are the key of its rows.

    Raises:
        DataError: Two tables share no column; a table has a key twice; or it lacks a key.
    """
    first, *others = tables
    for other in others:
        first = _join(first, other)
    return first


def _join(left: Table, right: Table) -> Table:
    shared = [name for name in right.header if name and name in left.header]
    if not shared:
        raise DataError(
            "the two tables share no column to be joined on",
            file=right.file,
            row=1,
            found=", ".join(right.header)[:200],
            expected=f"one of the columns of {Path(left.file).name}: {', '.join(left.header)}"[
                :200
            ],
            fix="name the shared column alike in both: `columns` names those of a table without "
            "a header",
        )
    places = [right.position(name) for name in shared]
    further = [place for place in range(len(right.header)) if place not in places]
    cells: dict[tuple[str, ...], int] = {}
    what = f"{' and '.join(shared)}, on which the tables are joined"
    for row, key in enumerate(_keys(right, shared)):
        if cells.setdefault(key, row) != row:
            raise DataError(
                f"two rows of the same {what}",
                file=right.file,
                row=right.lines[row],
                found=f"{' | '.join(key)}, as in row {right.lines[cells[key]]}",
                expected="each once in the joined table",
                fix="put this table first, or remove one of the rows",
            )
    keys = _keys(left, shared)
    absent = [row for row, key in enumerate(keys) if key not in cells]
    if absent:
        example = f"{' | '.join(keys[absent[0]])} is not in {Path(right.file).name}"
        fix = "put the table with fewer rows first, if the others are not needed"
        refuse_rows(left, absent, f"no row of the same {what}: {example}", fix=fix)
    matches = (right.rows[cells[key]] for key in keys)
    return replace(
        left,
        header=(*left.header, *(right.header[place] for place in further)),
        rows=[
            [*row, *(match[place] for place in further)]
            for row, match in zip(left.rows, matches, strict=True)
        ],
        places=(*(left.places or range(len(left.header))), *(-1 for _ in further)),
        left_out=(*left.left_out, *right.left_out),
        no_cells=(*left.no_cells, *right.no_cells),
    )


def _keys(table: Table, names: Sequence[str]) -> list[tuple[str, ...]]:
    places = [table.position(name) for name in names]
    return [tuple(row[place] for place in places) for row in table.rows]
