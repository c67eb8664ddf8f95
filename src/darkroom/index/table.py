"""The index: one row an image, with the same columns for every competition.

All stages after the index read this table and its card, and nothing else, to know what to learn.
Ids are always text: "000001.jpg", "007", "NA" and "1e5" are kept as they are.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv

from darkroom.errors import ArtifactError, DataError
from darkroom.params.section import TaskName
from darkroom.project import files
from darkroom.project.checked_json import parse_json, read_bytes, write_json
from darkroom.project.names import nearest_name

COLUMNS = ("id", "part", "image", "mask", "group", "official", "digest", "mask_digest")
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
RLE_ORDERS = ("row", "column")

_RLE = r"rle:(?:row|column)(?: [1-9][0-9]* [1-9][0-9]*)*"
# Characters that break a line of the submission, or its encoding.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
TAKEN_SUFFIX = "_target"  # of a target whose name is that of another column of the index
LARGEST = 1e15  # a target value: float32 must hold the squares of errors


@dataclass(frozen=True)
class Card:
    """The meaning of the rows.

    Attributes:
        task: "segmentation" (one foreground class), "multilabel", "multiclass", "binary" or
            "regression".
        targets: Names of the target columns, in the order of the model's outputs; none for
            segmentation.
        classes: Multiclass only: the label of each class number, as the submission writes it.
        declared: Counts that the raw files state ("train images", "test images", "images"), for
            the audit to compare with the counts found.
        header: The header of the submission: the id, and the targets' names in its own order.
        rle_order: Pixel order of the run lengths of the submission.
        label_values: Binary and multilabel: the submission's text for absent and present.
    """

    task: str
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    declared: dict[str, int] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    rle_order: Literal["row", "column"] = "row"
    label_values: tuple[str, str] = ("0", "1")


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


def answer_columns(card: Card) -> list[int]:
    """Return the position in `targets` of each answer of the submission's header, in its order.

    Several answers are matched by name, so that none stands under another's. One answer has no
    other to be confused with, and judges often give it a name of their own.

    Raises:
        DataError: The header has other names than the targets.

    Example:
        >>> answer_columns(Card("regression", ("width", "age"), header=("id", "age", "width")))
        [1, 0]
    """
    answers, targets = card.header[1:], card.targets
    if len(targets) < 2 and len(answers) == 1:
        return [0]
    places = {name.removesuffix(TAKEN_SUFFIX): place for place, name in enumerate(targets)}
    places |= {name: place for place, name in enumerate(targets)}
    columns = [places.get(name, -1) for name in answers]
    if sorted(columns) != list(range(len(targets))):
        unknown = [name for name in answers if name not in places]
        near = nearest_name(unknown[0], targets) if unknown else None
        raise DataError(
            "the submission's header does not have the names of the targets",
            found=_counted(answers),
            expected=f"{_counted(targets)}, in any order, after the id",
            fix=(f"is {unknown[0]!r} the target {near!r}? " if near else "")
            + "Write the targets' names in data.header; if the judge has other names, rename the "
            "columns of the tables",
        )
    return columns


def check_index(index: Index) -> None:
    """Check an index against every rule that later stages rely on.

    Raises:
        DataError: A rule is broken; the message names it and the first rows that break it.
    """
    _check_card(index.card)
    _check_columns(index)
    _check_text(index.rows)
    _check_parts(index.rows)
    _check_official(index.rows)
    _check_ids(index.rows)
    if index.card.task == "segmentation":
        _check_masks(index.rows)
    else:
        _check_targets(index.rows, index.card)


def write_index(index: Index, table: Path, card: Path) -> None:
    """Check an index and write it, with the table's sha256 in the card; bytes are reproducible.

    Raises:
        DataError: See `check_index`.
    """
    check_index(index)
    rows = index.rows.copy()
    for name in index.card.targets:
        values = rows[name].dropna()
        if (values == np.round(values)).all() and (values.abs() < 2**53).all():
            rows[name] = rows[name].astype("Int64")  # 1, not 1.0: smaller files
    text = rows.to_csv(index=False, lineterminator="\n").encode()
    card_values: dict[str, Any] = asdict(index.card)
    card_values |= {"rows": len(rows), "sha256": hashlib.sha256(text).hexdigest()}
    files.write(table, text)
    write_json(card, card_values)


def read_index(table: Path, card: Path) -> Index:
    """Read what `write_index` wrote.

    Raises:
        ArtifactError: A file is absent or damaged, or the two do not belong together.
    """
    fix = _rerun(card)
    card_data = read_bytes(card, absent="the index can't be read", fix=fix)
    expected, sha256, count = _parse_card(card_data, card)
    data = read_bytes(table, absent="the index can't be read", fix=fix)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactError(
            "the index is not the one that its card describes",
            file=table,
            found=f"sha256 {hashlib.sha256(data).hexdigest()}",
            expected=f"sha256 {sha256} ({count} rows), as {card.name} says",
            fix=fix,
        )
    rows = pyarrow.csv.read_csv(
        pyarrow.BufferReader(data),
        # One block: run lengths of a mask may exceed the default of one megabyte.
        read_options=pyarrow.csv.ReadOptions(block_size=len(data) + 1, use_threads=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pyarrow.large_string())
            | dict.fromkeys(expected.targets, pyarrow.float64()),
            null_values=[""],
            strings_can_be_null=False,  # an id may be "NA"
        ),
    ).to_pandas()
    return Index(rows, expected, hashlib.sha256(card_data).hexdigest())


def _check_card(card: Card) -> None:
    _expect(card.task in TASK_NAMES, "unknown task", card.task, " | ".join(TASK_NAMES))
    _expect(card.rle_order in RLE_ORDERS, "unknown RLE order", card.rle_order, "row | column")
    several = max(1, len(card.targets))
    count = {"segmentation": 0, "multiclass": 1, "binary": 1}.get(card.task, several)
    what = f"wrong number of targets for the task {card.task}"
    _expect(len(card.targets) == count, what, _counted(card.targets), count)
    for what in ("targets", "classes", "header", "label_values"):
        odd = ", ".join(repr(name) for name in getattr(card, what) if not _is_writable(name))
        _expect(not odd, f"{what} hold what is not a line of text", odd, "no control characters")
    _expect(len(card.label_values) == 2, "label values are not two", len(card.label_values), 2)
    counts = all(isinstance(k, str) and type(v) is int for k, v in card.declared.items())
    _expect(counts, "declared does not hold counts by name", card.declared)
    names = [*COLUMNS, *card.targets]
    twice = sorted({name for name in names if names.count(name) > 1})
    _expect(not twice, "a target has a name that is taken", _counted(twice), "names of its own")
    width = {"segmentation": 2, "multiclass": 2}.get(card.task, 1 + len(card.targets))
    what = "the submission's header has the wrong number of columns"
    _expect(len(card.header) == width, what, _counted(card.header), width)
    answer_columns(card)
    legal = len(set(card.classes)) == len(card.classes) and "" not in card.classes
    _expect(legal, "class labels must differ and not be empty", _counted(card.classes))
    legal = (len(card.classes) >= 2) == (card.task == "multiclass")
    what = f"wrong number of classes for the task {card.task}"
    _expect(legal, what, _counted(card.classes), "two or more for multiclass, none for others")


def _expect(holds: bool, what: str, found: object, expected: object = None) -> None:
    if not holds:
        raise DataError(what, found=found, expected=expected)


def _counted(names: Sequence[object]) -> str:
    return f"{len(names)}: {', '.join(map(str, names))}" if names else "none"


def _check_columns(index: Index) -> None:
    columns, expected = list(index.rows.columns), [*COLUMNS, *index.card.targets]
    what = "the index has other columns than its card says"
    _expect(columns == expected, what, _counted(columns), _counted(expected))
    for name in index.card.targets:
        kind = index.rows[name].dtype
        _expect(kind == np.float64, f"target column {name} is not of floats", kind, "float64")


def _check_text(rows: pd.DataFrame) -> None:
    for name in COLUMNS:
        odd = ~rows[name].map(_is_writable).astype(bool)
        _refuse_rows(rows, odd, f"column {name} holds what is not a line of text", show=name)
    for name in ("id", "image"):
        _refuse_rows(rows, rows[name] == "", f"column {name} is empty", show="image")
    for name, pattern in (("digest", "[0-9a-f]{32}"), ("mask_digest", "(?:[0-9a-f]{32})?")):
        odd = ~rows[name].str.fullmatch(pattern)
        _refuse_rows(rows, odd, f"column {name} is not 32 hexadecimal digits", show=name)


def _is_writable(value: object) -> bool:
    return isinstance(value, str) and not _UNWRITABLE.search(value)


def _check_parts(rows: pd.DataFrame) -> None:
    _refuse_rows(
        rows, ~rows["part"].isin(["train", "test"]), 'a part is "train" or "test"', show="part"
    )
    for part in ("train", "test"):
        expected = "at least one image to train on and one to predict"
        some = bool((rows["part"] == part).any())
        _expect(some, f"no image in part {part}", f"{len(rows)} rows", expected)
    ordered = rows["part"].is_monotonic_decreasing
    _expect(ordered, "part train comes first, then part test", "the parts mixed")


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
    _expect(ids.tolist() == sorted(ids), "part train is not in order of id", f"{ids.iloc[0]} first")


def _check_masks(rows: pd.DataFrame) -> None:
    missing = (rows["part"] == "train") & (rows["mask"] == "")
    _refuse_rows(rows, missing, "training images without a mask", show="image")
    odd = rows["mask"].str.startswith("rle:") & ~rows["mask"].str.fullmatch(_RLE)
    what = 'an RLE mask reads "rle:row" or "rle:column" and pairs of a start (from 1) and a length'
    _refuse_rows(rows, odd, what, show="mask")


def _check_targets(rows: pd.DataFrame, card: Card) -> None:
    train = rows["part"] == "train"
    for name in card.targets:
        values = rows[name]
        unknown = train & values.isna()
        _refuse_rows(rows, unknown, f"target {name} is unknown for training images", show="image")
        _refuse_rows(rows, np.isinf(values), f"target {name} is not finite", show=name)
        if card.task == "regression":
            _refuse_rows(rows, values.abs() > LARGEST, f"target {name} is beyond 1e15", show=name)
            continue
        legal = range(len(card.classes)) if card.task == "multiclass" else range(2)
        odd = values.notna() & ~values.isin(legal)
        _refuse_rows(
            rows, odd, f"target {name} is not one of {legal.start} to {legal[-1]}", show=name
        )
        if card.task != "multilabel":  # a small sample may lack a rare attribute
            _check_trained(rows, name, card.classes or card.label_values)


def _check_trained(rows: pd.DataFrame, target: str, labels: tuple[str, ...]) -> None:
    train = rows[(rows["part"] == "train") & rows["official"].isin(["", "train"])]
    seen = set(train[target])
    if absent := [label for number, label in enumerate(labels) if number not in seen]:
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


def _parse_card(data: bytes, path: Path) -> tuple[Card, str, int]:
    """Return the card, the table's sha256 and its number of rows."""
    names, fix = [entry.name for entry in fields(Card)], _rerun(path)
    values = parse_json(data, path, fix=fix)
    try:
        sha256, count = values.pop("sha256"), values.pop("rows")
        if sorted(values) != sorted(names) or not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"keys {', '.join(sorted(values))}")
        for name in ("targets", "classes", "header", "label_values"):
            if not isinstance(values[name], list):
                raise TypeError(f"{name}: not a list")
            values[name] = tuple(values[name])
        card = Card(**values)
        _check_card(card)
        return card, sha256, count
    except (DataError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "not the card of an index",
            file=path,
            found=error,
            expected=f"a JSON object of {', '.join(names)}, rows and sha256",
            fix=fix,
        ) from error
