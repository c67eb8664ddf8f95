"""The audit: what is odd about a data set, reported before training.

Everything is a pure function of three tables: the index, the facts (what decoding found about
every image) and the split. The report is ready for JSON: sorted, and equal for equal tables.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
INDEX_COLUMNS = ("id", "part", "group", "digest")
FACTS = (
    *("id", "part", "height", "width", "format", "mode", "exif", "raw_low", "raw_high", "peak"),
    *("mask_pixels", "mask_values", "stored_mask_digest"),
)
"""What a report reads of each image, beside its thumbnail."""
_ROWS_AT_ONCE = 4096

Report = dict[str, Any]


def build_report(
    index: Index, facts: pd.DataFrame, folds: pd.DataFrame, thumbs: duplicates.Thumbs
) -> Report:
    """Return the report on a data set, ready for JSON; its "warnings" are the worst first.

    Args:
        index: The index, train and test.
        facts: One row an image, in the order of the index: `FACTS`. Of them exif is the
            orientation (1 is upright), peak the largest value, 0 to 255, and mask_pixels is
            negative or empty where there is no mask; of several planes it is one number each.
        folds: Columns id and fold, of the training images.
        thumbs: uint8 (rows, 256), 16 x 16 grey levels of each image; an array, or what gives
            arrays for slices and for positions.

    Raises:
        ArtifactError: The three tables are not about the same images.
    """
    table = _joined(index, facts, folds)
    (_, train), _ = _parts(table)
    card, codes = index.card, digest_codes(table.pop("digest"))
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
        "exact_duplicates": _exact(table, codes, card),
        "near_duplicates": _near(table, codes, thumbs),
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
    rows, facts = index.rows, facts.reset_index(drop=True)
    count = int((rows["part"] == "train").sum())
    fold_of = _folds_of(rows["id"].iloc[:count], folds)
    is_same = len(facts) == len(rows) and all(
        bool((facts[name] == rows[name]).all()) for name in ("part", "id")
    )
    if not is_same or fold_of is None:
        both = rows[["part", "id"]].merge(facts[["part", "id"]])
        raise ArtifactError(
            "the index, the facts and the split are not about the same images, or in another order",
            found=f"{len(rows)} images in the index, {count} of them for training; "
            f"{len(facts)} in the facts, {len(both)} of them in the index; {len(folds)} split",
            fix="run the stages from index on again",
        )
    targets = [] if index.card.task == "segmentation" else index.card.targets
    found = facts.drop(columns=["part", "id"])
    table = pd.concat([rows[["id", "group", "digest", *targets]], found], axis=1)
    table["fold"] = np.full(len(rows), duplicates.TEST)
    table.iloc[:count, -1] = fold_of
    return table


def _folds_of(ids: "pd.Series[str]", folds: pd.DataFrame) -> NDArray[np.int64] | None:
    """Return the fold of each training image; None: the folds are of others."""
    if len(ids) != len(folds):
        return None
    if not (ids.array == folds["id"].array).all():  # in another order
        folds = folds.set_index("id").reindex(ids)
        if folds["fold"].isna().any():
            return None
    return folds["fold"].to_numpy(np.int64)


def digest_codes(digests: "pd.Series[str]") -> NDArray[np.int64]:
    """Return a number for each digest of 32 hexadecimal digits; equal ones have the same.

    Example:
        >>> digest_codes(pd.Series(["0" * 32, "f" * 32, "0" * 32])).tolist()
        [0, 1, 0]
    """
    numbers = np.empty((len(digests), 2), np.uint64)
    for start in range(0, len(digests), _ROWS_AT_ONCE):
        data = bytes.fromhex("".join(digests.iloc[start : start + _ROWS_AT_ONCE]))
        numbers[start : start + _ROWS_AT_ONCE] = np.frombuffer(data, np.uint64).reshape(-1, 2)
    order = np.lexsort(numbers.T)
    numbers = numbers[order]
    is_new = (numbers[1:] != numbers[:-1]).any(axis=1)
    codes = np.empty(len(order), np.int64)
    codes[order] = np.concatenate([[0], np.cumsum(is_new)])
    return codes


def _parts(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each part; those of training come first."""
    count = int((table["fold"] != duplicates.TEST).sum())
    return [("train", table.iloc[:count]), ("test", table.iloc[count:])]


def _counts(table: pd.DataFrame, card: Card) -> Report:
    counts = {f"{part} images": len(rows) for part, rows in _parts(table)}
    counts["images"] = len(table)
    counts["groups"] = int(table.loc[table["group"] != "", "group"].nunique())
    return {"found": counts, "declared": dict(sorted((card.declared or {}).items()))}


def _sizes(rows: pd.DataFrame) -> Report:
    """Return the number of different sizes and the most common of them."""
    keys = rows["height"].to_numpy(np.int64) << 32 | rows["width"].to_numpy(np.int64)
    sizes, counts = np.unique(keys, return_counts=True)
    common = np.lexsort((sizes, -counts))[:MOST_SIZES]
    return {
        "different": len(sizes),
        "common": [
            {"height": int(sizes[k] >> 32), "width": int(sizes[k] & 0xFFFFFFFF), "images": int(n)}
            for k, n in zip(common, counts[common], strict=True)
        ],
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


def _exact(table: pd.DataFrame, codes: NDArray[np.int64], card: Card) -> Report:
    """Return the sets of byte-identical images, by the parts and folds that they are in."""
    answers = ["stored_mask_digest"] if card.task == "segmentation" else [*card.targets]
    same = np.flatnonzero(np.bincount(codes)[codes] > 1)
    rows = table.iloc[same][["id", "fold", *answers]].assign(code=codes[same], row=same)
    of_train = rows["fold"] != duplicates.TEST
    sets, train = rows.groupby("code")["row"], rows[of_train].groupby("code")
    first, size = sets.first(), sets.size()
    trained = train.size().reindex(first.index, fill_value=0)
    folds = train["fold"].nunique().reindex(first.index, fill_value=0)
    differ = (train[answers].nunique() > 1).any(axis=1).reindex(first.index, fill_value=False)
    places = {
        "within_train": trained > 1,
        "across_folds": (trained > 1) & (folds > 1),
        "train_test": (trained > 0) & (trained < size),
        "contradictory": (trained > 1) & differ,
    }
    return {place: _listed_sets(table, sets, first[which]) for place, which in places.items()}


def _listed_sets(table: pd.DataFrame, sets: Any, first: "pd.Series[int]") -> Report:
    """Return how many sets there are, and the first of them, by the first image of each."""
    names = sorted((_name(table, row), code) for code, row in first.items())[:MOST_LISTED]
    members = [sets.get_group(code) for _, code in names]
    return {"sets": len(first), "first": [[_name(table, r) for r in rows] for rows in members]}


def _name(table: pd.DataFrame, row: int) -> str:
    """Return the part and the id of a row."""
    part = "test" if table["fold"].iat[row] == duplicates.TEST else "train"
    return f"{part} {table['id'].iat[row]}"


def _near(table: pd.DataFrame, codes: NDArray[np.int64], thumbs: duplicates.Thumbs) -> Report:
    """Return the near duplicates across folds and between train and test."""
    near = duplicates.find_near_duplicates(thumbs, table["fold"].to_numpy(np.int64), codes)
    report: Report = {"limit_rms": duplicates.LIMIT_RMS, "flat": near.flat}
    for place, pairs in (("across_folds", near.across_folds), ("train_test", near.train_test)):
        report[place] = {
            "pairs": pairs.count,
            "closest": [
                {"rms": rms, "images": [_name(table, one), _name(table, two)]}
                for rms, one, two in pairs.closest
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
