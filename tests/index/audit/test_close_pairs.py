"""Close pairs: none missed and none twice, however the points lie."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.index.audit import close_pairs
from darkroom.index.audit.close_pairs import Points

Ints = npt.NDArray[np.int64]


def pairs(points: Points, rows: Ints, others: Ints | None, reach: float) -> list[tuple[int, int]]:
    """Return the pairs that are yielded, less those beyond the reach: the lower number first."""
    blocks = [*close_pairs.close_pairs(points, rows, others, reach)]
    every = [pair for one, two in blocks for pair in zip(one.tolist(), two.tolist(), strict=True)]
    near = [(a, b) for a, b in every if np.linalg.norm(points[a] - 0.0 - points[b]) <= reach]
    return sorted((min(pair), max(pair)) for pair in near)


def test_points_at_the_reach_are_close_and_one_further_is_not() -> None:
    points = np.array([[0, 0], [3, 4], [3, 5], [100, 0], [100, 0]], np.int16)
    assert pairs(points, np.arange(5), None, 5) == [(0, 1), (1, 2), (3, 4)]
    assert pairs(points, np.array([0, 2]), np.array([1, 3]), 5) == [(0, 1), (1, 2)]


def test_no_rows_have_no_pairs() -> None:
    points = np.zeros((3, 2), np.int16)
    assert pairs(points, np.arange(0), None, 1) == []
    assert pairs(points, np.arange(3), np.arange(0), 1) == []


@given(seed=st.integers(0, 10_000), reach=st.sampled_from([1, 7, 60, 1000]))
def test_a_comparison_of_all_finds_the_same(seed: int, reach: int) -> None:
    draw = np.random.default_rng(seed)
    count, axes = int(draw.integers(2, 150)), int(draw.integers(1, 5))
    spread = draw.choice([2, 40, 4000], axes)  # an axis may say little, or hold few values
    points = np.clip(draw.normal(0, spread, (count, axes)), -32768, 32767).astype(np.int16)
    points[: count // 3] = points[draw.integers(0, count, count // 3)]
    is_row = draw.random(count) < 0.5
    rows, others = np.flatnonzero(is_row), np.flatnonzero(~is_row)
    square = ((points[:, None].astype(np.int64) - points[None]) ** 2).sum(axis=2)
    one, two = np.nonzero(np.triu(square <= reach**2, k=1))
    expected = [*zip(one.tolist(), two.tolist(), strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(close_pairs, "FEW", 8)  # so that few points are cut often
        patch.setattr(close_pairs, "CHUNK", 5)
        assert pairs(points, np.arange(count), None, reach) == expected
        across = [pair for pair in expected if is_row[pair[0]] != is_row[pair[1]]]
        assert pairs(points, rows, others, reach) == across
        assert pairs(points, others, rows, reach) == across


def test_of_a_line_of_points_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.arange(-32768, 32767, 4, dtype=np.int16)[:, None]
    compared = []

    def counted(
        points: Points, one: Ints, two: Ints, reach: float
    ) -> tuple[npt.NDArray[np.float32], float]:
        compared.append(len(one) * len(two))
        return squares(points, one, two, reach)

    squares = close_pairs._squares
    monkeypatch.setattr(close_pairs, "_squares", counted)
    near = pairs(points, np.arange(len(points)), None, 5)
    assert near == [(row, row + 1) for row in range(len(points) - 1)]
    assert sum(compared) < 1.5 * close_pairs.FEW * len(points)  # of 16,384 each
