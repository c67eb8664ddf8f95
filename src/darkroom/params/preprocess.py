"""The `preprocess` section: how images are stored."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from darkroom.params.section import Number, Section


def _rising(levels: list[float]) -> list[float]:
    low, high = levels
    if low >= high:
        raise PydanticCustomError("levels", "two numbers, the first less than the second")
    return levels


LevelPair = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_rising)]


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
    levels: Literal["auto"] | LevelPair | None = Field(
        None,
        description="How samples of 16 bits, floats and DICOM become bytes: [lo, hi] become 0 and "
        "255; auto: the 0.1 and 99.9 percentiles of each image. null: 16 bits keep their high "
        "byte, DICOM has its own window. 8 bits stay as they are.",
    )
    quality: int = Field(90, ge=50, le=100, description="JPEG quality of a `jpeg` store.")
