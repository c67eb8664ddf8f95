"""Every choice there is: the keys of params.yaml, typed, each with its meaning.

Only stages see these classes; what does the work takes plain values. The descriptions
here become `params.schema.json`, which editors show beside the file.
"""

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from darkroom.params.data import Data
from darkroom.params.model import Model
from darkroom.params.section import Accelerator, Number, Section
from darkroom.params.train import Train

NAME = re.compile(r"[a-z][a-z0-9_]*")


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


View = Literal["hflip", "vflip", "rot180"]


class Tiles(Section):
    """Overlapping tiles, blended smoothly."""

    height: int = Field(ge=32, le=8192, description="Of a tile, px.")
    width: int = Field(ge=32, le=8192, description="Of a tile, px.")
    overlap: Annotated[Number, Field(ge=0, le=0.75)] = Field(
        0.25, description="Share of a tile that its neighbour covers too."
    )


class Evaluate(Section):
    """How predictions are scored."""

    batch_size: int = Field(8, ge=1, le=4096, description="Images at once.")
    threshold: Literal["auto"] | Annotated[Number, Field(ge=1 / 256, le=255 / 256)] = Field(
        "auto",
        description="`auto` chooses it on the validation images; or a number in 0..1, taken to "
        "the nearest multiple of 1/256.",
    )
    accelerator: Accelerator = "auto"
    tta: list[View] = Field(
        [], description="Views to average with the plain one, here and in the submission."
    )
    scales: list[Annotated[Number, Field(ge=0.25, le=4)]] = Field(
        [1.0], min_length=1, description="Sizes at which masks are predicted and averaged."
    )
    tiles: Tiles | None = Field(None, description="Predict masks tile by tile; null: whole.")


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


class Transfer(Section):
    """First weights for one competition, from another's run or from a file."""

    to: str = Field(description="The competition whose `model.weights` is `given`.")
    source: str = Field(
        alias="from",
        min_length=1,
        description="A run's folder (models/celeba/fold0), or a .safetensors or .pth file.",
    )


class Params(Section):
    """The whole of params.yaml: any further key is a competition's name with its section."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Competition]

    seed: int = Field(ge=0, lt=2**32, description="Seeds the split, the weights and the order.")
    competitions: list[str] = Field(min_length=1, description="The sections that `dvc repro` runs.")
    folds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="The folds to train; each validates on its own part."
    )
    transfers: list[Transfer] = Field(
        description="Runs and files that first weights come from: {to: ..., from: ...}."
    )

    def section(self, name: str) -> Competition:
        """Return the section of a competition that is known to be there."""
        return self.__pydantic_extra__[name]

    def transfer(self, name: str) -> Transfer | None:
        """Return what a competition's first weights come from, if that is named."""
        return next((each for each in self.transfers if each.to == name), None)

    @property
    def sections(self) -> dict[str, Competition]:
        """Return every competition's section, by name."""
        return self.__pydantic_extra__
