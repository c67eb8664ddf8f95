"""The targets of each image: columns, one-hot or soft columns, labels in a cell, or label rows."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from darkroom.errors import DataError, ParamsError
from darkroom.index.assembly.gather import (
    Gathered,
    label_cells,
    refuse_repeats,
    refuse_unknown,
)
from darkroom.index.assembly.labels import (
    TargetCells,
    class_labels,
    encode_targets,
    is_number,
    refuse_no_names,
)
from darkroom.index.assembly.part import PATH, SAMPLE_ID, Part, fields
from darkroom.index.card import TAKEN_SUFFIX
from darkroom.index.table import RESERVED_NAMES
from darkroom.params.data import Data, Rows, is_pattern, target_columns
from darkroom.params.section import is_writable
from darkroom.raw.tables import Table, refuse_rows
from darkroom.raw.templates import Template

ONE_HOT = "class"  # the target of one-hot columns
_ROUNDING = 1e-3  # by which the shares of a row may miss 1

Doubles = npt.NDArray[np.float64]
Images = Mapping[str, tuple[Part, Gathered]]


@dataclass(frozen=True)
class Targets:
    """The targets of all images.

    Attributes:
        names: Of the target columns.
        numbers: By part, float64 (images, targets): class numbers, 0 or 1, shares, or measures;
            NaN where unknown.
        classes: Multiclass: the label of each class number.
        label_values: Binary and multilabel: the texts for absent and present.
        soft: Whether targets are shares of the classes.
    """

    names: tuple[str, ...]
    numbers: dict[str, Doubles]
    classes: tuple[str, ...] = ()
    label_values: tuple[str, str] = ("0", "1")
    soft: bool = False


def read_targets(
    data: Data, images: Images, labels: Sequence[str], answers: Sequence[str]
) -> Targets:
    """Return the targets of every part.

    Args:
        data: The section.
        images: By part, its rows and images.
        labels: Of rows that are of an image and a label, in the order of the outputs; or ().
        answers: The value columns of the submission.

    Raises:
        DataError: A cell is no legal value, or a label that training does not have.
        ParamsError: Parts name different targets.
    """
    if labels:
        return _label_rows(data, images, labels)
    columns = {key: _columns(part) for key, (part, _) in images.items()}
    _check_widths(columns)
    names = _names(images["train"][0], columns["train"])
    for key, (part, _) in images.items():
        is_named = isinstance(part.rows.targets, dict)
        _check_order(key, _names(part, columns[key]), names, is_named=is_named)
        if any(isinstance(column, int) for column in columns[key]):  # names do not hold these
            titles = [
                [_title(other.table, column) for column in columns[of]]
                for of, other in ((key, part), ("train", images["train"][0]))
            ]
            _check_order(key, titles[0], titles[1], is_named=False)
    cells = {}
    for key, (part, gathered) in images.items():
        texts = [part.table.column(column) for column in columns[key]]
        if key == "test" and not texts and not part.rows.label:
            refuse_repeats(part, gathered, lambda place: place)
        refuse_repeats(part, gathered, lambda place, texts=texts: [c[place] for c in texts])  # type: ignore[misc]
        table = part.table.select(gathered.first)
        chosen = [[column[place] for place in gathered.first] for column in texts]
        cells[key] = TargetCells(table, chosen, complete=key != "test")
    if data.task == "multilabel" and data.separator is not None and len(names) == 1:
        return _labels_in_cells(images, cells, data.separator, names[0])
    if data.task == "multiclass" and len(names) > 1:
        return _shares(cells, names)
    meanings = {str(text): str(meaning) for text, meaning in data.values.items()}
    trained = {meanings.get(cell, cell) for texts in cells["train"].columns for cell in texts}
    further = answers if data.task == "multiclass" and len(trained & set(answers)) > 1 else ()
    coded = encode_targets(data.task, names, cells, values=data.values, further=further)
    numbers = {key: _array(coded.numbers[key]) for key in images}
    return Targets(names, numbers, coded.classes, coded.label_values)


def with_target_columns(part: Part, data: Data) -> Part:
    """Return a part with a column for each target that is a template, called like it.

    A cell is empty where one of its columns is; of several labels, where all are.

    Raises:
        DataError: The table lacks a column of the template.
    """
    columns = {}
    is_empty = all if data.task == "multilabel" and data.separator is not None else any
    for text in target_columns(part.rows):
        if not isinstance(text, str) or "{" not in text or text in part.table.header:
            continue
        key = f"data.{part.key}.targets"
        template = Template(text, key)
        names = [int(name) if name.isdecimal() else name for name in template.fields]
        sources = zip(*(part.table.column(name, key) for name in names), strict=True)
        columns[text] = [
            "" if is_empty(not cell for cell in cells) else filled
            for filled, cells in zip(template.fill_all(part.table), sources, strict=True)
        ]
    return replace(part, table=part.table.with_columns(columns)) if columns else part


def target_labels(data: Data, part: Part) -> tuple[str, ...]:
    """Return the names of a part's targets, as keys of the submission may have them.

    They are its columns, or where cells hold several labels, these.

    Raises:
        DataError, ParamsError: A target has no column; or two labels are one.
    """
    columns = _columns(part)
    if data.task == "multilabel" and data.separator is not None and len(columns) == 1:
        rows = _words(part.table.column(columns[0]), data.separator)
        words = (word for row in rows for word in row)
        return class_labels(words, f"target {columns[0]}", part.table.file)
    return _titles(part, columns)


def _words(cells: Sequence[str], separator: str) -> list[list[str]]:
    """Return the labels in each cell."""
    return [[word.strip() for word in cell.split(separator) if word.strip()] for cell in cells]


def _array(columns: Sequence[Sequence[float]]) -> Doubles:
    return np.array(columns, np.float64).T


def _columns(part: Part) -> list[int | str]:
    """Return the target columns of a part, patterns replaced by the columns that are like them."""
    listed = target_columns(part.rows)
    header, used = part.table.header, _used_columns(part.rows, part.key)
    columns: list[int | str] = []
    for column in listed:
        is_one = isinstance(part.rows.targets, dict) or isinstance(column, int)
        if is_one or column in header or not is_pattern(column):
            columns.append(column)
            continue
        free = [name for name in header if name not in used and name not in listed]
        like = [name for name in free if fnmatchcase(name, str(column))]
        if not like:
            raise ParamsError(
                f"data.{part.key}.targets: no column is like {column}",
                found=", ".join(header)[:300],
                expected="one column or more that no other key uses",
            )
        columns += [name for name in like if name not in columns]
    places = [part.table.position(column, f"data.{part.key}.targets") for column in columns]
    if twice := [column for n, column in enumerate(columns) if places[n] in places[:n]]:
        raise ParamsError(
            f"data.{part.key}.targets: a column comes twice",
            found=", ".join(map(str, twice))[:300],
            expected="each column once, by its name or its position",
        )
    return columns


def _used_columns(rows: Rows, key: str) -> set[str]:
    """Return the columns that other keys than targets name."""
    texts = [rows.id, rows.group, rows.label, rows.rle, rows.files, *rows.cells.values()]
    texts += rows.image if isinstance(rows.image, list) else [rows.image]
    texts += rows.mask.values() if isinstance(rows.mask, dict) else [rows.mask]
    used = {name for text in texts for name in fields(text, f"data.{key}")}
    return {*used, *rows.where, *rows.cells, PATH, SAMPLE_ID, "", "id"}


def _names(part: Part, columns: Sequence[int | str]) -> tuple[str, ...]:
    """Return the targets' names, with a suffix where one is reserved."""
    return tuple(map(free_name, _titles(part, columns)))


def _titles(part: Part, columns: Sequence[int | str]) -> tuple[str, ...]:
    """Return the names that targets are given, or else the headers of their columns."""
    if isinstance(part.rows.targets, dict):
        return tuple(part.rows.targets)
    return tuple(_title(part.table, column) for column in columns)


def _title(table: Table, column: int | str) -> str:
    """Return a column's header, or its position where it has none."""
    place = table.position(column)
    name = table.header[place] or f"column_{place}"
    if not is_writable(name):
        raise DataError(
            "the name of a target is no line of text",
            file=table.file,
            row=1,
            found=repr(name)[:200],
            expected="a name that the submission can repeat",
            fix="rename the column in the table",
        )
    return name


def free_name(name: str) -> str:
    """Return a target's name, with a suffix where a column of the index has it.

    Raises:
        DataError: It is such a name with its suffix, which the submission would leave out.
    """
    if name.endswith(TAKEN_SUFFIX) and name.removesuffix(TAKEN_SUFFIX) in RESERVED_NAMES:
        raise DataError(
            "a target has a name that stands for another",
            found=name,
            expected=f"a name other than {', '.join(RESERVED_NAMES)}, each with {TAKEN_SUFFIX!r}",
            fix="rename it in the tables",
        )
    return f"{name}{TAKEN_SUFFIX}" if name in RESERVED_NAMES else name


def _check_widths(columns: Mapping[str, Sequence[int | str]]) -> None:
    """Raise if a part names more or fewer targets than training."""
    width = len(columns["train"])
    for key, named in columns.items():
        if len(named) not in ((0, width) if key == "test" else (width,)):
            raise ParamsError(
                f"data.{key}.targets has other targets than data.train.targets",
                found=f"{len(named)}: {', '.join(map(str, named))}"[:300],
                expected=f"{width}" + (", or none" if key == "test" else ""),
            )


def _check_order(key: str, names: Sequence[str], train: Sequence[str], *, is_named: bool) -> None:
    """Raise if a part's targets are those of training, but at other positions.

    Targets are matched by position, since a table may name them otherwise, unless params.yaml
    names them.
    """
    moved = [name for name, other in zip(names, train, strict=False) if name != other]
    if set(moved) & set(train) or (moved and is_named):
        raise ParamsError(
            f"data.{key}.targets are others than data.train.targets, or in another order",
            found=", ".join(names)[:300],
            expected=", ".join(train)[:300],
            fix="list the same targets in the same order",
        )


def _labels_in_cells(
    images: Images, cells: Mapping[str, TargetCells], separator: str, column: str
) -> Targets:
    """Return a target a label that stands in the cells; an empty cell has none of them."""
    words = {
        key: _words(each.columns[0] if each.columns else [""] * len(each.table.rows), separator)
        for key, each in cells.items()
    }
    for key, each in cells.items():
        # Of each cell the label that is least like a name.
        worst = [
            max(row, key=lambda word: (not is_writable(word), len(word)), default="")
            for row in words[key]
        ]
        refuse_no_names(each.table, worst, f"target {column}")
    trained = (word for row in words["train"] for word in row)
    labels = class_labels(trained, f"target {column}", cells["train"].table.file)
    if len(labels) < 2:
        raise DataError(
            f"target {column} holds fewer than two labels",
            file=cells["train"].table.file,
            found=", ".join(labels) or "none",
            expected=f"labels separated by {separator!r}, as data.separator says",
        )
    places = {label: place for place, label in enumerate(labels)}
    if whole := [label for label in labels if _holds_labels(label, places)]:
        what = f"labels that hold others, as if data.separator were wrong, such as {whole[0]!r}"
        images["train"][0].counts[what[:200]] += len(whole)
    numbers = {}
    for key, (part, gathered) in images.items():
        few = part.select(gathered.first)
        odd = [place for place, row in enumerate(words[key]) if set(row) - places.keys()]
        if odd:
            word = next(word for word in words[key][odd[0]] if word not in places)
            refuse_unknown(few, odd, word, labels, f"target {column}")
        twice = [place for place, row in enumerate(words[key]) if len(set(row)) < len(row)]
        refuse_rows(few.table, twice, f"target {column} names a label twice in one cell")
        has_columns = bool(cells[key].columns)
        numbers[key] = np.full((len(words[key]), len(labels)), 0.0 if has_columns else math.nan)
        for place, row in enumerate(words[key]):
            numbers[key][place, [places[word] for word in row]] = 1.0
        numbers[key][sorted(few.blank)] = math.nan
    return Targets(tuple(map(free_name, labels)), numbers)


def _holds_labels(label: str, labels: Collection[str]) -> bool:
    """Return whether a label is others with a usual separator between them: "a,b" of a and b."""
    return any(
        len(words) > 1 and all(word.strip() in labels for word in words)
        for words in (label.split(separator) for separator in ",;| ")
    )


def _shares(cells: Mapping[str, TargetCells], names: tuple[str, ...]) -> Targets:
    """Return the class of one-hot columns, or the shares of soft ones."""
    shares = {}
    for key, each in cells.items():
        if not each.columns:
            shares[key] = np.full((len(each.table.rows), len(names)), math.nan)
            continue
        for name, column in zip(names, each.columns, strict=True):
            odd = [
                place
                for place, cell in enumerate(column)
                if not is_number(cell) or not 0 <= float(cell) <= 1
            ]
            what = f"target {name} is no share of a class"
            refuse_rows(each.table, odd, what, expected="a number from 0 to 1")
        values = np.array([[float(cell) for cell in column] for column in each.columns]).T
        sums = values.sum(axis=1)
        odd = np.flatnonzero(np.abs(sums - 1) > _ROUNDING).tolist()
        refuse_rows(
            each.table,
            odd,
            f"the shares of the classes sum to {sums[odd[0]]:g}" if odd else "",
            expected="1 in each row",
            fix="if an image may have several of them, the task is multilabel",
        )
        shares[key] = values / sums[:, None] if (sums != 1).any() else values
    if any(
        np.isin(values[~np.isnan(values)], (0, 1), invert=True).any() for values in shares.values()
    ):
        return Targets(names, shares, classes=names, soft=True)
    numbers = {
        key: np.where(np.isnan(values).any(axis=1), math.nan, np.nan_to_num(values).argmax(axis=1))[
            :, None
        ]
        for key, values in shares.items()
    }
    return Targets((ONE_HOT,), numbers, classes=names)


def _label_rows(data: Data, images: Images, labels: Sequence[str]) -> Targets:
    """Return a target a label, from rows of an image and a label."""
    places = {label: place for place, label in enumerate(labels)}
    columns = {key: _columns(part) for key, (part, _) in images.items()}
    values = None
    if columns["train"]:
        cells = {
            key: TargetCells(
                part.table,
                [part.table.column(column) for column in columns[key][:1]],
                complete=key != "test",
            )
            for key, (part, _) in images.items()
        }
        coded = encode_targets(data.task, [str(columns["train"][0])], cells, values=data.values)
        values, label_values = coded.numbers, coded.label_values
    else:
        label_values = ("0", "1")
    numbers = {}
    for key, (part, gathered) in images.items():
        named = (
            [""] * len(part.ids)
            if key == "test" and not columns[key]
            else label_cells(part, labels)
        )
        present = values is None and bool(any(named))
        matrix = np.full((len(gathered.ids), len(labels)), 0.0 if present else math.nan)
        seen = np.zeros(matrix.shape, bool)
        for image, several in enumerate(gathered.places):
            for place in several:
                if not named[place]:
                    continue
                value = 1.0 if values is None else values[key][0][place]
                _put(part, matrix, seen, (image, places[named[place]]), place, value)
        if key != "test" and values is not None:
            part.counts[f"{key} images and labels without a row"] += int((~seen).sum())
        numbers[key] = matrix
    return Targets(tuple(map(free_name, labels)), numbers, label_values=label_values)


def _put(
    part: Part,
    matrix: Doubles,
    seen: npt.NDArray[np.bool_],
    cell: tuple[int, int],
    place: int,
    value: float,
) -> None:
    """Write a value into its image and label; a repeated row must say the same."""
    if seen[cell]:
        if matrix[cell] != value and not (math.isnan(value) and math.isnan(matrix[cell])):
            raise DataError(
                "two rows of one image and label that differ",
                file=part.table.file,
                row=part.table.lines[place],
                found=f"{part.ids[place]}: {value:g} here, {matrix[cell]:g} before",
                expected="one value for each image and label",
            )
        part.counts[f"{part.key} rows that repeat another"] += 1
    matrix[cell], seen[cell] = value, True
