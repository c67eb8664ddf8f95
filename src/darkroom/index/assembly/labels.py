"""Encode the target cells of tables as numbers: classes, labels (0 or 1), measures."""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from unicodedata import normalize

from darkroom.errors import DataError
from darkroom.index.checks import LARGEST
from darkroom.params.section import is_writable
from darkroom.project.names import nearest_name
from darkroom.raw.tables import Table, refuse_long, refuse_rows

_INTEGER = re.compile(r"[-+]?[0-9]{1,30}")  # int() refuses thousands of digits
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
# How tables write absent and present, in lower case.
_PAIRS = (("0", "1"), ("-1", "1"), ("0.0", "1.0"), ("false", "true"), ("no", "yes"))
COMMON_WORDS = {text for pair in _PAIRS for text in pair}


@dataclass(frozen=True)
class TargetCells:
    """The target columns of one table.

    Attributes:
        table: For messages.
        columns: Texts by target and row; none if the table has no targets.
        complete: Whether an empty cell is an error.
    """

    table: Table
    columns: list[list[str]]
    complete: bool


@dataclass(frozen=True)
class EncodedTargets:
    """Target cells as numbers.

    Attributes:
        numbers: By table, then target and row: the class number, 0 or 1, or the measure; NaN
            where unknown.
        classes: Multiclass: the label of each class number.
        label_values: Binary and multilabel: the texts for absent and present.
    """

    numbers: dict[str, list[list[float]]]
    classes: tuple[str, ...] = ()
    label_values: tuple[str, str] = ("0", "1")


def encode_targets(
    task: str,
    names: Sequence[str],
    tables: Mapping[str, TargetCells],
    *,
    values: Mapping[int | str, int | str | None] | None = None,
    further: Sequence[str] = (),
) -> EncodedTargets:
    """Return the target cells as numbers.

    Args:
        task: "segmentation" (no targets), "multiclass", "binary", "multilabel" or "regression".
        names: The targets' names.
        tables: Target cells by table; those to learn from are called "train".
        values: What cells mean: a class, or 0 or 1; None where unknown. Empty: what they hold.
        further: Multiclass: classes that exist without an image to learn from.

    Raises:
        DataError: A cell is empty and must not be, or is not legal; the message names its row.
    """
    pair = None
    if values and task != "regression":
        tables = {key: _translated(cells, names, values) for key, cells in tables.items()}
        meanings = {meaning: str(text) for text, meaning in reversed(list(values.items()))}
        pair = (meanings.get(0, "0"), meanings.get(1, "1"))
    for cells in tables.values():
        _check_empty(cells, names, task)
    texts = _cells(tables.values())
    trained = set(_cells(cells for key, cells in tables.items() if key == "train"))
    trained = trained or set(texts)
    if task == "multiclass":
        return _encode_classes(tables, names, set(texts), trained, further)
    if task == "regression":
        for cells in tables.values():
            _check_values(cells, names, is_number, "a finite number, such as -1.5")
            _check_values(cells, names, is_representable, "at most 1e15 in size")
        return EncodedTargets(
            _numbers(tables, names, {cell: float(cell) for cell in texts if cell})
        )
    if pair is None and _are_shares(trained):
        for cells in tables.values():
            _check_values(cells, names, _is_share, "a number from 0 to 1")
        return EncodedTargets(
            _numbers(tables, names, {cell: float(cell) for cell in texts if cell})
        )
    for cells in tables.values() if task == "binary" else ():
        for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
            refuse_no_names(cells.table, column, f"target {name}")
    written = ("0", "1") if pair else label_values(trained, free=task == "binary")
    for cells in tables.values():
        fix = f"correct the cell, or say what each text means: {_meanings(trained)}"
        _check_values(cells, names, written.__contains__, f"{written[0]} or {written[1]}", fix)
    return EncodedTargets(
        _numbers(tables, names, {written[0]: 0.0, written[1]: 1.0}),
        label_values=pair or written,
    )


def _encode_classes(
    tables: Mapping[str, TargetCells],
    names: Sequence[str],
    texts: set[str],
    trained: set[str],
    further: Sequence[str],
) -> EncodedTargets:
    """Return the number of each cell's class, among those of training and `further` ones."""
    for cells in tables.values():
        for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
            refuse_no_names(cells.table, column, f"target {name}")
        _check_blanks(cells, names, texts)
    _check_spelling(tables, names, trained)
    labels = {*trained, *further}
    _check_trained(tables, names, labels)
    classes = class_labels(labels, f"target {', '.join(names)}", tables["train"].table.file)
    codes = {label: float(number) for number, label in enumerate(classes)}
    return EncodedTargets(_numbers(tables, names, codes), classes=classes)


def class_labels(
    labels: Iterable[str], column: str = "the labels", file: str | None = None
) -> tuple[str, ...]:
    """Return the distinct labels that are not empty, in the order of their class numbers.

    They are ordered as numbers if all are whole numbers ("2" before "10"), else as text.

    Args:
        labels: Of all rows.
        column: What holds them, for messages.
        file: Their table, for messages.

    Raises:
        DataError: Two labels are the same number ("1" and "01", "1" and "1.0" where all are
            numbers), or the same letters in two forms of Unicode or with other blanks.

    Example:
        >>> class_labels(["10", "2", "", "10"])
        ('2', '10')
    """
    texts = sorted({label for label in labels if label})

    def refuse_twins(keys: Sequence[str | float], why: str) -> None:
        first: dict[str | float, str] = {}
        for key, label in zip(keys, texts, strict=True):
            if key in first:
                raise DataError(
                    f"{column}: two labels {why}",
                    file=file,
                    found=f"{first[key]!r} and {label!r}",
                    expected="one text a class",
                    fix="write the class in one way",
                )
            first[key] = label

    forms = [normalize("NFC", _single_spaced(text)) for text in texts]
    refuse_twins(forms, "look alike: they differ in blanks, or in the form of their letters")
    if all(_INTEGER.fullmatch(text) for text in texts):
        numbers = [int(text) for text in texts]
        refuse_twins(numbers, "are one number")
        return tuple(text for _, text in sorted(zip(numbers, texts, strict=True)))
    if all(map(is_number, texts)):
        refuse_twins([float(text) for text in texts], "are one number")
    return tuple(texts)


def refuse_no_names(table: Table, cells: Sequence[str], what: str) -> None:
    """Raise for cells that are too long to name a class, or no line that a submission can hold.

    Raises:
        DataError: The message names the first row.
    """
    refuse_long(table, cells, what)
    unwritable = {cell for cell in set(cells) if not is_writable(cell)}  # of few different ones
    odd = [place for place, cell in enumerate(cells) if cell in unwritable] if unwritable else []
    refuse_rows(
        table,
        odd,
        f"{what} holds {cells[odd[0]]!r}" if odd else "",
        expected="a line of text, which the submission can repeat",
        fix="is it the right column? Check the quotes; or write the label in one line",
    )


def label_values(cells: Iterable[str], *, free: bool = False) -> tuple[str, str]:
    """Return the texts for absent and present that fit the cells best, in the cells' own case.

    Knows 0/1, -1/1, 0.0/1.0, false/true and no/yes, in upper, lower or title case.

    Args:
        cells: The texts of all cells.
        free: Whether two texts may be any: the latter in order is present.

    Example:
        >>> label_values(["Yes", "No", "Yes"])
        ('No', 'Yes')
        >>> label_values(["dog", "cat"], free=True)
        ('cat', 'dog')
    """
    texts = sorted({cell for cell in cells if cell})
    if free and len(texts) == 2 and not any(text.lower() in COMMON_WORDS for text in texts):
        return texts[0], texts[1]
    best = max(_PAIRS, key=lambda pair: sum(text.lower() in pair for text in texts))
    spelling = {text.lower(): text for text in texts}
    some = next((spelling[text] for text in best if text in spelling), "")
    case = str.upper if some.isupper() else str.title if some.istitle() else str.lower
    return spelling.get(best[0], case(best[0])), spelling.get(best[1], case(best[1]))


def _meanings(cells: Collection[str]) -> str:
    """Return what data.values may be, for a message: {'1': 0, '2': 1}."""
    texts = sorted({cell for cell in cells if cell})
    pairs = [f"{text!r}: {place}" for place, text in enumerate(texts[:2])]
    return f"data.values: {{{', '.join(pairs)}{', ...' if len(texts) > 2 else ''}}}"[:200]


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number; float() accepts "nan" and "1_000" too."""
    return bool(_NUMBER.fullmatch(cell)) and math.isfinite(float(cell))


def is_representable(cell: str) -> bool:
    """Return whether float32 can hold a sum of squares of such numbers, as losses need."""
    return abs(float(cell)) <= LARGEST


def _is_share(cell: str) -> bool:
    return is_number(cell) and 0 <= float(cell) <= 1


def _are_shares(cells: Collection[str]) -> bool:
    """Return whether cells are soft labels: numbers from 0 to 1, not all of them whole."""
    texts = [cell for cell in cells if cell]
    return all(map(_is_share, texts)) and any(float(cell) not in (0, 1) for cell in texts)


def _check_blanks(cells: TargetCells, names: Sequence[str], labels: set[str]) -> None:
    """Raise if labels differ only in their blanks: two classes for one thing."""
    spellings: dict[str, list[str]] = {}
    for label in sorted(labels):
        spellings.setdefault(_single_spaced(label), []).append(label)
    for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
        odd = [
            place
            for place, cell in enumerate(column)
            if cell != _single_spaced(cell) and len(spellings[_single_spaced(cell)]) > 1
        ]
        if odd:
            cell = column[odd[0]]
            other = next(label for label in spellings[_single_spaced(cell)] if label != cell)
            refuse_rows(
                cells.table,
                odd,
                f"target {name} holds {cell!r}, which is {other!r} apart from blanks",
                expected="one text a class",
                fix="remove the blanks from these cells",
            )


def _cells(tables: Iterable[TargetCells]) -> list[str]:
    return [cell for cells in tables for column in cells.columns for cell in column]


def _check_spelling(
    tables: Mapping[str, TargetCells], names: Sequence[str], trained: Collection[str]
) -> None:
    """Raise if a table writes a number otherwise (1.0) than those to train on (1)."""
    numbers = {float(cell): cell for cell in sorted(trained) if is_number(cell)}
    for cells in tables.values():
        for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
            odd = [
                place
                for place, cell in enumerate(column)
                if cell not in trained and is_number(cell) and float(cell) in numbers
            ]
            if odd:
                cell = column[odd[0]]
                refuse_rows(
                    cells.table,
                    odd,
                    f"target {name} holds {cell!r}, which is {numbers[float(cell)]!r} elsewhere",
                    expected="one text a class",
                    fix="write whole numbers without a point: pandas adds one where a cell of the "
                    "column is empty",
                )


def _single_spaced(label: str) -> str:
    return " ".join(label.split())


def _check_empty(cells: TargetCells, names: Sequence[str], task: str) -> None:
    """Raise for empty cells of classes, and for columns of other tasks without any value."""
    if not cells.complete:
        return
    for name, column in zip(names, cells.columns, strict=True):
        empty = [place for place, cell in enumerate(column) if not cell.strip()]
        if task == "multiclass" or len(empty) == len(column):
            what = f"target {name} is empty for images to train on"
            expected = "a value in every row" if task == "multiclass" else "a value in some rows"
            fix = f'fill them, or leave them out by where: {{{name}: "?*"}}'
            fix = fix if len(empty) < len(column) else "is it the right column?"
            refuse_rows(cells.table, empty, what, expected=expected, fix=fix)


def _check_trained(
    tables: Mapping[str, TargetCells], names: Sequence[str], trained: Collection[str]
) -> None:
    """Raise if a table names a class that no row to train on has."""
    for cells in tables.values():
        for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
            odd = [place for place, cell in enumerate(column) if cell and cell not in trained]
            if odd:
                cell = column[odd[0]]
                refuse_rows(
                    cells.table,
                    odd,
                    f"target {name} holds {cell!r}, which no training row has",
                    expected=f"one of {', '.join(sorted(trained))[:200]}",
                    fix=f"is it {nearest_name(cell, trained)!r}? Correct it, or leave these rows "
                    "out by where",
                )


def _translated(
    cells: TargetCells, names: Sequence[str], values: Mapping[int | str, int | str | None]
) -> TargetCells:
    """Return the cells with their meaning in place of their text, "" where that is unknown."""
    meanings = {
        str(text): "" if meaning is None else str(meaning) for text, meaning in values.items()
    }
    fix = "name each text in data.values; quote a number that begins with 0: '007'"
    _check_values(cells, names, meanings.__contains__, f"one of {', '.join(meanings)}"[:200], fix)
    columns = [[meanings.get(cell, cell) for cell in column] for column in cells.columns]
    return TargetCells(cells.table, columns, cells.complete)


def _check_values(
    cells: TargetCells,
    names: Sequence[str],
    legal: Callable[[str], bool],
    expected: str,
    fix: str = "correct the cell",
) -> None:
    for name, column in zip(names, cells.columns, strict=bool(cells.columns)):
        odd = [place for place, cell in enumerate(column) if cell and not legal(cell)]
        if odd:
            what = f"target {name} holds {column[odd[0]]!r}"
            refuse_rows(cells.table, odd, what, expected=expected, fix=fix)


def _numbers(
    tables: Mapping[str, TargetCells], names: Sequence[str], codes: Mapping[str, float]
) -> dict[str, list[list[float]]]:
    """Return each cell's number by table, target and row, NaN for empty or absent ones."""
    return {
        key: [
            [codes.get(cell, math.nan) for cell in column]
            for column in cells.columns or [[""] * len(cells.table.rows)] * len(names)
        ]
        for key, cells in tables.items()
    }
