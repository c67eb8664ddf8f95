"""Find a table among the raw files, whatever it is packed in, and read it by its kind."""

from collections.abc import Collection, Sequence
from pathlib import Path, PurePath

from darkroom.errors import DataError
from darkroom.project.names import (
    FIRST_PART,
    TAR_SUFFIXES,
    describe_bytes,
    list_names,
    pick_name,
    read_errors,
)
from darkroom.raw import limits
from darkroom.raw.archives import Archives
from darkroom.raw.gunzip import read_gzip
from darkroom.raw.parts import with_parts
from darkroom.raw.tables.parquet import MAGIC, read_parquet_header, read_parquet_table
from darkroom.raw.tables.records import read_json_table
from darkroom.raw.tables.table import Columns, Table
from darkroom.raw.tables.text import open_records, read_text_table
from darkroom.raw.templates.places import check_path, find_containers, find_member

SUFFIXES = ("", ".zip", ".gz", ".7z", FIRST_PART)
"""Of what a table is packed in."""

_KINDS = (".csv", ".tsv", ".txt", ".parquet", ".json")


def read_table(
    archives: Archives,
    name: str,
    *,
    delimiter: str | None = None,
    columns: Sequence[str] | None = None,
    leave_out: Sequence[str] = (),
) -> Table:
    """Read a table: a plain file, or the only one in an archive of its name.

    In text, a byte order mark, CRLF, LF or CR, quoted cells, blank lines and a missing final
    newline are all accepted, and cells keep the file's text.

    Args:
        archives: The raw files.
        name: The table's name, without the suffix of what it is packed in, and without that of its
            kind where there is one table of that name; or its path in a folder or an archive.
        delimiter: One character between cells; " " is one blank or more. None: what the file's
            name says: a comma, a tab (.tsv), or in .txt what its first lines have, else blanks.
        columns: The names of the columns of a table without a header.
        leave_out: Patterns of columns that are not held: "pixel*".

    Raises:
        DataError: The file is absent, empty, not UTF-8 text (an HTML page under its name, say),
            wrongly quoted; has a column name twice, a row with more or fewer cells, or fewer rows
            than it declares.
    """
    file, data = read_bytes(archives, name)
    choice = Columns(tuple(leave_out))
    match table_kind(file, data):
        case "parquet":
            _refuse_options(file, delimiter, columns)
            return read_parquet_table(data, file, choice)
        case "json":
            _refuse_options(file, delimiter, columns)
            return read_json_table(data, file, choice)
    return read_text_table(data, file, delimiter=delimiter, columns=columns, choice=choice)


def read_header(
    archives: Archives,
    name: str,
    *,
    delimiter: str | None = None,
    columns: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Return the names of a table's columns; see `read_table`."""
    file, data = read_bytes(archives, name)
    match table_kind(file, data):
        case "parquet":
            return read_parquet_header(data, file)
        case "json":
            return read_json_table(data, file, Columns()).header
    return open_records(data, file, delimiter, columns)[1]


def table_kind(file: str, data: bytes) -> str:
    """Return the kind of a table: what it holds counts, and the name only where text is JSON."""
    if data.startswith(MAGIC):
        return "parquet"
    return "json" if Path(file).name.lower().removesuffix(".gz").endswith(".json") else "text"


def _refuse_options(file: str, delimiter: str | None, columns: Sequence[str] | None) -> None:
    if delimiter is not None or columns is not None:
        raise DataError(
            "this table names its columns, and has no delimiter",
            file=file,
            found="columns" if columns is not None else "a delimiter",
            expected="the table's name alone",
            fix="leave these two keys out",
        )


def table_files(names: Collection[str], name: str, key: str = "") -> list[str]:
    """Return which of the names in a source folder a table needs.

    Args:
        names: The names in the source folder.
        name: The table, as `read_table` takes it.
        key: The parameter that names it, for the message: "data.train.table".

    Raises:
        MissingFileError: It is not there; the message names the nearest.
        ParamsError: It is a path that leads out of the source folder.
    """
    check_path(name, key or "a table", example="train.csv")
    if "/" in name:
        return with_parts(names, find_containers(names, name.split("/")[0], key or name))
    return with_parts(names, [_find_table(names, name, key=key)])


def _find_table(names: Collection[str], name: str, *, file: object = None, key: str = "") -> str:
    """Return the file of a table; without a suffix in its name, any kind of table will do."""
    if not name.lower().endswith(_KINDS):
        kinds = [f"{name}{kind}" for kind in _KINDS]
        forms = [[f"{kind}{suffix}" for suffix in SUFFIXES] for kind in kinds]
        there = [next((each for each in several if each in names), "") for several in forms]
        if len(several := list(filter(None, there))) > 1:
            raise DataError(
                f"{name} is two tables here",
                file=file,
                found=" and ".join(several),
                expected=f"one of them, for {key or name}",
                fix=f"write {several[0]} in {key}" if key else f"write {several[0]}",
            )
        if several:
            return several[0]
        packed = [f"{name}{suffix}" for suffix in SUFFIXES[1:]]
        if not PurePath(name).suffix and not set(packed) & set(names):
            suffixes = [kind + packing for packing in SUFFIXES[:2] for kind in _KINDS]
            return pick_name(names, name, suffixes=suffixes, file=file, key=key)
    return pick_name(names, name, suffixes=SUFFIXES, file=file, key=key)


def read_bytes(archives: Archives, name: str) -> tuple[str, bytes]:
    """Return a table's path for messages, and its bytes, unpacked.

    What a file holds counts, not its name: some clients save a zip under the table's own name.

    Raises:
        DataError: It is absent, damaged or too large, or its archive holds other files.
    """
    folder = archives.root
    if "/" in name:
        member = find_member(archives, name) or name  # the archive says what is there instead
        return str(folder / member), archives.read(member)
    path = folder / _find_table(list_names(folder), name, file=folder)
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError("a pipe or a device, and no table", file=path, fix="put the table there")
    with read_errors(path), path.open("rb") as file:
        kind = describe_bytes(file.read(512))
    if kind == "a gzip file" and not path.name.endswith(TAR_SUFFIXES):
        return str(path), _unpacked_gzip(path)
    if kind in ("a zip archive", "a 7z archive"):
        return _read_only_member(archives, path, name)
    return str(path), archives.read(path.name)


def _read_only_member(archives: Archives, path: Path, name: str) -> tuple[str, bytes]:
    """Return the only file of an archive, by its path for messages, and its bytes."""
    inside = archives.paths(path.name)
    if len(inside) > 1:
        raise DataError(
            "an archive of one table holds more",
            file=path,
            found=", ".join(inside[:5]),
            expected=f"{name} alone",
            fix=f"pack the table by itself, or write its path as the table: {inside[0]}",
        )
    return str(archives.root / inside[0]), archives.read(inside[0])


def _unpacked_gzip(path: Path) -> bytes:
    data = read_gzip(path, limits.MAX_MEMBER_BYTES + 1)
    limits.refuse_ratio(len(data), path.stat().st_size, path, "is it the right file?")
    if len(data) > limits.MAX_MEMBER_BYTES:
        raise DataError(
            "too large to be read",
            file=path,
            found=f"more than {limits.MAX_MEMBER_BYTES:,} bytes",
            expected=f"at most {limits.MAX_MEMBER_BYTES:,} bytes",
        )
    return data
