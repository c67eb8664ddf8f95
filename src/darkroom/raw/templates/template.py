"""A template of a text or a path: "train/{id[0]}/{id}.jpg".

A field in braces is a column, by its name or its position from 0; in brackets after the name stand
the characters that are meant, counted as Python does: {id[0]}, {id[0:2]}, {id[-1]}. Columns fill a
template; or a text is matched with it, and its fields become columns. `*` is one or more unknown
characters, in patterns of paths and of cells. Neither a field nor `*` matches a slash.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import PurePath

from darkroom.errors import MAX_DETAILS, DataError, ParamsError
from darkroom.project.names import (
    CONTAINER_SUFFIXES,
    MissingFileError,
    list_names,
    path_fault,
)
from darkroom.raw.archives import Archives
from darkroom.raw.parts import with_parts
from darkroom.raw.tables.table import Table
from darkroom.raw.templates.matching import (
    STAR,
    Component,
    Field,
    Reading,
    Token,
    TooManyReadingsError,
    readings,
)
from darkroom.raw.templates.places import (
    BARE,
    Listing,
    check_path,
    find_containers,
    is_container,
    stem_of,
    two_files,
)

EXAMPLE = "train/{id}.png"
MAX_FIELDS = 50

_PIECE = re.compile(r"\{([^{}]*)\}|([*/])|([^{}*/]+)|(.)", re.DOTALL)
_MORE = "write more of the text into the template, so that one way is left"
_CUT = re.compile(r"(.*)\[(-?\d{1,6})?(:)?(-?\d{1,6})?\]", re.DOTALL)


class Template:
    """A template, taken apart.

    Args:
        text: As the parameter has it.
        key: The parameter, for messages: "data.train.image".

    Attributes:
        fields: The columns that it names, in order; a position in digits.

    Raises:
        ParamsError: Braces do not match, or a field is empty; the message says what to write.

    Example:
        >>> template = Template("{image}_{label}")
        >>> template.fields, template.match("ab12.jpg_Fish")
        (('image', 'label'), {'image': 'ab12.jpg', 'label': 'Fish'})
    """

    def __init__(self, text: str, key: str = "the template") -> None:
        self.text, self.key = text, key
        self._tokens = list(_tokens(text, key))
        self._components = _components(self._tokens)
        fields = [token for token in self._tokens if isinstance(token, Field)]
        self.fields = tuple(dict.fromkeys(field.name for field in fields))
        self._cuts = [field for field in fields if field.cut is not None]
        self._whole = {field.name for field in fields if field.cut is None}
        self.has_star = STAR in self._tokens
        if len(fields) > MAX_FIELDS:
            raise ParamsError(f"{key} has more than {MAX_FIELDS} fields", found=text)

    def fill(self, table: Table, row: int) -> str:
        """Return the text of one row of a table, by its position from 0."""
        return self.fill_all(table.select([row]))[0]

    def fill_all(self, table: Table) -> list[str]:
        """Return the text of each row of a table.

        Raises:
            DataError: The table lacks a column, or a cell lacks the character of a field such as
                {id[3]}.
        """
        cells = {name: table.column(_column(name), self.key) for name in self.fields}
        parts: list[list[str]] = []
        for token in self._tokens:
            if isinstance(token, Field):
                parts.append(self._cut_cells(table, token, cells[token.name]))
            else:
                parts.append([token if isinstance(token, str) else token.text] * len(table.rows))
        return list(map("".join, zip(*parts, strict=True)))

    def _cut_cells(self, table: Table, field: Field, cells: list[str]) -> list[str]:
        if field.cut is None:
            return cells
        parts = [field.cut_from(cell) for cell in cells]
        short = [row for row, part in enumerate(parts) if cells[row] and not part]
        if short:
            raise DataError(
                f"{len(short)} cells are too short for {field.text} of {self.key}",
                file=table.file,
                row=table.lines[short[0]],
                found=repr(cells[short[0]]),
                expected=f"a text that has {field.text}",
                fix="correct the template or the table",
            )
        return parts

    def fill_paths(self, table: Table) -> list[str]:
        """Return the path of each row of a table, "" where a cell is empty.

        Raises:
            DataError: A path leads out of the source folder; the message names table, row and cell.
        """
        empty = [False] * len(table.rows)
        for name in self.fields:
            cells = table.column(_column(name), self.key)
            empty = [flag or not cell for flag, cell in zip(empty, cells, strict=True)]
        paths = [
            "" if flag else path for flag, path in zip(empty, self.fill_all(table), strict=True)
        ]
        stars = self.text.count("*")
        odd = [
            row
            for row, path in enumerate(paths)
            if path and (path_fault(path) or (stars and path.count("*") > stars))
        ]
        if odd:
            raise DataError(
                f"{len(odd)} rows whose {self.key} is not a path inside the source folder",
                file=table.file,
                row=table.lines[odd[0]],
                details=[f"row {table.lines[row]}: {paths[row]!r}" for row in odd],
                found=f"{path_fault(paths[odd[0]]) or 'a cell with *'}: {paths[odd[0]]!r}",
                expected="a relative path with / between its folders, such as a/0001.jpg",
                fix="correct the cell",
            )
        return paths

    def match(self, text: str) -> Reading | None:
        """Return the fields' values in a text; None if it does not fit.

        Raises:
            DataError: There are two readings; the message has both.
        """
        self._check_matching()
        return self._only(text, self._readings(text))

    def match_all(self, table: Table, column: int | str) -> dict[str, list[str]]:
        """Return the fields as columns, from the cells of a table's column.

        Raises:
            DataError: A cell does not fit, or has two readings; the message names the rows.
        """
        self._check_matching()
        cells = table.column(column, self.key)
        columns: dict[str, list[str]] = {name: [] for name in self.fields}
        odd: dict[int, list[int]] = {0: [], 2: []}  # rows of cells without a reading, or of two
        texts: dict[str, str] = {}  # each once: millions of rows have the same few labels
        for row, cell in enumerate(cells):
            several = self._readings(cell)
            if len(several) == 1:
                for name, value in several[0].items():
                    columns[name].append(texts.setdefault(value, value))
            else:
                odd[len(several)].append(row)
        for count, what in ((0, "cells that do not fit {}"), (2, "cells that fit {} in two ways")):
            if rows := odd[count]:
                raise DataError(
                    f"{len(rows)} {what.format(self.key)}",
                    file=table.file,
                    row=table.lines[rows[0]],
                    details=[
                        f"row {table.lines[row]}: {cells[row]!r}" for row in rows[:MAX_DETAILS]
                    ],
                    found=_both(self._readings(cells[rows[0]])) or repr(cells[rows[0]]),
                    expected=self.text,
                    fix=_MORE
                    if count
                    else "correct the template; rows that are no data can be left out by `where`",
                )
        return columns

    def _readings(self, text: str) -> list[Reading]:
        try:
            return readings(self._components, self._cuts, text)
        except TooManyReadingsError:
            raise DataError(
                f"{self.key} fits a text in too many ways",
                found=text,
                expected=self.text,
                fix=_MORE,
            ) from None

    def _only(self, text: str, several: Sequence[Reading]) -> Reading | None:
        if len(several) > 1:
            raise DataError(
                f"{self.key} fits a text in two ways",
                found=f"{text}: {_both(several)}",
                expected=f"one way to read it as {self.text}",
                fix=_MORE,
            )
        return several[0] if several else None

    def _check_matching(self) -> None:
        """Raise ParamsError for a field whose value no text can tell."""
        for token in self._tokens:
            if isinstance(token, Field) and (
                token.name.isdecimal() or token.name not in self._whole
            ):
                raise ParamsError(
                    f"{self.key} is matched with texts, and {token.text} names no column by itself",
                    found=self.text,
                    expected="each field whole somewhere, by a name, such as {id[0]}/{id}.jpg",
                )

    def check_path(self) -> None:
        """Raise ParamsError unless the template is that of a path inside the source folder."""
        check_path(self.text, self.key, example=EXAMPLE)

    def containers(self, names: Collection[str]) -> list[str] | None:
        """Return which names of a source folder the template needs; None if cells name them.

        Raises:
            DataError: A folder or archive is not there, or its name means two.
            ParamsError: It is no path.
        """
        self.check_path()
        top, *deeper = self._components
        if top.fields:
            return None
        if not deeper:  # a bare file, or several
            return [name for name in sorted(names) if top.fits(name)]
        return with_parts(names, find_containers(names, top, self.key))

    def paths(self, archives: Archives) -> list[tuple[str, Reading]]:
        """Return all files that match, sorted, each with the values of the fields.

        Raises:
            DataError: None matches, or one does in two ways.
            ParamsError: It is no path, or a field's value is in none.
        """
        self.check_path()
        self._check_matching()
        fields: dict[str, Reading] = {}
        examples: list[str] = []
        for listing in self._listings(archives):
            for name in listing.names(self._components[-1 if listing.top == BARE else 1]):
                path = name if listing.top == BARE else f"{listing.top}/{name}"
                reading = self._only(path, self._readings(path))
                if reading is not None:
                    actual = listing.find(name)
                    fields[actual] = reading
                elif len(examples) < 3:
                    examples.append(path)
        if not fields:
            raise DataError(
                f"no file is like {self.key}",
                file=archives.root,
                found=", ".join(examples) or "no files",
                expected=self.text,
                fix="correct the template: a field or * is one character or more, and no slash",
            )
        return sorted(fields.items())

    def other_suffixes(self, archives: Archives) -> list[str]:
        """Return the files that would match but for their suffix, sorted: a.JPG for {id}.jpg."""
        suffix = PurePath(self.text).suffix
        if "{" in suffix or "*" in suffix or not suffix:
            return []
        others = []
        for listing in self._listings(archives):
            for name in listing.names(self._components[-1 if listing.top == BARE else 1]):
                whole = name if listing.top == BARE else f"{listing.top}/{name}"
                stem, dot, end = whole.rpartition(".")
                if dot and f".{end}" != suffix and "/" not in end:
                    others += [listing.first(name)] if self._readings(stem + suffix) else []
        return sorted(others)

    def resolve(self, archives: Archives, paths: Sequence[str]) -> list[str]:
        """Return the file that each filled path means, "" where there is none.

        Raises:
            DataError: A path means two files; the message has both.
        """
        if not self.has_star:
            return self._resolve_at_once(archives, paths)
        files = self.files(archives, paths)
        for path, several in zip(paths, files, strict=True):
            if len(several) > 1:
                raise two_files(path, several)
        return [several[0] if several else "" for several in files]

    def _resolve_at_once(self, archives: Archives, paths: Sequence[str]) -> list[str]:
        """Return the file that each filled path means, container by container."""
        inner = self._inner_archive(archives)
        rows: dict[str, list[int]] = {}
        for row, path in enumerate(paths):
            top, is_deeper, _ = path.partition("/")
            if path:
                rows.setdefault(inner or (top if is_deeper else BARE), []).append(row)
        files = [""] * len(paths)
        for top, places in rows.items():
            start = 0 if top == BARE else len(top) + 1
            names = [paths[place][start:] for place in places]
            for listing in self._listings_of(archives, top):  # one at most, where no * is
                for place, file in zip(places, listing.find_all(names), strict=True):
                    files[place] = file
        return files

    def files(self, archives: Archives, paths: Sequence[str]) -> list[list[str]]:
        """Return the files that each filled path means, sorted: several, or none, by a `*`.

        Raises:
            DataError: A path without a star means two files, or its first part two containers.
        """
        listings: dict[str, list[Listing]] = {}
        files = []
        inner = self._inner_archive(archives)
        for path in paths:
            top, is_deeper, name = path.partition("/")
            if inner:
                top, name = inner, path[len(inner) + 1 :]
            elif not is_deeper:
                top, name = BARE, path
            if path and top not in listings:
                listings[top] = list(self._listings_of(archives, top))
            several = {
                file for listing in listings.get(top, ()) for file in self._find(listing, name)
            }
            files.append(sorted(several))
        return files

    def _find(self, listing: Listing, name: str) -> list[str]:
        if self.has_star and "*" in name:
            return listing.search(name)
        return [file for file in [listing.find(name)] if file]

    def _inner_archive(self, archives: Archives) -> str:
        """Return the archive in a folder that the template begins with: "data/train.zip"; or ""."""
        names: list[str] = []
        for component in self._components[:-1]:
            if component.literal is None:
                return ""
            names.append(component.literal)
            path = archives.root.joinpath(*names)
            if len(names) > 1 and path.is_file() and path.name.endswith(CONTAINER_SUFFIXES):
                return "/".join(names)
        return ""

    def _listings(self, archives: Archives) -> Iterator[Listing]:
        """Yield the files of each container that the template's first part may mean."""
        top, *deeper = self._components
        if not deeper:
            yield Listing(archives, BARE, BARE)
            return
        if top.literal is not None:
            inner = self._inner_archive(archives)
            yield from self._listings_of(archives, inner or top.literal)
            return
        for name in list_names(archives.root):
            alias = next((each for each in (stem_of(name), name) if top.fits(each)), "")
            if alias and is_container(archives.root / name):
                yield Listing(archives, name, alias)

    def _listings_of(self, archives: Archives, top: str) -> Iterator[Listing]:
        """Yield the files of each container that a filled path's first part means."""
        if top == BARE or "/" in top:
            yield Listing(archives, top, top, exact=True)
            return
        pattern = Component.of_pattern(top) if self.has_star else Component([top])
        try:
            names = find_containers(list_names(archives.root), pattern, self.key)
        except MissingFileError:
            if not self._components[0].fields:
                raise
            return  # a cell names a folder that is not there: so its file is not there
        for name in names:
            if pattern.literal is None and not is_container(archives.root / name):
                continue  # a table beside the folders
            alias = next(each for each in (stem_of(name), name, top) if pattern.fits(each))
            exact = pattern.literal is not None and alias != stem_of(name)
            yield Listing(archives, name, alias, exact=exact)


def _column(name: str) -> int | str:
    """Return a field's column: by position if it is a number."""
    return int(name) if name.isdecimal() else name


def _tokens(text: str, key: str) -> Iterator[Token]:
    for piece in _PIECE.finditer(text):
        field, mark, literal, stray = piece.groups()
        if stray or field == "":
            raise ParamsError(
                f"{key} has {'a field without a name' if field == '' else 'a single brace'}",
                found=text,
                expected=f"the name of a column in each pair of braces, such as {EXAMPLE}",
            )
        if field is not None:
            yield _field(field, text, key)
        else:
            yield STAR if mark == "*" else mark or literal


def _field(inner: str, text: str, key: str) -> Field:
    cut = _CUT.fullmatch(inner)
    if cut is None:
        return Field(inner, None, f"{{{inner}}}")
    name, first, colon, last = cut.groups()
    if not name or not (first or last) or (last and not colon):
        raise ParamsError(
            f"{key} has a field with odd brackets",
            found=f"{{{inner}}} in {text}",
            expected="a position or a range after the column's name: {id[0]}, {id[0:2]}, {id[-1]}",
        )
    if colon:
        span = (int(first) if first else None, int(last) if last else None)
    else:
        span = (int(first), int(first) + 1 or None)  # -1 is the last one
    return Field(name, span, f"{{{inner}}}")


def _components(tokens: Sequence[Token]) -> list[Component]:
    """Return the components that stand between the slashes."""
    components: list[list[Token]] = [[]]
    for token in tokens:
        if token == "/":
            components.append([])
        else:
            components[-1].append(token)
    return list(map(Component, components))


def _both(several: Sequence[Reading]) -> str:
    return " or ".join(str(reading) for reading in several)
