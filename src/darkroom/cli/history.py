"""history: what was submitted -> local against leaderboard scores, a table and a picture."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from darkroom.errors import RemoteError
from darkroom.project import files
from darkroom.project.paths import Layout
from darkroom.remote import retry
from darkroom.remote.kaggle import api
from darkroom.stages._context import Context
from darkroom.submission.history import file, scatter, table
from darkroom.submission.history.file import Row
from darkroom.submission.history.scatter import Mark
from darkroom.submission.history.table import Series

RETRY_POLICY = retry.RetryPolicy(
    tries=3, longest_wait_s=8.0
)  # what is known is shown: no reason to be patient
SERIES: tuple[Series, ...] = ("public", "private")


def run(context: Context, offline: bool = False) -> None:
    """Print a competition's submissions and draw them, asking Kaggle for scores not yet known.

    Args:
        context: The competition.
        offline: Whether not to ask Kaggle.

    Raises:
        ArtifactError: The history is damaged.
    """
    name, paths, competition = context.name, context.paths, context.section.data.kaggle

    rows = _rows(paths)
    if not rows:
        print(f"{name}: nothing was submitted yet; `darkroom submit {name} -m MESSAGE` does")
        return
    if not offline and competition and "/" not in competition and any(map(_lacks_scores, rows)):
        _ask(competition, rows, paths.submissions_history)
        rows = _rows(paths)

    metric = rows[-1].metric
    print(table.table(rows, shutil.get_terminal_size().columns))
    print()
    told = [(series, table.verdict(rows, series)) for series in SERIES]
    for _, words in told:
        print(words)
    print(table.LEGEND)
    if any(row.metric != metric for row in rows):
        print(f"local scores of another metric than {metric} are not compared")
    _draw(paths, rows, told)


def _rows(paths: Layout) -> list[Row]:
    """Return a competition's rows, the oldest first."""
    every = file.read(paths.submissions_history)
    return sorted((row for row in every if row.name == paths.name), key=lambda row: row.time)


def _lacks_scores(row: Row) -> bool:
    """Return whether Kaggle may know more; it tells private scores when a competition ends."""
    return row.status != "error" and None in (row.public, row.private)


def _ask(competition: str, rows: Sequence[Row], path: Path) -> None:
    """Take over what Kaggle knows; if it cannot be asked, say so."""
    try:
        listed = retry.retry(
            lambda: api.list_submissions(competition),
            RETRY_POLICY,
            what="Kaggle's list of submissions",
        )
    except RemoteError as error:
        print(f"the scores still lacking could not be asked for: {error}", file=sys.stderr)
        return
    known = {submission.ref: submission for submission in listed}
    file.update(path, known)
    if absent := [
        str(row.reference) for row in rows if _lacks_scores(row) and row.reference not in known
    ]:
        print(f"not in this account's list at Kaggle: {', '.join(absent)}", file=sys.stderr)


def _draw(paths: Layout, rows: Sequence[Row], told: Sequence[tuple[Series, str]]) -> None:
    """Draw the submissions that have a score to compare; if there are none, nothing."""
    marks = [Mark(*pair, series) for series in SERIES for pair in table.paired(rows, series)]
    if not marks:
        return
    metric = rows[-1].metric
    title = f"{paths.name}: local {metric} against the leaderboard"
    shown = {mark.series for mark in marks}
    text = [(series, words) for series, words in told if series in shown]
    files.write(paths.history_picture, scatter.draw(marks, title=title, metric=metric, text=text))
    print(f"picture  {paths.history_picture}")
