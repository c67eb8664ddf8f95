"""Read the rows of one part (train, valid or test): tables, files or the sample submission."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate

from darkroom.errors import DataError, ParamsError
from darkroom.index.assembly.pictures import Pictures, find_pictures, nearest_file, stems
from darkroom.index.card import BY_WHERE, OTHER_SUFFIX, WITHOUT_IMAGE
from darkroom.params.data import Rows, TableFile, target_columns
from darkroom.raw.archives import Archives
from darkroom.raw.images.cells import PixelCells
from darkroom.raw.tables import Table, join_tables, read_table, refuse_long, refuse_rows
from darkroom.raw.templates import Template

# Columns that no template's field can be called.
PATH = "*"  # of the files' paths
SAMPLE_ID = "*id"  # of the ids in the sample submission

_FRACTION = re.compile(r"(?<=[0-9])\.0+$")  # pandas writes 1.0 where a column has a gap

Counts = Counter[str]
Tables = dict[str, Table]
"""Tables, joined, by the keys that name them: parts often have one in common."""


@dataclass(frozen=True)
class Part:
    """The rows of a part, before rows of one image are gathered.

    Attributes:
        key: "train", "valid" or "test".
        rows: The part's keys, with those that it inherits.
        table: One row each; the files' fields and cells taken apart are columns.
        ids: Of each row's image.
        images: Of each row, as the index holds it.
        groups: Of each row.
        pictures: Where images stand in tables, their values and form.
        blank: Rows of files that no row of the table names.
        left_out: The rows of the table that `where` leaves out.
        counts: Of what was left out, by what the audit says.
    """

    key: str
    rows: Rows
    table: Table
    ids: list[str]
    images: list[str]
    groups: list[str]
    pictures: Pictures
    blank: frozenset[int]
    left_out: Table
    counts: Counts

    def select(self, places: Sequence[int]) -> "Part":
        """Return the part with some of its rows, given by position."""
        return replace(
            self,
            table=self.table.select(places),
            ids=[self.ids[place] for place in places],
            images=[self.images[place] for place in places],
            groups=[self.groups[place] for place in places],
            blank=frozenset(new for new, old in enumerate(places) if old in self.blank),
        )


def read_part(
    archives: Archives,
    key: str,
    rows: Rows,
    own: Collection[str],
    sample: Table | None = None,
    cells: PixelCells | None = None,
    tables: Tables | None = None,
) -> Part:
    """Return the rows of a part, those left out counted.

    Args:
        archives: The raw files.
        key: "train", "valid" or "test".
        rows: Its keys, with those that it inherits.
        own: Names of the keys that it does not inherit: what they name must be there.
        sample: The sample submission with its ids in `SAMPLE_ID`, whose rows a part without a
            table and files has.
        cells: The columns and shape of pixels in train, for another part.
        tables: Those that other parts have read; this part's is added.

    Raises:
        DataError: A file, column or cell does not fit; the message names table and row.
        ParamsError: `where` leaves no row.
    """
    counts = Counts()
    is_sample = rows.table is None and rows.files is None
    table = read_tables(archives, rows, {} if tables is None else tables)
    whole, blank = _joined_rows(archives, key, rows, table, sample, counts)
    is_pixels = rows.pixels is not None
    positions = {line: place for place, line in enumerate(whole.lines)} if is_pixels else {}
    table, blank = _with_cells(whole, blank, key, rows, counts, is_own="cells" in own)
    left_out = _left_out(whole, table)
    pictures = find_pictures(archives, key, rows, table, positions, cells)
    if absent := pictures.absent:
        if rows.missing == "refuse" or is_sample or len(absent) == len(table.rows):
            _refuse_absent(archives, table, pictures, key)
        left = sorted(set(range(len(table.rows))) - set(absent))
        counts[f"{key} {WITHOUT_IMAGE}"] += len(absent)
        table, pictures = table.select(left), pictures.select(left)
        blank = frozenset(new for new, old in enumerate(left) if old in blank)
    if rows.table is not None:
        refuse_first_row(archives, key, rows, table)
    ids = _ids(key, rows, table, pictures)
    what = f"the id of data.{key} is empty"
    refuse_rows(table, [place for place, cell in enumerate(ids) if not cell], what)
    refuse_long(table, ids, f"the id of data.{key}")
    return Part(
        key=key,
        rows=rows,
        table=table,
        ids=ids,
        images=pictures.images,
        groups=_groups(key, rows, table, counts, is_own="group" in own),
        pictures=pictures,
        blank=blank,
        left_out=left_out,
        counts=counts,
    )


def _left_out(whole: Table, table: Table) -> Table:
    """Return the rows of a table of whose lines some of its rows have none."""
    if len(table.rows) == len(whole.rows):
        return whole.select([])
    lines = {*table.lines}
    return whole.select([n for n, line in enumerate(whole.lines) if line not in lines])


def template_cells(table: Table, column: int | str, key: str) -> list[str]:
    """Return the cells of a column, or of a template of columns: "{patient}_{eye}"."""
    if isinstance(column, str) and "{" in column:
        return Template(column, key).fill_all(table)
    return table.column(column, key)


def fields(column: int | str | None, key: str) -> list[str]:
    """Return the columns that a column or template names."""
    if isinstance(column, str) and "{" in column:
        return list(Template(column, key).fields)
    return [] if column is None else [str(column)]


def read_tables(archives: Archives, rows: Rows, known: Tables) -> Table | None:
    """Return a part's table, joined of several, without pixels: from `known`, or added to it."""
    if rows.table is None:
        return None
    keys = repr((rows.table, rows.pixels))
    if keys in known:
        return known[keys]
    listed = rows.table if isinstance(rows.table, list) else [rows.table]
    pixels = [rows.pixels] if isinstance(rows.pixels, str) else rows.pixels or []
    tables = []
    for entry in listed:
        named = entry if isinstance(entry, TableFile) else TableFile(table=entry)
        tables.append(_read_table(archives, named, tuple(pixels)))
    known[keys] = join_tables(tables)
    return known[keys]


def _read_table(archives: Archives, named: TableFile, leave_out: tuple[str, ...]) -> Table:
    delimiter, columns, name = named.delimiter, named.columns, named.table
    return read_table(archives, name, delimiter=delimiter, columns=columns, leave_out=leave_out)


def _joined_rows(
    archives: Archives,
    key: str,
    rows: Rows,
    table: Table | None,
    sample: Table | None,
    counts: Counts,
) -> tuple[Table, frozenset[int]]:
    """Return the part's rows, and the positions of files that no row of the table names."""
    if table is not None and table.encoding != "utf-8":
        counts[f"{key} rows read as {table.encoding}"] += len(table.rows)
    if rows.files is None:
        if table is not None:
            return table, frozenset()
        if sample is None:
            raise ParamsError(
                f"data.{key} lacks its rows", expected="table, files, or data.like for the test"
            )
        return sample, frozenset()
    listed = _listed_files(archives, key, rows.files, counts)
    if table is None:
        return listed, frozenset()
    return _joined(listed, table, key, rows, counts)


def _listed_files(archives: Archives, key: str, text: str, counts: Counts) -> Table:
    """Return a table of the files that match a template: its fields, and the path in `PATH`.

    Files that would match but for their suffix (.JPG, .jpeg) are counted.
    """
    template = Template(text, f"data.{key}.files")
    files = template.paths(archives)
    counts[f"{key} {OTHER_SUFFIX}"] += len(template.other_suffixes(archives))
    names = tuple(template.fields)
    rows = [[*(fields[name] for name in names), path] for path, fields in files]
    return Table(text, (*names, PATH), rows, list(range(1, len(rows) + 1)))


def _joined(
    files: Table, table: Table, key: str, rows: Rows, counts: Counts
) -> tuple[Table, frozenset[int]]:
    """Return a row for each file and row of the table that shares its fields, or the file alone."""
    shared = [name for name in files.header if name != PATH and name in table.header]
    if not shared:
        raise DataError(
            f"data.{key}: files and table share no column",
            file=table.file,
            found=f"columns {', '.join(table.header)[:200]}",
            expected=f"one of the fields {', '.join(files.header[:-1])}",
            fix="name a field of files like the table's column",
        )
    key_of = [table.position(name) for name in shared]
    places: dict[tuple[str, ...], list[int]] = {}
    for place, row in enumerate(table.rows):
        places.setdefault(tuple(row[column] for column in key_of), []).append(place)
    further = [place for place, name in enumerate(table.header) if name not in shared]
    joined: list[list[str]] = []
    lines: list[int] = []
    blank: set[int] = set()
    used: set[tuple[str, ...]] = set()
    for line, row in zip(files.lines, files.rows, strict=True):
        cells = tuple(row[files.position(name)] for name in shared)
        matches = places.get(cells, [])
        used.add(cells)
        if not matches:
            blank.add(len(joined))
            joined.append([*row, *("" for _ in further)])
            lines.append(line)
        for place in matches:
            joined.append([*row, *(table.rows[place][column] for column in further)])
            lines.append(table.lines[place])
    absent = sorted(
        place for cells, several in places.items() if cells not in used for place in several
    )
    if absent and rows.missing == "refuse":
        what = f"rows whose image no file of data.{key}.files is"
        fix = f"correct the template, or set data.{key}.missing to skip"
        refuse_rows(table, absent, what, fix=fix)
    if absent:
        counts[f"{key} {WITHOUT_IMAGE}"] += len(absent)
    if blank:
        counts[f"{key} files that no row names"] += len(blank)
    positions = table.places or range(len(table.header))  # in its file: of `group: 2`
    of_files = [positions[table.position(name)] if name in shared else -1 for name in files.header]
    together = replace(
        table,
        header=(*files.header, *(table.header[place] for place in further)),
        rows=joined,
        lines=lines,
        places=(*of_files, *(positions[place] for place in further)),
    )
    return together, frozenset(blank)


def _with_cells(
    table: Table, blank: frozenset[int], key: str, rows: Rows, counts: Counts, *, is_own: bool
) -> tuple[Table, frozenset[int]]:
    """Return the rows that `where` leaves, with the fields that `cells` takes apart as columns."""
    where = {column: _patterns(patterns) for column, patterns in rows.where.items()}
    early = {column: where[column] for column in where if column in table.header}
    late = {column: where[column] for column in where if column not in early}
    table, blank = _filtered(table, blank, early, key, counts)
    for column, text in rows.cells.items():
        if column in table.header or column.isdecimal() or is_own:
            table = _taken_apart(table, column, text, f"data.{key}.cells.{column}")
    return _filtered(table, blank, late, key, counts)


def _patterns(patterns: str | int | list[str | int]) -> list[str]:
    return [str(each) for each in (patterns if isinstance(patterns, list) else [patterns])]


def _filtered(
    table: Table,
    blank: frozenset[int],
    where: Mapping[str, Sequence[str]],
    key: str,
    counts: Counts,
) -> tuple[Table, frozenset[int]]:
    """Return the rows whose cells are like the patterns, and count the others."""
    for column, patterns in where.items():
        wanted = _compiled(each for each in patterns if not each.startswith("!"))
        unwanted = _compiled(each[1:] for each in patterns if each.startswith("!"))
        is_name = column in table.header or not column.isdecimal()
        cells = table.column(column if is_name else int(column), f"data.{key}.where")
        left = [
            place
            for place, cell in enumerate(cells)
            if (wanted is None or wanted.fullmatch(cell))
            and (unwanted is None or not unwanted.fullmatch(cell))
        ]
        if not left:
            some = sorted(set(cells))
            forms = {_plain(each.removeprefix("!")) for each in patterns}
            near = next((cell for cell in some if _plain(cell) in forms), None)
            raise ParamsError(
                f"data.{key}.where.{column} leaves no row",
                found=f"{', '.join(patterns)}; the column holds {', '.join(some[:5])[:200]}",
                expected="a pattern that some rows are like",
                fix=f"write it as the cells are written: {near!r}" if near else None,
            )
        if len(left) < len(cells):
            counts[f"{key} {BY_WHERE}"] += len(cells) - len(left)
            blank = frozenset(new for new, old in enumerate(left) if old in blank)
            table = table.select(left)
    return table, blank


def _plain(cell: str) -> str:
    """Return a cell without what pandas may add or change: 1 of 1.0, true of True."""
    return _FRACTION.sub("", cell.strip()).casefold()


def _compiled(patterns: Iterable[str]) -> "re.Pattern[str] | None":
    texts = [f"(?:{translate(each)})" for each in patterns]
    return re.compile("|".join(texts)) if texts else None


def _taken_apart(table: Table, column: str, text: str, key: str) -> Table:
    """Return a table with the fields of a column's cells as further columns."""
    template = Template(text, key)
    place = int(column) if column.isdecimal() and column not in table.header else column
    return table.with_columns(template.match_all(table, place))


def _ids(key: str, rows: Rows, table: Table, pictures: Pictures) -> list[str]:
    if SAMPLE_ID in table.header:
        return table.column(SAMPLE_ID)
    if rows.id is not None:
        return template_cells(table, rows.id, f"data.{key}.id")
    if rows.pixels is not None:
        return [str(place + 1) for place in pictures.places]
    texts = rows.image if rows.image is not None else rows.files
    names = {
        name
        for text in ([texts] if isinstance(texts, str) else texts or [])
        for name in Template(text, f"data.{key}.image").fields
    }
    if rows.image is None:  # files of one label or group have it alike
        others = [*target_columns(rows), rows.label, rows.group]
        names -= {name for column in others for name in fields(column, f"data.{key}")}
    if len(names) == 1:
        (name,) = names
        return table.column(int(name) if name.isdecimal() else name, f"data.{key}.image")
    return stems(pictures.images)


def _groups(key: str, rows: Rows, table: Table, counts: Counts, *, is_own: bool) -> list[str]:
    """Return the group of each row; rows to learn from that have none are counted."""
    if rows.group is None:
        return [""] * len(table.rows)
    if not (is_own or _has(table, rows.group, f"data.{key}.group")):
        if key == "test":
            return [""] * len(table.rows)
        raise DataError(
            f"data.{key} has no columns for the group that it inherits from data.train",
            file=table.file,
            found=", ".join(map(repr, table.header))[:300],
            expected=str(rows.group),
            fix=f"set data.{key}.group to its own column; null, if no group is in both parts",
        )
    groups = template_cells(table, rows.group, f"data.{key}.group")
    if key != "test":
        _refuse_twin_groups(table, groups, f"data.{key}.group")
        counts[f"{key} rows without a group, which may stand in any fold"] += groups.count("")
    return groups


def _refuse_twin_groups(table: Table, groups: Sequence[str], key: str) -> None:
    """Raise for a group that is written in two ways: its images would part into two folds."""
    first: dict[str, str] = {}
    for group in dict.fromkeys(groups):
        form = _FRACTION.sub("", " ".join(group.split()))
        if (other := first.setdefault(form, group)) != group:
            refuse_rows(
                table,
                [place for place, each in enumerate(groups) if each == group],
                f"{key} holds {group!r}, which is {other!r} elsewhere",
                expected="one text a group",
                fix="write it in one way: without a point, without further blanks",
            )


def _has(table: Table, column: int | str, key: str) -> bool:
    """Return whether a table has all columns that a column or template names."""
    try:
        for name in fields(column, key):
            table.position(int(name) if name.isdecimal() else name)
    except DataError:
        return False
    return True


def refuse_first_row(archives: Archives, key: str, rows: Rows, table: Table) -> None:
    """Raise if a table's header names an image: then it is a first row, which would be lost.

    Raises:
        DataError: The message names the table and the image.
    """
    texts = [rows.image] if isinstance(rows.image, str) else rows.image or []
    for text in texts:
        template = Template(text, f"data.{key}.image")
        if not any(name.isdecimal() for name in template.fields) or "" in table.header:
            continue
        first = replace(table, rows=[list(table.header)], lines=[1])
        try:
            path = template.resolve(archives, template.fill_paths(first))[0]
        except DataError:
            continue
        if path:
            raise DataError(
                "the first row is data, not a header",
                file=table.file,
                row=1,
                found=f"{path} is an image",
                expected="the names of the columns",
                fix="name them: table: {table: ..., columns: [...]}",
            )


def _refuse_absent(archives: Archives, table: Table, pictures: Pictures, key: str) -> None:
    """Raise DataError for rows whose image is not there, naming the nearest file."""
    absent = pictures.absent
    first = absent[0]
    raise DataError(
        f"{len(absent)} rows without their image",
        file=table.file,
        row=table.lines[first],
        details=[f"row {table.lines[place]}: {pictures.wanted[place]}" for place in absent],
        found=nearest_file(archives, pictures.wanted[first]),
        expected="a file at each image's path"
        + ("; * is one character or more, and no slash" if "*" in pictures.wanted[first] else ""),
        fix=f"correct data.{key}.image or the table; rows of other files can be left out by "
        f"data.{key}.where, and all that are not there by missing: skip",
    )
