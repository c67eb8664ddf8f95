"""Whether validation can be trusted: local scores against the leaderboard's, in figures."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

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
    scores = pd.DataFrame({"first": first, "second": second})
    rank = scores.corr(method="spearman").to_numpy()[0, 1]
    return None if math.isnan(rank) else float(rank)
