"""The base class of the sections of params.yaml, and the types that they share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TaskName = Literal["segmentation", "multilabel", "multiclass", "binary", "regression"]

LOWER_IS_BETTER = ("log_loss", "weighted_log_loss", "rmse", "mae", "rmsle", "mcrmse")  # metrics

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]

Accelerator = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    Field(description="Where to compute; auto takes an NVIDIA GPU where there is one."),
]


class Section(BaseModel):
    """A strict section: unknown keys and wrong types are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
