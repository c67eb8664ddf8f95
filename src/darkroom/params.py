"""Every choice there is: the keys of params.yaml, typed, each with its meaning.

Only stages see these classes; what does the work takes plain values. The descriptions
here become `params.schema.json`, which editors show beside the file.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME = re.compile(r"[a-z][a-z0-9_]*")
YAML_1_1_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")

TaskName = Literal["segmentation", "multilabel", "multiclass", "binary", "regression"]


def _exponent(value: Any) -> Any:
    """YAML 1.1 reads `1e-4` as text, for want of a dot: it is a number to everybody else."""
    if isinstance(value, str) and YAML_1_1_FLOAT.fullmatch(value):
        return float(value)
    return value


Number = Annotated[float, BeforeValidator(_exponent), Field(allow_inf_nan=False)]
Column = Annotated[
    str | int, Field(description="A column by its name, or by its position counted from 0.")
]


Accelerator = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    Field(description="Where to compute; auto takes an NVIDIA GPU where there is one."),
]


class Section(BaseModel):
    """Unknown keys and wrong types are refused; nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(Section):
    """Where the raw files come from."""

    source: str = Field(
        min_length=1,
        description="`sample` (drawn here) or the folder that holds the raw files as delivered.",
    )


class CarvanaData(Source):
    """The Carvana Image Masking Challenge, as Kaggle delivers it."""

    format: Literal["carvana"]
    quality: Literal["normal", "hq"] = Field(
        "normal", description="`normal` reads train.zip and test.zip, `hq` the _hq archives."
    )


class CelebaData(Source):
    """CelebA, from its official files or the Kaggle mirror."""

    format: Literal["celeba"]


class BanknoteColumns(Section):
    """Two columns of a banknote label table."""

    image: Column = 2
    target: Column = 3


class BanknotesData(Source):
    """ATM banknotes: three archives, three label tables."""

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


class Split(Section):
    """How training images are cut into folds."""

    by: Literal["group", "stratify", "official"] = Field(
        description="`group`: whole groups; `stratify`: equal shares of each label, groups kept "
        "whole; `official`: the data set's own partition, as fold 0."
    )
    folds: int = Field(5, ge=2, le=100, description="How many folds to cut (official has one).")


class Preprocess(Section):
    """How images are stored for training."""

    height: int = Field(ge=8, le=8192, description="Stored height, px.")
    width: int = Field(ge=8, le=8192, description="Stored width, px.")
    fit: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="How another aspect ratio is met."
    )
    store: Literal["jpeg", "raw"] = Field(
        "jpeg", description="`jpeg` is small, `raw` is exact and loads ten times faster."
    )
    quality: int = Field(90, ge=50, le=100, description="JPEG quality of a `jpeg` store.")


class UNet(Section):
    """The classic U-Net (Ronneberger et al. 2015)."""

    name: Literal["unet"]
    width: int = Field(64, ge=1, le=512, description="Channels of the first level.")
    depth: int = Field(4, ge=1, le=7, description="How often the picture is halved.")
    bilinear: bool = Field(False, description="Upsample bilinearly, not by transposed convolution.")


class EncoderUNet(Section):
    """A U-Net over a ready-made encoder."""

    name: Literal["encoder_unet"]
    encoder: str = Field(
        "resnet18", description="An encoder of segmentation_models_pytorch, by name."
    )
    weights: Literal["imagenet"] | None = Field(
        None, description="`imagenet` (downloaded) or null: random."
    )


class ResNet(Section):
    """A ResNet (He et al. 2016) with a new head."""

    name: Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
    weights: str | None = Field(
        None,
        description="`imagenet` (downloaded), a .safetensors or .pth file, the folder of another "
        "run (models/celeba/fold0), or null: random. DVC does not watch the file.",
    )
    freeze: Literal["none", "backbone"] = Field(
        "none", description="`backbone`: only the new head learns."
    )


Model = Annotated[UNet | EncoderUNet | ResNet, Field(discriminator="name")]


class Train(Section):
    """How the network learns."""

    epochs: int = Field(ge=1, le=10000, description="Passes over the training images.")
    batch_size: int = Field(ge=1, le=4096, description="Images a step.")
    lr: Number = Field(gt=0, le=10, description="Peak learning rate (AdamW, one cycle).")
    weight_decay: Number = Field(0.01, ge=0, le=10, description="AdamW's decoupled decay.")
    augment: Literal["none", "flip", "light", "strong", "notes"] = Field(
        "light", description="The preset of random changes to training images."
    )
    patience: int = Field(
        10, ge=1, le=10000, description="Epochs without a better metric before stopping."
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=256)] = Field(
        "auto", description="Loader processes; auto: 0 on a CPU, up to 8 beside a GPU."
    )
    accelerator: Accelerator = "auto"


class Evaluate(Section):
    """How predictions are scored."""

    batch_size: int = Field(8, ge=1, le=4096, description="Images at once.")
    threshold: Literal["auto"] | Annotated[Number, Field(ge=1 / 256, le=255 / 256)] = Field(
        "auto",
        description="`auto` chooses it on the validation images; or a number in 0..1, taken to "
        "the nearest multiple of 1/256.",
    )
    accelerator: Accelerator = "auto"


class Predict(Section):
    """How the submission is made."""

    batch_size: int = Field(8, ge=1, le=4096, description="Images at once.")
    accelerator: Accelerator = "auto"


class Competition(Section):
    """One competition, section by section; each section belongs to the stage of its name."""

    data: Data
    split: Split
    preprocess: Preprocess
    model: Model
    train: Train
    evaluate: Evaluate
    predict: Predict


class Params(Section):
    """The whole of params.yaml: any further key is a competition's name with its section."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Competition]

    seed: int = Field(ge=0, lt=2**32, description="Seeds the split, the weights and the order.")
    competitions: list[str] = Field(min_length=1, description="The sections that `dvc repro` runs.")
    folds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="The folds to train; each validates on its own part."
    )

    def section(self, name: str) -> Competition:
        """Return the section of a competition that is known to be there."""
        return self.__pydantic_extra__[name]

    @property
    def sections(self) -> dict[str, Competition]:
        """Return every competition's section, by name."""
        return self.__pydantic_extra__
