"""Parts of a long computation, in a journal: a killed run goes on from them, to the same bits."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.project.journal import Journal

Arrays = dict[str, NDArray[Any]]
"""What was computed of some rows: each array has an entry for each row."""


def extended(
    journal: Journal | None, compute: Callable[[int], Iterator[Arrays]]
) -> Iterator[Arrays]:
    """Yield the parts of a journal, then the computed ones, which are added to it.

    Args:
        journal: None: there is nothing to go on from, and nothing is kept.
        compute: Called with the number of rows in the journal, returns the parts of the others.

    Example:
        >>> for part in extended(None, lambda done: iter([{"x": np.arange(done, 3)}])):
        ...     print(part["x"])
        [0 1 2]
    """
    done = 0
    for data in journal or ():
        part = _from_bytes(data)
        done += rows_of(part)
        yield part
    for part in compute(done):
        if journal is not None:
            journal.append(_to_bytes(part))
        yield part


def joined(parts: list[Arrays]) -> Arrays:
    """Return the arrays of parts, one behind the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rows_of(part: Arrays) -> int:
    """Return the number of rows of a part."""
    return len(next(iter(part.values())))


def _to_bytes(part: Arrays) -> bytes:
    data = io.BytesIO()
    # Without allow_pickle: numpy below 2.1 would store it as an array of that name.
    np.savez(data, **part)  # type: ignore[arg-type]
    return data.getvalue()


def _from_bytes(data: bytes) -> Arrays:
    # No pickle: a part holds numbers, and a journal may have been tampered with.
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
