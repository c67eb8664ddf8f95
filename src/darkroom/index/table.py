"""The index: one row an image, with the same columns for every competition.

All stages after the index read this table and its card, and nothing else, to know what to learn.
Ids are always text: "000001.jpg", "007", "NA" and "1e5" are kept as they are.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from darkroom.errors import ArtifactError, DataError
from darkroom.index.card import (
    Card,
    card_values,
    check_card,
    counted,
    expect,
    parse_card,
)
from darkroom.params.section import is_writable
from darkroom.project import files
from darkroom.project.checked_json import read_bytes, write_json

COLUMNS = ("id", "part", "image", "mask", "group", "official", "digest", "mask_digest")
# Later tables add the fold and the facts of each image to the index's columns.
RESERVED_NAMES = (
    *COLUMNS,
    "fold",
    *("height", "width", "format", "mode", "bytes", "exif", "raw_low", "raw_high", "peak"),
    *("mask_pixels", "mask_values", "stored_mask_digest", "thumb"),
)

_RLE = r"rle:(?:row|column)(?: [1-9][0-9]* [1-9][0-9]*)*"
_ROWS_AT_ONCE = 4096
LARGEST = 1e15  # a target value: float32 must hold the squares of errors


@dataclass(frozen=True)
class Index:
    """The table and its card.

    Attributes:
        rows: Text columns `COLUMNS`, then one float64 column a target (NaN where unknown;
            multiclass: the class number). Part train in order of id, then part test in the
            order that the submission expects.
        card: The meaning of the rows.
        sha256: Of the card's file, which holds the table's; "" if they were not read from files.
    """

    rows: pd.DataFrame
    card: Card
    sha256: str = ""


def check_index(index: Index) -> None:
    """Check an index against every rule that later stages rely on.

    Raises:
        DataError: A rule is broken; the message names it and the first rows that break it.
    """
    check_card(index.card, COLUMNS)
    _check_columns(index)
    _check_text(index.rows)
    _check_parts(index.rows)
    _check_official(index.rows)
    _check_ids(index.rows)
    if index.card.task == "segmentation":
        _check_masks(index.rows, index.card)
    else:
        _check_targets(index.rows, index.card)


def write_index(index: Index, table: Path, card: Path) -> None:
    """Check an index and write it, with the table's sha256 in the card; bytes are reproducible.

    Raises:
        DataError: See `check_index`.
    """
    check_index(index)
    text = _as_csv(index.rows, _target_columns(index.card)).encode()
    facts: dict[str, Any] = card_values(index.card)
    facts |= {"rows": len(index.rows), "sha256": hashlib.sha256(text).hexdigest()}
    files.write(table, text)
    write_json(card, facts)


def _as_csv(rows: pd.DataFrame, targets: Sequence[str]) -> str:
    """Return the table as CSV, targets last.

    pyarrow joins the numbers: pandas makes an object of each, which takes minutes of a thousand
    labels.
    """
    options: dict[str, Any] = {"index": False, "lineterminator": "\n"}
    head = rows.head(0).to_csv(**options)
    whole = {name for name in targets if _is_whole(rows[name])}
    parts = [head]
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows.iloc[start : start + _ROWS_AT_ONCE]
        lines = some[[*COLUMNS]].to_csv(header=False, **options)
        if targets:
            numbers = [_number_cells(some[name], whole=name in whole) for name in targets]
            ends = pc.binary_join_element_wise(*numbers, ",").to_pylist()
            texts = lines.split("\n")  # no cell holds a line break
            lines = "".join(f"{a},{b}\n" for a, b in zip(texts[:-1], ends, strict=True))
        parts.append(lines)
    return "".join(parts)


def _is_whole(values: "pd.Series[float]") -> bool:
    values = values.dropna()
    return bool((values == np.round(values)).all() and (values.abs() < 2**53).all())


def _number_cells(values: "pd.Series[float]", *, whole: bool) -> pyarrow.Array:
    """Return numbers as text, 1 instead of 1.0 where all are whole; "" where unknown."""
    if whole:
        numbers = pyarrow.array(values.to_numpy(), from_pandas=True).cast(pyarrow.int64())
        return numbers.cast(pyarrow.string()).fill_null("")
    return pyarrow.array(["" if each != each else repr(each) for each in values.tolist()])


def read_index(table: Path, card: Path) -> Index:
    """Read what `write_index` wrote.

    Raises:
        ArtifactError: A file is absent or damaged, or the two do not belong together.
    """
    fix = _rerun(card)
    card_data = read_bytes(card, fix=fix)
    expected, sha256, count = parse_card(card_data, card, COLUMNS, fix=fix)
    data = read_bytes(table, fix=fix)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactError(
            "the index is not the one that its card describes",
            file=table,
            found=f"sha256 {hashlib.sha256(data).hexdigest()}",
            expected=f"sha256 {sha256} ({count} rows), as {card.name} says",
            fix=fix,
        )
    rows = _from_csv(data, _target_columns(expected))
    return Index(rows, expected, hashlib.sha256(card_data).hexdigest())


def read_card(path: Path) -> Card:
    """Return the card of an index, without its table.

    Raises:
        ArtifactError: It is absent or damaged.
    """
    fix = _rerun(path)
    data = read_bytes(path, fix=fix)
    return parse_card(data, path, COLUMNS, fix=fix)[0]


def _from_csv(data: bytes, targets: Sequence[str]) -> pd.DataFrame:
    """Return what `_as_csv` wrote."""
    head, digits = _split_digits(data, targets) or (data, None)
    rows: pd.DataFrame = pyarrow.csv.read_csv(
        pyarrow.BufferReader(head),
        # One block: run lengths of a mask may exceed the default of one megabyte.
        read_options=pyarrow.csv.ReadOptions(block_size=len(head) + 1, use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pyarrow.large_string())
            | dict.fromkeys(targets, pyarrow.float64()),
            null_values=[""],
            strings_can_be_null=False,  # an id may be "NA"
        ),
    ).to_pandas()
    if digits is None:
        return rows
    labels = pd.DataFrame(digits.T, rows.index, [*targets], copy=False)
    return pd.concat([rows, labels], axis=1)


def _split_digits(data: bytes, targets: Sequence[str]) -> tuple[bytes, NDArray[np.float64]] | None:
    """Return a table without its targets, and these, (K, n); None: they are read like any number.

    Of labels, a row's targets are one digit each, or all empty: they stand at known places from
    the line's end. A thousand columns are read so in a tenth of the time.
    """
    count = len(targets)
    header = pd.DataFrame(columns=[*COLUMNS, *targets]).to_csv(index=False, lineterminator="\n")
    if count < 2 or not data.startswith(header.encode()):
        return None
    heads = [",".join(COLUMNS).encode()]
    digits = np.full((count, data.count(b"\n") - 1), np.nan)
    lines = _lines(data, len(header.encode()))
    for first in range(0, digits.shape[1], _ROWS_AT_ONCE):
        places, texts = [], []
        for place, line in enumerate(islice(lines, _ROWS_AT_ONCE), first):
            is_empty = line.endswith(b"," * count)
            width = count if is_empty else 2 * count
            heads.append(line[:-width])
            if not is_empty:
                places.append(place)
                texts.append(line[-width:])
        cells = np.frombuffer(b"".join(texts), np.uint8)
        if cells.size != len(texts) * 2 * count:
            return None
        pairs = cells.reshape(-1, count, 2)
        values = pairs[:, :, 1] - np.uint8(ord("0"))
        if (pairs[:, :, 0] != ord(",")).any() or (values > 9).any():
            return None
        digits[:, places] = values.T
    return b"\n".join([*heads, b""]), digits


def _lines(data: bytes, start: int) -> Iterator[bytes]:
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1


def hard_labels(rows: pd.DataFrame, card: Card) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return rows whose soft labels are hard ones, and their columns; () for masks.

    Of shares of classes it is the number of the class with the greatest, in the first class's
    column; of a label it is 1 above 0.5, else 0. NaN stays NaN.

    Args:
        rows: Of an index.
        card: Its card.

    Example:
        >>> rows = pd.DataFrame({"a": [0.7, 0.2], "b": [0.3, 0.8]})
        >>> card = Card(task="multiclass", targets=("a", "b"), classes=("a", "b"), soft=True)
        >>> hard_labels(rows, card)[0]["a"].tolist()
        [0.0, 1.0]
    """
    if card.task == "segmentation":
        return rows, ()
    if card.task in ("multilabel", "binary"):
        values = rows[[*card.targets]]
        return rows.assign(**(values > 0.5).astype(np.float64).where(values.notna())), card.targets
    if not card.soft:
        return rows, card.targets
    shares = rows[[*card.targets]].to_numpy(np.float64)
    classes = np.where(np.isnan(shares).any(axis=1), np.nan, shares.argmax(axis=1))
    return rows.assign(**{card.targets[0]: classes}), card.targets[:1]


def shown_classes(rows: pd.DataFrame, card: Card) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return rows with a column of 0 and 1 for each of several mask classes, and these columns.

    A class counts as shown where it has run lengths or a file. Of pictures whose values are the
    classes the index can't tell; then there are no columns, as for one class.

    Args:
        rows: Of an index, training rows.
        card: Its card.

    Example:
        >>> rows = pd.DataFrame({"mask": ['[["rle:column 1 3"], []]', '[[], ["a.png"]]']})
        >>> card = Card(task="segmentation", targets=("road", "car"))
        >>> shown_classes(rows, card)[0]["car"].tolist()
        [0.0, 1.0]
    """
    if card.task != "segmentation" or card.planes == 1 or card.values:
        return rows, ()
    shown = [[float(bool(parts)) for parts in json.loads(mask)] for mask in rows["mask"]]
    columns = pd.DataFrame(shown, rows.index, list(card.targets))
    return pd.concat([rows, columns], axis=1), card.targets


def _target_columns(card: Card) -> tuple[str, ...]:
    """Return the columns of targets; those of mask classes are in `mask`."""
    return () if card.task == "segmentation" else card.targets


def _check_columns(index: Index) -> None:
    targets = _target_columns(index.card)
    columns, expected = list(index.rows.columns), [*COLUMNS, *targets]
    what = "the index has other columns than its card says"
    expect(columns == expected, what, counted(columns), counted(expected))
    for name in targets:
        kind = index.rows[name].dtype
        expect(kind == np.float64, f"target column {name} is not of floats", kind, "float64")


def _check_text(rows: pd.DataFrame) -> None:
    for name in COLUMNS:
        odd = ~rows[name].map(is_writable).astype(bool)
        _refuse_rows(rows, odd, f"column {name} holds what is not a line of text", show=name)
    for name in ("id", "image"):
        _refuse_rows(rows, rows[name] == "", f"column {name} is empty", show="image")
    for name, pattern in (("digest", "[0-9a-f]{32}"), ("mask_digest", "(?:[0-9a-f]{32})?")):
        odd = ~rows[name].str.fullmatch(pattern)
        _refuse_rows(rows, odd, f"column {name} is not 32 hexadecimal digits", show=name)


def _check_parts(rows: pd.DataFrame) -> None:
    _refuse_rows(
        rows, ~rows["part"].isin(["train", "test"]), 'a part is "train" or "test"', show="part"
    )
    for part in ("train", "test"):
        expected = "at least one image to train on and one to predict"
        some = bool((rows["part"] == part).any())
        expect(some, f"no image in part {part}", f"{len(rows)} rows", expected)
    ordered = rows["part"].is_monotonic_decreasing
    expect(ordered, "part train comes first, then part test", "the parts mixed")


def _check_official(rows: pd.DataFrame) -> None:
    if (rows["official"] == "").all():
        return
    test = rows["part"] == "test"
    legal = (test & (rows["official"] == "test")) | (
        ~test & rows["official"].isin(["train", "valid"])
    )
    what = 'official is "" everywhere, or else "train" or "valid" in part train and "test" in test'
    _refuse_rows(rows, ~legal, what, show="official")


def _check_ids(rows: pd.DataFrame) -> None:
    for part in ("train", "test"):
        ids = rows.loc[rows["part"] == part, "id"]
        _refuse_rows(
            rows.loc[ids.index], ids.duplicated(), f"an id comes twice in part {part}", show="id"
        )
    ids = rows.loc[rows["part"] == "train", "id"]
    expect(ids.tolist() == sorted(ids), "part train is not in order of id", f"{ids.iloc[0]} first")


def _check_masks(rows: pd.DataFrame, card: Card) -> None:
    missing = (rows["part"] == "train") & (rows["mask"] == "")
    _refuse_rows(rows, missing, "training images without a mask", show="image")
    several = rows["mask"].str.startswith("[[")
    odd = rows["mask"].str.startswith("rle:") & ~rows["mask"].str.fullmatch(_RLE)
    what = 'an RLE mask reads "rle:row" or "rle:column" and pairs of a start (from 1) and a length'
    _refuse_rows(rows, odd, what, show="mask")
    planes = 1 if card.values else card.planes
    odd = pd.Series(
        [
            mask != "" and not _is_mask(mask, planes) if is_several else planes > 1 and mask != ""
            for mask, is_several in zip(rows["mask"], several, strict=True)
        ],
        rows.index,
        bool,
    )
    what = f"a mask is no JSON list of {planes} lists, one a class, of paths and run lengths"
    _refuse_rows(rows, odd, what, show="mask")


def _is_mask(text: str, planes: int) -> bool:
    """Return whether a text is a list, an entry a class, each a list of paths and run lengths."""
    try:
        classes = json.loads(text)
    except ValueError:
        return False
    return len(classes) == planes and all(
        isinstance(parts, list)
        and all(
            isinstance(part, str)
            and part != ""
            and (not part.startswith("rle:") or re.fullmatch(_RLE, part))
            for part in parts
        )
        for parts in classes
    )


def _check_targets(rows: pd.DataFrame, card: Card) -> None:
    train = rows["part"] == "train"
    for name in card.targets:
        values = rows[name]
        unknown = train & values.isna()
        if card.task == "multiclass":
            what = f"target {name} is unknown for training images"
            _refuse_rows(rows, unknown, what, show="image")
        elif unknown.sum() == train.sum():
            what = f"target {name} is unknown for all training images"
            _refuse_rows(rows, unknown, what, show="image")
        _refuse_rows(rows, np.isinf(values), f"target {name} is not finite", show=name)
        if card.task == "regression":
            _refuse_rows(rows, values.abs() > LARGEST, f"target {name} is beyond 1e15", show=name)
            continue
        if card.soft:
            odd = values.notna() & ~values.between(0, 1)
            _refuse_rows(rows, odd, f"target {name} is no share, 0 to 1", show=name)
            continue
        last = len(card.classes) - 1 if card.task == "multiclass" else 1
        is_legal = values.isin(range(last + 1)) if card.classes else values.between(0, 1)
        odd = values.notna() & ~is_legal  # a label may be a share, 0 to 1
        _refuse_rows(rows, odd, f"target {name} is not one of 0 to {last}", show=name)
        if card.task == "binary":  # of several labels a small sample may lack a rare one
            _check_trained(rows, name, card.label_values)
        if card.task == "multiclass":
            _check_trained(rows, name, card.classes, frozenset(card.answers))
    if card.soft:
        sums = rows[list(card.targets)].sum(axis=1, skipna=False)
        _refuse_rows(
            rows, (sums - 1).abs() > 1e-6, "the shares of the classes do not sum to 1", show="image"
        )


def _check_trained(
    rows: pd.DataFrame, target: str, labels: tuple[str, ...], answers: Collection[str] = ()
) -> None:
    """Raise for classes without a training image, unless the judge has a column for them."""
    train = rows[(rows["part"] == "train") & rows["official"].isin(["", "train"])]
    seen = set(train[target].dropna().round())
    absent = [label for number, label in enumerate(labels) if number not in seen]
    if absent := [label for label in absent if len(answers) < 2 or label not in answers]:
        raise DataError(
            f"classes of {target} without a training image: {', '.join(absent)}",
            found=f"training images of {', '.join(labels[int(n)] for n in sorted(seen))}",
            expected="at least one training image of every class",
            fix="add training images of them, or remove their rows from the other tables",
        )


def _refuse_rows(rows: pd.DataFrame, bad: "pd.Series[bool]", what: str, show: str) -> None:
    """Raise if rows are marked bad, showing what column `show` holds in the first ones."""
    if bad.any():
        some = rows[bad.to_numpy(bool)]
        raise DataError(
            f"{what}: {len(some)} of {len(rows)} rows",
            details=[
                f"{part} {id_!r}: {show} {value!r}"[:200]
                for part, id_, value in zip(some["part"], some["id"], some[show], strict=True)
            ],
        )


def _rerun(card: Path) -> str:
    """Return what to do for the index of a card, which is named after its competition."""
    return f"run the index stage: `dvc repro -sf index@{card.stem}`"
