"""Small cases of truth and predictions: ties, absent classes, constant answers, unknown labels."""

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

Array = NDArray[Any]


class Case(NamedTuple):
    """Truth and probabilities, as the functions of metrics take them."""

    truth: Array
    probabilities: Array


@st.composite
def classes(draw: st.DrawFn, least: int = 1) -> Case:
    """Class numbers (n,), and probabilities (n, K) in eighths, which often tie."""
    count, outputs = draw(st.integers(least, 9)), draw(st.integers(2, 4))
    truth = draw(st.lists(st.integers(0, outputs - 1), min_size=count, max_size=count))
    eighths = draw(st.lists(st.integers(0, 8), min_size=count * outputs, max_size=count * outputs))
    shares = np.array(eighths, np.float64).reshape(count, outputs) + 1 / 16
    return Case(
        np.array(truth, np.int64), (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    )


@st.composite
def labels(draw: st.DrawFn, *, unknown: bool = False, outputs: int | None = None) -> Case:
    """Labels (n, K) of 0, 1 and perhaps NaN, and probabilities (n, K) in eighths."""
    count, width = draw(st.integers(1, 9)), outputs or draw(st.integers(1, 4))
    size = count * width
    cells = st.sampled_from([0.0, 1.0, np.nan] if unknown else [0.0, 1.0])
    truth = np.array(draw(st.lists(cells, min_size=size, max_size=size))).reshape(count, width)
    eighths = draw(st.lists(st.integers(0, 8), min_size=size, max_size=size))
    return Case(truth, (np.array(eighths) / 8).astype(np.float32).reshape(count, width))


@st.composite
def values(draw: st.DrawFn, *, unknown: bool = False) -> Case:
    """Values (n, K) in halves, some NaN, and predictions (n, K)."""
    count, width = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    size = count * width
    cells = st.integers(0, 12).map(lambda number: number / 2)
    truth_cells = st.one_of(cells, st.just(np.nan)) if unknown else cells
    truth = np.array(draw(st.lists(truth_cells, min_size=size, max_size=size)), np.float64)
    predicted = np.array(draw(st.lists(cells, min_size=size, max_size=size)), np.float32)
    return Case(truth.reshape(count, width), predicted.reshape(count, width))
