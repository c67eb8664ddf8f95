"""Read the columns of a table that hold pixels: a value a cell, or many separated by blanks.

pyarrow reads most tables; whatever it does not take goes through the strict reader, which either
reads it or names the row and the column.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.raw.archives import Archives
from darkroom.raw.tables.parquet import open_parquet, read_columns
from darkroom.raw.tables.reading import read_bytes, table_kind
from darkroom.raw.tables.records import read_json_table
from darkroom.raw.tables.table import Columns, Table, check_width
from darkroom.raw.tables.text import BLANKS, open_records, usual_delimiter

Values = NDArray[np.uint8] | NDArray[np.float32]

_CHUNK_ROWS = 1000  # of cells of many values, which as texts take ten times their room
_HEAD_BYTES = 2**20
_ERRORS = (pa.ArrowException, ValueError, LookupError)


def read_pixels(
    archives: Archives,
    name: str,
    columns: Sequence[str],
    *,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
) -> Values:
    """Return the values of some columns, (rows, values): uint8 if all fit, else float32.

    The values of a row are those of its cells, one cell behind the other. Row n is row n of
    `read_table`.

    Args:
        archives: The raw files.
        name: The table, as `read_table` takes it.
        columns: The names of the columns, one or more, in the order of the values.
        delimiter: As `read_table` has it.
        names: The names of all columns of a table without a header.

    Raises:
        DataError: A column is absent; a cell holds no number; a row has more or fewer values than
            the first. The message names row and column.
    """
    file, data = read_bytes(archives, name)
    kind = table_kind(file, data)
    try:
        if kind == "parquet":
            return _stacked(read_columns(open_parquet(data, file), columns, file))
        if kind == "text":
            return _stacked(_read_csv(data, file, columns, delimiter, names))
    except _ERRORS:
        pass  # the strict reader says where
    if kind == "parquet":
        raise DataError(
            "a column of pixels holds no numbers, or is not there",
            file=file,
            found=", ".join(open_parquet(data, file).schema_arrow.names)[:200],
            expected=f"numbers in {', '.join(columns)}"[:200],
        )
    return _read_strictly(_rows(data, file, columns, delimiter, names), columns, file)


def _read_csv(
    data: bytes,
    file: str,
    columns: Sequence[str],
    delimiter: str | None,
    names: Sequence[str] | None,
) -> list[pa.ChunkedArray]:
    """Return columns of a CSV: of numbers, or of texts if the first row's cells hold several.

    Raises:
        ValueError: pyarrow might not read it as `read_table` does.
    """
    head = data[: data.rfind(b"\n", 0, _HEAD_BYTES) + 1] or data
    delimiter = delimiter or usual_delimiter(head, file)
    declared, header, records = open_records(head, file, delimiter, names)
    line, first = next(records)
    # Of bytes, pyarrow takes hexadecimal numbers, too. A column may well be called 10x1.
    body = data.find(b"\n")
    is_hex = max(data.find(mark, body) for mark in (b"0x", b"0X")) >= 0
    if delimiter == BLANKS or declared is not None or line > 2 or is_hex:
        raise ValueError
    many = " " in first[header.index(columns[0])].strip()
    for kind in [pa.string()] if many else [pa.uint8(), pa.float32()]:
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(data),
                pyarrow.csv.ReadOptions(column_names=list(header), skip_rows=line - 1),
                pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                pyarrow.csv.ConvertOptions(
                    include_columns=list(columns), column_types=dict.fromkeys(columns, kind)
                ),
            )
        except pa.ArrowInvalid as error:  # a value that is no byte, perhaps
            last = error
        else:
            return [table.column(column) for column in columns]
    raise ValueError from last


def _stacked(columns: Sequence[pa.ChunkedArray]) -> Values:
    """Return the values of columns side by side.

    Raises:
        ValueError: A value is none, or cells have different lengths.
    """
    blocks = [_values(column) for column in columns]
    return _smallest(cast(Values, np.concatenate(blocks, axis=1)) if blocks[1:] else blocks[0])


def _values(column: pa.ChunkedArray) -> Values:
    """Return the values of a column, (rows, values of a cell)."""
    if column.null_count:
        raise ValueError
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([chunk.dictionary_decode() for chunk in column.chunks])
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _number(column.to_numpy())[:, None]
    starts = range(0, len(column), _CHUNK_ROWS)
    return np.concatenate([_cell_values(column.slice(at, _CHUNK_ROWS)) for at in starts])


def _cell_values(column: pa.ChunkedArray) -> Values:
    if pa.types.is_string(column.type):
        column = pc.utf8_split_whitespace(pc.utf8_trim_whitespace(column))
    lengths = pc.list_value_length(column).to_numpy()
    values = pc.list_flatten(column)
    if pa.types.is_string(values.type):
        values = values.cast(pa.float32())
    return _number(values.to_numpy().reshape(len(lengths), lengths[0]))


def _number(values: NDArray[np.generic]) -> Values:
    return cast(Values, values if values.dtype == np.uint8 else values.astype(np.float32))


def _smallest(values: Values) -> Values:
    """Return finite values as uint8 if that keeps them all."""
    if values.dtype == np.uint8:
        return values
    if not np.isfinite(values).all():
        raise ValueError
    with np.errstate(invalid="ignore"):
        small = values.astype(np.uint8)
    return small if bool((small == values).all()) else values


def _rows(
    data: bytes,
    file: str,
    columns: Sequence[str],
    delimiter: str | None,
    names: Sequence[str] | None,
) -> Iterator[tuple[int, list[str]]]:
    """Yield the line of each row, and the cells of the columns."""
    if table_kind(file, data) == "json":
        table = read_json_table(data, file, Columns())
        places = [table.position(column) for column in columns]
        pairs: Iterable[tuple[int, list[str]]] = zip(table.lines, table.rows, strict=True)
        width = len(table.header)
    else:
        _, header, pairs = open_records(data, file, delimiter, names)
        places = [Table(file, header, [], []).position(column) for column in columns]
        width = len(header)
    for line, cells in pairs:
        check_width(cells, width, file, line)
        yield line, [cells[place] for place in places]


def _read_strictly(
    rows: Iterable[tuple[int, list[str]]], columns: Sequence[str], file: str
) -> Values:
    """Return the values of rows of cells, or raise DataError for the first that is no number."""
    values: list[NDArray[np.float32]] = []
    for line, cells in rows:
        row = _numbers(" ".join(cells))
        if not row.size or not all(map(str.strip, cells)):
            column, cell = next(
                pair for pair in zip(columns, cells, strict=True) if not _numbers(pair[1]).size
            )
            raise DataError(
                f"no number in column {column}",
                file=file,
                row=line,
                found=repr(cell[:100]),
                expected="the values of pixels, several in a cell separated by blanks",
                fix="correct the cell, or leave the row out of the table",
            )
        if values and len(row) != len(values[0]):
            raise DataError(
                "a row of more or fewer pixels than the first",
                file=file,
                row=line,
                found=f"{len(row):,} values",
                expected=f"{len(values[0]):,}",
                fix="correct the row, or download the file again",
            )
        values.append(row)
    return _smallest(np.stack(values))


def _numbers(text: str) -> NDArray[np.float32]:
    """Return the numbers of a text; none, if one of its words is no finite number."""
    none = np.zeros(0, np.float32)
    if not text.isascii() or "_" in text:  # Python reads 1_0 as 10, and digits of any script
        return none
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(text.split(), np.float32)
    except ValueError:
        return none
    return numbers if np.isfinite(numbers).all() else none
