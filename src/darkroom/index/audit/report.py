"""The audit: what is odd about a data set, reported before training.

Everything is a pure function of three tables: the index, the facts (what decoding found about
every image) and the split. The report is ready for JSON: sorted, and equal for equal tables.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from darkroom.errors import ArtifactError
from darkroom.index.audit import duplicates, shortcuts
from darkroom.index.audit.masks import MOST_LISTED, listed, mask_report, rounded
from darkroom.index.audit.warnings import warnings
from darkroom.index.card import Card
from darkroom.index.table import Index, hard_labels

MOST_SIZES = 50
SOFT_CLASSES = "the greatest share"
SIXTEEN_BITS = "I;16"  # Pillow's modes begin so; the high byte is stored
NARROW_PEAK = 64
DARK_PEAK = 16

Report = dict[str, Any]


def build_report(index: Index, facts: pd.DataFrame, folds: pd.DataFrame) -> Report:
    """Return the report on a data set, ready for JSON; its "warnings" are the worst first.

    Args:
        index: The index, train and test.
        facts: One row an image: part, id, height, width, format, mode, bytes, exif
            (orientation, 1 is upright), peak (the largest value, 0 to 255), mask_pixels
            (negative or empty: no mask; of several planes one number each), thumb (hexadecimal,
            16 x 16 grey levels), and for masks mask_values and stored_mask_digest.
        folds: Columns id and fold, of the training images.

    Raises:
        ArtifactError: The three tables are not about the same images.
    """
    table = _joined(index, facts, folds)
    train, card = table[table["part"] == "train"], index.card
    report: Report = {
        "task": card.task,
        "counts": _counts(table, card),
        "sizes": {part: _sizes(rows) for part, rows in _parts(table)},
        "formats": {part: _tally(rows["format"]) for part, rows in _parts(table)},
        "modes": {part: _tally(rows["mode"]) for part, rows in _parts(table)},
        "orientations": {
            part: _tally(rows.loc[rows["exif"] > 1, "exif"]) for part, rows in _parts(table)
        },
        "ranges": {part: _range(rows) for part, rows in _parts(table)},
        "folds": _tally(train["fold"]),
        "exact_duplicates": _exact(table, card),
        "near_duplicates": _near(table),
    }
    if card.task == "segmentation":
        report["masks"] = mask_report(train, card)
    else:
        report["targets"] = {part: _balance(rows, card) for part, rows in _parts(table)}
        report["targets_by_fold"] = {
            str(fold): _balance(rows, card) for fold, rows in train.groupby("fold")
        }
        report["size_shortcut"] = _shortcut(train, card)
    return {"warnings": warnings(report), **report}


def _joined(index: Index, facts: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Return the index with the facts and the fold of each row; test rows are in fold TEST."""
    facts = facts.drop(columns="image", errors="ignore")
    train = index.rows["part"] == "train"
    split = folds.set_index("id")["fold"]
    table = index.rows.merge(facts, on=["part", "id"], how="inner")
    unsplit = set(index.rows.loc[train, "id"]) ^ set(split.index)
    if len(table) != len(index.rows) or len(facts) != len(table) or unsplit:
        raise ArtifactError(
            "the index, the facts and the split are not about the same images",
            found=f"{len(index.rows)} images in the index, {train.sum()} of them for training; "
            f"{len(facts)} in the facts, {len(table)} of them in the index; {len(split)} split",
            fix="run the stages from index on again",
        )
    folds_by_row = table["id"].map(split).fillna(duplicates.TEST)
    table["fold"] = folds_by_row.where(table["part"] == "train", duplicates.TEST).astype(np.int64)
    table["exif"] = pd.to_numeric(table["exif"], errors="coerce")
    return table


def _parts(table: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    return [(part, table[table["part"] == part]) for part in ("train", "test")]


def _counts(table: pd.DataFrame, card: Card) -> Report:
    counts = {f"{part} images": len(rows) for part, rows in _parts(table)}
    counts["images"] = len(table)
    counts["groups"] = int(table.loc[table["group"] != "", "group"].nunique())
    return {"found": counts, "declared": dict(sorted((card.declared or {}).items()))}


def _sizes(rows: pd.DataFrame) -> Report:
    """Return the number of different sizes and the most common of them."""
    sizes = Counter(zip(rows["height"].tolist(), rows["width"].tolist(), strict=True))
    common = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:MOST_SIZES]
    return {
        "different": len(sizes),
        "common": [{"height": h, "width": w, "images": count} for (h, w), count in common],
    }


def _tally(column: "pd.Series[Any]") -> dict[str, int]:
    counts = column.value_counts()
    return {
        f"{value:g}" if isinstance(value, float) else str(value): int(count)
        for value, count in sorted(counts.items(), key=lambda item: item[0])  # type: ignore[arg-type,return-value]
    }


def _range(rows: pd.DataFrame) -> Report:
    """Return the images that use little of their range of values.

    "narrow" are 16-bit images of 14 bits or fewer whose high bytes are stored, "bits" how many
    those have; "dark" are others without a byte above 15 of 255. "values" is the range of all
    samples before they became bytes.
    """
    # With preprocess.levels, what is stored is no high byte.
    is_high_byte = rows["peak"] == rows["raw_high"] // 256
    deep = rows["mode"].str.startswith(SIXTEEN_BITS) & is_high_byte
    narrow = rows[deep & (rows["peak"] < NARROW_PEAK)]
    values = {"low": rows["raw_low"].min(), "high": rows["raw_high"].max()}
    return {
        "values": {name: rounded(value) for name, value in values.items()},
        "sixteen_bits": int(deep.sum()),
        "narrow": listed(narrow["id"]),
        "bits": 8 + int(narrow["peak"].max()).bit_length() if len(narrow) else None,
        "dark": listed(rows.loc[~deep & (rows["peak"] < DARK_PEAK), "id"]),
    }


def _balance(rows: pd.DataFrame, card: Card) -> Report:
    """Return for each target the images a class or value, or the spread of its numbers.

    Soft labels count as the hard ones that they are nearest to.
    """
    result: Report = {}
    rows, targets = hard_labels(rows, card)
    for target in targets:
        values = rows[target].dropna()
        if card.task == "regression":
            figures = values.agg(["mean", "std", "min", "max"]).to_dict()
            spread = {str(name): rounded(value) for name, value in figures.items()}
            result[target] = {"images": len(values), **spread}
        else:
            names = card.names or card.classes or card.label_values
            counts = values.astype(int).value_counts().to_dict()
            title = SOFT_CLASSES if card.soft else target
            result[title] = {name: int(counts.get(k, 0)) for k, name in enumerate(names)}
    return result


def _exact(table: pd.DataFrame, card: Card) -> Report:
    """Return the sets of byte-identical images, by the parts and folds that they are in."""
    places: dict[str, list[list[str]]] = {"within_train": [], "across_folds": [], "train_test": []}
    contradictory = []
    answers = ["stored_mask_digest"] if card.task == "segmentation" else [*card.targets]
    for _, same in table[table["digest"].duplicated(keep=False)].groupby("digest"):
        ids = [f"{part} {row}" for part, row in zip(same["part"], same["id"], strict=True)]
        train = same[same["part"] == "train"]
        if len(train) > 1:
            places["within_train"].append(ids)
            if train["fold"].nunique() > 1:
                places["across_folds"].append(ids)
            if (train[answers].nunique() > 1).any():
                contradictory.append(ids)
        if 0 < len(train) < len(same):
            places["train_test"].append(ids)
    places["contradictory"] = contradictory
    return {
        place: {"sets": len(sets), "first": sorted(sets)[:MOST_LISTED]}
        for place, sets in places.items()
    }


def _near(table: pd.DataFrame) -> Report:
    """Return the near duplicates across folds and between train and test."""
    near = duplicates.find_near_duplicates(
        duplicates.thumbs_from_hex(table["thumb"].tolist()),
        table["fold"].to_numpy(np.int64),
        table["digest"].tolist(),
    )
    names = (table["part"] + " " + table["id"]).tolist()
    report: Report = {"limit_rms": duplicates.LIMIT_RMS, "flat": near.flat}
    for place, pairs in (("across_folds", near.across_folds), ("train_test", near.train_test)):
        report[place] = {
            "pairs": pairs.count,
            "closest": [
                {"rms": rms, "images": [names[one], names[two]]} for rms, one, two in pairs.closest
            ],
        }
    return report


def _shortcut(train: pd.DataFrame, card: Card) -> Report | None:
    """Return how well size alone predicts the target that it predicts best, if any can be."""
    if card.task == "regression" or not (train["fold"] >= 0).any():
        return None
    rows, targets = hard_labels(train, card)
    values = rows[list(targets)]
    complete = values.notna().all(axis=1)
    guess = shortcuts.best_guess_from_size(
        train.loc[complete, ["height", "width"]].to_numpy(np.int64),
        values[complete].to_numpy(np.float64),
        train.loc[complete, "fold"].to_numpy(np.int64),
        [SOFT_CLASSES] if card.soft else targets,
    )
    report = {**asdict(guess), "gives_away": guess.gives_away}
    return {k: rounded(v) if isinstance(v, float) else v for k, v in report.items()}
