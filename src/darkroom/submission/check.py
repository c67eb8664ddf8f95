"""Check a submission as the competition would: in one pass, row by row, whatever its bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from darkroom.errors import ArtifactError
from darkroom.index.card import BY_WHERE, OTHER_SUFFIX, WITHOUT_IMAGE, Card, CellsDigest
from darkroom.project.names import describe_bytes
from darkroom.submission.cell_checks import NO_LIMITS, CellCheck, Limits, cell_check
from darkroom.submission.form import key_cells, row_labels
from darkroom.submission.lines import TEXT_KINDS, Fault, Line, quote, read_lines, split_fields
from darkroom.tasks.metrics.specs import MetricSpec, Writes

MAX_FAULTS = 20
_HEAD_BYTES = 512
_BETWEEN = "\x1f"  # the cells of a key; no cell of ours holds a control character
_OTHER_MARKS = ";\t|"
_FIXES = {
    "a gzip file": "rename it to end in .csv.gz",
    "a zip archive": "unpack it, and check the .csv in it; a workbook: save it as .csv",
    "UTF-16 text": "save it as UTF-8",
}


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Attributes:
        rows: Rows read, without the header.
        faults: The first 20.
        fault_count: All of them.
        facts: Of all cells, by what they hold: `empty share` of masks, `objects an image`, `least`
            and `greatest` number, `mean` probability, or `share of <label>` for each label text.
        warnings: What is legal, and hardly meant.
        is_sample: Whether it is the judge's sample submission, which is right as it is.
    """

    rows: int
    faults: tuple[Fault, ...]
    fault_count: int
    facts: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    is_sample: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault_count == 0


def check_submission(
    path: Path,
    card: Card,
    metric: MetricSpec,
    ids: Iterable[str],
    limits: Limits = NO_LIMITS,
    *,
    ours: bool = True,
) -> Report:
    """Check a submission, `.csv` or `.csv.gz`: header, keys, columns, values.

    The keys are held in memory, the file is not: 100,000 masks take as much as one. Of objects,
    all run lengths are.

    Args:
        path: The file; it must be gzip if its name ends in `.gz`.
        card: The form of the submission.
        metric: What the judge counts decides what cells hold.
        ids: Those expected, in the order expected, once each.
        limits: What else answers are held against.
        ours: Whether it is Darkroom's own file, whose rows and columns have an order. Judges find
            both by name.

    Raises:
        ArtifactError: There is no such file, it cannot be read, or is an archive, say.
        DataError: The card has no room for what the metric counts.
        ValueError: A size that the masks need is absent.
    """
    names = list(ids)
    checker = _Checker(card, names, cell_check(card, metric, names, limits), metric.writes, ours)
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
    facts, warnings = checker.cells.facts(), (*checker.cells.warnings(), *_left_out(card))
    if card.sample and checker.digest.text == card.sample:
        return Report(checker.rows, (), 0, facts, is_sample=True)
    return Report(checker.rows, tuple(checker.faults), checker.fault_count, facts, warnings)


def _left_out(card: Card) -> list[str]:
    """Return what the index left out of test, unless a sample submission says which ids it has."""
    kinds = [f"test {what}" for what in (BY_WHERE, WITHOUT_IMAGE, OTHER_SUFFIX)]
    return [
        f"{count} {what}: an image that they alone name has no row here"
        for what, count in card.declared.items()
        if what in kinds and not card.sample
    ]


def _refuse_other_files(path: Path) -> None:
    """Raise ArtifactError for a known binary format, each row of which would have a fault."""
    if path.exists() and not path.is_file():  # a pipe is read once; a folder is refused then
        return
    with path.open("rb") as file:
        content = describe_bytes(file.read(_HEAD_BYTES))
    if content in TEXT_KINDS or path.name.endswith(".gz"):  # gzip is checked while it is read
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
    """The state from row to row: keys and faults."""

    card: Card
    ids: list[str]
    cells: CellCheck
    writes: Writes
    ours: bool
    rows: int = 0
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)
    furthest: int = -1

    def __post_init__(self) -> None:
        labels = row_labels(self.card)
        keys = [_key(key_cells(self.card, name, label)) for name in self.ids for label in labels]
        self.keys, self.labels = keys, len(labels)
        self.place = {key: place for place, key in enumerate(keys)}
        self.first_row: dict[str, int] = {}
        self.columns: list[int] | None = list(range(len(self.card.header)))
        self.suffix = PurePath(self.ids[0]).suffix if self.ids else ""
        self.digest = CellsDigest()

    def add_item(self, item: Line | Fault) -> None:
        if isinstance(item, Fault):
            self.add_fault(item.row, item.what)
            return
        fields = split_fields(item.text)
        if self.card.sample and item.text:
            self.digest.add([item.text] if fields is None else fields)
        if item.number == 1:
            self._check_header(item, fields)
        else:
            self.rows += 1
            self._check_row(item, fields)

    def add_fault(self, row: int | None, what: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(row, what))

    def finish(self) -> None:
        for fault in self.cells.finish():
            self.add_fault(fault.row, fault.what)
        for key in self.keys if self.columns is not None else ():
            if key not in self.first_row:
                self.add_fault(None, f"{_shown(key)} is missing")

    def _check_header(self, line: Line, fields: list[str] | None) -> None:
        header = self.card.header
        if fields == list(header):
            return
        if fields is not None and sorted(fields) == sorted(header) and not self.ours:
            self.columns = [fields.index(name) for name in header]
            return
        what = f"the header is {quote(line.text)}, expected {quote(','.join(header))}"
        if fields is not None and fields[1:] == list(header):
            what += ": leave the first column out; pandas does with index=False"
            self.columns = None
        elif sum(line.text.split(mark) == list(header) for mark in _OTHER_MARKS):
            what += ": the cells must be parted by commas"
            self.columns = None
        elif fields is not None and _key(fields[: len(self.card.keys)]) in self.place:
            what += ": it is a row, and there is no header"
        self.add_fault(1, what)

    def _check_row(self, line: Line, fields: list[str] | None) -> None:
        if self.columns is None:  # what is wrong with the header is so with every row
            return
        if not line.text:
            self.add_fault(line.number, "an empty line")
            return
        if fields is None:
            self.add_fault(line.number, f"quotes do not match in {quote(line.text)}")
            return
        header, keys = self.card.header, len(self.card.keys)
        whole = len(fields) == len(header)
        if whole:
            fields = [fields[column] for column in self.columns]
        key = _key(fields[:keys])
        self._check_key(line.number, key)
        if not whole:
            self.add_fault(line.number, f"{len(fields)} columns, expected {len(header)}")
        elif key in self.place:
            image_id = self.ids[self.place[key] // self.labels]
            for column, value in zip(header[keys:], fields[keys:], strict=True):
                if fault := self.cells.fault(line.number, key, image_id, value):
                    self.add_fault(line.number, f"{column}: {fault}")

    def _check_key(self, row: int, key: str) -> None:
        if key not in self.place:
            near = f"; is it {_shown(self._like(key))}?" if self._like(key) else ""
            self.add_fault(row, f"{_shown(key)} is not an id of the test set{near}")
            return
        if key in self.first_row and self.writes != "objects":
            hint = "; write all runs of a mask in one cell" if self.writes == "masks" else ""
            self.add_fault(row, f"{_shown(key)} is already in row {self.first_row[key]}{hint}")
            return
        self.first_row.setdefault(key, row)
        place = self.place[key]
        if self.ours and place < self.furthest:
            after = _shown(self.keys[self.furthest])
            self.add_fault(row, f"{_shown(key)} is out of order, it belongs before {after}")
        self.furthest = max(self.furthest, place)

    def _like(self, key: str) -> str:
        """Return a key of which another is the same but for blanks, folder or suffix; or ""."""
        path = PurePath(key.strip())
        forms = (
            key.strip(),
            path.name,
            path.stem,
            *(each + self.suffix for each in (path.name, path.stem)),
        )
        return next((form for form in forms if form in self.place), "")


def _key(cells: Sequence[str]) -> str:
    """Return one text for the key cells of a row: less memory than a tuple, for a million rows."""
    return cells[0] if len(cells) == 1 else _BETWEEN.join(cells)


def _shown(key: str) -> str:
    return quote(key.replace(_BETWEEN, ","))
