"""One file a competition: its raw layout on one side, the index on the other."""

from typing import Any

from darkroom.competitions.contract import Competition


def load(format: str) -> Competition[Any]:
    """Return the adapter of a raw format: "carvana", "celeba", "banknotes" or "csv"."""
    # Each is imported only when asked for, so that one can't break the others.
    match format:
        case "carvana":
            from darkroom.competitions import carvana  # noqa: PLC0415

            return carvana.COMPETITION
        case "celeba":
            from darkroom.competitions import celeba  # noqa: PLC0415

            return celeba.COMPETITION
        case "banknotes":
            from darkroom.competitions import banknotes  # noqa: PLC0415

            return banknotes.COMPETITION
        case "csv":
            from darkroom.competitions import csv  # noqa: PLC0415

            return csv.COMPETITION
    raise ValueError(f"format {format!r} is not carvana, celeba, banknotes or csv")
