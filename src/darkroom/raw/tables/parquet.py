"""Tables in Parquet, by pyarrow: numbers as a CSV of them shows them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from darkroom.errors import DataError
from darkroom.raw import limits
from darkroom.raw.tables.table import Columns, EmptyTableError, Table, check_header

MAGIC = b"PAR1"


def read_parquet_table(data: bytes, file: str, choice: Columns) -> Table:
    """Read a table in Parquet; see `darkroom.raw.tables.read_table`.

    Whole numbers have no point, also in a column of floats that are all whole; nulls and NaN are
    empty cells. A list of plain values becomes one cell, separated by blanks; columns of bytes and
    of what is nested deeper are left out.

    Raises:
        DataError: It is damaged, or unpacks to more than any table of images.
    """
    table = open_parquet(data, file)
    with _errors(file):
        header = _plain_names(table.schema_arrow)
    places = choice.places(header)
    names = header if places is None else [header[place] for place in places]
    with _errors(file):
        columns = [_cells(column) for column in read_columns(table, names, file)]
    rows = list(map(list, zip(*columns, strict=True))) if columns else []
    no_cells = tuple(name for name in table.schema_arrow.names if name not in header)
    lines = list(range(1, len(rows) + 1))
    return choice.table(file, header, rows, lines, no_cells=no_cells)


def read_parquet_header(data: bytes, file: str) -> tuple[str, ...]:
    """Return the names of the columns of a table in Parquet that `read_parquet_table` reads."""
    table = open_parquet(data, file)
    with _errors(file):
        return tuple(_plain_names(table.schema_arrow))


def read_columns(table: pq.ParquetFile, names: Sequence[str], file: str) -> list[pa.ChunkedArray]:
    """Return some columns.

    Raises:
        DataError: They are damaged.
        KeyError: There is no such column.
    """
    with _errors(file):
        part = table.read(columns=list(names))
    return [part.column(name) for name in names]


def open_parquet(data: bytes, file: str) -> pq.ParquetFile:
    """Return a table in Parquet, opened and checked against the limits."""
    with _errors(file):
        head = pq.ParquetFile(pa.BufferReader(data))
        schema = head.schema_arrow
    check_header(schema.names, file)
    with _errors(file):
        # A text that each row repeats stays one text.
        texts = [name for name in schema.names if _is_text(schema.field(name).type)]
        table = pq.ParquetFile(
            pa.BufferReader(data), read_dictionary=texts, page_checksum_verification=True
        )
    rows = head.metadata.num_rows
    if not rows:
        raise EmptyTableError(file)
    limits.refuse_rows(rows, file)
    groups = map(head.metadata.row_group, range(head.metadata.num_row_groups))
    size = sum(group.total_byte_size for group in groups)
    limits.refuse_ratio(size, len(data), file, "is it the right file?")
    return table


@contextmanager
def _errors(file: str) -> Iterator[None]:
    """Turn what pyarrow raises at a damaged file into a DataError: names may be no UTF-8, too."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise DataError(
            "can't be read",
            file=file,
            found=error,
            expected="a table in Parquet",
            fix="download it again; it is damaged or cut short",
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _plain_names(schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if _is_plain(schema.field(name).type)]


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether values of a type have a text of one line."""
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return not pa.types.is_nested(kind.value_type) and _is_plain(kind.value_type)
    return not (
        pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    )


def _cells(column: pa.ChunkedArray) -> list[str]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return [cell for chunk in column.chunks for cell in _dictionary_cells(chunk)]
    if pa.types.is_floating(kind):
        return _float_cells(column)
    if pa.types.is_nested(kind):
        return ["" if row is None else " ".join(map(_text, row)) for row in column.to_pylist()]
    return list(map(_text, column.to_pylist()))


def _dictionary_cells(chunk: pa.DictionaryArray) -> list[str]:
    texts = list(map(_text, chunk.dictionary.to_pylist()))
    return ["" if place is None else texts[place] for place in chunk.indices.to_pylist()]


def _float_cells(column: pa.ChunkedArray) -> list[str]:
    numbers = column.to_numpy()  # nulls are NaN
    present = numbers[~np.isnan(numbers)]
    is_whole = bool(((np.abs(present) < 2**53) & (present == np.round(present))).all())
    form = (lambda number: str(int(number))) if is_whole else str
    return ["" if number != number else form(number) for number in numbers]


def _text(value: Any) -> str:
    return "" if value is None else str(value)
