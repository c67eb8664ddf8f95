"""Tables: text, Parquet and COCO's JSON, packed or not, as cells of text by row and column."""

from darkroom.raw.tables.join import join_tables
from darkroom.raw.tables.pixels import read_pixels
from darkroom.raw.tables.reading import SUFFIXES, read_header, read_table, table_files
from darkroom.raw.tables.table import (
    Table,
    check_unique,
    check_width,
    refuse_long,
    refuse_rows,
)

__all__ = (
    "SUFFIXES",
    "Table",
    "check_unique",
    "check_width",
    "join_tables",
    "read_header",
    "read_pixels",
    "read_table",
    "refuse_long",
    "refuse_rows",
    "table_files",
)
