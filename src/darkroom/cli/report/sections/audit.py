"""What is odd about the data: the audit's warnings and counts, and duplicates side by side."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from darkroom.cli.report import page
from darkroom.cli.report.originals import Originals, shrunk
from darkroom.cli.report.page import Cell, Finding, Row, Section, number, plural
from darkroom.errors import ArtifactError, DataError
from darkroom.images.codec import Pixels
from darkroom.project.paths import Layout

MOST_SETS = 6  # of duplicates, of each kind
MOST_IMAGES = 4  # of a set of duplicates
MOST_VALUES = 40  # classes or labels of the table of balance
EXACT = {
    "contradictory": "The same bytes with different answers",
    "train_test": "The same bytes in train and test",
    "across_folds": "The same bytes in several folds",
    "within_train": "The same bytes twice in train",
}
NEAR = {
    "train_test": "Nearly the same picture in train and test",
    "across_folds": "Nearly the same picture in several folds",
}


def audit_section(originals: Originals) -> Section | None:
    """Return the audit; None where there is none, as for a pipeline that ran in part."""
    paths = originals.evidence.context.paths.inputs
    if not paths.audit.is_file():
        return None
    report = _read(paths)
    warnings = [str(each) for each in report.get("warnings", [])]
    blocks = [page.text_list(warnings, "warnings")] if warnings else []
    blocks.append(page.group(list(_tables(report))))
    blocks += list(_duplicates(originals, report))
    lead = f"{plural(len(warnings), 'warning')}." if warnings else "Nothing odd was found."
    findings = []
    if warnings:
        first = warnings[0] if len(warnings[0]) < 200 else f"{warnings[0][:200]}…"
        text = first if len(warnings) == 1 else f"{len(warnings)} warnings of the audit: {first}"
        findings = [Finding("bad", text, "audit")]
    return Section("audit", "Data", lead, blocks, findings)


def _read(paths: Layout) -> dict[str, Any]:
    try:
        report = json.loads(paths.audit.read_bytes())
        if not isinstance(report, dict):
            raise ValueError("no mapping")
    except ValueError as error:
        fix = f"run `dvc repro -sf {paths.dvc_stage('audit')}`"
        raise ArtifactError("it is damaged", file=paths.audit, found=error, fix=fix) from error
    return report


def _tables(report: Mapping[str, Any]) -> Iterator[Markup]:
    parts = ("train", "test")
    counts = report["counts"]["found"]
    rows: list[Row] = [("images", *(number(counts.get(f"{part} images", 0)) for part in parts))]
    for name, key in (("sizes", "sizes"), ("formats", "formats"), ("pixels", "modes")):
        rows.append((name, *(Cell(_listed(key, report[key][part])) for part in parts)))
    yield page.table("Images", ("", *parts), rows, kind="wide")
    folds = report["folds"]
    rows = [
        ("only trained on" if fold == "-1" else f"fold {fold}", number(count))
        for fold, count in folds.items()
    ]
    yield page.table("Training images by fold", ("", "images"), rows)
    yield from _balance(report)


def _listed(key: str, values: Mapping[str, Any]) -> str:
    if key != "sizes":
        return ", ".join(f"{count:,} {name}" for name, count in values.items())
    common = values["common"]
    shown = [f"{e['images']:,} of {e['width']} × {e['height']} px" for e in common[:3]]
    return page.first_names([*shown, *[""] * (values["different"] - len(shown))], len(shown))


def _balance(report: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield how often each class, label or mask class is there in train."""
    if report["task"] == "segmentation":
        masks = report["masks"]
        rows = [
            (name, number(masks[key]["count"]))
            for name, key in (("without a mask", "without"), ("empty", "empty"), ("full", "full"))
        ]
        yield page.table("Masks", ("", "images"), rows)
        if "share" in masks:
            yield _shares({"mask": masks})
        if classes := masks.get("classes", {}):
            yield _bars("Images that show each class", {n: c["images"] for n, c in classes.items()})
            yield _shares(classes)
        return
    targets = report.get("targets", {}).get("train", {})
    if report["task"] == "multiclass":
        for target, counts in targets.items():
            yield _bars(f"Training images by {target}", counts)
    elif report["task"] in ("multilabel", "binary"):
        positives = {target: list(counts.values())[-1] for target, counts in targets.items()}
        total = {target: sum(counts.values()) for target, counts in targets.items()}
        yield _bars("Training images with each label", positives, total)
    else:
        columns = ("mean", "std", "min", "max")
        rows = [(name, *(number(v.get(c), 3) for c in columns)) for name, v in targets.items()]
        yield page.table("Training values", ("", *columns), rows)


def _shares(classes: Mapping[str, Any]) -> Markup:
    """Return the share of a picture that each mask class covers."""
    columns = ("mean", "smallest", "largest")
    rows = [
        (
            name,
            *(
                page.NONE if each["share"][c] is None else f"{each['share'][c]:.2%}"
                for c in columns
            ),
        )
        for name, each in classes.items()
    ]
    return page.table("Share of a picture that is covered", ("", *columns), rows)


def _bars(
    caption: str, counts: Mapping[str, int], totals: Mapping[str, int] | None = None
) -> Markup:
    most = max(counts.values(), default=0)
    names = sorted(counts, key=lambda name: -counts[name])
    shown = (
        names
        if len(names) <= MOST_VALUES
        else [*names[: MOST_VALUES // 2], *names[-MOST_VALUES // 2 :]]
    )
    rows: list[Row] = []
    for name in shown:
        whole = totals[name] if totals else most
        share = counts[name] / max(1, whole)
        words = f"{counts[name]:,} ({share:.0%})" if totals else f"{counts[name]:,}"
        rows.append([Cell(name), Cell(words, "number", bar=share)])
    hidden = len(names) - len(shown)
    return page.table(
        caption, ("", "images"), rows, more=f"{hidden} in between are left out." if hidden else ""
    )


def _duplicates(originals: Originals, report: Mapping[str, Any]) -> Iterator[Markup]:
    """Yield the duplicates that the audit names, each set side by side."""
    for kind, title in EXACT.items():
        entry = report["exact_duplicates"][kind]
        if entry["sets"]:
            sets = [(images, "equal byte by byte") for images in entry["first"]]
            yield from _sets(originals, title, plural(entry["sets"], "set"), sets)
    for kind, title in NEAR.items():
        entry = report["near_duplicates"][kind]
        if entry["pairs"]:
            sets = [(e["images"], f"{e['rms']:.2f} grey levels apart") for e in entry["closest"]]
            yield from _sets(originals, title, plural(entry["pairs"], "pair"), sets)


def _sets(
    originals: Originals, title: str, count: str, sets: Sequence[tuple[Sequence[str], str]]
) -> Iterator[Markup]:
    rows = originals.evidence.index.rows
    numbers = {f"{p} {i}": n for n, (p, i) in enumerate(zip(rows["part"], rows["id"], strict=True))}
    fold_of = originals.evidence.train.set_index("id")["fold"].to_dict()
    shown = []
    for images, note in sets[:MOST_SETS]:
        pictures = []
        for name in [each for each in images if each in numbers][:MOST_IMAGES]:
            row = rows.iloc[numbers[name]]
            fold = fold_of.get(row["id"]) if row["part"] == "train" else None
            words = name if fold is None or fold < 0 else f"{name}, fold {fold}"
            pictures.append(page.picture(_tile(originals, row), words, words))
        more = len(images) - MOST_IMAGES
        note += f"; {more} more of this set" if more > 0 else ""
        shown.append(
            page.article(" = ".join(images[:2]), [page.group(pictures, "pair")], note=note)
        )
    left = "" if len(sets) <= MOST_SETS else f" The first {MOST_SETS} are shown."
    yield page.paragraph(f"{title}: {count}.{left}", "strong")
    yield page.group(shown, "cards")


def _tile(originals: Originals, row: Any) -> Pixels:
    """Return a picture, or a grey one where it can't be read any more."""
    try:
        return shrunk(originals.picture(row), 640)
    except DataError:
        return np.full((64, 64, 3), 90, np.uint8)
