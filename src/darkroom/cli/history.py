"""history: all submissions -> local against leaderboard scores, as a table and a plot."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from darkroom.errors import RemoteError, one_line
from darkroom.project import files
from darkroom.project.paths import Layout
from darkroom.remote.kaggle import api
from darkroom.remote.retry import RetryPolicy, retry
from darkroom.stages._context import Context
from darkroom.submission.history import table
from darkroom.submission.history.file import HistoryRow, read_history, update_scores
from darkroom.submission.history.scatter import Point, draw_scatter
from darkroom.submission.history.table import Series

# Few tries: stored scores are shown in any case.
RETRY_POLICY = RetryPolicy(tries=3, longest_wait_s=8.0)
SERIES: tuple[Series, ...] = ("public", "private")


def run(context: Context, offline: bool = False) -> None:
    """Print and plot a competition's submissions, after asking Kaggle for missing scores.

    Args:
        context: The competition.
        offline: Whether not to ask Kaggle.

    Raises:
        ArtifactError: The history is damaged.
    """
    name, paths, competition = context.name, context.paths, context.section.data.kaggle

    rows = _read_rows(paths)
    if not rows:
        print(f"{name}: nothing was submitted yet; `darkroom submit {name} -m MESSAGE` does")
        return
    if (
        not offline
        and competition
        and "/" not in competition
        and any(map(_is_missing_scores, rows))
    ):
        _update_scores(competition, rows, paths.submissions_history)
        rows = _read_rows(paths)

    metric = rows[-1].metric
    print(table.format_table(rows, shutil.get_terminal_size().columns))
    print()
    agreement = [(series, table.format_agreement(rows, series)) for series in SERIES]
    for _, line in agreement:
        print(line)
    print(table.legend(metric))
    if any(row.metric != metric for row in rows):
        print(f"local scores of another metric than {metric} are not compared")
    _draw(paths, rows, agreement)


def _read_rows(paths: Layout) -> list[HistoryRow]:
    """Return a competition's rows, the oldest first."""
    history = read_history(paths.submissions_history)
    return sorted((row for row in history if row.name == paths.name), key=lambda row: row.time)


def _is_missing_scores(row: HistoryRow) -> bool:
    """Return whether Kaggle may have more scores; private ones come when a competition ends."""
    return row.status != "error" and None in (row.public, row.private)


def _update_scores(competition: str, rows: Sequence[HistoryRow], path: Path) -> None:
    """Store the scores that Kaggle lists; if there is no answer, print why and go on."""
    try:
        listed = retry(
            lambda: api.list_submissions(competition),
            RETRY_POLICY,
            what="Kaggle's list of submissions",
        )
    except RemoteError as error:
        print(f"the missing scores could not be requested: {one_line(error)}", file=sys.stderr)
        return
    by_reference = {submission.ref: submission for submission in listed}
    update_scores(path, by_reference)
    if absent := [
        str(row.reference)
        for row in rows
        if _is_missing_scores(row) and row.reference not in by_reference
    ]:
        print(f"not in this account's list at Kaggle: {', '.join(absent)}", file=sys.stderr)


def _draw(
    paths: Layout, rows: Sequence[HistoryRow], agreement: Sequence[tuple[Series, str]]
) -> None:
    """Draw the submissions that have a score to compare, if there are any."""
    points = [
        Point(*scores, series) for series in SERIES for scores in table.paired_scores(rows, series)
    ]
    if not points:
        return
    metric = rows[-1].metric
    title = f"{paths.name}: local {metric} against the leaderboard"
    shown = {point.series for point in points}
    text = [(series, line) for series, line in agreement if series in shown]
    picture = draw_scatter(points, title=title, metric=metric, text=text)
    files.write(paths.history_picture, picture)
    print(f"picture  {paths.history_picture}")
