"""What tests of `darkroom submit` share."""

from collections.abc import Callable
from pathlib import Path

from darkroom.submission import history
from darkroom.submission.history import Row

HISTORY = Path("submissions/history.csv")
FIRST = 20_000_001  # the reference of a first submission

Told = Callable[..., tuple[int, str, str]]


def rows() -> list[Row]:
    return history.read(HISTORY)
