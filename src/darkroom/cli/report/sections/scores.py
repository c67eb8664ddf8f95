"""How good a run is: its scores beside the baseline and an earlier run, its parameters, curves."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from darkroom.cli.report import charts, page
from darkroom.cli.report.charts import LINE_COLOURS, Line
from darkroom.cli.report.evidence import FoldScore
from darkroom.cli.report.page import Cell, Finding, Row, Section, Tile, number, signed
from darkroom.cli.report.runs import Run
from darkroom.errors import ArtifactError
from darkroom.images.class_pictures import class_colour
from darkroom.project.paths import Layout
from darkroom.project.score_files import baseline_of, score_names
from darkroom.tasks.metrics.specs import METRICS, MetricSpec

_WORDS = {
    "_cross_fitted": "Cross fitted: each half of the images is decided as the other half says, so "
    "that no image helps to choose its own threshold.",
    "_at_half": "At half: with a threshold of 0.5.",
}
SMALL = 5e-5  # a difference that four digits don't show
MOST_CHARTS = 8


def is_less_better(name: str, spec: MetricSpec) -> bool:
    """Return whether less of a score is better; that of a user's own says so itself."""
    plain = name.removesuffix("_cross_fitted").removesuffix("_at_half")
    if plain == spec.name:
        return spec.best == "min"
    return plain in METRICS and METRICS[plain].best == "min"


def shown_difference(name: str, new: object, old: object, spec: MetricSpec) -> Cell:
    """Return how a score changed, and whether that is better."""
    if not isinstance(new, int | float) or not isinstance(old, int | float):
        return Cell(page.NONE, "number faint")
    difference = new - old
    if abs(difference) < SMALL:
        return Cell(signed(0), "number faint")
    is_better = (difference < 0) == is_less_better(name, spec)
    kind = "good" if is_better else "bad"
    return Cell(f"{signed(difference)} {'▲' if is_better else '▼'}", f"number {kind}")


def score_tiles(run: Run, earlier: Run | None, spec: MetricSpec) -> Iterator[Tile]:
    """Yield the figures at the head of a page."""
    name, score = spec.name, run.metrics.get(spec.name)
    images = run.metrics.get("images")
    note = f"out of fold, on {page.plural(images, 'image')}" if images else "out of fold"
    yield Tile(f"Validation {name}", number(score), note)
    baseline = baseline_of(run.metrics, name)
    if baseline is not None and score is not None:
        cell = shown_difference(name, score, baseline, spec)
        kind = "good" if "good" in cell.kind else "bad"
        yield Tile("Over the baseline", cell.text, f"baseline {number(baseline)}", kind)
    if earlier is not None:
        cell = shown_difference(name, score, earlier.metrics.get(name), spec)
        kind = next((each for each in ("good", "bad") if each in cell.kind), "")
        then = number(earlier.metrics.get(name))
        yield Tile(f"Since {earlier.label}", cell.text, f"then {then}", kind)
    if run.test.get(name) is not None:
        count = run.test.get("images")
        note = f"on {page.plural(count, 'image')} with known answers" if count else ""
        yield Tile(f"Test {name}", number(run.test[name]), note)


def score_section(
    run: Run, earlier: Run | None, folds: Sequence[FoldScore], spec: MetricSpec, why_none: str
) -> Section:
    """Return the scores: of each fold, and all of them beside baseline and an earlier run.

    Args:
        run: The run.
        earlier: An earlier one, or None.
        folds: The score of each fold.
        spec: What the judge counts.
        why_none: Why there is no earlier run.
    """
    blocks = [page.group([_by_fold(run, folds, spec), _all_scores(run, earlier, spec)])]
    better = "Less is better." if spec.best == "min" else "More is better."
    lead = (
        f"The judge counts {spec.name}. {better} Each image is predicted by networks that were not "
        "trained on it; a baseline does not look at the image."
    )
    if earlier is None:
        lead += f" No earlier run stands beside it: {why_none}."
    findings = [*_score_findings(run, earlier, spec), *_fold_findings(folds, spec)]
    return Section("scores", "Scores", lead, blocks, findings)


def _by_fold(run: Run, folds: Sequence[FoldScore], spec: MetricSpec) -> Markup:
    rows: list[Sequence[Cell | str]] = [
        (
            f"fold {each.fold}",
            number(each.images),
            number(each.score),
            number(each.baseline),
            shown_difference(spec.name, each.score, each.baseline, spec),
        )
        for each in folds
    ]
    score, baseline = run.metrics.get(spec.name), baseline_of(run.metrics, spec.name)
    images, over = run.metrics.get("images"), shown_difference(spec.name, score, baseline, spec)
    rows.append(("in all", number(images), number(score), number(baseline), over))
    head = ["", "images", spec.name, "baseline", "over it"]
    if (mean := _mean_of_images(run, folds, spec)) is not None:
        # A fold has a mean of its images alone, which is no score of the judge's.
        means = [*(each.score for each in folds), mean]
        rows = [
            (*row[:2], number(value), *((page.NONE,) * 3 if row is not rows[-1] else row[2:]))
            for row, value in zip(rows, means, strict=True)
        ]
        head.insert(2, "mean of images")
    return page.table("By fold, and in all", head, rows)


def _mean_of_images(run: Run, folds: Sequence[FoldScore], spec: MetricSpec) -> float | None:
    """Return the mean score of all images of masks; None where it is the score itself."""
    images = sum(each.images for each in folds)
    score = run.metrics.get(spec.name)
    if not images or score is None or any(each.baseline is not None for each in folds):
        return None
    mean = sum((each.score or 0) * each.images for each in folds) / images
    return None if abs(mean - score) < SMALL else mean


def _all_scores(run: Run, earlier: Run | None, spec: MetricSpec) -> Markup:
    names = score_names(run.metrics)
    head = ["", "score", "baseline"]
    head += [earlier.label, "change"] if earlier else []
    head += ["test"] if run.test else []
    rows = []
    for name in names:
        value = run.metrics[name]
        row: list[Cell | str] = [name.replace("_", " "), number(value)]
        row.append(number(baseline_of(run.metrics, name)))
        if earlier:
            then = earlier.metrics.get(name)
            row += [number(then), shown_difference(name, value, then, spec)]
        if run.test:
            row.append(number(run.test.get(name)))
        rows.append(row)
    return page.table("All scores", head, rows, more=_further(run))


def _further(run: Run) -> str:
    """Return other baselines, and how a score is spread over the images and at one half."""
    shown = {name for score in score_names(run.metrics) for name in (score, f"baseline_{score}")}
    rest = {name: value for name, value in run.metrics.items() if name not in shown}
    values = {
        "Baselines": [name for name in rest if name.startswith("baseline_")],
        "Besides": [name for name in rest if name.endswith(("_median", "_lowest", "_at_half"))],
    }
    lines = [
        f"{head}: "
        + ", ".join(
            f"{name.removeprefix('baseline_').replace('_', ' ')} {number(rest[name])}"
            for name in names
        )
        for head, names in values.items()
        if names
    ]
    ends = [text for end, text in _WORDS.items() if any(key.endswith(end) for key in run.metrics)]
    return " ".join([*(f"{line}." for line in lines), *ends])


def _score_findings(run: Run, earlier: Run | None, spec: MetricSpec) -> Iterator[Finding]:
    name, score = spec.name, run.metrics.get(spec.name)
    baseline = baseline_of(run.metrics, name)
    if "bad" in (cell := shown_difference(name, score, baseline, spec)).kind:
        text = f"The {name} of {number(score)} is below that of the baseline, {number(baseline)}."
        if spec.best == "min":
            text = text.replace("below", "above")
        yield Finding("bad", text, "scores")
    elif cell.text == signed(0):
        yield Finding("bad", f"The {name} is that of the baseline: nothing is learned.", "scores")
    if earlier is not None:
        cell = shown_difference(name, score, earlier.metrics.get(name), spec)
        if "bad" in cell.kind or "good" in cell.kind:
            kind = "bad" if "bad" in cell.kind else "good"
            words = "worse" if kind == "bad" else "better"
            text = f"The {name} is {words} than in {earlier.label}: {cell.text[:-2]}."
            yield Finding(kind, text, "scores")
    if leaked := run.metrics.get("leaked_images"):
        text = f"The first weights have learned {page.plural(leaked, 'validation image')}."
        yield Finding("bad", text, "scores")


def _fold_findings(folds: Sequence[FoldScore], spec: MetricSpec) -> Iterator[Finding]:
    scores = {each.fold: each.score for each in folds if each.score is not None}
    if len(scores) < 2:
        return
    low, high = min(scores, key=scores.__getitem__), max(scores, key=scores.__getitem__)
    text = (
        f"Folds differ by {number(scores[high] - scores[low])} {spec.name}: from "
        f"{number(scores[low])} (fold {low}) to {number(scores[high])} (fold {high}); a change "
        "that is smaller than this may be chance."
    )
    yield Finding("note", text, "scores")


def members_section(paths: Layout) -> Section | None:
    """Return the score of a blend beside those of its members; of a competition None."""
    if not paths.first or not paths.blend.is_file():
        return None
    try:
        report = json.loads(paths.blend.read_bytes())
        members, whole = report["members"], report["score"]
        rows: list[Row] = [
            (name, number(each["score"]), number(each.get("weight"), 2))
            for name, each in members.items()
        ]
        rows.append((paths.name, number(whole), page.NONE))
        is_better = bool(report["better"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        fix = "run `dvc repro blend`"
        raise ArtifactError("it is damaged", file=paths.blend, found=error, fix=fix) from error
    table = page.table("The blend beside its members", ("", report["metric"], "weight"), rows)
    text = f"The blend is not better out of fold than {report['best_member']} alone."
    findings = [] if is_better else [Finding("bad", text, "members")]
    return Section("members", "Members", "", [table], findings)


def params_section(run: Run, earlier: Run | None, why_none: str) -> Section:
    """Return what changed in the parameters since an earlier run, and all of them."""
    blocks, findings = [], []
    if earlier is None:
        blocks.append(page.paragraph(f"No earlier run to compare with: {why_none}."))
    elif changed := changed_params(earlier.params, run.params):
        head = ("key", earlier.label, run.label)
        blocks.append(page.table("What changed in params.yaml", head, changed, kind="wide"))
        keys = [str(row[0]) for row in changed]
        text = f"{page.plural(len(keys), 'parameter')} changed since {earlier.label}: "
        findings.append(Finding("note", f"{text}{page.first_names(keys, 5)}.", "parameters"))
    else:
        blocks.append(page.paragraph(f"No parameter differs from {earlier.label}."))
    rows = [(key, Cell(_shown(value))) for key, value in run.params.items()]
    whole = page.table("All parameters", ("key", "value"), rows, kind="wide")
    blocks.append(page.details(f"All {len(rows)} parameters of this run", [whole]))
    return Section("parameters", "Parameters", "", blocks, findings)


def changed_params(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Sequence[Cell | str]]:
    """Return a row for each parameter that differs: its key, then what it was and what it is.

    Example:
        >>> [[str(c) if isinstance(c, str) else c.text for c in row]
        ...  for row in changed_params({"lr": 0.1, "b": 1}, {"lr": 0.2, "b": 1, "c": None})]
        [['c', '(none)', 'null'], ['lr', '0.1', '0.2']]
    """
    absent = object()
    return [
        (key, *(Cell("(none)" if v is absent else _shown(v)) for v in (before, after)))
        for key in sorted(old.keys() | new.keys())
        if (before := old.get(key, absent)) != (after := new.get(key, absent))
    ]


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return "{}" if value == {} else str(value)


def curves_section(runs: Sequence[Run]) -> Section | None:
    """Return the curves of losses, metrics and learning rate, of each fold of one or two runs."""
    histories = [
        (_line_name(run, fold, runs), table)
        for run in runs
        for fold, table in run.history.items()
        if len(table)
    ]
    if not histories:
        return None
    names = dict.fromkeys(column for _, table in histories for column in table.columns)
    drawn = dict.fromkeys(name.split("/")[0] for name in names if name != "epoch")
    figures = [page.figure(_curve(name, histories)) for name in list(drawn)[:MOST_CHARTS]]
    lead = "Dashed: on training images, as they are augmented. Solid: on validation images."
    findings = [] if len(runs) > 1 else list(_curve_findings(runs[0]))
    return Section("curves", "Training", lead, [page.group(figures)], findings)


def _line_name(run: Run, fold: str, runs: Sequence[Run]) -> str:
    return f"fold {fold}" if len(runs) == 1 else f"{run.label}, fold {fold}"


def _curve(name: str, histories: Sequence[tuple[str, pd.DataFrame]]) -> Markup:
    lines = []
    for place, (fold, table) in enumerate(histories):
        colour = LINE_COLOURS[place] if place < len(LINE_COLOURS) else class_colour(place)
        epochs = table["epoch"].to_numpy(np.float64)
        for part in ("/train", "/val", ""):
            if (column := f"{name}{part}") in table:
                values = table[column].to_numpy(np.float64)
                words = {"/train": ", training", "/val": ", validation", "": ""}[part]
                lines.append(Line(f"{fold}{words}", epochs, values, colour, part == "/train"))
    last = max(float(line.xs[-1]) for line in lines)
    ends = (1.0, last) if last > 1 else None
    return charts.line_chart(lines, title=name, x_label="epoch", x_range=ends)


def _curve_findings(run: Run) -> Iterator[Finding]:
    """Yield whether a training was cut short, or goes on to learn by heart."""
    for fold, table in run.history.items():
        if "loss/val" not in table or len(table) < 4:
            continue
        losses = table["loss/val"].to_numpy(np.float64)
        if not np.isfinite(losses).all():
            continue
        if losses.argmin() == len(losses) - 1:
            text = f"Fold {fold} has its least loss in the last epoch: more epochs may help."
            yield Finding("note", text, "curves")
        elif losses[-1] > 1.25 * losses.min():
            epoch = int(table["epoch"].iloc[losses.argmin()])
            text = (
                f"The validation loss of fold {fold} is least in epoch {epoch} and then rises by "
                f"{losses[-1] / losses.min() - 1:.0%}: it learns its training images by heart."
            )
            yield Finding("note", text, "curves")
