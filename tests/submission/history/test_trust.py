"""Means, spreads and rank correlations that can be had by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.submission.history import table
from darkroom.submission.history.table import Trust

SCORES = st.lists(st.integers(-50, 50), min_size=3, max_size=12)


def test_mean_and_spread_by_hand() -> None:
    """Gaps -1, -2, -6: mean -3; squares about it 4 + 1 + 9 = 14, over 2 is 7."""
    found = table.of([1, 2, 6], [0, 0, 0])
    assert found.count == 3
    assert found.mean == pytest.approx(-3)
    assert found.spread == pytest.approx(7**0.5)


def test_the_gap_is_the_leaderboards_minus_ours() -> None:
    assert table.of([0.75], [0.5]) == Trust(1, -0.25, None, None)


def test_few() -> None:
    assert table.of([], []) == Trust(0, None, None, None)
    two = table.of([1, 2], [2, 5])  # gaps 1 and 3
    assert (two.count, two.mean, two.rank) == (2, 2, None)
    assert two.spread == pytest.approx(2**0.5)


def test_as_many_of_both() -> None:
    with pytest.raises(ValueError, match="zip"):
        table.of([1, 2], [1])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3], [10, 20, 21], 1),
        ([1, 2, 3], [3, 2, 1], -1),
        # 1 - 6 sum(d^2) / (n (n^2 - 1)): d = 0, 1, 1 and n = 3
        ([1, 2, 3], [1, 3, 2], 1 - 6 * 2 / (3 * 8)),
        # d = 2, 1, 0, 1, 2 of n = 5: the sum is 10
        ([1, 2, 3, 4, 5], [3, 1, 3.5, 5, 2.5], 1 - 6 * (4 + 1 + 1 + 1 + 9) / (5 * 24)),
        # ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5)
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / (4.5 * 5) ** 0.5),
    ],
)
def test_rank_correlations_by_hand(
    first: list[float], second: list[float], expected: float
) -> None:
    assert table.spearman(first, second) == pytest.approx(expected)
    assert table.of(first, second).rank == pytest.approx(expected)


def test_equal_scores_have_no_order() -> None:
    assert table.spearman([1, 1, 1], [1, 2, 3]) is None
    assert table.of([1, 2, 3], [5, 5, 5]).rank is None


@given(st.data(), SCORES)
def test_only_the_order_counts(data: st.DataObject, first: list[int]) -> None:
    same = st.lists(st.integers(-50, 50), min_size=len(first), max_size=len(first))
    second = data.draw(same)
    found = table.spearman(first, second)
    assert found == table.spearman([value**3 for value in first], second)
    assert found == table.spearman(second, first)
    if found is not None:
        assert -1 - 1e-12 <= found <= 1 + 1e-12
        assert table.spearman([-value for value in first], second) == pytest.approx(-found)
