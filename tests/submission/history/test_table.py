"""The table fits a terminal, and the agreement of scores is computed by hand."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.remote.kaggle.api import Status
from darkroom.submission.history.file import HistoryRow
from darkroom.submission.history.table import (
    DIRTY,
    Agreement,
    format_agreement,
    format_table,
    legend,
    measure_agreement,
    paired_scores,
    spearman,
)
from tests.support.history_rows import ROW


def row(
    local: float | None,
    public: float | None = None,
    private: float | None = None,
    *,
    message: str = "U-Net",
    status: Status = "complete",
    metric: str = "dice",
) -> HistoryRow:
    return replace(
        ROW,
        time=datetime(2017, 9, 27, 23, 59, tzinfo=UTC),
        local=local,
        public=public,
        private=private,
        message=message,
        status=status,
        metric=metric,
    )


def test_the_table() -> None:
    rows = [
        replace(row(0.5, 0.25, 0.125), commit="0123456789" * 4),
        row(0.25, status="pending", message="wait"),
        row(0.25, status="error", message="broken"),
        replace(row(None, 0.5), commit="", message="found at Kaggle"),
    ]
    assert format_table(rows, 80).splitlines() == [
        "# time (UTC)       commit     local  public private      gap message",
        "1 2017-09-27 23:59 0123456  0.50000 0.25000 0.12500 -0.25000 U-Net",
        "2 2017-09-27 23:59 0123456* 0.25000 pending                  wait",
        "3 2017-09-27 23:59 0123456* 0.25000   error                  broken",
        "4 2017-09-27 23:59                  0.50000                  found at Kaggle",
        "*: made from files that were not committed",
    ]
    assert "*" not in format_table(rows[:1], 80)


def test_long_messages_are_cut_at_the_width() -> None:
    rows = [row(0.5, 0.5, 0.5, message="a message that goes on " + "and on " * 9)] * 12
    for width in (80, 100):
        table = format_table([replace(each, commit="ab" * 20) for each in rows], width)
        assert {len(line) for line in table.splitlines()[1:]} == {width}
        assert table.endswith("…")
    whole = format_table(rows, 160)
    assert "and on and on\n" in whole
    assert "…" not in whole


def test_a_wide_character_takes_two_columns() -> None:
    table = format_table([row(0.5, 0.5, 0.5, message="日本" * 20)], 80)
    line = table.splitlines()[1]
    head, _, message = line.rpartition(" ")
    assert len(head) + 1 + 2 * len(message.removesuffix("…")) + 1 in (79, 80)
    assert message.endswith("…")


def test_a_narrow_terminal_keeps_some_of_the_message() -> None:
    assert (
        format_table([row(0.5, message="an experiment")], 20).splitlines()[1].endswith(" an expe…")
    )


def test_control_characters_of_a_message_are_removed() -> None:
    message = "two\nlines\r\n \x1b[31mred\x07\t\u202eback"
    table = format_table([row(0.5, message=message)], 120)
    assert table.splitlines()[1].endswith(" two lines [31mred back")


def test_the_agreement_in_figures() -> None:
    """Gaps of 0, -1 and -2 hundredths: mean -0.01, spread 0.01; ranks 1 2 3 against 1 3 2."""
    rows = [row(0.5, 0.5), row(0.53, 0.52), row(0.53125, 0.51125), row(0.9)]
    rows[3] = replace(rows[3], status="pending")
    assert format_agreement(rows, "public") == (
        "public   3 of 4 compared   gap -0.01000 ± 0.01000   rank correlation 0.50"
    )
    assert format_agreement(rows, "private") == "private  0 of 4 compared"


def test_the_agreement_of_few_submissions() -> None:
    one, two = row(0.5, 0.25), row(0.75, 0.75)
    assert format_agreement([one], "public") == (
        "public   1 of 1 compared   gap -0.25000   rank correlation from 3 on"
    )
    assert format_agreement([one, two], "public").endswith(
        "gap -0.12500 ± 0.17678   rank correlation from 3 on"
    )
    assert format_agreement([one] * 3, "public").endswith("rank correlation none: equal scores")


def test_only_scores_of_one_metric_are_compared() -> None:
    rows = [
        row(0.5, 0.25, metric="accuracy"),
        row(0.75, 0.5, 0.625),
        row(None, 0.5),
        row(0.25),
        row(0.5, 0.375),
    ]
    assert paired_scores(rows, "public") == [(2, 0.75, 0.5), (5, 0.5, 0.375)]
    assert paired_scores(rows, "private") == [(2, 0.75, 0.625)]
    assert [line.split()[-2:] for line in format_table(rows, 80).splitlines()[1:3]] == [
        ["0.25000", "U-Net"],
        ["-0.25000", "U-Net"],
    ]


def test_a_gap_above_0_means_that_the_leaderboard_is_better() -> None:
    rows = [replace(row(0.5, 0.25), metric="log_loss"), replace(row(0.5, 0.75), metric="log_loss")]
    gaps = [line.split()[-2] for line in format_table(rows, 80).splitlines()[1:3]]
    assert gaps == ["+0.25000", "-0.25000"]
    assert "gap +0.00000" in format_agreement(rows, "public")
    assert legend("log_loss (leaked)").startswith("gap: local minus leaderboard,")
    assert legend("dice").startswith("gap: leaderboard minus local,")


@pytest.mark.parametrize("text", [legend("dice"), legend("rmse"), DIRTY])
def test_the_notes_fit_a_narrow_terminal(text: str) -> None:
    assert len(text) <= 80


def test_the_longest_agreement_fits_a_narrow_terminal() -> None:
    rows = [row(k / 100, 1 - k / 100, 1 - k / 100) for k in range(100)]
    line = format_agreement(rows, "private")
    assert line.endswith("rank correlation -1.00")
    assert len(line) <= 80


def test_a_very_long_message_is_cut_quickly() -> None:
    start = time.process_time()
    table = format_table([row(0.5, message="日" * 300_000)], 80)
    assert len(table) < 200
    assert time.process_time() - start < 2  # s; letter by letter it took minutes


SCORES = st.lists(st.integers(-50, 50), min_size=3, max_size=12)


def test_mean_and_spread_by_hand() -> None:
    """Gaps -1, -2, -6: mean -3; squares about it 4 + 1 + 9 = 14, over 2 is 7."""
    result = measure_agreement([1, 2, 6], [0, 0, 0])
    assert result.count == 3
    assert result.mean == pytest.approx(-3)
    assert result.spread == pytest.approx(7**0.5)


def test_the_gap_is_the_leaderboards_minus_ours() -> None:
    assert measure_agreement([0.75], [0.5]) == Agreement(1, -0.25, None, None)


def test_the_agreement_of_two_scores_or_fewer() -> None:
    assert measure_agreement([], []) == Agreement(0, None, None, None)
    two = measure_agreement([1, 2], [2, 5])  # gaps 1 and 3
    assert (two.count, two.mean, two.rank) == (2, 2, None)
    assert two.spread == pytest.approx(2**0.5)


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        measure_agreement([1, 2], [1])


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
    assert spearman(first, second) == pytest.approx(expected)
    assert measure_agreement(first, second).rank == pytest.approx(expected)


def test_equal_scores_have_no_order() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert measure_agreement([1, 2, 3], [5, 5, 5]).rank is None


@given(st.data(), SCORES)
def test_a_rank_correlation_depends_on_the_order_alone(
    data: st.DataObject, first: list[int]
) -> None:
    same = st.lists(st.integers(-50, 50), min_size=len(first), max_size=len(first))
    second = data.draw(same)
    result = spearman(first, second)
    assert result == spearman([value**3 for value in first], second)
    assert result == spearman(second, first)
    if result is not None:
        assert -1 - 1e-12 <= result <= 1 + 1e-12
        assert spearman([-value for value in first], second) == pytest.approx(-result)
