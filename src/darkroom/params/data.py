"""The `data` section, one shape a raw layout, and the `split` section."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from darkroom.params.section import Section, TaskName

SAMPLE, KAGGLE, URLS = "sample", "kaggle", "urls"  # the sources that are not folders
MAX_LETTERS = 120  # of a file's or folder's name on disk

Column = Annotated[
    str | int, Field(description="A column by its name, or by its position counted from 0.")
]


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
        pattern=r"^[A-Za-z0-9-]+(/[A-Za-z0-9][A-Za-z0-9._-]*(/versions/[1-9][0-9]*)?)?$",
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


class CarvanaData(Source):
    """The Carvana Image Masking Challenge, as Kaggle delivers it."""

    task: ClassVar[TaskName] = "segmentation"
    format: Literal["carvana"]
    kaggle: KaggleName | None = "carvana-image-masking-challenge"
    quality: Literal["normal", "hq"] = Field(
        "normal", description="`normal` reads train.zip and test.zip, `hq` the _hq archives."
    )


class CelebaData(Source):
    """CelebA, from its official files or the Kaggle mirror."""

    task: ClassVar[TaskName] = "multilabel"
    format: Literal["celeba"]
    kaggle: KaggleName | None = "jessicali9530/celeba-dataset"


class BanknoteColumns(Section):
    """Two columns of a banknote label table."""

    image: Column = 2
    target: Column = 3


# The short links of the course that published them. It publishes no checksums: archives are
# tested file by file.
COURSE_FILES = tuple(
    Url(url=f"https://cocl.us/DL0320EN_{part}_{kind}", name=name.format(stem))
    for part, stem in (("TRAIN", "training"), ("VALID", "validation"), ("TEST", "test"))
    for kind, name in (("TAR_PYTORCH", "{}_data_pytorch.tar.gz"), ("CSV", "{}_labels.csv"))
)


class BanknotesData(Source):
    """ATM banknotes: three archives, three label tables."""

    task: ClassVar[TaskName] = "multiclass"
    format: Literal["banknotes"]
    urls: list[Url] = Field(
        list(COURSE_FILES), description="The files that `source: urls` fetches."
    )
    columns: BanknoteColumns = Field(
        BanknoteColumns(), description="Where the label tables keep the file name and the class."
    )


class CsvTable(Section):
    """One table that lists images, with their labels or masks."""

    table: str = Field(description="The table's file, in the source folder.")
    image: Column = Field(description="The column that names the image.")
    image_path: str = Field(
        "{}", description="Where the image lies, `{}` being the cell: `train.zip/train/{}.png`."
    )
    id: Column | None = Field(None, description="The row's id; the image column if left out.")
    targets: list[Column] = Field([], description="The columns to predict.")
    mask: Column | None = Field(None, description="The column that names the mask.")
    mask_path: str = Field("{}", description="Where the mask lies, `{}` being the cell.")
    rle: Column | None = Field(None, description="The column that holds the mask as run lengths.")
    rle_order: Literal["row", "column"] = Field(
        "column", description="How those run lengths count the pixels: along rows or columns."
    )
    group: Column | None = Field(None, description="Rows of one group stay on one side of a fold.")


class CsvData(Source):
    """Any data set that a CSV indexes."""

    format: Literal["csv"]
    task: TaskName = Field(description="What is to be predicted.")
    train: CsvTable = Field(description="The table of training images.")
    valid: CsvTable | None = Field(None, description="An official validation table, if any.")
    test: CsvTable = Field(description="The table of images to predict.")
    header: list[str] = Field(min_length=2, description="The submission's header.")
    rle_order: Literal["row", "column"] = Field(
        "column", description="How the submission's run lengths count the pixels."
    )
    leave_out: list[str] = Field(
        [],
        description="Rows whose image cell is like one of these (`.DS_Store`, `*.tmp`) are left "
        "out of all tables, and counted.",
    )
    delimiter: str = Field(
        ",",
        pattern=r'^[^"\r\n\x00]$',
        description="One character that separates cells, no quote and no line break.",
    )


Data = Annotated[CarvanaData | CelebaData | BanknotesData | CsvData, Field(discriminator="format")]


class Split(Section):
    """How training images are cut into folds."""

    by: Literal["group", "stratify", "official"] = Field(
        description="`group`: whole groups; `stratify`: equal shares of each label, groups kept "
        "whole; `official`: the data set's own partition, as fold 0."
    )
    folds: int = Field(5, ge=2, le=100, description="How many folds to cut (official has one).")
