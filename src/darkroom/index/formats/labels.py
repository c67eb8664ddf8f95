"""Cells of a table turned into targets: classes, present or absent, measures."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from darkroom.errors import DataError
from darkroom.index.table import LARGEST
from darkroom.raw.tables import Table, refuse_rows

_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")  # int() refuses thousands of digits
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
# How tables write absent and present, in lower case.
_PAIRS = (("0", "1"), ("-1", "1"), ("0.0", "1.0"), ("false", "true"), ("no", "yes"))


@dataclass(frozen=True)
class Cells:
    """The target columns of one table.

    Attributes:
        table: For messages.
        columns: Texts by target and row; none if the table doesn't tell.
        complete: Whether an empty cell is a fault.
    """

    table: Table
    columns: list[list[str]]
    complete: bool


@dataclass(frozen=True)
class Targets:
    """What cells mean.

    Attributes:
        numbers: By table, then target and row: the class number, 0 or 1, or the measure; NaN
            where unknown.
        classes: Multiclass: the label of each class number.
        label_values: Binary and multilabel: the texts for absent and present.
    """

    numbers: dict[str, list[list[float]]]
    classes: tuple[str, ...] = ()
    label_values: tuple[str, str] = ("0", "1")


def targets(task: str, names: Sequence[str], parts: Mapping[str, Cells]) -> Targets:
    """Return the numbers of target columns.

    Args:
        task: "segmentation" (no targets), "multiclass", "binary", "multilabel" or "regression".
        names: The targets' names.
        parts: Cells by table.

    Raises:
        DataError: A cell is empty that may not be, or is no value of its kind; names its row.
    """
    for cells in parts.values():
        _check_empty(cells, names)
    known = [cell for cells in parts.values() for column in cells.columns for cell in column]
    if task == "multiclass":
        for cells in parts.values():
            _check_blanks(cells, names, set(known))
        labels = classes(known)
        codes = {label: float(number) for number, label in enumerate(labels)}
        return Targets(_numbers(parts, names, codes), classes=labels)
    if task == "regression":
        for cells in parts.values():
            _check_values(cells, names, is_number, "a finite number, such as -1.5")
            _check_values(cells, names, is_learnable, "at most 1e15 in size")
        return Targets(_numbers(parts, names, {cell: float(cell) for cell in known if cell}))
    pair = label_values(known)
    for cells in parts.values():
        _check_values(cells, names, pair.__contains__, f"{pair[0]} or {pair[1]}")
    return Targets(
        _numbers(parts, names, {pair[0]: 0.0, pair[1]: 1.0}),
        label_values=pair,
    )


def classes(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the different labels that are not empty, in the order of their class numbers.

    That of numbers when all are whole numbers ("2" before "10"), else that of text.

    Raises:
        DataError: Two labels are the same number ("1" and "01").
    """
    texts = sorted({label for label in labels if label})
    if not all(_INTEGER.fullmatch(text) for text in texts):
        return tuple(texts)
    numbers: dict[int, str] = {}
    for text in texts:
        if int(text) in numbers:
            raise DataError(
                "two labels for one number",
                found=f"{numbers[int(text)]} and {text}",
                expected="one text a class",
                fix="write the class in one way",
            )
        numbers[int(text)] = text
    return tuple(numbers[number] for number in sorted(numbers))


def label_values(cells: Iterable[str]) -> tuple[str, str]:
    """Return the texts for absent and present that fit the cells best, as they write them.

    Knows 0/1, -1/1, 0.0/1.0, false/true and no/yes, in any case of letters.
    """
    texts = sorted({cell for cell in cells if cell})
    best = max(_PAIRS, key=lambda pair: sum(text.lower() in pair for text in texts))
    written = {text.lower(): text for text in texts}
    some = next((written[text] for text in best if text in written), "")
    case = str.upper if some.isupper() else str.title if some.istitle() else str.lower
    return written.get(best[0], case(best[0])), written.get(best[1], case(best[1]))


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number; float() would take "nan" and "1_000" too."""
    return bool(_NUMBER.fullmatch(cell)) and math.isfinite(float(cell))


def is_learnable(cell: str) -> bool:
    """Return whether float32 can hold the squares of many such numbers: training adds them up."""
    return abs(float(cell)) <= LARGEST


def _check_blanks(cells: Cells, names: Sequence[str], known: set[str]) -> None:
    """Refuse labels that are others but for their blanks: two classes for one thing."""
    plain = Counter(_plain(label) for label in known)
    for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
        odd = [
            place
            for place, cell in enumerate(column)
            if cell != _plain(cell) and plain[_plain(cell)] > 1
        ]
        if odd:
            cell = column[odd[0]]
            other = sorted(one for one in known if one != cell and _plain(one) == _plain(cell))[0]
            refuse_rows(
                cells.table,
                odd,
                f"target {name} holds {cell!r}, which is {other!r} but for its blanks",
                expected="one text a class",
                fix="take the blanks out of these cells",
            )


def _plain(label: str) -> str:
    return " ".join(label.split())


def _check_empty(cells: Cells, names: Sequence[str]) -> None:
    if not cells.complete:
        return
    for name, column in zip(names, cells.columns, strict=True):
        empty = [place for place, cell in enumerate(column) if not cell.strip()]
        what = f"target {name} is empty for images to train on"
        refuse_rows(cells.table, empty, what, expected="a value in every row")


def _check_values(
    cells: Cells, names: Sequence[str], legal: Callable[[str], bool], expected: str
) -> None:
    for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
        odd = [place for place, cell in enumerate(column) if cell and not legal(cell)]
        if odd:
            what = f"target {name} holds {column[odd[0]]!r}"
            refuse_rows(cells.table, odd, what, expected=expected)


def _numbers(
    parts: Mapping[str, Cells], names: Sequence[str], codes: Mapping[str, float]
) -> dict[str, list[list[float]]]:
    """Return each cell's number by part, target and row, NaN for empty or absent ones."""
    return {
        key: [
            [codes.get(cell, math.nan) for cell in column]
            for column in cells.columns or [[""] * len(cells.table.rows)] * len(names)
        ]
        for key, cells in parts.items()
    }
