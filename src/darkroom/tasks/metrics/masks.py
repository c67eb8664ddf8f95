"""Metrics of masks, from counts of pixels an image and class.

Counts are (n, K) or (n, K, T), at T thresholds: `hits`, pixels of both truth and answer;
`answered`, those of the answer; `areas`, those of the truth, (n, K). Unknown pixels are in none.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Doubles = NDArray[np.float64]

IOU_LEVELS = np.arange(0.5, 1.0, 0.05)  # of the instance metrics of COCO, DSB 2018 and Airbus
BY_IMAGE = ("dice", "iou", "mask_iou_precision", "dice_hausdorff")


def image_scores(name: str, hits: Array, answered: Array, areas: Array) -> Doubles:
    """Return the score of each image and class, of the shape of `hits`.

    "dice": 2 |A∩B| / (|A| + |B|), "iou": |A∩B| / |A∪B|, both 1 where both masks are empty.
    "mask_iou_precision": the share of the levels 0.5, 0.55 ... 0.95 that the IoU exceeds (TGS Salt
    Identification Challenge, 2018).  "dice_hausdorff": Dice, NaN where both are empty.

    Example:
        >>> image_scores("iou", np.array([[1]]), np.array([[2]]), np.array([[1]]))
        array([[0.5]])
    """
    whole = answered + (areas if hits.ndim == areas.ndim else areas[..., None])
    if name in ("dice", "dice_hausdorff"):
        empty = 1.0 if name == "dice" else np.nan
        return np.where(whole == 0, empty, 2 * hits / np.maximum(whole, 1))
    iou = np.where(whole == 0, 1.0, hits / np.maximum(whole - hits, 1))
    if name == "iou":
        return iou
    return np.asarray(np.mean([iou > level for level in IOU_LEVELS], axis=0), np.float64)


def class_scores(name: str, hits: Array, answered: Array, areas: Array) -> Doubles:
    """Return the score of each class, (K,) or (K, T); NaN where it is not defined.

    The mean over images of `image_scores`; "global_dice" and "mean_iou" are Dice and IoU of the
    pixels of all images at once, of the classes that occur in truth or answer.
    """
    if name in BY_IMAGE:
        scores = image_scores(name, hits, answered, areas)
        count, total = (~np.isnan(scores)).sum(axis=0), np.nansum(scores, axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
    both, whole = hits.sum(axis=0, dtype=np.float64), answered.sum(axis=0, dtype=np.float64)
    area = areas.sum(axis=0, dtype=np.float64)
    whole = whole + (area if both.ndim == area.ndim else area[:, None])
    if name == "global_dice":
        return np.where(whole > 0, 2 * both / np.maximum(whole, 1), np.nan)
    return np.where(whole > 0, both / np.maximum(whole - both, 1), np.nan)


def masks_score(name: str, hits: Array, answered: Array, areas: Array) -> float | None:
    """Return the mean of `class_scores` over the classes where it is defined; None: nowhere."""
    if name == "dice_hausdorff":  # its Dice is one of all rows at once
        rows = image_scores(name, hits, answered, areas)
        return float(np.nanmean(rows)) if (~np.isnan(rows)).any() else None
    scores = class_scores(name, hits, answered, areas)
    defined = scores[~np.isnan(scores)]
    return float(defined.mean()) if len(defined) else None
