"""The `preprocess` section: how images are stored."""

from typing import Literal

from pydantic import Field

from darkroom.params.section import Section


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
