"""Weights that let rare classes count as much as frequent ones."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError, ParamsError


def balanced_weights(
    task: str, targets: NDArray[Any], *, classes: int | None = None
) -> list[float]:
    """Return class weights from the targets learned from, for `darkroom.tasks.losses.build.build`.

    Multiclass: N / (K n) for a class of n images, so that a mean over the N images has weight 1
    (King and Zeng 2001). Multilabel and binary: how many no there are for each yes.

    Args:
        task: multiclass, multilabel or binary.
        targets: int (N,), or (N, K) of 0 and 1.
        classes: How many classes there are (multiclass); None: as many as `targets` show.

    Raises:
        ParamsError: Another task.
        DataError: A class without an image; or a label that all images have, or none.
    """
    if task == "multiclass":
        counts = np.bincount(targets.astype(np.int64), minlength=classes or 0)
        _refuse("a class", np.flatnonzero(counts == 0))
        return [float(weight) for weight in len(targets) / (len(counts) * counts)]
    if task in ("multilabel", "binary"):
        yes = np.count_nonzero(targets > 0.5, axis=0)
        no = len(targets) - yes
        _refuse("a yes or a no of a label", np.flatnonzero((yes == 0) | (no == 0)))
        return [float(weight) for weight in no / yes]
    raise ParamsError(
        f"{task} has no classes to balance", found="class_weights: balanced", expected="null"
    )


def _refuse(what: str, places: NDArray[np.int64]) -> None:
    if len(places):
        raise DataError(
            f"class_weights can't be balanced: no training image shows {what}",
            found=f"none for output {', '.join(str(place) for place in places[:20])}, from 0",
            expected="an image of each",
            fix="set train.class_weights to a list of numbers, or to null",
        )
