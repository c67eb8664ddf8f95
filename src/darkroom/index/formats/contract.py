"""What an adapter gives: two plain functions and the options that they take."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from darkroom.index.table import Index
from darkroom.params.data import Data

Options = TypeVar("Options")


@dataclass(frozen=True)
class Competition(Generic[Options]):
    """A raw layout that can be turned into an index.

    Attributes:
        options: The frozen dataclass of what params.yaml may choose about it.
        wanted: From the names in a source folder and the options, those that the index needs.
            Raises DataError if one is missing, naming what is there and the nearest.
        index: From the folder of raw files, the spool folder of `Archives` and the options,
            the checked index. Raises DataError, naming file and row, for what doesn't fit.
    """

    options: type[Options]
    wanted: Callable[[Collection[str], Options], list[str]]
    index: Callable[[Path, Path, Options], Index]


def load(format: str) -> Competition[Any]:
    """Return the adapter of a raw format: "carvana", "celeba", "banknotes" or "csv"."""
    # Each is imported only when asked for, so that one can't break the others.
    match format:
        case "carvana":
            from darkroom.index.formats import carvana  # noqa: PLC0415

            return carvana.COMPETITION
        case "celeba":
            from darkroom.index.formats import celeba  # noqa: PLC0415

            return celeba.COMPETITION
        case "banknotes":
            from darkroom.index.formats import banknotes  # noqa: PLC0415

            return banknotes.COMPETITION
        case "csv":
            from darkroom.index.formats import csv  # noqa: PLC0415

            return csv.COMPETITION
    raise ValueError(f"format {format!r} is not carvana, celeba, banknotes or csv")


def of(data: Data) -> tuple[Competition[Any], Any]:
    """Return the adapter and its options: the keys of the section that bear the same names."""
    adapter = load(data.format)
    chosen = {option.name: getattr(data, option.name) for option in fields(adapter.options)}
    return adapter, adapter.options(**chosen)
