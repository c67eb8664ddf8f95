"""The base class of the sections of params.yaml, and the types that they share."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TaskName = Literal["segmentation", "multilabel", "multiclass", "binary", "regression"]

ID_KEY, LABEL_KEY = "{id}", "{label}"  # in the templates of a submission's key cells

# What several rooms ask of a metric by its name; tests hold the table of metrics to it.
LOWER_IS_BETTER = ("log_loss", "weighted_log_loss", "rmse", "mae", "rmsle", "mcrmse")
MOST_FOLDS = 100
OBJECT_METRICS = ("iou_precision", "f2_iou")  # whose submissions have a row for each object

# Characters that break a line of the submission, or its encoding.
_UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, le=1)]
Positive = Annotated[Number, Field(gt=0)]

Accelerator = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    Field(description="Where to compute; auto takes an NVIDIA GPU where there is one."),
]


def is_own_metric(name: str) -> bool:
    """Return whether a metric is a function in a file of the user's: metrics/mine.py:score."""
    return ".py:" in name


def is_writable(value: object) -> bool:
    """Return whether a value is a line of text that a submission can hold."""
    return isinstance(value, str) and not _UNWRITABLE.search(value)


class Section(BaseModel):
    """A strict section: unknown keys and wrong types are errors, nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
