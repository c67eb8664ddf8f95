"""The `predict` and `evaluate` sections: how predictions are made, and scored and decided."""

from typing import Annotated, Literal

from pydantic import Field

from darkroom.params.section import Accelerator, Number, Section

Transform = Literal["hflip", "vflip", "rot90", "rot180", "rot270", "transpose", "transverse"]


class Tiles(Section):
    """Overlapping tiles, blended smoothly."""

    height: int = Field(ge=32, le=8192, description="Of a tile, px.")
    width: int = Field(ge=32, le=8192, description="Of a tile, px.")
    overlap: Annotated[Number, Field(ge=0, le=0.75)] = Field(
        0.25, description="Share of a tile that its neighbour covers too."
    )


class Predict(Section):
    """How networks are asked for predictions, which are kept."""

    batch_size: int = Field(8, ge=1, le=4096, description="Images at once.")
    accelerator: Accelerator = "auto"
    tta: list[Transform] | Literal["d4"] = Field(
        [],
        description="Flips and turns of an image to predict too, and to average with it. d4: all "
        "eight symmetries of a square, the image among them.",
    )
    scales: list[Annotated[Number, Field(ge=0.25, le=4)]] = Field(
        [1.0], min_length=1, description="Sizes at which masks are predicted and averaged."
    )
    tiles: Tiles | None = Field(None, description="Predict masks tile by tile; null: whole.")


class Evaluate(Section):
    """How predictions are scored, and what is made of them."""

    threshold: Literal["auto"] | Annotated[Number, Field(ge=1 / 256, le=255 / 256)] | None = Field(
        None,
        description="A pixel or label is present if its probability is greater: a number in 0..1, "
        "taken to the nearest multiple of 1/256; or `auto` chooses what is best for the metric on "
        "the validation images, one a label where that is better. Left out: 0.5 where the metric "
        "is accuracy, or dice of one class; else auto. Exclusive mask classes have none.",
    )
    min_area: int = Field(
        0,
        ge=0,
        le=10**8,
        description="Objects of a mask that have fewer pixels are left out; counted at the size "
        "that the submission's masks have.",
    )
    fill_holes: bool = Field(False, description="Fill the holes in masks.")
    largest: bool = Field(
        False, description="Keep the largest object of a mask alone, as where each shows one thing."
    )
    separate: bool = Field(
        False,
        description="Part objects that touch, where a submission has a row for each: by a "
        "watershed on the distance to the background.",
    )
