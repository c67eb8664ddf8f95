"""The base class of the sections of params.yaml, and the types that they share."""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

TaskName = Literal["segmentation", "multilabel", "multiclass", "binary", "regression"]

YAML_1_1_FLOAT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def _exponent(value: Any) -> Any:
    """Convert `1e-4`, which YAML 1.1 reads as text because it lacks a dot."""
    if isinstance(value, str) and YAML_1_1_FLOAT.fullmatch(value):
        return float(value)
    return value


Number = Annotated[float, BeforeValidator(_exponent), Field(allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]

Accelerator = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    Field(description="Where to compute; auto takes an NVIDIA GPU where there is one."),
]


class Section(BaseModel):
    """A strict section: unknown keys and wrong types are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
