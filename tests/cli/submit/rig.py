"""Helpers for the tests of `darkroom submit`."""

from collections.abc import Callable
from pathlib import Path

from darkroom.submission.history.file import HistoryRow, read_history

HISTORY = Path("submissions/history.csv")
FIRST = 20_000_001  # the reference of a first submission

RunSubmit = Callable[..., tuple[int, str, str]]


def rows() -> list[HistoryRow]:
    return read_history(HISTORY)
