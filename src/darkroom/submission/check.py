"""Check a submission as the competition would: in one pass, row by row, whatever its bytes."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from darkroom.errors import ArtifactError, DataError, one_line
from darkroom.images import rle
from darkroom.params.section import TaskName
from darkroom.project.names import describe_bytes
from darkroom.submission.lines import Fault, Line, read_lines, split_fields

Size = tuple[int, int]

MAX_FAULTS = 20
_HEAD_BYTES = 512
_CHECKED = ("text", "binary data", "an empty file")  # row by row
_FIXES = {
    "a zip archive": "unpack it, and check the .csv in it",
    "a gzip file": "rename it to end in .csv.gz",
    "UTF-16 text": "save it as UTF-8",
}
_SHOWN_CHARACTERS = 60
_NUMBER = re.compile(r"[+-]?(\d++\.?\d*+|\.\d++)([eE][+-]?\d++)?", re.ASCII)


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
        rows: Rows read, without the header.
        faults: The first 20.
        fault_count: All of them.
        facts: segmentation: `empty share` of the masks; regression: `least` and `greatest`
            value; else `share of <label>` for each label text.
    """

    rows: int
    faults: tuple[Fault, ...]
    fault_count: int
    facts: Mapping[str, float]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0


def check_submission(
    path: Path,
    *,
    header: Sequence[str],
    ids: Iterable[str],
    kind: TaskName,
    sizes: Mapping[str, Size] | Iterable[Size] | None = None,
    labels: Sequence[str] = (),
) -> Report:
    """Check a submission, `.csv` or `.csv.gz`: header, ids, columns, values.

    The ids are held in memory, the file is not: 100,000 masks take as much as one.

    Args:
        path: The file; it must be gzip if its name ends in `.gz`.
        header: The column names; the first is that of the id.
        ids: Those expected, in the order expected, once each.
        kind: What the values are.
        sizes: segmentation: (height, width) of each id's mask, pixels: by id, or in the order
            of ids.
        labels: multilabel, binary: the two texts of a value; multiclass: those of the classes.

    Raises:
        ArtifactError: There is no such file, it cannot be read, or is an archive, say.
        ValueError: Sizes or labels that the kind needs are absent, or sizes are not as many.
    """
    expected = list(ids)
    checker = _Checker(tuple(header), expected, _values(kind, expected, sizes, labels))
    try:
        _refuse_other_files(path)
        for item in read_lines(path):
            checker.add_item(item)
    except OSError as error:
        raise ArtifactError(
            "the submission cannot be read",
            file=path,
            found=error.strerror,
            fix="run the stage that makes it",
        ) from error
    checker.finish()
    return Report(checker.rows, tuple(checker.faults), checker.fault_count, checker.values.facts())


def _refuse_other_files(path: Path) -> None:
    """Raise ArtifactError for a known binary format, each row of which would have a fault."""
    with path.open("rb") as file:
        content = describe_bytes(file.read(_HEAD_BYTES))
    if content in _CHECKED or path.name.endswith(".gz"):  # gzip is checked while it is read
        return
    raise ArtifactError(
        "not a submission",
        file=path,
        found=content,
        expected="a table of text, UTF-8: .csv, or .csv.gz if it is compressed",
        fix=_FIXES.get(content, "name the file that is to be uploaded"),
    )


@dataclass
class _Checker:
    """The state from row to row: ids and faults."""

    header: tuple[str, ...]
    expected: list[str]
    values: "_Values"
    rows: int = 0
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    first_row: dict[str, int] = field(default_factory=dict)
    furthest: int = -1

    def __post_init__(self) -> None:
        self.position = {name: position for position, name in enumerate(self.expected)}

    def add_item(self, item: Line | Fault) -> None:
        if isinstance(item, Fault):
            self.add_fault(item.row, item.what)
        elif item.number == 1:
            self._check_header(item)
        else:
            self.rows += 1
            self._check_row(item)

    def add_fault(self, row: int | None, what: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(row, what))

    def finish(self) -> None:
        for name in self.expected:
            if name not in self.first_row:
                self.add_fault(None, f"{_quote(name)} is missing")

    def _check_header(self, line: Line) -> None:
        fields = split_fields(line.text)
        if fields != list(self.header):
            expected = _quote(",".join(self.header))
            self.add_fault(1, f"the header is {_quote(line.text)}, expected {expected}")

    def _check_row(self, line: Line) -> None:
        if not line.text:
            self.add_fault(line.number, "an empty line")
            return
        fields = split_fields(line.text)
        if fields is None:
            self.add_fault(line.number, f"quotes do not match in {_quote(line.text)}")
            return
        name, *values = fields
        self._check_id(line.number, name)
        if len(fields) != len(self.header):
            self.add_fault(line.number, f"{len(fields)} columns, expected {len(self.header)}")
        elif name in self.position:
            for column, value in zip(self.header[1:], values, strict=True):
                if fault := self.values.fault(name, value):
                    self.add_fault(line.number, f"{column}: {fault}")

    def _check_id(self, row: int, name: str) -> None:
        if name in self.first_row:
            self.add_fault(row, f"{_quote(name)} is already in row {self.first_row[name]}")
        elif name not in self.position:
            self.add_fault(row, f"{_quote(name)} is not an id of the test set")
        else:
            self.first_row[name] = row
            if self.position[name] < self.furthest:
                after = self.expected[self.furthest]
                self.add_fault(
                    row, f"{_quote(name)} is out of order, it belongs before {_quote(after)}"
                )
            self.furthest = max(self.furthest, self.position[name])


class _Values(Protocol):
    """The checks of one kind of value: the fault of a value, and facts about all of them."""

    def fault(self, name: str, value: str) -> str | None: ...
    def facts(self) -> dict[str, float]: ...


def _values(
    kind: TaskName,
    ids: list[str],
    sizes: Mapping[str, Size] | Iterable[Size] | None,
    labels: Sequence[str],
) -> _Values:
    if kind == "segmentation":
        if sizes is None:
            raise ValueError("a segmentation is checked against the sizes of its masks")
        by_id = sizes if isinstance(sizes, Mapping) else dict(zip(ids, sizes, strict=True))
        if unsized := next((name for name in ids if name not in by_id), None):
            raise ValueError(f"no size is given for {unsized}")
        return _Masks(by_id)
    if kind == "regression":
        return _Numbers()
    if not labels:
        raise ValueError(f"{kind} values are checked against the texts of their labels")
    return _Labels(tuple(labels))


@dataclass
class _Masks:
    sizes: Mapping[str, Size]
    count: int = 0
    empty: int = 0

    def fault(self, name: str, value: str) -> str | None:
        height, width = self.sizes[name]
        self.count += 1
        self.empty += not value
        try:
            rle.bounds_from_text(value, height * width)
        except DataError as error:
            return one_line(error)
        return None

    def facts(self) -> dict[str, float]:
        return {"empty share": self.empty / self.count} if self.count else {}


@dataclass
class _Labels:
    labels: tuple[str, ...]
    counts: Counter[str] = field(default_factory=Counter)

    def fault(self, name: str, value: str) -> str | None:  # noqa: ARG002
        if value not in self.labels:
            return f"{_quote(value)} is not one of {_quote(', '.join(self.labels))}"
        self.counts[value] += 1
        return None

    def facts(self) -> dict[str, float]:
        total = self.counts.total()
        return {f"share of {text}": self.counts[text] / total for text in self.labels if total}


@dataclass
class _Numbers:
    least: float = math.inf
    greatest: float = -math.inf

    def fault(self, name: str, value: str) -> str | None:  # noqa: ARG002
        number = float(value) if _NUMBER.fullmatch(value) else math.nan
        if not math.isfinite(number):
            return f"{_quote(value)} is not a finite number"
        self.least, self.greatest = min(self.least, number), max(self.greatest, number)
        return None

    def facts(self) -> dict[str, float]:
        if self.least > self.greatest:
            return {}
        return {"least": self.least, "greatest": self.greatest}


def _quote(text: str) -> str:
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "…"
    return repr(text)
