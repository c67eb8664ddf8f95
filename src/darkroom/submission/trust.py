"""Whether validation can be trusted: local scores against the leaderboard's, in figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

LEAST_FOR_RANKS = 3


@dataclass(frozen=True)
class Trust:
    """How far two lists of scores of the same submissions agree.

    Attributes:
        count: Submissions that have both scores.
        mean: Of leaderboard minus local score; None without any.
        spread: Sample standard deviation of that difference; None with fewer than 2.
        rank: Spearman's correlation, 1: both put the submissions in the same order, -1: in the
            opposite; None with fewer than 3, or if one of the lists holds a single value.
    """

    count: int
    mean: float | None
    spread: float | None
    rank: float | None


def of(local: Sequence[float], leaderboard: Sequence[float]) -> Trust:
    """Return how far the scores of some submissions agree, in the same order, as many."""
    gaps = [theirs - ours for ours, theirs in zip(local, leaderboard, strict=True)]
    return Trust(
        count=len(gaps),
        mean=fmean(gaps) if gaps else None,
        spread=stdev(gaps) if len(gaps) > 1 else None,
        rank=spearman(local, leaderboard) if len(gaps) >= LEAST_FOR_RANKS else None,
    )


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the correlation of two lists' ranks, equal values sharing their mean rank.

    None if all values of a list are equal, for then it has no order.

    Source: Spearman, The Proof and Measurement of Association between Two Things, 1904.
    """
    a, b = _centred(_ranks(first)), _centred(_ranks(second))
    norm = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else None


def _ranks(values: Sequence[float]) -> list[float]:
    """Return each value's rank, from 0; equal ones get the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2
        for value in values
    ]


def _centred(values: Sequence[float]) -> list[float]:
    middle = fmean(values)
    return [value - middle for value in values]
