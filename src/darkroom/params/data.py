"""The `data` section: where the raw files come from, one shape a raw layout."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from darkroom.params.section import Section

TaskName = Literal["segmentation", "multilabel", "multiclass", "binary", "regression"]

Column = Annotated[
    str | int, Field(description="A column by its name, or by its position counted from 0.")
]


class Source(Section):
    """Where the raw files come from."""

    source: str = Field(
        min_length=1,
        description="`sample` (drawn here) or the folder that holds the raw files as delivered.",
    )


class CarvanaData(Source):
    """The Carvana Image Masking Challenge, as Kaggle delivers it."""

    task: ClassVar[TaskName] = "segmentation"
    format: Literal["carvana"]
    quality: Literal["normal", "hq"] = Field(
        "normal", description="`normal` reads train.zip and test.zip, `hq` the _hq archives."
    )


class CelebaData(Source):
    """CelebA, from its official files or the Kaggle mirror."""

    task: ClassVar[TaskName] = "multilabel"
    format: Literal["celeba"]


class BanknoteColumns(Section):
    """Two columns of a banknote label table."""

    image: Column = 2
    target: Column = 3


class BanknotesData(Source):
    """ATM banknotes: three archives, three label tables."""

    task: ClassVar[TaskName] = "multiclass"
    format: Literal["banknotes"]
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
    delimiter: str = Field(",", min_length=1, max_length=1, description="What separates cells.")


Data = Annotated[CarvanaData | CelebaData | BanknotesData | CsvData, Field(discriminator="format")]
