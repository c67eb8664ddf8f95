"""audit: index, split, facts and store -> what is odd about the data, and a contact sheet."""

import json
from dataclasses import replace

import pandas as pd

from darkroom.images import sheets
from darkroom.index.audit import contact_sheet
from darkroom.index.audit.report import FACTS, INDEX_COLUMNS, Report, build_report
from darkroom.index.card import with_names
from darkroom.index.table import Index, hard_labels, read_index
from darkroom.project import files
from darkroom.project.paths import Layout
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import read_part
from darkroom.stages._split import read_split
from darkroom.store.facts import Facts
from darkroom.store.manifest import compare_digests

SHOWN_TRAIN, SHOWN_TEST = 16, 4


def run(context: Context) -> None:
    """Report on a competition's data: counts, sizes, balance, duplicates, leaks."""
    name, paths = context.name, context.paths

    index = read_index(paths.index, paths.card, INDEX_COLUMNS)
    index = replace(index, card=with_names(index.card, paths.class_names))
    folds, _ = read_split(paths)
    facts = _facts(paths, name)

    table = facts.table(FACTS).to_pandas()
    report = build_report(index, table, folds, facts.thumbs())
    page = _contact_sheet(name, report, index, folds, paths)
    sheets.write_jpeg(paths.contact_sheet, page)
    files.write(paths.audit, json.dumps(report, indent=1, ensure_ascii=False) + "\n")

    warnings = report["warnings"]
    plural = "s" if len(warnings) > 1 else ""
    count = f"{len(warnings)} warning{plural}" if warnings else "nothing odd"
    print(f"{name}: {count}")
    for warning in warnings:
        print(f"  {warning}")


def _facts(paths: Layout, name: str) -> Facts:
    path = require(paths.facts, "preprocess", name)
    compare_digests(paths.processed, [path.name])
    return Facts(path)


def _contact_sheet(
    name: str, report: Report, index: Index, folds: pd.DataFrame, paths: Layout
) -> sheets.Pixels:
    """Return the sheet of images spread over the training part, then some of the test part."""
    card, fold_of = index.card, folds.set_index("id")["fold"]
    has_classes = card.task in ("multiclass", "binary")
    images, masks, captions = [], [], []
    for part, count in (("train", SHOWN_TRAIN), ("test", SHOWN_TEST)):
        store, part_rows = read_part(paths, index, part)
        rows, targets = hard_labels(part_rows, card)
        by = targets[0] if has_classes and part == "train" else None
        for row in contact_sheet.choose_rows(rows, count, by=by):
            image_row = rows.iloc[row]
            images.append(store.image(row))
            masks.append(store.mask(row))
            captions.append(
                contact_sheet.caption(
                    image_row,
                    task=card.task,
                    targets=targets,
                    classes=card.shown,
                    fold=int(fold_of[image_row["id"]]) if part == "train" else None,
                )
            )
    return contact_sheet.contact_sheet(name, report, images, masks, captions, card.targets)
