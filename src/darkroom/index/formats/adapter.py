"""The raw formats by name, each behind an adapter of two functions."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from darkroom.index.table import Index
from darkroom.raw.archives import Archives

FORMATS = ("carvana", "celeba", "banknotes", "csv")


@dataclass(frozen=True)
class Adapter:
    """How one raw format becomes an index.

    The last argument of both functions is the `data` section of params.yaml, of the shape that
    `darkroom.params.data` has for this format.

    Attributes:
        required_files: From the names in a source folder and the section, the names that the
            index needs. Raises DataError if one is missing; the message names the nearest.
        build_index: From the raw files and the section, the checked index. Raises DataError,
            naming file and row, for whatever does not fit.
    """

    required_files: Callable[[Collection[str], Any], list[str]]
    build_index: Callable[[Archives, Any], Index]


def load_adapter(format: str) -> Adapter:
    """Return the adapter of a raw format, one of `FORMATS`.

    Raises:
        ValueError: There is no such format.

    Example:
        >>> load_adapter("tiff")
        Traceback (most recent call last):
        ValueError: format 'tiff' is not one of carvana, celeba, banknotes, csv
    """
    # Imported on demand, so that a broken format cannot break the others.
    match format:
        case "carvana":
            from darkroom.index.formats import carvana  # noqa: PLC0415

            return Adapter(carvana.required_files, carvana.build_index)
        case "celeba":
            from darkroom.index.formats import celeba  # noqa: PLC0415

            return Adapter(celeba.required_files, celeba.build_index)
        case "banknotes":
            from darkroom.index.formats import banknotes  # noqa: PLC0415

            return Adapter(banknotes.required_files, banknotes.build_index)
        case "csv":
            from darkroom.index.formats import csv  # noqa: PLC0415

            return Adapter(csv.required_files, csv.build_index)
    raise ValueError(f"format {format!r} is not one of {', '.join(FORMATS)}")
