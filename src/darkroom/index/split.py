"""Which training image is validated in which fold.

Images of one group (the views of a car, the photos of a person) and byte-identical images
form a unit, and a unit is never on both sides of a fold. A split depends on the rows
themselves, the way and the seed, not on the order of the rows.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from darkroom.errors import ArtifactError, DataError, ParamsError

NEVER_VALIDATED = -1
QUANTILES = 10

By = Literal["group", "stratify", "official"]
Ints = npt.NDArray[np.int64]


def assign_folds(
    rows: pd.DataFrame,
    *,
    by: By,
    count: int,
    seed: int,
    task: str,
    targets: Sequence[str] = (),
    classes: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the fold of each training image: columns id (str) and fold (int), by id.

    Args:
        rows: The training rows of an index: id, group, official, digest and the targets.
        by: "group" deals out units, balancing the number of images. "stratify" also evens
            out classes, attributes, or tenths of a number. "official" validates the rows
            whose official part is "valid" in fold 0 and never those of "train" (fold -1).
        count: The number of folds, 2 or more; "official" has one and ignores it.
        seed: Decides which units meet; "official" ignores it.
        task: The kind of target; see darkroom.tasks.table.
        targets: The target columns of `rows`.
        classes: For "multiclass", the name of each class number, for messages and to see
            that none is missing.

    Raises:
        ParamsError: The split asked for is not possible with these rows.
        DataError: An official part mixes what belongs together, or a class can't be learned.
    """
    if by not in get_args(By):
        raise ParamsError("no such way to split", found=by, expected=" | ".join(get_args(By)))
    rows = rows.sort_values("id", kind="stable").reset_index(drop=True)
    if by == "official":
        fold_of = _official(rows)
    else:
        if count < 2:
            raise ParamsError("too few folds", found=count, expected="2 or more")
        if by == "stratify" and task in ("multiclass", "binary"):
            _check_class_sizes(rows[targets[0]], count, classes)
        labels = _labels(rows, targets, task) if by == "stratify" else _labels(rows, (), task)
        fold_of = _dealt(_units(rows), labels, count, np.random.default_rng(seed))
    if task in ("multiclass", "binary"):
        _check_training_sides(rows[targets[0]], fold_of, classes, by)
    split = pd.DataFrame({"id": rows["id"], "fold": fold_of})
    check_split(rows, split)
    return split


def check_split(rows: pd.DataFrame, split: pd.DataFrame) -> None:
    """Raise unless the split has each training id once and no unit on both sides.

    Args:
        rows: The training rows of an index.
        split: Columns id and fold.

    Raises:
        ArtifactError: The split was made from other rows, or leaks.
    """
    fix = "run the split stage again"
    repeated = sorted(set(split["id"][split["id"].duplicated()]))
    if repeated:
        raise ArtifactError("the split names images twice", details=repeated, fix=fix)
    odd = sorted(set(split["id"]) ^ set(rows["id"]))
    if odd:
        raise ArtifactError(
            "the split and the training rows of the index name different images",
            found=f"{len(split)} images in the split, {len(rows)} in the index",
            details=odd,
            fix=fix,
        )
    fold_of = rows["id"].map(split.set_index("id")["fold"]).to_numpy(np.int64)
    leaks = list(_leaks(rows, fold_of))
    if leaks:
        raise ArtifactError(
            "images that belong together are on both sides of a fold", details=leaks, fix=fix
        )


def _dealt(units: Ints, labels: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Return the fold of each row: its unit's, dealt out by number of images and labels."""
    sizes = np.bincount(units)
    if len(sizes) < count:
        raise ParamsError(
            "there are more folds than groups of images that must stay together",
            found=f"{count} folds, {len(sizes)} groups ({len(units)} images)",
            expected=f"at most {len(sizes)} folds" if len(sizes) > 1 else "2 groups or more",
            fix="lower split.folds" if len(sizes) > 1 else "group by a column that differs",
        )
    summed = np.zeros((len(sizes), labels.shape[1]), np.int64)
    np.add.at(summed, units, labels)
    return deal(sizes, summed, count, rng)[units]


def _official(rows: pd.DataFrame) -> Ints:
    """Return 0 for rows of the official validation part and -1 for those of its training."""
    counts = {str(part): n for part, n in rows["official"].value_counts().items()}
    if not counts.get("valid") or not counts.get("train"):
        raise ParamsError(
            "there is no official partition to split by",
            found=", ".join(f"{n} images {part or 'of no part'}" for part, n in counts.items()),
            expected="images of the official parts train and valid",
            fix="set split.by to group or stratify",
        )
    other = rows[~rows["official"].isin(["train", "valid"])]
    if len(other):
        raise DataError(
            "training images outside the official parts train and valid",
            details=[
                f"{row_id}: {part or 'no part'}"
                for row_id, part in zip(other["id"], other["official"], strict=True)
            ],
        )
    fold_of = np.where(rows["official"] == "valid", 0, NEVER_VALIDATED).astype(np.int64)
    leaks = list(_leaks(rows, fold_of))
    if leaks:
        raise DataError(
            "the official partition has images that belong together in both train and valid",
            details=leaks,
            fix="set split.by to group or stratify",
        )
    return fold_of


def _leaks(rows: pd.DataFrame, fold_of: Ints) -> Iterable[str]:
    """Yield a line for each group and each digest that is in more than one fold."""
    for column, what in (("group", "both of group {}"), ("digest", "byte-identical")):
        told = rows[column] != ""
        keys = rows.loc[told, column].to_numpy(object)
        ids, of = rows.loc[told, "id"].to_numpy(object), fold_of[told.to_numpy()]
        first: dict[str, tuple[str, int]] = {}
        reported: set[str] = set()
        for key, row_id, fold in zip(keys, ids, of, strict=True):
            other, other_fold = first.setdefault(key, (row_id, fold))
            if fold != other_fold and key not in reported:
                reported.add(key)
                yield (
                    f"{other} (fold {other_fold}) and {row_id} (fold {fold}): {what.format(key)}"
                )


def _units(rows: pd.DataFrame) -> Ints:
    """Return the unit number of each row: rows that share a group or a digest, even by steps."""
    parent = list(range(len(rows)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for column in ("group", "digest"):
        first: dict[str, int] = {}
        for row, key in enumerate(rows[column].to_numpy(object)):
            if key:
                low, high = sorted((root(row), root(first.setdefault(key, row))))
                parent[high] = low
    roots = np.array([root(row) for row in range(len(rows))], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _labels(rows: pd.DataFrame, targets: Sequence[str], task: str) -> Ints:
    """Return int64 (rows, labels), 1 where a row bears a label that folds should share evenly.

    A label is a class, an attribute that is present, or a tenth of the values of a number.
    """
    columns: list[npt.NDArray[np.bool_]] = []
    for target in targets:
        values = rows[target].to_numpy(np.float64)
        if task == "multilabel":
            columns.append(values > 0)
        elif task in ("multiclass", "binary"):
            columns += [values == each for each in np.unique(values[~np.isnan(values)])]
        else:
            edges = np.unique(np.nanquantile(values, np.arange(1, QUANTILES) / QUANTILES))
            tenth = np.searchsorted(edges, values, side="right")
            columns += [(tenth == each) & ~np.isnan(values) for each in range(len(edges) + 1)]
    return np.array(columns, np.int64).reshape(len(columns), len(rows)).T


def _check_class_sizes(target: "pd.Series[float]", count: int, classes: Sequence[str]) -> None:
    known, images = np.unique(target.dropna().to_numpy(np.float64), return_counts=True)
    small = [
        f"{_name(each, classes)}: {number} images"
        for each, number in zip(known, images, strict=True)
        if number < count
    ]
    if small:
        least = int(images.min())  # a split has two folds or more
        lower = f"lower split.folds to {least}, or " if least > 1 else ""
        raise DataError(
            f"classes with fewer images than the {count} folds",
            details=small,
            fix=f"{lower}leave these classes out",
        )


def _check_training_sides(
    target: "pd.Series[float]", fold_of: Ints, classes: Sequence[str], by: By
) -> None:
    """Raise if a class has no image at all, or none to learn from while a fold is validated."""
    values = target.to_numpy(np.float64)
    known = sorted(set(values[~np.isnan(values)]) | set(map(float, range(len(classes)))))
    absent = []
    for each in known:
        where = np.unique(fold_of[values == each])
        if len(where) == 0:
            absent.append(f"{_name(each, classes)}: no training image at all")
        elif len(where) == 1 and where[0] != NEVER_VALIDATED:
            absent.append(
                f"{_name(each, classes)}: all its images are validated in fold {where[0]}"
            )
    if absent:
        other = "set split.by to stratify, or " if by == "group" else ""
        raise DataError(
            "a class is absent from training",
            details=absent,
            fix=f"{other}leave these classes out",
        )


def _name(number: float, classes: Sequence[str]) -> str:
    return f"class {classes[int(number)] if classes else format(number, 'g')}"


Counts = npt.NDArray[np.int64]


def deal(sizes: Counts, labels: Counts, count: int, rng: np.random.Generator) -> Counts:
    """Return the fold (0 to count - 1) of each unit.

    Units without labels come last, the largest first, each to the smallest fold. No fold
    stays empty where there are at least `count` units. Images that are units of their own
    and bear one label each are spread to within one image a label.

    Args:
        sizes: int64 (units,), the images of each unit.
        labels: int64 (units, labels), how many images of a unit bear each label.
        count: The number of folds.
        rng: Decides the order of units of equal size.
    """
    order = rng.permutation(len(sizes))
    fold_of = np.full(len(sizes), -1, np.int64)
    left = labels.sum(axis=0)
    # count times what a fold still lacks of its share: integers, so that ties are ties
    lack, room = np.tile(left, (count, 1)), np.full(count, sizes.sum())
    # one image weighs more the rarer its label
    weight = (sizes.sum() << 20) // np.maximum(left, 1)
    while left.any():
        rarest = int(np.argmin(np.where(left > 0, left, left.max() + 1)))
        waiting = order[(fold_of[order] < 0) & (labels[order, rarest] > 0)]
        for unit in waiting[np.argsort(-labels[waiting, rarest], kind="stable")]:
            gain = lack @ (labels[unit] * weight)
            best = np.flatnonzero(gain == gain.max())
            fold_of[unit] = fold = best[np.argmax(room[best])]
            lack[fold] -= count * labels[unit]
            room[fold] -= count * sizes[unit]
            left -= labels[unit]
    waiting = order[fold_of[order] < 0]
    for unit in waiting[np.argsort(-sizes[waiting], kind="stable")]:
        fold_of[unit] = fold = np.argmax(room)
        room[fold] -= count * sizes[unit]
    return fold_of
