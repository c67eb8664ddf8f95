"""Which classes are found: bars by class or label, confusion, PR, calibration, threshold curve."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from darkroom.cli.report import charts, page
from darkroom.cli.report.charts import LINE_COLOURS, Line
from darkroom.cli.report.counts import Counts, curve_names
from darkroom.cli.report.page import Cell, Finding, Row, Section, first_names, number, plural
from darkroom.cli.report.runs import Run
from darkroom.images.class_pictures import class_colour
from darkroom.images.sheets import FAINT
from darkroom.prediction.decision import Decision, threshold_list
from darkroom.tasks.metrics.specs import MetricSpec

MOST_CLASSES = 60  # rows of the table of classes; of more the worst are shown
MOST_CONFUSED = 20  # classes of a matrix; of more the pairs that are most confused
MOST_PAIRS = 25
MOST_SCATTERS = 12
NEVER = "never predicted"


def classes_section(run: Run, counts: Counts | None) -> Section | None:
    """Return a row and a bar for each class, label or target, the worst first."""
    if counts is None:
        return _targets_section(run)
    what = "attribute" if "attributes" in run.curves else "class"
    dice = _column(run.curves.get("classes"), "class", "dice")
    places = _worst_first(counts)
    rows = [_class_row(counts, place, dice) for place in places[:MOST_CLASSES]]
    unit = "pixels" if counts.unit == "pixel" else "images"
    head = [what, "F1", *(["mean Dice"] if dice else []), "recall", "precision"]
    head += [f"{unit} with it", f"{unit} predicted"]
    hidden = len(places) - len(rows)
    more = f"{plural(hidden, what)} with a better F1 are left out." if hidden else ""
    caption = f"Each {what}, the worst first"
    blocks = [page.table(caption, head, rows, more=more)]
    lead = "The bar is the F1 score: how many are found, and how many of the answers are right."
    if counts.unit == "pixel":
        lead += f" Of all pixels of {plural(counts.images, 'image')}, at the stored size."
        if dice:
            lead += (
                " The mean Dice is of images at full size, as they are scored: an image that "
                "rightly has no pixel of a class counts as 1."
            )
    findings = list(_findings(counts, run, what))
    title = {"attribute": "Attributes", "class": "Classes"}[what]
    return Section("classes", title, lead, blocks, findings)


def _worst_first(counts: Counts) -> list[int]:
    """Return the places of the classes: those never predicted, then by F1, those of no image."""
    rank = np.nan_to_num(counts.f1) - (counts.predicted == 0) + 3 * (counts.positives == 0)
    names = np.array(counts.names, object)
    return [int(place) for place in np.lexsort((names, -counts.positives, rank))]


def _class_row(counts: Counts, place: int, dice: dict[str, float]) -> Row:
    name, f1 = counts.names[place], float(counts.f1[place])
    badge = ""
    if counts.positives[place] == 0:
        badge = "in no image"
    elif counts.predicted[place] == 0:
        badge = NEVER
    elif counts.hits[place] == 0:
        badge = "never right"
    bar = 0.0 if np.isnan(f1) else f1
    row: list[Cell | str] = [Cell(name, badge=badge), Cell(number(f1, 3), "number", bar=bar)]
    if dice:
        row.append(number(dice.get(name), 3))
    row += [number(float(values[place]), 3) for values in (counts.recall, counts.precision)]
    row += [number(int(counts.positives[place])), number(int(counts.predicted[place]))]
    return row


def _findings(counts: Counts, run: Run, what: str) -> Iterator[Finding]:
    total = len(counts.names)
    if never := counts.never_predicted:
        text = f"{len(never)} of {plural(total, what)} {'is' if len(never) == 1 else 'are'} never "
        text += f"predicted once: {first_names(never)}."
        if run.metric == "accuracy" and run.score is not None:
            text += f" The accuracy of {number(run.score)} hides them."
        yield Finding("bad", text, "classes")
    if wrong := counts.never_right:
        text = f"{len(wrong)} of {plural(total, what)} {'is' if len(wrong) == 1 else 'are'} "
        text += f"predicted, but never where it is so: {first_names(wrong)}."
        yield Finding("bad", text, "classes")
    if absent := counts.absent:
        text = f"No validation image shows {first_names(absent)}: no score is of them."
        yield Finding("note", text, "classes")


def _targets_section(run: Run) -> Section | None:
    """Return the errors of each target of a regression, and its predictions as points."""
    table, points = run.curves.get("targets"), run.curves.get("scatter")
    if table is None:
        return None
    figures = [c for c in table.columns if c not in ("target", "images")]
    rows = [
        (str(row["target"]), *(_error(column, float(row[column])) for column in figures))
        for _, row in table.iterrows()
    ]
    heads = ("target", *(column.replace("_", " ") for column in figures))
    blocks = [page.table("Each target", heads, rows)]
    drawn = []
    for target in [] if points is None else list(dict.fromkeys(points["target"]))[:MOST_SCATTERS]:
        some = points[points["target"] == target] if points is not None else pd.DataFrame()
        xs, ys = (some[column].to_numpy(np.float64) for column in ("actual", "predicted"))
        names = {"x_label": "actual", "y_label": "predicted"}
        drawn.append(page.figure(charts.scatter_chart(xs, ys, title=str(target), **names)))
    lead = "The dotted line is where predictions are right."
    return Section("classes", "Targets", lead, [*blocks, page.group(drawn)])


def _error(column: str, value: float) -> str:
    """Return an error of a target; R2 of a constant is 0, but for rounding."""
    return number(round(value, 4) + 0.0 if column.endswith("r2") else value)


def confusion_section(run: Run, names: Sequence[str]) -> Section | None:
    """Return which class is taken for which; of many classes the pairs most often confused."""
    pairs = run.curves.get("confusion")
    if pairs is None or not len(pairs):
        return None
    counts = Counter(zip(pairs["actual"], pairs["predicted"], strict=True))
    occurring = {name for pair in counts for name in pair}
    classes = [name for name in names if name in occurring]
    classes += sorted(occurring - {*classes})
    wrong = sum(count for (actual, answer), count in counts.items() if actual != answer)
    lead = f"{wrong} of {plural(len(pairs), 'image')} are taken for another class."
    blocks = [_matrix(counts, classes)] if len(classes) <= MOST_CONFUSED else []
    if wrong:
        blocks.append(_pairs(counts))
    return Section("confusion", "Confusion", lead, blocks)


def _matrix(counts: Mapping[tuple[str, str], int], classes: Sequence[str]) -> Markup:
    rows: list[Row] = []
    for actual in classes:
        row = [counts.get((actual, answer), 0) for answer in classes]
        cells = [
            Cell(str(count or "·"), "hit" if answer == actual else "miss", heat=count / sum(row))
            if any(row)
            else Cell("·")
            for answer, count in zip(classes, row, strict=True)
        ]
        rows.append([Cell(actual), *cells])
    head = ["is \\ taken for", *classes]
    more = "The colour is the share of the images of a class."
    return page.table("Images by class and answer", head, rows, kind="matrix", more=more)


def _pairs(counts: Mapping[tuple[str, str], int]) -> Markup:
    wrong = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    totals = Counter[str]()
    for (actual, _), count in counts.items():
        totals[actual] += count
    worst = sorted(wrong, key=lambda pair: (-wrong[pair], pair))[:MOST_PAIRS]
    rows = [
        (
            actual,
            Cell(answer),
            number(wrong[actual, answer]),
            f"{wrong[actual, answer] / totals[actual]:.0%}",
        )
        for actual, answer in worst
    ]
    hidden = len(wrong) - len(rows)
    more = f"{plural(hidden, 'pair')} more." if hidden else ""
    head = ("is", "taken for", "images", "of the class")
    return page.table("What is confused most", head, rows, more=more)


def probability_section(
    run: Run, counts: Counts | None, decision: Decision, spec: MetricSpec
) -> Section | None:
    """Return precision and recall, calibration, and scores by threshold."""
    drawn, findings = [], []
    if counts is not None and counts.positives.any():
        drawn.append(page.figure(_precision_recall(counts)))
        drawn.append(page.figure(_reliability(counts), _calibration_words(counts)))
        findings = list(_calibration_findings(counts))
    if (curve := run.curves.get("threshold")) is not None and len(curve) > 1:
        drawn.append(page.figure(_threshold(curve, decision, spec), _threshold_words(decision)))
    if not drawn:
        return None
    lead = "How sure the networks are, and what another threshold would give."
    return Section("probabilities", "Probabilities", lead, [page.group(drawn)], findings)


def _precision_recall(counts: Counts) -> Markup:
    lines = []
    for place, name in enumerate(curve_names(counts)):
        recall, precision = counts.precision_recall(place)
        if len(recall):
            colour = LINE_COLOURS[place] if place < len(LINE_COLOURS) else class_colour(place)
            lines.append(Line(name, recall, precision, colour))
    return charts.line_chart(
        lines,
        title="Precision and recall",
        x_label="recall",
        y_label="precision",
        x_range=(0, 1),
        y_range=(0, 1),
    )


def _reliability(counts: Counts) -> Markup:
    mean, share, number_of = counts.reliability()
    is_there = number_of > 0
    line = Line("share that is so", mean[is_there], share[is_there], LINE_COLOURS[0])
    parts = number_of[is_there] / number_of.sum()
    sizes = Line("share of all predictions", mean[is_there], parts, FAINT, dashed=True)
    return charts.line_chart(
        [line, sizes],
        title="Calibration",
        x_label="probability",
        y_label="share that is so",
        x_range=(0, 1),
        y_range=(0, 1),
        diagonal=True,
    )


def _calibration_words(counts: Counts) -> str:
    which = "of the chosen class" if counts.sure[0].any() else f"of each {counts.unit} and class"
    if counts.unit == "image" and not counts.sure[0].any():
        which = "of each image and label"
    error = number(counts.calibration_error(), 3)
    return (
        f"Probabilities {which}, beside how often they come true; on the dotted line they are as "
        f"sure as they are right. They differ by {error} in the mean."
    )


def _calibration_findings(counts: Counts) -> Iterator[Finding]:
    mean, share, number_of = counts.reliability()
    gap = float(np.nansum((mean - share) * number_of) / max(1, number_of.sum()))
    if counts.sure[0].any() and abs(gap) > 0.05:
        how = "surer than they are right" if gap > 0 else "less sure than they are right"
        text = f"The networks are {how}, by {abs(gap):.2f} in the mean."
        yield Finding("note", text, "probabilities")


def _threshold(curve: pd.DataFrame, decision: Decision, spec: MetricSpec) -> Markup:
    xs = curve["threshold"].to_numpy(np.float64)
    names = [column for column in curve.columns if column != "threshold"]
    names.sort(key=lambda name: name != spec.name)
    lines = [
        Line(name.replace("_", " "), xs, curve[name].to_numpy(np.float64), colour)
        for name, colour in zip(names, LINE_COLOURS, strict=False)
    ]
    chosen = () if decision.threshold is None else threshold_list(decision.threshold)
    mark = (chosen[0], f"threshold {chosen[0]:.3g}") if len(set(chosen)) == 1 else None
    options = {"x_label": "threshold", "y_label": "score", "x_range": (0.0, 1.0)}
    return charts.line_chart(lines, title="Scores by threshold", mark=mark, **options)  # type: ignore[arg-type]


def _threshold_words(decision: Decision) -> str:
    threshold = decision.threshold
    if isinstance(threshold, tuple) and len(set(threshold)) > 1:
        low, high = min(threshold), max(threshold)
        return f"The same threshold for all. Decided is one for each: from {low:.3g} to {high:.3g}."
    return ""


def _column(table: pd.DataFrame | None, key: str, column: str) -> dict[str, float]:
    if table is None or column not in table:
        return {}
    return dict(zip(table[key], table[column].astype(float), strict=True))
