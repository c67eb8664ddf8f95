import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.prediction.blending.search import (
    BAGS,
    Score,
    bagged_weights,
    convex_weights,
    greedy_weights,
)
from darkroom.prediction.thresholds import Doubles

SEARCHES = (greedy_weights, convex_weights)


def nearness(*target: float) -> Score:
    """Return a score that is best, 0, at given weights."""
    return lambda weights: -float(np.abs(weights - np.array(target)).sum())


def test_greedy_selection_finds_weights_of_quarters() -> None:
    assert greedy_weights(nearness(0.25, 0, 0.75), 3).tolist() == [0.25, 0, 0.75]


def test_greedy_selection_takes_the_smallest_of_equal_sets() -> None:
    weights = greedy_weights(lambda w: 1.0 if w[1] > 0 else 0.0, 3)
    assert weights.tolist() == [0, 1, 0]


def test_greedy_selection_can_start_at_all_members() -> None:
    """Any two of these three are worse than one: only the sorted prefix of all leads there."""

    def score(weights: Doubles) -> float:
        return {1: 0.5, 2: 0.0, 3: 1.0}[int((weights > 0).sum())]

    assert greedy_weights(score, 3) == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_a_search_on_the_simplex_finds_weights_of_thirds() -> None:
    def score(weights: Doubles) -> float:
        return -float(((weights - np.array([2 / 3, 1 / 3, 0])) ** 2).sum())

    assert convex_weights(score, 3) == pytest.approx([2 / 3, 1 / 3, 0], abs=0.01)


@pytest.mark.parametrize("value", [0.5, -np.inf])
def test_equal_weights_stay_where_no_others_are_better(value: float) -> None:
    assert convex_weights(lambda _: value, 4).tolist() == [0.25] * 4


@pytest.mark.parametrize("search", SEARCHES)
def test_one_member_has_all_weight(search: object) -> None:
    assert search(lambda _: 0.5, 1).tolist() == [1]  # type: ignore[operator]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any))
@settings(max_examples=20, deadline=None)
def test_weights_are_never_worse_than_the_best_member(numbers: list[int]) -> None:
    target = np.array(numbers) / sum(numbers)
    score = nearness(*target.tolist())
    singles = [score(single) for single in np.eye(len(target))]
    weights = greedy_weights(score, len(target))
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    assert score(weights) >= max(singles)


def test_bags_are_halves_and_their_weights_are_averaged() -> None:
    halves: list[list[int]] = []

    def score_of(rows: np.ndarray) -> Score:
        halves.append(rows.tolist())
        # The member of the half's parity is best.
        return lambda weights: float(weights[int(rows.sum() % 2)])

    weights = bagged_weights(score_of, 9, 2, seed=3)
    assert len(halves) == BAGS
    assert all(len(set(half)) == 4 for half in halves)
    odd = sum(sum(half) % 2 for half in halves) / BAGS
    assert 0 < odd < 1
    assert weights == pytest.approx([1 - odd, odd])
    assert bagged_weights(score_of, 9, 2, seed=3).tolist() == weights.tolist()


def test_one_member_alone_wins_where_a_metric_moves_in_steps() -> None:
    """The search sees a plain all around its start."""
    assert convex_weights(lambda weights: float(weights[2] > 0.999), 3).tolist() == [0, 0, 1]
