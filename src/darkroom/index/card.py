"""The card of an index: what its rows mean, what the judge counts, how a submission is written."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args
from unicodedata import normalize

from darkroom.errors import ArtifactError, DataError
from darkroom.images.rle import USUAL
from darkroom.images.rle import Runs as Runs
from darkroom.params.section import ID_KEY, LABEL_KEY, TaskName, is_writable
from darkroom.project.checked_json import parse_json, read_json, write_json
from darkroom.project.names import nearest_name
from darkroom.raw.images.cells import PixelCells

TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
ORDERS = ("row", "column")
TAKEN_SUFFIX = "_target"  # of a target whose name is that of another column of the index
_BETWEEN_CELLS, _BETWEEN_ROWS = "\x1f", "\x1e"
UNLIKE_ANSWERS = "answers of the sample submission, and none is like what will be written"
"""A count of `Card.declared`: then the judge may expect other words."""
SIMILAR_GROUPS = "groups that differ in case or leading zeros alone, such as"
MOVED_PLANES = "planes in another order than train's, by the names in their templates:"
BY_WHERE, WITHOUT_IMAGE = "rows left out by where", "rows without their image"
OTHER_SUFFIX = "files left out for another suffix"
"""What counts of `Card.declared` say, with a part's name before them or examples behind."""


@dataclass(frozen=True)
class Card:
    """The meaning of the rows, and the form of the submission.

    Attributes:
        task: "segmentation", "multilabel", "multiclass", "binary" or "regression".
        targets: Names of the target columns, in the order of the model's outputs. Segmentation:
            the mask classes; () for one without a name. Multiclass with soft labels: the
            classes.
        classes: Multiclass only: the label of each class number, as the submission writes it.
        declared: Counts that the raw files state or that reading them gave ("train images", "test
            images", "images"), for the audit.
        header: The header of the submission: its key columns, then its value columns.
        label_values: Binary and multilabel: the submission's text for absent and present.
        metric: What the judge counts: a name, or `file.py:function`; "" for the task's usual one.
        weights: Of labels or targets in a weighted metric; 1 for those that are not named.
        keys: A template for each key column of the header, of {id} and {label}. With {label} the
            submission has a row for each image and target.
        separator: Between several labels in one cell.
        runs: How the submission's run lengths are written.
        soft: Multiclass: targets are shares of each class, 0 to 1, in columns.
        values: Segmentation: a mask file's values with the class that each means, or None for
            pixels that are left out of loss and metric; () where masks are 0 and 1. Classes are
            then exclusive.
        unknown: Segmentation: whether some pixels may be left out.
        pixels: Where pixels are, if they stand in tables.
        sample: The `CellsDigest` of the judge's sample submission; "" where there is none.
        names: Multiclass: what people call each class, if not as the submission writes it; else ().
            They stand in a file of their own, so that an edit trains nothing anew.
    """

    task: str
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    declared: dict[str, int] = field(default_factory=dict)
    header: tuple[str, ...] = ()
    label_values: tuple[str, str] = ("0", "1")
    metric: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    keys: tuple[str, ...] = (ID_KEY,)
    separator: str = " "
    runs: Runs = USUAL
    soft: bool = False
    values: tuple[tuple[int, str | None], ...] = ()
    unknown: bool = False
    pixels: PixelCells | None = None
    sample: str = ""
    names: tuple[str, ...] = ()

    @property
    def exclusive(self) -> bool:
        """Segmentation: whether each pixel belongs to one class at most."""
        return bool(self.values)

    @property
    def background(self) -> bool:
        """Segmentation: whether exclusive classes leave pixels that belong to none of them."""
        return self.exclusive and 0 not in dict(self.values)

    @property
    def planes(self) -> int:
        """The number of mask classes; 1 for other tasks, whose images have no mask."""
        return max(1, len(self.targets)) if self.task == "segmentation" else 1

    @property
    def value_planes(self) -> dict[int, int | None] | None:
        """Segmentation: the plane of each value of a mask file; None where masks are 0 and 1."""
        numbers = {name: number for number, name in enumerate(self.targets)}
        by_value = {value: None if name is None else numbers[name] for value, name in self.values}
        return by_value or None

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what is predicted, in the order of the model's outputs."""
        return self.classes if self.task == "multiclass" else self.targets

    @property
    def shown(self) -> tuple[str, ...]:
        """What people call `outputs`."""
        return self.names or self.outputs

    @property
    def long(self) -> bool:
        """Whether the submission has a row for each image and target."""
        return any(LABEL_KEY in key for key in self.keys)

    @property
    def answers(self) -> tuple[str, ...]:
        """The value columns of the submission's header."""
        return self.header[len(self.keys) :]


class CellsDigest:
    """A sha256 of the cells of a table, row by row, the header first; blanks around them aside.

    Example:
        >>> one, other = CellsDigest(), CellsDigest()
        >>> one.add(["a", " b"]), other.add(["a", "b"])
        (None, None)
        >>> one.text == other.text
        True
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, cells: Iterable[str]) -> None:
        """Add a row."""
        row = _BETWEEN_CELLS.join([cell.strip() for cell in cells])
        self._sha256.update(f"{row}{_BETWEEN_ROWS}".encode("utf-8", "surrogatepass"))

    @property
    def text(self) -> str:
        """The digest of the rows so far, in hexadecimal digits."""
        return self._sha256.hexdigest()


def answer_columns(card: Card) -> list[int]:
    """Return the position in `outputs` of each answer of the submission's header, in its order.

    Several answers are matched by name, so that none stands under another's. One answer has no
    other to be confused with, and judges often give it a name of their own: then [0].

    Raises:
        DataError: The header has other names than the outputs.

    Example:
        >>> answer_columns(Card("regression", ("width", "age"), header=("id", "age", "width")))
        [1, 0]
    """
    answers, outputs = card.answers, card.outputs
    if len(answers) == 1 and _fits_one_cell(card):
        return [0]
    places = {name.removesuffix(TAKEN_SUFFIX): place for place, name in enumerate(outputs)}
    places |= {name: place for place, name in enumerate(outputs)}
    columns = [places.get(name, -1) for name in answers]
    if sorted(columns) != list(range(len(outputs))):
        unknown = [name for name in answers if name not in places]
        near = nearest_name(unknown[0], outputs) if unknown else None
        raise DataError(
            "the submission's header does not have the names of the targets",
            found=counted(answers),
            expected=f"{counted(outputs)}, in any order, after the id",
            fix=(f"is {unknown[0]!r} the target {near!r}? " if near else "")
            + "Write the targets' names in data.header; if the judge has other names, rename the "
            "columns of the tables",
        )
    return columns


def _fits_one_cell(card: Card) -> bool:
    """Return whether one value column can hold the answer of a row."""
    return card.long or len(card.outputs) < 2 or card.task in ("multiclass", "multilabel")


def check_card(card: Card, reserved: Sequence[str]) -> None:
    """Check a card against every rule that later stages rely on.

    Args:
        card: The card.
        reserved: Names that a target cannot have: the other columns of the index.

    Raises:
        DataError: A rule is broken.
    """
    expect(card.task in TASK_NAMES, "unknown task", card.task, " | ".join(TASK_NAMES))
    expect(
        card.runs.order in ORDERS, "unknown order of run lengths", card.runs.order, "row | column"
    )
    expect(
        card.runs.start in (0, 1), "the first pixel has no such number", card.runs.start, "0 | 1"
    )
    _check_targets(card)
    for what in ("targets", "classes", "header", "label_values", "keys", "names"):
        odd = ", ".join(repr(name) for name in getattr(card, what) if not is_writable(name))
        expect(not odd, f"{what} hold what is not a line of text", odd, "no control characters")
    expect(len(card.label_values) == 2, "label values are not two", len(card.label_values), 2)
    counts = all(isinstance(k, str) and type(v) is int for k, v in card.declared.items())
    expect(counts, "declared does not hold counts by name", card.declared)
    names = [*reserved, *card.targets]
    twice = sorted({name for name in names if names.count(name) > 1})
    expect(not twice, "a target has a name that is taken", counted(twice), "names of its own")
    _check_header(card)
    legal = len(set(card.classes)) == len(card.classes) and "" not in card.classes
    expect(legal, "class labels must differ and not be empty", counted(card.classes))
    legal = (len(card.classes) >= 2) == (card.task == "multiclass")
    what = f"wrong number of classes for the task {card.task}"
    expect(legal, what, counted(card.classes), "two or more for multiclass, none for others")
    legal = len(set(card.names)) in (0, len(card.classes)) and "" not in card.names
    expect(
        legal, "names of classes must differ", counted(card.names), "one for each class, or none"
    )


def _check_targets(card: Card) -> None:
    several = max(1, len(card.targets))
    expected: object
    if card.task == "segmentation":
        legal, expected = True, ""
    elif card.task == "multiclass" and card.soft:
        legal, expected = card.targets == card.classes, counted(card.classes)
    else:
        expected = {"multiclass": 1, "binary": 1}.get(card.task, several)
        legal = len(card.targets) == expected
    what = f"wrong number of targets for the task {card.task}"
    expect(legal, what, counted(card.targets), expected)
    classes = {name for _, name in card.values if name is not None}
    legal = not card.values or classes == set(card.targets)
    expect(legal, "mask values mean other classes", counted(sorted(classes)), counted(card.targets))


def _check_header(card: Card) -> None:
    legal = bool(card.keys) and any(ID_KEY in key for key in card.keys)
    expect(legal, "the keys of the submission lack the id", counted(card.keys), ID_KEY)
    widths = [len(card.keys) + 1] if _fits_one_cell(card) else []
    if not card.long and len(card.outputs) > 1:
        widths.append(len(card.keys) + len(card.outputs))
    what = "the submission's header has the wrong number of columns"
    expected = " or ".join(map(str, widths))
    if len(card.header) not in widths:
        is_several = not card.long and len(card.outputs) > 1
        raise DataError(
            what,
            found=counted(card.header),
            expected=f"{expected} columns: {', '.join(card.keys)}, then the answers",
            fix=f'if it has a row for each image and label, write row: "{ID_KEY}_{LABEL_KEY}", as '
            f"its keys look; else a column for each of {', '.join(card.outputs)[:200]}"
            if is_several
            else "correct data.header, or data.row if the key has several columns",
        )
    answer_columns(card)


def card_values(card: Card) -> dict[str, Any]:
    """Return a card as JSON holds it, without its names."""
    values = asdict(card)
    del values["names"]
    return values


def card_from_values(values: dict[str, Any], reserved: Sequence[str]) -> Card:
    """Return the checked card that `card_values` turned into JSON.

    Raises:
        DataError, ValueError, TypeError, KeyError: The values are no card.
    """
    if sorted(values) != sorted(card_values(Card(""))):
        raise ValueError(f"keys {', '.join(sorted(values))}")
    values = dict(values)
    lists = ("targets", "classes", "header", "label_values", "keys", "values")
    for name in lists:
        if not isinstance(values[name], list):
            raise TypeError(f"{name}: not a list")
        values[name] = tuple(values[name])
    values["values"] = tuple((value, name) for value, name in values["values"])
    runs = values["runs"]
    values["runs"] = Runs(**runs | {"size": runs["size"] and tuple(runs["size"])})
    if values["pixels"] is not None:
        values["pixels"] = PixelCells(**{k: tuple(v) for k, v in values["pixels"].items()})
    card = Card(**values)
    check_card(card, reserved)
    return card


def parse_card(
    data: bytes, path: Path, reserved: Sequence[str], *, fix: str
) -> tuple[Card, str, int]:
    """Return the card in a file's bytes, the sha256 of its table, and that table's number of rows.

    Raises:
        ArtifactError: It is no card, or damaged.
    """
    values = parse_json(data, path, fix=fix)
    try:
        sha256, count = values.pop("sha256"), values.pop("rows")
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"sha256 {sha256}")
        return card_from_values(values, reserved), sha256, count
    except (DataError, ValueError, KeyError, TypeError, AttributeError) as error:
        names = card_values(Card(""))
        raise ArtifactError(
            "not the card of an index",
            file=path,
            found=error,
            expected=f"a JSON object of {', '.join(names)}, rows and sha256",
            fix=fix,
        ) from error


def write_names(path: Path, card: Card) -> None:
    """Write what people call the classes of a card."""
    write_json(path, {"names": card.names})


def with_names(card: Card, path: Path) -> Card:
    """Return a card with the names that `write_names` wrote for it; without such a file, as it is.

    Raises:
        ArtifactError: The file is damaged, or names other classes.
    """
    if not path.is_file():
        return card
    fix = f"run `dvc repro -sf index@{path.name.split('.')[0]}`"
    names = read_json(path, fix=fix).get("names")
    if not isinstance(names, list) or len(names) not in (0, len(card.classes)):
        raise ArtifactError(
            "not the names of these classes",
            file=path,
            found=f"names: {names}"[:200],
            expected=f"{len(card.classes)} names, or none",
            fix=fix,
        )
    return replace(card, names=tuple(names))


def similar_labels(labels: Sequence[str]) -> list[list[str]]:
    """Return the sets of labels that differ in the case or form of their letters alone.

    Example:
        >>> similar_labels(["cat", "dog", "Cat"])
        [['cat', 'Cat']]
    """
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(normalize("NFKC", label).casefold(), []).append(label)
    return [names for names in alike.values() if len(names) > 1]


def counted(names: Sequence[object]) -> str:
    """Return names with their number, for messages.

    Example:
        >>> counted(["a", "b"])
        '2: a, b'
    """
    return f"{len(names)}: {', '.join(map(str, names))}" if names else "none"


def expect(holds: bool, what: str, found: object, expected: object = None) -> None:
    """Raise DataError unless a rule holds."""
    if not holds:
        raise DataError(what, found=found, expected=expected)
