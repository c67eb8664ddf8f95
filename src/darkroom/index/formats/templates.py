"""Path templates of the csv format: `{}` stands for the cell, and archives are folders."""

from collections.abc import Collection, Sequence

from darkroom.errors import DataError, ParamsError
from darkroom.project.names import CONTAINER_SUFFIXES, path_fault, pick_name
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table

EXAMPLE = "train.zip/train/{}.png"


def check_template(key: str, template: str) -> None:
    """Raise unless a template holds `{}` once and stays inside the source folder.

    Args:
        key: The parameter, for the message: "data.train.image_path".
        template: Its value.

    Raises:
        ParamsError: The message says what to write instead.
    """
    if template.count("{}") != 1:
        what = f"{key} must contain {{}} exactly once"
        raise ParamsError(what, found=template, expected=f"such as {EXAMPLE}")
    fault = path_fault(template.replace("{}", "x"))
    if not fault and not template.startswith("./"):
        return
    fix = "write it relative to data.source; if the files lie elsewhere, change data.source"
    plain = template.replace("\\", "/").removeprefix("./")
    if not path_fault(plain):
        fix = f"write {plain}"
    raise ParamsError(
        f"{key} must be a path inside data.source",
        found=f"{fault or 'a path with ./'}: {template}",
        expected=f"such as {EXAMPLE}",
        fix=fix,
    )


def check_table_name(key: str, table: str) -> None:
    """Raise unless a table lies in the source folder itself.

    Raises:
        ParamsError: The message says what to write instead.
    """
    name = table.replace("\\", "/").rsplit("/", 1)[-1]
    if name != table:
        raise ParamsError(
            f"{key} must be a file directly in data.source",
            found=table,
            expected=name or "the table's name",
            fix="move the table there, or set data.source to its folder",
        )


def template_container(names: Collection[str], key: str, template: str) -> str | None:
    """Return the folder or archive that a template begins with; None if the cells name it.

    Raises:
        DataError: It is not in the source folder; the message says what to write instead.
    """
    top, _, rest = template.partition("/")
    if "{}" in top:
        return None
    twins = sorted(name for name in names if name != top and _stem(name) == _stem(top))
    if top not in names and twins:
        raise DataError(
            f"{top} is missing",
            found=f"{twins[0]}, which is {'an archive' if _is_packed(twins[0]) else 'unpacked'}",
            expected=f"{top}, as {key} says",
            fix=f"write {key}: {' or '.join(_alternatives(twins[0], rest))}",
        )
    return pick_name(names, top, suffixes=[""], key=key)


def fill_template(table: Table, cells: Sequence[str], template: str, kind: str) -> list[str]:
    """Return each row's path, "" where the cell is empty.

    Raises:
        DataError: A cell leads out of the source folder; the message names table, row and cell.
    """
    paths = [template.replace("{}", cell) if cell else "" for cell in cells]
    odd = [place for place, path in enumerate(paths) if path and path_fault(path)]
    if odd:
        first = odd[0]
        raise DataError(
            f"{len(odd)} rows whose {kind} is not a path inside the source folder",
            file=table.file,
            row=table.lines[first],
            details=[f"row {table.lines[place]}: {cells[place]!r}" for place in odd],
            found=f"{path_fault(paths[first])}: {cells[first]!r}",
            expected="a relative path with / between its folders, such as a/0001.jpg",
            fix="correct the cell",
        )
    return paths


def check_header(archives: Archives, table: Table, column: int, template: str) -> None:
    """Raise if a table's header names an image: then it is a first row, which would be lost.

    Args:
        archives: The containers of the images.
        table: A table that was read with a header.
        column: The position of the column of images.
        template: Their path template.

    Raises:
        DataError: The message names the table and the image.
    """
    header = table.header[table.position(column)]
    path = template.replace("{}", header)
    if header and _exists(archives, path):
        raise DataError(
            "the first row is data, not a header",
            file=table.file,
            row=1,
            found=f"{header!r}, and {path} is an image",
            expected="the names of the columns",
            fix="put a line of column names before it; if it is one, give the column by its name",
        )


def check_files_exist(archives: Archives, table: Table, paths: Sequence[str], kind: str) -> None:
    """Raise if the files of some rows are absent.

    Raises:
        DataError: The message names the table, the rows and the nearest file.
    """
    absent = [place for place, path in enumerate(paths) if path and not archives.has(path)]
    if absent:
        try:
            archives.size(paths[absent[0]])
        except DataError as error:
            raise DataError(
                f"{len(absent)} rows without their {kind}",
                file=table.file,
                row=table.lines[absent[0]],
                details=[f"row {table.lines[place]}: {paths[place]}" for place in absent],
                found=error,
                expected=f"a file at each {kind}'s path",
                fix=f"correct the {kind}_path in the parameters, or the table; rows of other "
                "files can be left out by data.leave_out",
            ) from error


def _exists(archives: Archives, path: str) -> bool:
    try:
        return not path_fault(path) and archives.has(path)
    except DataError:  # the header names a container that is absent
        return False


def _is_packed(name: str) -> bool:
    return name.endswith(CONTAINER_SUFFIXES)


def _stem(name: str) -> str:
    suffix = next((end for end in CONTAINER_SUFFIXES if name.endswith(end)), "")
    return name.removesuffix(suffix)


def _alternatives(other: str, rest: str) -> list[str]:
    """Return the paths that `rest` may have in the unpacked folder, or in its archive."""
    stem = _stem(other)
    inner = rest.removeprefix(f"{stem}/")
    if inner != rest or _is_packed(other):
        return [f"{other}/{inner}", f"{other}/{stem}/{inner}"]
    return [f"{other}/{rest}"]
