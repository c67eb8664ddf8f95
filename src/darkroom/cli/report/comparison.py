"""Two runs beside each other: scores, parameters, curves, classes, and images that changed most."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from darkroom.cli.main import read_context
from darkroom.cli.report import charts, page
from darkroom.cli.report.originals import open_reader, shrunk
from darkroom.cli.report.page import Cell, Finding, Page, Row, Section, Tile, number, plural, signed
from darkroom.cli.report.runs import Reader, Run, read_here, read_of_revision, read_run
from darkroom.cli.report.sections.scores import (
    curves_section,
    is_less_better,
    params_section,
    shown_difference,
)
from darkroom.errors import ArtifactError, DataError, ParamsError
from darkroom.images.sheets import as_rgb
from darkroom.index.table import read_index
from darkroom.params.document import read_mapping
from darkroom.project.paths import PARAMS, Layout
from darkroom.project.score_files import baseline_of, score_names
from darkroom.tasks.metrics.specs import METRICS, MetricSpec, get_metric

MOST_IMAGES = 12  # that became better, and that became worse
MOST_CLASSES = 60
MOST_PICTURES = 3  # of each kind
MOST_PX = 960


def comparison_pages(one: str, other: str) -> Iterator[tuple[str, Page]]:
    """Yield the name of each competition that two runs share, and the page that compares them.

    Args:
        one: A competition or blend of params.yaml; a revision or an experiment; or NAME@REVISION.
        other: Likewise. A revision alone means the competition of the other run, or every one.

    Raises:
        ParamsError: There is no such run.
        ArtifactError: The two share no competition with scores.
    """
    if not (one and other):
        raise ParamsError(
            "a run has no name",
            found=[one, other],
            expected="two competitions, revisions or experiments",
            fix="is a variable of your shell not set?",
        )
    params = read_mapping(Path(PARAMS))
    names = [str(key) for key, value in params.items() if isinstance(value, dict)]
    blends = params.get("blends")
    blends = blends if isinstance(blends, list) else []
    names += [str(blend.get("name")) for blend in blends if isinstance(blend, dict)]
    (first, revision), (second, other_revision) = (_parsed(each, names) for each in (one, other))
    if first and second:
        pairs = [(first, second)]
    else:
        shared = [name for name in (first, second) if name]
        pairs = [(name, name) for name in shared or names]
    readers = [_reader(each) for each in (revision, other_revision)]
    lacking: list[str] = []
    is_found = False
    for old_name, new_name in pairs:
        with_name = old_name != new_name
        labels = _label(old_name, revision, with_name), _label(new_name, other_revision, with_name)
        old = read_run(labels[0], old_name, readers[0])
        new = read_run(labels[1], new_name, readers[1])
        if old is not None and new is not None:
            is_found = True
            yield new_name, comparison_page(old, new)
        lacking += [f"{old_name} of {labels[0]}"] * (old is None)
        lacking += [f"{new_name} of {labels[1]}"] * (new is None)
    if not is_found:
        raise ArtifactError(
            "there is nothing to compare",
            details=[f"{each} has no scores" for each in lacking],
            fix="run `dvc repro` and commit dvc.lock; `dvc fetch --all-commits` brings what "
            "another machine has pushed",
        )


def _parsed(run: str, names: Sequence[str]) -> tuple[str, str]:
    """Return the name and the revision of a run, "" where it has none.

    Example:
        >>> _parsed("cars", ["cars"]), _parsed("cars@HEAD~1", ["cars"]), _parsed("v1", ["cars"])
        (('cars', ''), ('cars', 'HEAD~1'), ('', 'v1'))
    """
    if run in names:
        return run, ""
    name, _, revision = run.partition("@")
    return (name, revision) if revision and name in names else ("", run)


def _reader(revision: str) -> Reader:
    return read_of_revision(revision) if revision else read_here


def _label(name: str, revision: str, with_name: bool) -> str:
    if not with_name:
        return revision or "now"
    return f"{name}@{revision}" if revision else name


def comparison_page(old: Run, new: Run) -> Page:
    """Return the page that compares two runs."""
    spec = _spec(new)
    sections = [
        _scores_section(old, new, spec),
        params_section(new, old, ""),
        curves_section([old, new]),
        _classes_section(old, new),
        _images_section(old, new),
    ]
    title = f"{old.label} → {new.label}"
    if old.name == new.name:
        title = f"{new.name}: {title}"
    subtitle = f"{spec.name} out of fold; {'less' if spec.best == 'min' else 'more'} is better"
    tiles = list(_tiles(old, new, spec))
    return Page(title, subtitle, tiles, [each for each in sections if each is not None])


def _spec(run: Run) -> MetricSpec:
    """Return the metric that the judge counts."""
    name, task = str(run.params.get("data.metric") or ""), str(run.params.get("data.task") or "")
    if task:
        return get_metric(name, task)
    return METRICS.get(run.metric, METRICS["accuracy"])  # a blend's params are its members'


def _tiles(old: Run, new: Run, spec: MetricSpec) -> Iterator[Tile]:
    for run in (old, new):
        baseline = baseline_of(run.metrics, spec.name)
        note = "" if baseline is None else f"baseline {number(baseline)}"
        yield Tile(run.label, number(run.metrics.get(spec.name)), note)
    values = (new.metrics.get(spec.name), old.metrics.get(spec.name))
    cell = shown_difference(spec.name, *values, spec)
    kind = next((each for each in ("good", "bad") if each in cell.kind), "")
    yield Tile("Change", cell.text, f"of {spec.name}", kind)


def _scores_section(old: Run, new: Run, spec: MetricSpec) -> Section:
    head = ("", old.label, new.label, "change")
    blocks = []
    for part, before, now in (
        ("validation", old.metrics, new.metrics),
        ("test", old.test, new.test),
    ):
        rows: list[Row] = [
            (
                name.replace("_", " "),
                number(before[name]),
                number(now[name]),
                shown_difference(name, now[name], before[name], spec),
            )
            for name in score_names(now)
            if name in before
        ]
        if rows:
            blocks.append(page.table(f"Scores on the {part} images", head, rows))
    findings = []
    if old.metrics.get("images") != new.metrics.get("images"):
        text = "The two were not scored on the same number of images: "
        text += f"{number(old.metrics.get('images'))} and {number(new.metrics.get('images'))}."
        findings.append(Finding("bad", text, "scores"))
    return Section("scores", "Scores", "", [page.group(blocks)], findings)


def _classes_section(old: Run, new: Run) -> Section | None:
    """Return how the score of each class changed, those that lost most first."""
    for table, key, columns in (
        ("attributes", "attribute", ("f1", "average_precision", "accuracy")),
        ("classes", "class", ("f1", "dice", "recall", "precision")),
        ("targets", "target", ("rmse", "mae", "r2")),
    ):
        if table in old.curves and table in new.curves:
            both = old.curves[table].merge(new.curves[table], on=key, suffixes=("_old", "_new"))
            shown = [c for c in columns if f"{c}_old" in both]
            if len(both) and shown:
                return _class_changes(both, key, shown, (old, new))
    return None


def _class_changes(
    both: pd.DataFrame, key: str, columns: Sequence[str], runs: tuple[Run, Run]
) -> Section:
    first = columns[0]
    spec = METRICS.get(first, METRICS["macro_f1"])
    change = (both[f"{first}_new"] - both[f"{first}_old"]).fillna(0)
    order = change.sort_values(ascending=not is_less_better(first, spec), kind="stable").index
    rows: list[Row] = []
    for place in order[:MOST_CLASSES]:
        row: list[Cell | str] = [str(both.loc[place, key])]
        for column in columns:
            old, new = (float(both.loc[place, f"{column}_{age}"]) for age in ("old", "new"))
            unit = column in ("f1", "dice", "recall", "precision", "average_precision", "accuracy")
            bar = float(np.nan_to_num(new)) if unit and column == first else None
            tick = float(np.nan_to_num(old)) if bar is not None else None
            row.append(Cell(number(new, 3), "number", bar=bar, tick=tick))
            row.append(shown_difference(column, *_finite(new, old), METRICS.get(column, spec)))
        rows.append(row)
    head = [key, *(title for c in columns for title in (c.replace("_", " "), "change"))]
    hidden = len(both) - len(rows)
    more = f"{plural(hidden, key)} more." if hidden else ""
    what = first.replace("_", " ")
    lead = f"The bar is the {what} of {runs[1].label}, the mark that of {runs[0].label}."
    table = page.table(f"Each {key}, what lost most first", head, rows, more=more)
    return Section("classes", "By class", lead, [table])


def _finite(new: float, old: float) -> tuple[float | None, float | None]:
    return (new if np.isfinite(new) else None), (old if np.isfinite(old) else None)


def _images_section(old: Run, new: Run) -> Section | None:
    """Return which images became better and worse."""
    if old.scores is None or new.scores is None:
        return None
    both = old.scores.merge(new.scores, on="id", suffixes=("_old", "_new"))
    both = both.dropna(subset=["score_old", "score_new"])
    if not len(both):
        return None
    change = both["score_new"] - both["score_old"]
    worse, better = int((change < 0).sum()), int((change > 0).sum())
    lead = (
        f"Of {plural(len(both), 'image')} that both validate, {better:,} became better, {worse:,} "
        f"worse; {signed(float(change.mean()))} in the mean. More is better."
    )
    drawn = charts.scatter_chart(
        both["score_old"].to_numpy(np.float64),
        both["score_new"].to_numpy(np.float64),
        title="The score of each image",
        x_label=old.label,
        y_label=new.label,
    )
    both = both.assign(change=change).sort_values(["change", "id"], kind="stable")
    tables = [
        _changed(both[:MOST_IMAGES], "What became worse", -1, (old, new)),
        _changed(both[::-1][:MOST_IMAGES], "What became better", 1, (old, new)),
    ]
    lists = page.group([table for table in tables if table is not None])
    blocks = [page.figure(drawn), lists, *_changed_pictures(both, new.name)]
    return Section("images", "Images", lead, blocks)


def _changed_pictures(both: pd.DataFrame, name: str) -> Iterator[Markup]:
    """Yield the pictures that changed most, where the files of this project show them."""
    worse, better = both[both["change"] < 0], both[both["change"] > 0]
    changed = pd.concat([worse[:MOST_PICTURES], better[::-1][:MOST_PICTURES]])
    if not len(changed) or not Layout(name).index.parent.is_dir():
        return
    context = read_context(name)
    paths = context.paths
    if not paths.index.is_file() or not paths.card.is_file():
        return
    index = read_index(paths.index, paths.card)
    rows = index.rows[index.rows["part"] == "train"].set_index("id", drop=False)
    cards = []
    with open_reader(context, index) as reader:
        columns = changed[["id", "score_old", "score_new"]]
        for image_id, old, new in columns.itertuples(index=False, name=None):
            if reader is None or image_id not in rows.index:
                continue
            row: Any = rows.loc[image_id]
            try:
                pixels = reader.read(str(row["image"]), digest=str(row["digest"])).pixels
            except DataError:  # it was replaced since
                continue
            words = f"{number(old)} → {number(new)}"
            drawn = page.picture(shrunk(as_rgb(pixels), MOST_PX), f"{image_id}: {words}", words)
            title = f"{'Worse' if new < old else 'Better'}: {image_id}"
            cards.append(page.article(title, [drawn]))
    if cards:
        yield page.group(cards, "cards")


def _changed(both: pd.DataFrame, caption: str, sign: int, runs: tuple[Run, Run]) -> Markup | None:
    """Return a table of images whose score rose (sign 1) or fell (-1); None where none did."""
    columns = both[["id", "score_old", "score_new"]]
    kind = "number good" if sign > 0 else "number bad"
    rows: list[Row] = [
        (image_id, number(old), number(new), Cell(signed(new - old), kind))
        for image_id, old, new in columns.itertuples(index=False, name=None)
        if (new - old) * sign > 0
    ]
    head = ("image", runs[0].label, runs[1].label, "change")
    return page.table(caption, head, rows) if rows else None
