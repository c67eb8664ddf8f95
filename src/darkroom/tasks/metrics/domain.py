"""For which targets a metric is defined: looked at before anything is decoded or learned."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.params.section import is_own_metric
from darkroom.tasks.metrics.specs import LABEL_TASKS, MetricSpec

Array = NDArray[Any]
Doubles = NDArray[np.float64]

LARGEST_GRADE = 1000


def refuse_undefined(
    spec: MetricSpec,
    task: str,
    *,
    truth: Doubles,
    ids: Sequence[str],
    classes: Sequence[str],
    weights: Doubles | None = None,
) -> None:
    """Raise if a metric is not defined for the targets of the training images.

    A metric of the user's own is not tried: it may take its time, and say None where it likes.

    Args:
        spec: The metric, of labels or values; of masks nothing is known yet.
        task: A name of `darkroom.tasks.table.TASKS`.
        truth: The targets of n training images, (n, K), NaN where unknown; of classes their
            numbers (n, 1), or shares.
        ids: Of the images, for messages.
        classes: Multiclass: the label of each class.
        weights: One a column, for a weighted metric.

    Raises:
        DataError: Classes or values are no grades, a value is below 0 where its logarithm is
            taken, or the targets are all the same.
    """
    if spec.name == "quadratic_kappa":
        if task == "multiclass":
            refuse_other_classes(classes)
        else:
            refuse_other_grades(truth)
    if spec.name == "rmsle" and (truth < 0).any():
        place, column = (int(axis[0]) for axis in np.nonzero(truth < 0))
        raise DataError(
            "data.metric: rmsle is of logarithms, and judges refuse values below 0",
            found=f"{truth[place, column]:g} for the image {ids[place]}; such images: "
            f"{(truth < 0).any(axis=1).sum()}",
            expected="values of 0 and more",
            fix="name another data.metric, such as rmse; or leave these rows out by "
            "data.train.where",
        )
    if is_own_metric(spec.name) or task not in (*LABEL_TASKS, "regression"):
        return  # the index has seen that each class has an image
    low, high = (function.reduce(truth, axis=0) for function in (np.fmin, np.fmax))  # no copies
    if (low < high).any():
        return
    same = np.tile(low, (2, 1))
    answers = np.nan_to_num(same).astype(np.float32)
    if spec.writes == "labels" and task in LABEL_TASKS:
        answers = (answers > 0.5).astype(np.uint8)
    if spec.score(task, same, answers, weights) is None:
        shown = ", ".join(f"{value:g}" for value in low[~np.isnan(low)])
        raise DataError(
            f"data.metric: {spec.name} is not defined for these targets",
            found=f"{len(truth)} training images, each with {shown}"[:300],
            expected="images that differ in what is to be predicted",
            fix="is it the right column in data.train.targets? Else name another data.metric",
        )


def refuse_other_classes(classes: Sequence[str]) -> None:
    """Raise DataError if classes are no grades: whole numbers that follow each other."""
    numbers = [int(text) if re.fullmatch("-?[0-9]{1,9}", text) else None for text in classes]
    steps = [b - a for a, b in pairwise(n for n in numbers if n is not None)]
    if None in numbers or set(steps) != {1}:
        raise DataError(
            "quadratic_kappa counts how far grades are apart, which these classes do not say",
            found=", ".join(classes[:20])[:300],
            expected="whole numbers that follow each other, such as 0, 1, 2",
            fix="name the classes so (data.values), or set data.task: regression to learn them as "
            "numbers",
        )


def refuse_other_grades(values: Array) -> None:
    """Raise DataError if values are no grades: whole numbers from 0 on; NaN is unknown."""
    grades = values[~np.isnan(values)]
    if (grades != np.round(grades)).any() or grades.min() < 0 or grades.max() > LARGEST_GRADE:
        odd = grades[(grades != np.round(grades)) | (grades < 0) | (grades > LARGEST_GRADE)]
        raise DataError(
            "quadratic_kappa counts how far grades are apart, and these targets are no grades",
            found=f"values such as {odd[0]:g}, from {grades.min():g} to {grades.max():g}",
            expected=f"whole numbers from 0 to {LARGEST_GRADE}",
            fix="name another data.metric, such as rmse",
        )
