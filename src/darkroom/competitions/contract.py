"""What an adapter gives: two plain functions and the options that they take."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from darkroom.index import Index

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
