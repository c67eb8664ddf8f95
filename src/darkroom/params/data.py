"""The `data` section: where rows, images and targets come from, and what the judge wants."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from darkroom.params.section import ID_KEY, MOST_FOLDS, Positive, Section, TaskName

SAMPLE, KAGGLE, URLS = "sample", "kaggle", "urls"  # the sources that are not folders
MAX_LETTERS = 120  # of a file's or folder's name on disk

# What another key says instead, where a part inherits keys from train. Rows may be files that are
# joined to a table; the others exclude each other.
ALTERNATIVES = (("table", "files"), ("image", "pixels"), ("mask", "rle"))
OF_TEST = ("image", "pixels", "shape", "id", "cells", "label", "group", "runs")

Column = Annotated[
    str | int, Field(description="A column by its name, or by its position counted from 0.")
]
Delimiter = Annotated[
    str,
    Field(
        pattern=r'^[^"\r\n\x00]$',
        description="One character that separates cells, no quote and no line break.",
    ),
]
Pattern = Annotated[str | int, Field(description="A pattern of cells; ! in front excludes.")]
Patterns = Pattern | Annotated[list[Pattern], Field(min_length=1)]
Size = Annotated[list[Annotated[int, Field(ge=1, le=100_000)]], Field(min_length=2, max_length=2)]


def _check_url(url: str) -> str:
    """Refuse an address with an invalid host or port."""
    try:
        parts = urlsplit(url)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise PydanticCustomError(
            "url", "input should be an address with a host: https://host/path"
        )
    return url


class Url(Section):
    """One file by its address."""

    url: Annotated[str, AfterValidator(_check_url)] = Field(
        pattern=r"^https://[^/\s]+/\S*$", description="An address that begins with https://."
    )
    name: str = Field(
        max_length=MAX_LETTERS,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="The file name to save it under, without folders.",
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="The sha256 of its bytes: 64 digits, 0-9 a-f."
    )


KaggleName = Annotated[
    str,
    Field(
        max_length=MAX_LETTERS,
        pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9][A-Za-z0-9._-]*(/versions/[1-9][0-9]*)?)?$",
        description="A competition's name as in its address (carvana-image-masking-challenge), or "
        "a data set's (owner/name, owner/name/versions/2).",
    ),
]


class Source(Section):
    """Where the raw files come from."""

    source: str = Field(
        min_length=1,
        description="`sample` (drawn here), `kaggle`, `urls`, or the folder that holds the raw "
        "files as delivered.",
    )
    kaggle: KaggleName | None = Field(
        None, description="What `source: kaggle` fetches, and where `darkroom submit` submits."
    )
    urls: list[Url] = Field([], description="The files that `source: urls` fetches.")
    metric: str | None = Field(
        None,
        description="What the judge counts: a name such as macro_f1, or a function of your own, "
        "metrics/mine.py:score. Left out: dice, accuracy or rmse, by the task.",
    )
    weights: dict[str, Positive] = Field(
        {}, description="Of labels in a weighted metric: {any: 2}; 1 for those not named."
    )


class RunLengths(Section):
    """How run lengths are written."""

    order: Literal["row", "column"] = Field(
        "column", description="Whether pixels are counted along rows or down columns."
    )
    start: Literal[0, 1] = Field(1, description="The number of the first pixel.")
    relative: bool = Field(
        False, description="Whether a start counts from the end of the run before."
    )
    empty: Literal["", "-1", "-", "1 0", "0 0"] = Field(
        "", description='The cell of an empty mask: "", "-1", "-", "1 0" or "0 0".'
    )
    size: Size | None = Field(
        None, description="[height, width] of the masks, px, where it is not the image's."
    )


class TableFile(Section):
    """A table that needs more than its name."""

    table: str = Field(min_length=1, description="The table's file, in the source folder.")
    delimiter: Delimiter | None = None
    columns: list[str] | None = Field(
        None, min_length=1, description="The names of the columns, of a table without a header."
    )


AnyTable = str | TableFile


class Rows(Section):
    """Where the rows of a part come from, and what an image and a target are."""

    table: AnyTable | Annotated[list[AnyTable], Field(min_length=1)] | None = Field(
        None,
        description="The file that lists the rows: .csv, .tsv, .txt, .parquet, .json (COCO), "
        "also in a .zip or .gz. Of a list, further tables are joined to the first on the columns "
        "that they share.",
    )
    files: str | None = Field(
        None,
        description="Instead of a table, a template of the images' paths, whose fields are the "
        "columns: train.zip/train/{label}.{n}.jpg",
    )
    cells: dict[str, str] = Field(
        {},
        description="Columns whose cells are taken apart into further columns: "
        '{Image_Label: "{image}_{label}"}',
    )
    where: dict[str, Patterns] = Field(
        {},
        description="Rows to keep, by column: patterns such as A*, or with ! in front such as "
        "!.DS_Store of rows to leave out.",
    )
    missing: Literal["refuse", "skip"] = Field(
        "refuse", description="skip: leave out rows whose image is not there, and count them."
    )
    image: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="Where the image lies, a template of columns: train/{id[0]}/{id}.jpg; {3} is "
        "a column by position, * what is not known. A list: planes, stacked as channels.",
    )
    pixels: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="Instead of image: the columns that hold pixels, such as pixel*."
    )
    shape: Size | None = Field(
        None, description="[height, width] of pixels in columns, where it is not square."
    )
    id: Column | None = Field(
        None,
        description="A column or a template. Left out: the only field of image, or of files but "
        "for label, targets and group; else the file's name without its suffix.",
    )
    targets: Column | list[Column] | Annotated[dict[str, Column], Field(min_length=1)] = Field(
        [],
        description="The columns to predict, also by patterns: c*; or a template of columns: "
        "'{habitat} {cover}'. {target_1: age}: under the names that the submission has for them.",
    )
    label: Column | None = Field(
        None,
        description="Where rows are of an image and a label: the column that names the target or "
        "mask class.",
    )
    mask: str | Annotated[dict[str, str], Field(min_length=1)] | None = Field(
        None,
        description="Where the mask lies, a template; * may match several files. "
        "{road: ..., car: ...}: a file a class.",
    )
    rle: Column | None = Field(None, description="The column that holds run lengths.")
    group: Column | None = Field(
        None, description="A column or a template; rows of one group stay on one side of a fold."
    )
    runs: RunLengths | None = Field(
        None, description="How the table's run lengths are written, if not as the submission's."
    )


class Data(Source):
    """A competition: five questions, each with its keys."""

    sample: Literal["carvana", "celeba", "banknotes"] | None = Field(
        None, description="What `source: sample` draws."
    )
    task: TaskName = Field(description="What is to be predicted.")
    train: Rows = Field(description="The images to learn from.")
    valid: Rows | None = Field(
        None, description="An official validation set; keys that it leaves out are train's."
    )
    test: Rows = Field(
        Rows(),
        description="The images to predict, in this order. It has train's image, pixels, id, "
        "cells, label, group and runs where it leaves them out; without table and files "
        "its rows are those of `like`.",
    )
    like: str | None = Field(
        None,
        description="The sample submission, which gives the header, ids, order and class columns.",
    )
    header: list[str] = Field(
        [], description="The submission's header, where there is no sample submission."
    )
    row: str | list[str] = Field(
        ID_KEY,
        description="The key of a submission's row, of {id} and {label}; a list where several "
        "columns are the key.",
    )
    separator: str | None = Field(
        None, min_length=1, description="Between several labels in one cell, read and written."
    )
    values: dict[int | str, int | str | None] = Field(
        {},
        description="What a mask picture's values mean: {0: sky, 1: road, 255: null}; others are "
        "background. Or what label cells mean: a class, or 0 and 1: {cat: 0, dog: 1}. null is "
        "left out of loss and metric.",
    )
    names: str | int | dict[int | str, int | str] | None = Field(
        None,
        description="What sheets, TensorBoard and reports call the classes, if the submission "
        "writes codes: {0: healthy, 1: blight}, or a column of train's table.",
    )
    runs: RunLengths = Field(RunLengths(), description="How run lengths are read and written.")


def target_columns(rows: Rows) -> list[str | int]:
    """Return the columns of targets, patterns as they stand.

    Example:
        >>> target_columns(Rows(targets={"target_1": "age", "target_2": 4}))
        ['age', 4]
    """
    if isinstance(rows.targets, dict):
        return [*rows.targets.values()]
    return rows.targets if isinstance(rows.targets, list) else [rows.targets]


def is_pattern(column: str | int) -> bool:
    """Return whether a target is a pattern of columns, and not one column or a template.

    Example:
        >>> is_pattern("c*"), is_pattern("age"), is_pattern("{id[0]}")
        (True, False, False)
    """
    return isinstance(column, str) and "{" not in column and bool(set(column) & set("*?["))


def part_rows(data: Data) -> dict[str, Rows]:
    """Return the parts that there are, each with the keys that it inherits from train."""
    parts = {"train": data.train}
    if data.valid is not None:
        parts["valid"] = _inherited(data.train, data.valid, tuple(Rows.model_fields))
    parts["test"] = _inherited(data.train, data.test, OF_TEST)
    return parts


def _inherited(train: Rows, rows: Rows, keys: tuple[str, ...]) -> Rows:
    """Return rows with train's values of the keys that they leave out and say no other way."""
    own = rows.model_fields_set
    taken = {
        key
        for key in keys
        if key in train.model_fields_set - own
        and not any(key in pair and own.intersection(pair) for pair in ALTERNATIVES)
    }
    if train.table is not None and train.files is not None:  # rows are files, joined to a table
        taken |= {"table", "files"}.intersection(keys) - own
    if "files" in own and train.image is not None and train.files is None:
        taken.discard("image")  # the path itself is the image
    return rows.model_copy(update={key: getattr(train, key) for key in taken})


class Split(Section):
    """How training images are cut into folds."""

    by: Literal["group", "stratify", "official"] = Field(
        description="`group`: whole groups; `stratify`: equal shares of each label (of masks in "
        "rows or files by class: of the classes shown), groups kept whole; `official`: the data "
        "set's own partition, as fold 0."
    )
    folds: int = Field(
        5, ge=2, le=MOST_FOLDS, description="How many folds to cut (official has one)."
    )
