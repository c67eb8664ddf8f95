"""Where the image of each row lies: a file, several planes, or cells of a table."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from math import isqrt

from darkroom.errors import DarkroomError, DataError, ParamsError
from darkroom.params.data import Rows, TableFile
from darkroom.project.names import list_names
from darkroom.raw.archives import Archives
from darkroom.raw.images.cells import PREFIX, PixelCells, cells_digests
from darkroom.raw.tables import Table, read_header, read_pixels, refuse_long
from darkroom.raw.templates import Template, is_container


@dataclass(frozen=True)
class Pictures:
    """The images of a part's rows.

    Attributes:
        images: As the index holds them: a path, a JSON list of paths, or "pixels:table.csv#17".
        wanted: The path that was looked for, by the position of each row without its image.
        places: The position of each row in its table, from 0.
        cells: The columns and shape of pixels in cells.
        digests: Of pixels in cells, one a row; () for files.
    """

    images: list[str]
    wanted: Mapping[int, str]
    places: Sequence[int]
    cells: PixelCells | None = None
    digests: list[str] = field(default_factory=list)

    @property
    def absent(self) -> list[int]:
        """The positions of rows whose image is not there."""
        return [place for place, image in enumerate(self.images) if not image]

    def select(self, places: Sequence[int]) -> "Pictures":
        """Return the images of some rows that are there, given by position."""
        return replace(
            self,
            images=[self.images[place] for place in places],
            wanted={},
            places=[self.places[place] for place in places],
            digests=[self.digests[place] for place in places] if self.digests else [],
        )


def find_pictures(
    archives: Archives,
    key: str,
    rows: Rows,
    table: Table,
    positions: Mapping[int, int],
    train: PixelCells | None = None,
) -> Pictures:
    """Return the image of each row, "" where it is not there.

    Args:
        archives: The raw files.
        key: "train", "valid" or "test".
        rows: The part's keys.
        table: The part's rows.
        positions: By line of the part's table, the position of its row from 0.
        train: The columns and shape of pixels in train, which valid and test have, too.

    Raises:
        DataError: A cell is empty, a path leads out of the source, or two files fit one template.
    """
    if rows.pixels is not None:
        places = [positions[line] for line in table.lines]
        return _pixel_cells(archives, key, rows, places, train)
    if rows.image is None:
        paths = table.column("*")
        return Pictures(paths, {}, range(len(paths)))
    texts = [rows.image] if isinstance(rows.image, str) else rows.image
    planes = [_find_plane(archives, f"data.{key}.image", text, table) for text in texts]
    wanted, images = planes[0]
    if len(planes) > 1 or isinstance(rows.image, list):
        stacks = list(zip(*(paths for _, paths in planes), strict=True))
        images = [json.dumps(each, ensure_ascii=False) if all(each) else "" for each in stacks]
        wanted = [
            next((want[place] for want, paths in planes if not paths[place]), wanted[place])
            for place in range(len(images))
        ]
    absent = {place: wanted[place] for place, image in enumerate(images) if not image}
    return Pictures(images, absent, range(len(images)))


def _find_plane(
    archives: Archives, key: str, text: str, table: Table
) -> tuple[list[str], list[str]]:
    """Return the filled paths and the files that are there."""
    template = path_template(text, key, table)
    for name in template.fields:
        cells = table.names(int(name) if name.isdecimal() else name)
        refuse_long(table, cells, f"column {name}")
    wanted = template.fill_paths(table)
    return wanted, template.resolve(archives, wanted)


def path_template(text: str, key: str, table: Table) -> Template:
    """Return the template of a path that each row has of its own.

    Raises:
        ParamsError: It names no column, so that all rows would have one file.
    """
    template = Template(text, key)
    if template.fields:
        return template
    raise ParamsError(
        f"{key} names no column",
        found=text,
        expected=f"a template such as train/{{{table.header[0] or '0'}}}.jpg",
        fix=f"write {{{text}}}" if text in table.header else "write columns in braces",
    )


def stems(images: Sequence[str]) -> list[str]:
    """Return the file names without suffix, of the first plane where an image has several."""
    return [_stem(image.split('"')[1] if image[:1] == "[" else image) for image in images]


def _stem(path: str) -> str:
    """Return what `PurePosixPath(path).stem` is, ten times as fast."""
    name = path.rpartition("/")[2]
    stem, _, suffix = name.rpartition(".")
    return stem if stem and suffix else name


def nearest_file(archives: Archives, path: str) -> object:
    """Return what a message says is there instead of a filled path that means no file."""
    top, _, rest = path.partition("/")
    try:
        containers = Template(f"{top}/x").containers(list_names(archives.root)) if rest else None
        folders = [name for name in containers or [] if is_container(archives.root / name)]
        archives.size(f"{folders[0]}/{rest}" if folders else path)
    except DarkroomError as error:
        return error
    return path


def _pixel_cells(
    archives: Archives, key: str, rows: Rows, places: list[int], train: PixelCells | None
) -> Pictures:
    """Return images whose pixels stand in columns of the part's table."""
    entry = rows.table
    if entry is None or isinstance(entry, list):
        raise ParamsError(
            f"data.{key}.pixels are columns of one table",
            found="no table" if entry is None else f"{len(entry)} tables",
            expected="table: train.csv",
        )
    named = entry if isinstance(entry, TableFile) else TableFile(table=entry)
    header = read_header(archives, named.table, delimiter=named.delimiter, columns=named.columns)
    columns = _pixel_columns(key, rows, header)
    if named.columns is not None or named.delimiter is not None:
        raise ParamsError(
            f"data.{key}.pixels are columns of a table with a header and its usual delimiter",
            found=f"columns or delimiter of {named.table}",
            expected=f"table: {named.table}",
            fix="write the names of the columns into its first line",
        )
    if key == "train":
        count = read_pixels(archives, named.table, columns).shape[1]
        train = PixelCells(columns, _shape(key, rows.shape, count, len(columns)))
    cells = _cells_of_train(key, rows, columns, named.table, train)
    images = [f"{PREFIX}{named.table}#{place}" for place in places]
    digests = cells_digests(archives, images, cells)
    return Pictures(images, {}, places, cells, digests)


def _pixel_columns(key: str, rows: Rows, header: Sequence[str]) -> tuple[str, ...]:
    """Return the columns of pixels in the order of the list; those of a pattern as in the file."""
    patterns = [rows.pixels] if isinstance(rows.pixels, str) else rows.pixels or []
    columns = [name for each in patterns for name in header if fnmatchcase(name, each)]
    if not columns:
        raise ParamsError(
            f"data.{key}.pixels: no column is like {', '.join(patterns)}",
            found=", ".join(header)[:200],
            expected="the columns of the pixels",
        )
    if twice := [name for name, count in Counter(columns).items() if count > 1]:
        raise ParamsError(
            f"data.{key}.pixels names a column twice",
            found=", ".join(twice)[:200],
            expected="each column once, by its name or by one pattern",
        )
    return tuple(columns)


def _cells_of_train(
    key: str, rows: Rows, columns: Sequence[str], table: str, train: PixelCells | None
) -> PixelCells:
    """Return the columns and the shape of train, which the columns of another part must have."""
    if train is None:
        raise ParamsError(
            f"data.{key} has pixels in a table, and data.train has files",
            found=rows.pixels,
            expected="data.train.pixels, too",
        )
    if absent := sorted(set(train.columns) - set(columns)):
        raise DataError(
            f"a table lacks columns of pixels that train has: {', '.join(absent[:5])[:200]}",
            file=table,
            row=1,
            found=f"{len(columns)} columns like data.{key}.pixels: {', '.join(columns)[:200]}",
            expected=f"{len(train.columns)}, in any order: {', '.join(train.columns)[:200]}",
            fix="rename the columns in one of the tables",
        )
    return train


def _shape(key: str, shape: list[int] | None, values: int, columns: int) -> tuple[int, int]:
    """Return (height, width) of images of so many values; a column of several is a channel."""
    pixels = values // columns if columns < values else values
    side = isqrt(pixels)
    height, width = shape or (side, side)
    if values % (height * width):
        raise ParamsError(
            f"data.{key}.shape does not fit the pixels",
            found=f"{pixels:,} values" + (f" for {height} x {width}" if shape else ", no square"),
            expected="[height, width] of the image",
        )
    return height, width
