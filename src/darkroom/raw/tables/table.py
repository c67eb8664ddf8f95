"""A table in memory: cells of text by row and column, with their lines in the file."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from darkroom.errors import DataError
from darkroom.project.names import nearest_name
from darkroom.raw import limits

_IMAGE_NAME = re.compile(r"\.(jpe?g|png|gif|tiff?|bmp|webp)$", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """A table with a header.

    Attributes:
        file: The file, for messages.
        header: The names of the columns, stripped; unique, or "" where a column has none.
        rows: Text by row and column, every row as long as the header.
        lines: The line of the file that each row begins on, from 1; a row's number where a file
            has no lines.
        places: The position of each column in the file, from 0, if some were left out; else ().
        left_out: The names of the columns that were left out, in the file's order.
        declared: The number of rows that the file claims to have, if it does.
        encoding: Of the file's text.
        no_cells: The names of columns that hold bytes, or what is nested, and are left out, too.
    """

    file: str
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: Sequence[int]
    places: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    declared: int | None = None
    encoding: str = "utf-8"
    no_cells: tuple[str, ...] = ()

    def position(self, column: int | str, key: str = "") -> int:
        """Return the place in `rows` of a column given by position in the file, or by name.

        Args:
            column: A position from 0, or a name.
            key: The parameter that names it, for messages.

        Raises:
            DataError: There is no such column; the message lists the columns. Or a position is the
                name of another column.
        """
        if isinstance(column, str):
            if column in self.header:
                return self.header.index(column)
        elif column >= 0 and column in (self.places or range(len(self.header))):
            place = self.places.index(column) if self.places else column
            self._refuse_other_name(column, place)
            return place
        if column in self.no_cells:
            raise DataError(
                f"column {column!r} holds no cells",
                file=self.file,
                found="bytes, or lists and records in one another",
                expected="texts, numbers, or lists of these",
                fix="name another column, or save this one as text",
            )
        near = self._nearest(column) if isinstance(column, str) else []
        is_it = f"is it {' or '.join(map(repr, near))}? Columns" if near else "columns"
        names = [name for name in self.header if not name.startswith("*")]  # of cells, not of paths
        wanted = repr(column) if isinstance(column, str) else "a position from 0"
        raise DataError(
            f"no column {column!r}",
            file=self.file,
            row=1,
            found=f"{len(names)} columns: {', '.join(map(repr, names))}",
            expected=f"{wanted}, which {key} names" if key else wanted,
            fix=f"{is_it} are given by name, or by position from 0; "
            "if there is only one, check the delimiter",
        )

    def _nearest(self, column: str) -> list[str]:
        """Return the columns that a name may mean: of "name", "category_name" and the like."""
        ends = [name for name in self.header if column and name.endswith(f"_{column}")]
        near = nearest_name(column, self.header)
        return ends[:2] or ([near] if near else [])

    def _refuse_other_name(self, position: int, place: int) -> None:
        """Raise if a column at another place has the position as its name."""
        name = str(position)
        if name in self.header and self.header.index(name) != place:
            raise DataError(
                f"{name} is two columns: the one at this position, and the one of this name",
                file=self.file,
                row=1,
                found=f"{self.header[place]!r} at position {name}",
                expected="one column",
                fix=f'write "{name}" in quotes if the name is meant; within a template, name the '
                "columns otherwise",
            )

    def column(self, column: int | str, key: str = "") -> list[str]:
        """Return the cells of a column given by position (from 0) or by name; see `position`."""
        place = self.position(column, key)
        return [row[place] for row in self.rows]

    def select(self, rows: Sequence[int]) -> "Table":
        """Return the table with some of its rows, given by position from 0."""
        return replace(
            self, rows=[self.rows[row] for row in rows], lines=[self.lines[row] for row in rows]
        )

    def with_columns(self, columns: Mapping[str, Sequence[str]]) -> "Table":
        """Return the table with further columns of cells, one a row.

        Raises:
            DataError: The table has a column of such a name.
        """
        if taken := sorted(set(columns) & set(self.header)):
            raise DataError(
                "a new column has the name of another",
                file=self.file,
                found=", ".join(taken),
                expected="names that the table does not have",
                fix="name the new column otherwise",
            )
        places = self.places or tuple(range(len(self.header)))
        cells = zip(*columns.values(), strict=True) if columns else ([] for _ in self.rows)
        return replace(
            self,
            header=(*self.header, *columns),
            rows=[[*row, *more] for row, more in zip(self.rows, cells, strict=True)],
            places=(*places, *(-1 for _ in columns)),  # they have no position in the file
        )

    def names(self, column: int | str) -> list[str]:
        """Return a column of file names or ids, none of them empty.

        Raises:
            DataError: A cell is empty (the message lists the rows); or the header is missing.
        """
        place = self.position(column)
        if _IMAGE_NAME.search(self.header[place]):
            raise DataError(
                "the first row is data, not a header",
                file=self.file,
                row=1,
                found=self.header[place],
                expected="the names of the columns",
                fix="name the columns in `columns`, or put a line of column names before it",
            )
        cells = [row[place] for row in self.rows]
        what = f"column {self.header[place] or place} is empty"
        refuse_rows(self, [n for n, cell in enumerate(cells) if not cell], what)
        refuse_long(self, cells, f"column {self.header[place] or place}")
        return cells


@dataclass(frozen=True)
class Columns:
    """Which columns of a file a table holds: all but those like some patterns.

    Attributes:
        left_out: Patterns of names, as of files: "pixel*".
    """

    left_out: tuple[str, ...] = ()

    def places(self, header: Sequence[str]) -> list[int] | None:
        """Return the positions of the columns to hold; None for all."""
        if not self.left_out:
            return None
        unwanted = re.compile("|".join(f"(?:{translate(each)})" for each in self.left_out))
        return [place for place, name in enumerate(header) if not unwanted.fullmatch(name)]

    def table(
        self,
        file: str,
        header: Sequence[str],
        rows: list[list[str]],
        lines: Sequence[int],
        *,
        declared: int | None = None,
        encoding: str = "utf-8",
        no_cells: tuple[str, ...] = (),
    ) -> Table:
        """Return a table of rows that hold the chosen columns alone; `header` has all."""
        places = self.places(header)
        if places is None:
            return Table(file, tuple(header), rows, lines, (), (), declared, encoding, no_cells)
        chosen = set(places)
        return Table(
            file,
            tuple(header[place] for place in places),
            rows,
            lines,
            tuple(places),
            tuple(name for place, name in enumerate(header) if place not in chosen),
            declared,
            encoding,
            no_cells,
        )


def check_width(cells: Sequence[str], width: int, file: str, line: int) -> None:
    """Refuse a row of another length than the header's."""
    if len(cells) != width:
        raise DataError(
            "a row of another length than the header",
            file=file,
            row=line,
            found=f"{len(cells)} cells: {' | '.join(cells)[:100]}",
            expected=f"{width} cells",
            fix="correct the row, or download the file again: it may be cut short",
        )


def check_unique(names: Sequence[str], lines: Sequence[int], file: str) -> None:
    """Refuse names that come twice, listing their rows."""
    first: dict[str, int] = {}
    twice = []
    for name, line in zip(names, lines, strict=True):
        if name in first:
            twice.append(f"rows {first[name]} and {line}: {name}")
        else:
            first[name] = line
    if twice:
        raise DataError(
            f"{len(twice)} rows repeat an id",
            file=file,
            details=twice,
            expected="one row an image",
            fix="remove the repeated rows, or choose a column of distinct ids",
        )


def refuse_rows(table: Table, places: Sequence[int], what: str, **words: str) -> None:
    """Raise DataError for the rows at some positions (from 0), unless there are none."""
    if places:
        raise DataError(
            what,
            file=table.file,
            row=table.lines[places[0]],
            found=f"{len(places)} of {len(table.rows)} rows: "
            + ", ".join(str(table.lines[place]) for place in places[:10])
            + (", …" if len(places) > 10 else ""),
            **words,
        )


def refuse_long(table: Table, cells: Sequence[str], what: str) -> None:
    """Raise DataError for cells that are too long to name something: an image, a class."""
    longest = limits.MAX_NAME_CHARACTERS
    refuse_rows(
        table,
        limits.overlong(cells),
        f"{what} holds a text of more than {longest:,} characters",
        expected=f"at most {longest:,} characters",
        fix="is it the right column? Check quotes and the delimiter",
    )


class EmptyTableError(DataError):
    """A table of a header alone."""

    def __init__(self, file: object) -> None:
        super().__init__(
            "a header and no rows",
            file=file,
            found="a header",
            expected="one row an image",
            fix="is it the right table? Where the sample submission is empty, as the judge's "
            "images are hidden, set data.header in its place, and give data.test a table and "
            "where of train",
        )


def check_header(header: Sequence[str], file: str) -> None:
    """Refuse the names of columns that are too many, too long, or not each once."""
    if len(header) > limits.MAX_COLUMNS:
        raise DataError(
            "more columns than any table of images",
            file=file,
            row=1,
            found=f"{len(header):,} columns",
            expected=f"at most {limits.MAX_COLUMNS:,}",
            fix="is it the right file? Check the delimiter",
        )
    if long := limits.overlong(header):
        raise DataError(
            "a column's name is too long",
            file=file,
            row=1,
            found=f"{len(header[long[0]]):,} characters: {header[long[0]][:80]}",
            expected=f"at most {limits.MAX_NAME_CHARACTERS:,} characters",
            fix="is there a line of column names? Check the delimiter",
        )
    if twice := sorted(name for name, count in Counter(header).items() if name and count > 1):
        raise DataError(
            "a column name comes twice",
            file=file,
            row=1,
            found=", ".join(twice),
            expected="each name once",
            fix="rename one of the columns; if this is data, put a line of column names before it",
        )
