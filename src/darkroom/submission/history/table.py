"""A competition's submissions as text: a table, and how far local and leaderboard scores agree."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import pandas as pd

from darkroom.submission.history.file import HistoryRow
from darkroom.tasks.metrics.own import is_lower_better

Series = Literal["public", "private"]

COLUMNS = ("#", "time (UTC)", "commit", "local", "public", "private", "gap", "message")
RIGHT_ALIGNED = ("#", "local", "public", "private", "gap")
LEAKED = " (leaked)"  # behind a metric's name
MIN_MESSAGE = 8  # characters, in however narrow a terminal
LEGEND = "gap: {} minus {}, mean ± spread; rank correlation 1: the same order"
DIRTY = "*: made from files that were not committed"


def format_table(rows: Sequence[HistoryRow], width: int) -> str:
    """Return a line a submission, numbered from 1, messages cut to a width in characters."""
    lines = [COLUMNS, *(_cells(number, row, rows) for number, row in enumerate(rows, 1))]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    widths[-1] = max(MIN_MESSAGE, width - sum(widths[:-1]) - len(widths) + 1)
    text = [" ".join(map(_aligned, COLUMNS, line, widths)).rstrip() for line in lines]
    if any(row.commit.endswith("-dirty") for row in rows):
        text.append(DIRTY)
    return "\n".join(text)


def legend(metric: str) -> str:
    """Return a line that explains the gap: above 0 the leaderboard's score is the better one."""
    names = ("leaderboard", "local")
    return LEGEND.format(*(names[::-1] if _is_lower_better(metric) else names))


def _is_lower_better(metric: str) -> bool:
    return is_lower_better(metric.removesuffix(LEAKED))


def format_agreement(rows: Sequence[HistoryRow], series: Series) -> str:
    """Return a line on how far the local scores agree with those of a leaderboard."""
    pairs = paired_scores(rows, series)
    sign = -1 if rows and _is_lower_better(rows[-1].metric) else 1
    agreement = measure_agreement(
        [sign * local for _, local, _ in pairs], [sign * score for *_, score in pairs]
    )
    words = [f"{series:<7}  {agreement.count} of {len(rows)} compared"]
    if agreement.mean is not None:
        spread = "" if agreement.spread is None else f" ± {agreement.spread:.5f}"
        words.append(f"gap {agreement.mean:+.5f}{spread}")
        few = agreement.count < MIN_FOR_RANKS
        none = f"from {MIN_FOR_RANKS} on" if few else "none: equal scores"
        words.append(
            f"rank correlation {none if agreement.rank is None else f'{agreement.rank:.2f}'}"
        )
    return "   ".join(words)


def paired_scores(rows: Sequence[HistoryRow], series: Series) -> list[tuple[int, float, float]]:
    """Return (number, local score, leaderboard score) of each submission that has both.

    Local scores of another metric than the newest submission's are left out.
    """
    return [
        (number, row.local, score)
        for number, row in enumerate(rows, 1)
        if row.metric == rows[-1].metric
        and row.local is not None
        and (score := row.public if series == "public" else row.private) is not None
    ]


def _cells(number: int, row: HistoryRow, rows: Sequence[HistoryRow]) -> tuple[str, ...]:
    gap = ""
    if row.local is not None and row.public is not None and row.metric == rows[-1].metric:
        sign = -1 if _is_lower_better(row.metric) else 1
        gap = f"{sign * (row.public - row.local):+.5f}"
    return (
        str(number),
        f"{row.time:%Y-%m-%d %H:%M}",
        row.commit[:7] + ("*" if row.commit.endswith("-dirty") else ""),
        _score(row.local),
        row.status if row.public is None and row.status != "complete" else _score(row.public),
        _score(row.private),
        gap,
        " ".join("".join(c if c.isprintable() else " " for c in row.message).split()),
    )


def _score(value: float | None) -> str:
    return "" if value is None else f"{value:.5f}"


def _aligned(column: str, cell: str, width: int) -> str:
    """Return a cell filled up with blanks, or cut, to a width."""
    if _width(cell) > width:
        cell = _cut(cell, width - 1) + "…"
    blanks = " " * (width - _width(cell))
    return blanks + cell if column in RIGHT_ALIGNED else cell + blanks


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for a Chinese character."""
    return sum(map(_columns, text))


def _cut(text: str, width: int) -> str:
    """Return as much of a text as a width in columns holds."""
    columns = 0
    for place, character in enumerate(text):
        columns += _columns(character)
        if columns > width:
            return text[:place]
    return text


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


MIN_FOR_RANKS = 3


@dataclass(frozen=True)
class Agreement:
    """How far two lists of scores of the same submissions agree.

    Attributes:
        count: Submissions that have both scores.
        mean: Of leaderboard minus local score, both so that more is better; None without any.
        spread: Sample standard deviation of that difference; None with fewer than 2.
        rank: Spearman's correlation, 1: both put the submissions in the same order, -1: in the
            opposite; None with fewer than 3, or if one of the lists holds a single value.
    """

    count: int
    mean: float | None
    spread: float | None
    rank: float | None


def measure_agreement(local: Sequence[float], leaderboard: Sequence[float]) -> Agreement:
    """Return how far two lists of scores agree, one score a submission and in the same order.

    Example:
        >>> measure_agreement([0.1, 0.2, 0.3], [0.3, 0.4, 0.6]).rank
        1.0
    """
    gaps = [public - own for own, public in zip(local, leaderboard, strict=True)]
    return Agreement(
        count=len(gaps),
        mean=fmean(gaps) if gaps else None,
        spread=stdev(gaps) if len(gaps) > 1 else None,
        rank=spearman(local, leaderboard) if len(gaps) >= MIN_FOR_RANKS else None,
    )


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the correlation of the ranks of two lists; equal values share their mean rank.

    None if all values of a list are equal: then it has no order.

    Source: Spearman, The Proof and Measurement of Association between Two Things, 1904.
    """
    scores = pd.DataFrame({"first": first, "second": second})
    rank = scores.corr(method="spearman").to_numpy()[0, 1]
    return None if math.isnan(rank) else float(rank)
