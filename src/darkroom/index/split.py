"""Assign training images to folds.

Images of one group (the views of a car, the photos of a person) and byte-identical images form
a unit, and a unit is never on both sides of a fold. A split depends on the rows, the method and
the seed, not on the order of the rows.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from darkroom.errors import ArtifactError, DataError, ParamsError

if TYPE_CHECKING:  # 0.1 s that only those who cut a split pay
    from scipy.sparse import csr_array

NEVER_VALIDATED = -1
QUANTILES = 10
CLASSED = ("multiclass", "binary")

By = Literal["group", "stratify", "official"]
Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


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
        by: "group" balances the number of images in the folds. "stratify" also balances classes,
            attributes, mask classes, or deciles of a number; a class with fewer images than folds
            is only trained on (fold -1), and with "group" if one fold would hold it whole.
            "official" validates the rows whose official part is "valid" in fold 0, and never
            those of "train" (fold -1).
        count: The number of folds, 2 or more; "official" has one and ignores it.
        seed: Of the random order of units; "official" ignores it.
        task: One of `darkroom.index.table.TASK_NAMES`.
        targets: The target columns of `rows`; for masks, those of `shown_classes`.
        classes: Multiclass: the name of each class number, for messages and to check that no
            class is missing.

    Raises:
        ParamsError: This split is not possible with these rows.
        DataError: The official partition separates a unit, or a class cannot be learned.

    Example:
        >>> rows = pd.DataFrame({"id": ["a1", "a2", "b1"], "group": ["a", "a", "b"]})
        >>> rows = rows.assign(official="", digest="")
        >>> folds = assign_folds(rows, by="group", count=2, seed=1, task="segmentation")
        >>> folds.loc[folds["fold"] == folds["fold"][0], "id"].tolist()
        ['a1', 'a2']
    """
    if by not in get_args(By):
        raise ParamsError("unknown method to split", found=by, expected=" | ".join(get_args(By)))
    if not rows["id"].is_monotonic_increasing:  # of an index they are in order
        rows = rows.sort_values("id", kind="stable")
    rows = rows.reset_index(drop=True)
    if by == "official":
        fold_of = _official_folds(rows)
    else:
        if count < 2:
            raise ParamsError("too few folds", found=count, expected="2 or more")
        labels = _labels(rows, targets if by == "stratify" else (), task)
        classed = rows[targets[0]].to_numpy(np.float64) if task in CLASSED else None
        small = _small_classes(classed, count)
        few = small if by == "stratify" else set()
        fold_of = _folds_without(few, small, classed, _units(rows), labels, count, seed, classes)
    if task in CLASSED:
        _check_training_sides(rows[targets[0]], fold_of, classes, by)
    split = pd.DataFrame({"id": rows["id"], "fold": fold_of})
    check_split(rows, split)
    return split


def check_split(rows: pd.DataFrame, split: pd.DataFrame) -> None:
    """Raise unless the split has each training id once and no unit in two folds.

    Args:
        rows: The training rows of an index.
        split: Columns id and fold.

    Raises:
        ArtifactError: The split was made from other rows, or separates a unit.
    """
    fix = "run the split stage again"
    is_repeated = split["id"].duplicated()
    if is_repeated.any():
        repeated = sorted(set(split["id"][is_repeated]))
        raise ArtifactError("the split names images twice", details=repeated, fix=fix)
    is_same = np.array_equal(split["id"].array, rows["id"].array)
    odd = [] if is_same else sorted(set(split["id"]) ^ set(rows["id"]))
    if odd:
        raise ArtifactError(
            "the split and the training rows of the index name different images",
            found=f"{len(split)} images in the split, {len(rows)} in the index",
            details=odd,
            fix=fix,
        )
    folds = split["fold"] if is_same else rows["id"].map(split.set_index("id")["fold"])
    fold_of = folds.to_numpy(np.int64)
    leaks = list(_leaks(rows, fold_of))
    if leaks:
        raise ArtifactError(
            "images that belong together are on both sides of a fold", details=leaks, fix=fix
        )


def _small_classes(classed: Doubles | None, count: int) -> set[float]:
    """Return the classes with fewer images than `count`."""
    if classed is None:
        return set()
    numbers, images = np.unique(classed[~np.isnan(classed)], return_counts=True)
    return {float(each) for each in numbers[images < count]}


def _folds_without(
    few: set[float],
    small: set[float],
    classed: Doubles | None,
    units: Ints,
    labels: "csr_array",
    count: int,
    seed: int,
    classes: Sequence[str],
) -> Ints:
    """Return the fold of each row; rows of a few classes, and their units, are never validated.

    Small classes that would be validated in one fold only, and so be absent from its training,
    join the few until there is none.
    """
    while True:
        rare = np.zeros(len(units), bool) if classed is None else np.isin(classed, [*few])
        validated = ~np.isin(units, units[rare])
        if classed is not None:
            _check_validated(classed, validated, count, classes)
        fold_of = np.full(len(units), NEVER_VALIDATED, np.int64)
        numbers = np.unique(units[validated], return_inverse=True)[1].astype(np.int64)
        rng = np.random.default_rng(seed)
        fold_of[validated] = _balanced_folds(numbers, labels[validated], count, rng)
        if classed is None:
            return fold_of
        folds = pd.Series(fold_of).groupby(classed).agg(["min", "max"])
        in_one_fold = (folds["min"] == folds["max"]) & (folds["min"] != NEVER_VALIDATED)
        whole = set(folds.index[in_one_fold])
        if not whole & small:
            return fold_of
        few = few | (whole & small)


def _balanced_folds(units: Ints, labels: "csr_array", count: int, rng: np.random.Generator) -> Ints:
    """Return the fold of each row, which is its unit's; images and labels are balanced."""
    sizes = np.bincount(units)
    if len(sizes) < count:
        raise ParamsError(
            "there are more folds than groups of images that must stay together",
            found=f"{count} folds, {len(sizes)} groups ({len(units)} images)",
            expected=f"at most {len(sizes)} folds" if len(sizes) > 1 else "2 groups or more",
            fix="lower split.folds"
            if len(sizes) > 1
            else "group by a column that differs, or leave group out",
        )
    from scipy.sparse import csr_array  # noqa: PLC0415  (see the top)

    by_row = labels.tocoo()
    places = (units[by_row.row], by_row.col)
    summed = csr_array((by_row.data, places), shape=(len(sizes), labels.shape[1]))
    summed.sum_duplicates()  # as scipy 1.13 does not
    return balance_units(sizes, summed, count, rng)[units]


def _official_folds(rows: pd.DataFrame) -> Ints:
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
        filled = (rows[column] != "").to_numpy()
        codes, keys = pd.factorize(rows.loc[filled, column])
        ids, folds = rows.loc[filled, "id"], fold_of[filled]
        first = np.unique(codes, return_index=True)[1]
        is_odd = folds != folds[first][codes]
        for place in np.flatnonzero(is_odd)[_first_places(codes[is_odd])].tolist():
            other = first[codes[place]]
            yield (
                f"{ids.iloc[other]} (fold {folds[other]}) and {ids.iloc[place]} "
                f"(fold {folds[place]}): {what.format(keys[codes[place]])}"
            )


def _first_places(codes: Ints) -> Ints:
    """Return where each value stands first, in order."""
    return np.sort(np.unique(codes, return_index=True)[1])


def _units(rows: pd.DataFrame) -> Ints:
    """Return the unit number of each row: rows that share a group or a digest, even indirectly."""
    pairs = []
    for column in ("group", "digest"):
        places = np.flatnonzero((rows[column] != "").to_numpy())
        codes = pd.factorize(rows[column].iloc[places])[0]
        first = places[np.unique(codes, return_index=True)[1]][codes]
        pairs.append(np.stack([first, places])[:, first != places])
    links = np.concatenate(pairs, axis=1)
    if not links.size:
        return np.arange(len(rows))
    # 0.1 s that only those who cut a split pay
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415

    shape = (len(rows), len(rows))
    graph = csr_array((np.ones(links.shape[1], np.int8), tuple(links)), shape=shape)
    units = csgraph.connected_components(graph, directed=False)[1]
    first = np.unique(units, return_index=True)[1]
    return np.unique(first[units], return_inverse=True)[1].astype(np.int64)


def _labels(rows: pd.DataFrame, targets: Sequence[str], task: str) -> "csr_array":
    """Return the labels to balance over the folds: int64 (rows, labels), 1 where a row has one.

    A label is a class, an attribute or mask class that is present, or a decile of a number. Of
    thousands of classes a row has one, so the others take no room.
    """
    places, labels, count = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for target in targets:
        values = rows[target].to_numpy(np.float64)
        is_flag = task in ("multilabel", "segmentation")
        has_label = values > 0 if is_flag else ~np.isnan(values)
        if is_flag:
            numbers, width = np.zeros(has_label.sum(), np.int64), 1
        elif task in CLASSED:
            classes, numbers = np.unique(values[has_label], return_inverse=True)
            width = len(classes)
        else:
            edges = np.unique(np.nanquantile(values, np.arange(1, QUANTILES) / QUANTILES))
            numbers = np.searchsorted(edges, values[has_label], side="right")
            width = len(edges) + 1
        places.append(np.flatnonzero(has_label))
        labels.append(count + numbers)
        count += width
    from scipy.sparse import csr_array  # noqa: PLC0415  (see the top)

    pairs = (np.concatenate(places), np.concatenate(labels))
    return csr_array((np.ones(len(pairs[0]), np.int64), pairs), shape=(len(rows), count))


def _check_validated(
    classed: Doubles, is_validated: npt.NDArray[np.bool_], count: int, classes: Sequence[str]
) -> None:
    """Raise if fewer than two classes are ever validated: their score would say nothing."""
    numbers, images = np.unique(classed[~np.isnan(classed)], return_counts=True)
    validated = np.unique(classed[is_validated])
    if len(numbers) > 1 and len(validated) < 2:
        second = int(np.sort(images)[-2])  # two classes have as many images or more
        raise DataError(
            f"fewer than two classes can be validated in {count} folds",
            details=[
                f"{_name(each, classes)}: {number} images"
                for each, number in zip(numbers, images, strict=True)
                if each not in validated
            ],
            fix=f"lower split.folds to {second}, or add images of these classes"
            if 1 < second < count
            else "add images of these classes; or name others to validate on in data.valid, and "
            "set split.by to official",
        )


def _check_training_sides(
    target: "pd.Series[float]", fold_of: Ints, classes: Sequence[str], by: By
) -> None:
    """Raise if all images of a class are validated in one fold.

    The index has seen to classes without any image: only those that the judge has a column for.
    """
    folds = pd.Series(fold_of).groupby(target.to_numpy(np.float64)).agg(["min", "max"])
    in_one_fold = folds[(folds["min"] == folds["max"]) & (folds["min"] != NEVER_VALIDATED)]
    absent = [
        f"{_name(each, classes)}: all its images are validated in fold {fold}"
        for each, fold in zip(in_one_fold.index.tolist(), in_one_fold["min"], strict=True)
    ]
    if absent:
        other = "set split.by to stratify, or " if by == "group" else ""
        raise DataError(
            "a class is absent from training",
            details=absent,
            fix=f"{other}leave these classes out",
        )


def _name(number: float, classes: Sequence[str]) -> str:
    return f"class {classes[int(number)] if classes else format(number, 'g')}"


def balance_units(sizes: Ints, labels: "csr_array", count: int, rng: np.random.Generator) -> Ints:
    """Return the fold (0 to count - 1) of each unit.

    A variant of iterative stratification (Sechidis et al., 2011): the rarest label is distributed
    first, each unit to the fold that lacks its labels most. Units without labels come last, the
    largest first, each to the smallest fold. No fold stays empty where there are at least `count`
    units. Single images with one label each are spread to within one image a label.

    Args:
        sizes: int64 (units,), the images of each unit.
        labels: int64 (units, labels), how many images of a unit have each label, no pair twice.
        count: The number of folds.
        rng: Of the order of units of equal size.
    """
    order = rng.permutation(len(sizes))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    fold_of = np.full(len(sizes), -1, np.int64)
    by_label = labels.tocsc()
    totals = np.asarray(labels.sum(axis=0), np.int64)
    # Python's integers, which compare exactly and cost a tenth of numpy's on a handful of values.
    # count times what each fold still lacks: in integers, so that equal values compare equal
    missing, room = [(count * totals).tolist() for _ in range(count)], [int(sizes.sum())] * count
    # the rarer a label, the more one image weighs
    weight = ((sizes.sum() << 20) // np.maximum(totals, 1)).tolist()
    left, begins = totals.tolist(), labels.indptr.tolist()
    while any(left):
        rarest = left.index(min(number for number in left if number > 0))
        column = slice(by_label.indptr[rarest], by_label.indptr[rarest + 1])
        pending, images = by_label.indices[column], by_label.data[column]
        for unit in pending[np.lexsort((rank[pending], -images))].tolist():
            if fold_of[unit] >= 0:
                continue
            row = slice(begins[unit], begins[unit + 1])
            own = list(zip(labels.indices[row].tolist(), labels.data[row].tolist(), strict=True))
            gains = [
                sum(lack[label] * number * weight[label] for label, number in own)
                for lack in missing
            ]
            greatest = max(gains)
            best = max(
                (fold for fold in range(count) if gains[fold] == greatest), key=room.__getitem__
            )
            fold_of[unit] = best
            for label, number in own:
                missing[best][label] -= count * number
                left[label] -= number
            room[best] -= count * int(sizes[unit])
    pending = order[fold_of[order] < 0]
    for unit in pending[np.argsort(-sizes[pending], kind="stable")].tolist():
        fold_of[unit] = best = room.index(max(room))
        room[best] -= count * int(sizes[unit])
    return fold_of
