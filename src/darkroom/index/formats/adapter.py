"""The raw formats by name, each behind an adapter: two functions and the options they take."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any, Generic, Protocol, TypeVar

from darkroom.index.table import Index
from darkroom.raw.archives import Archives

Options = TypeVar("Options")


@dataclass(frozen=True)
class Adapter(Generic[Options]):
    """How one raw format becomes an index.

    Attributes:
        options: The frozen dataclass of the format's choices in params.yaml.
        required_files: From the names in a source folder and the options, the names that the
            index needs. Raises DataError if one is missing; the message names the nearest.
        build_index: From the raw files and the options, the checked index. Raises DataError,
            naming file and row, for whatever does not fit.
    """

    options: type[Options]
    required_files: Callable[[Collection[str], Options], list[str]]
    build_index: Callable[[Archives, Options], Index]


class DataSection(Protocol):
    """A `data` section of params.yaml: its format, and the options of that format."""

    @property
    def format(self) -> str:
        """The name of the format."""


def load_adapter(format: str) -> Adapter[Any]:
    """Return the adapter of a raw format: "carvana", "celeba", "banknotes" or "csv".

    Raises:
        ValueError: There is no such format.
    """
    # Imported on demand, so that a broken format cannot break the others.
    match format:
        case "carvana":
            from darkroom.index.formats import carvana  # noqa: PLC0415

            return Adapter(carvana.Options, carvana.required_files, carvana.build_index)
        case "celeba":
            from darkroom.index.formats import celeba  # noqa: PLC0415

            return Adapter(celeba.Options, celeba.required_files, celeba.build_index)
        case "banknotes":
            from darkroom.index.formats import banknotes  # noqa: PLC0415

            return Adapter(banknotes.Options, banknotes.required_files, banknotes.build_index)
        case "csv":
            from darkroom.index.formats import csv  # noqa: PLC0415

            return Adapter(csv.Options, csv.required_files, csv.build_index)
    raise ValueError(f"format {format!r} is not carvana, celeba, banknotes or csv")


def configure_adapter(section: DataSection) -> tuple[Adapter[Any], Any]:
    """Return the adapter of a section and its options: the keys that have the options' names."""
    adapter = load_adapter(section.format)
    values = {option.name: getattr(section, option.name) for option in fields(adapter.options)}
    return adapter, adapter.options(**values)
