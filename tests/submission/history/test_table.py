"""The table fits a terminal, and the verdict tells what its figures are of."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from darkroom.remote.kaggle.api import Status
from darkroom.submission.history import table as overview
from darkroom.submission.history.rows import Row
from tests.submission.history.test_rows import ROW


def row(
    local: float | None,
    public: float | None = None,
    private: float | None = None,
    *,
    message: str = "U-Net",
    status: Status = "complete",
    metric: str = "dice",
) -> Row:
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
    assert overview.table(rows, 80).splitlines() == [
        "# time (UTC)       commit     local  public private      gap message",
        "1 2017-09-27 23:59 0123456  0.50000 0.25000 0.12500 -0.25000 U-Net",
        "2 2017-09-27 23:59 0123456* 0.25000 pending                  wait",
        "3 2017-09-27 23:59 0123456* 0.25000   error                  broken",
        "4 2017-09-27 23:59                  0.50000                  found at Kaggle",
        "*: made from files that were not committed",
    ]
    assert "*" not in overview.table(rows[:1], 80)


def test_long_messages_are_cut_at_the_width() -> None:
    rows = [row(0.5, 0.5, 0.5, message="a message that goes on " + "and on " * 9)] * 12
    for width in (80, 100):
        table = overview.table([replace(each, commit="ab" * 20) for each in rows], width)
        assert {len(line) for line in table.splitlines()[1:]} == {width}
        assert table.endswith("…")
    whole = overview.table(rows, 160)
    assert "and on and on\n" in whole
    assert "…" not in whole


def test_a_wide_character_takes_two_columns() -> None:
    table = overview.table([row(0.5, 0.5, 0.5, message="日本" * 20)], 80)
    line = table.splitlines()[1]
    head, _, message = line.rpartition(" ")
    assert len(head) + 1 + 2 * len(message.removesuffix("…")) + 1 in (79, 80)
    assert message.endswith("…")


def test_a_narrow_terminal_keeps_some_of_the_message() -> None:
    assert (
        overview.table([row(0.5, message="an experiment")], 20)
        .splitlines()[1]
        .endswith(" an expe…")
    )


def test_no_message_breaks_a_line_or_speaks_to_the_terminal() -> None:
    message = "two\nlines\r\n \x1b[31mred\x07\t\u202eback"
    table = overview.table([row(0.5, message=message)], 120)
    assert table.splitlines()[1].endswith(" two lines [31mred back")


def test_the_verdict_in_figures() -> None:
    """Gaps of 0, -1 and -2 hundredths: mean -0.01, spread 0.01; ranks 1 2 3 against 1 3 2."""
    rows = [row(0.5, 0.5), row(0.53, 0.52), row(0.53125, 0.51125), row(0.9)]
    rows[3] = replace(rows[3], status="pending")
    assert overview.verdict(rows, "public") == (
        "public   3 of 4 compared   gap -0.01000 ± 0.01000   rank correlation 0.50"
    )
    assert overview.verdict(rows, "private") == "private  0 of 4 compared"


def test_the_verdict_of_few() -> None:
    one, two = row(0.5, 0.25), row(0.75, 0.75)
    assert overview.verdict([one], "public") == (
        "public   1 of 1 compared   gap -0.25000   rank correlation from 3 on"
    )
    assert overview.verdict([one, two], "public").endswith(
        "gap -0.12500 ± 0.17678   rank correlation from 3 on"
    )
    assert overview.verdict([one] * 3, "public").endswith("rank correlation none: equal scores")


def test_only_like_is_compared_with_like() -> None:
    rows = [
        row(0.5, 0.25, metric="accuracy"),
        row(0.75, 0.5, 0.625),
        row(None, 0.5),
        row(0.25),
        row(0.5, 0.375),
    ]
    assert overview.paired(rows, "public") == [(2, 0.75, 0.5), (5, 0.5, 0.375)]
    assert overview.paired(rows, "private") == [(2, 0.75, 0.625)]
    assert [line.split()[-2:] for line in overview.table(rows, 80).splitlines()[1:3]] == [
        ["0.25000", "U-Net"],
        ["-0.25000", "U-Net"],
    ]


@pytest.mark.parametrize("text", [overview.LEGEND, overview.DIRTY])
def test_the_notes_fit_a_narrow_terminal(text: str) -> None:
    assert len(text) <= 80


def test_the_longest_verdict_fits_a_narrow_terminal() -> None:
    rows = [row(k / 100, 1 - k / 100, 1 - k / 100) for k in range(100)]
    told = overview.verdict(rows, "private")
    assert told.endswith("rank correlation -1.00")
    assert len(told) <= 80


def test_a_message_without_end_is_cut_at_once() -> None:
    start = time.process_time()
    table = overview.table([row(0.5, message="日" * 300_000)], 80)
    assert len(table) < 200
    assert time.process_time() - start < 2  # s; letter by letter it took minutes
