"""From the data section of params.yaml to the adapter of its format, and the options it takes."""

from dataclasses import fields
from typing import Any

from darkroom import competitions
from darkroom.competitions.contract import Competition
from darkroom.params.data import Data


def of(data: Data) -> tuple[Competition[Any], Any]:
    """Return the adapter and its options: the keys of the section that bear the same names."""
    adapter = competitions.load(data.format)
    chosen = {option.name: getattr(data, option.name) for option in fields(adapter.options)}
    return adapter, adapter.options(**chosen)
