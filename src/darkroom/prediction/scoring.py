"""Predictions on images whose answers are known, scored as a whole: sum and count, then divide.

Folds are scored out of fold: each validation image by the networks that never saw it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.images.geometry import restore
from darkroom.index.table import Card
from darkroom.prediction import metrics, thresholds
from darkroom.prediction.metrics import Evaluation
from darkroom.prediction.predict import Prediction
from darkroom.raw import masks
from darkroom.raw.archives import Archives
from darkroom.store.store import Store

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """Some images with known answers, and what was predicted for them.

    Attributes:
        rows: Their rows of the index, in the order of the predictions.
        learned: The rows that the networks learned from, for baselines.
        predictions: Batches, as `darkroom.prediction.predict.probabilities` yields them.
    """

    rows: pd.DataFrame
    learned: pd.DataFrame
    predictions: Iterator[Prediction]


def labels(sides: Sequence[Side], card: Card, *, threshold: float | None) -> Evaluation:
    """Return the scores of predicted labels or values, all sides as one set.

    Args:
        sides: One a fold.
        card: What the targets are.
        threshold: The one to use, or None to choose the best.
    """
    found = np.concatenate([part for side in sides for _, part, _ in side.predictions])
    rows = pd.concat([side.rows for side in sides])
    learned = pd.concat([side.learned for side in sides])
    truth = rows[list(card.targets)].to_numpy(np.float64)
    before = learned[list(card.targets)].to_numpy(np.float64)
    ids, names = rows["id"].tolist(), card.targets
    if card.task == "multiclass":
        return metrics.multiclass(
            ids,
            found,
            truth[:, 0].astype(np.int64),
            training=before[:, 0].astype(np.int64),
            classes=card.classes,
        )
    if card.task == "multilabel":
        return metrics.multilabel(
            ids,
            found,
            truth,
            training_shares=before.mean(axis=0),
            names=names,
            threshold=threshold,
        )
    if card.task == "binary":
        return metrics.binary(
            ids,
            found,
            truth,
            training_share=float(before.mean()),
            names=card.label_values,
            threshold=threshold,
        )
    return metrics.regression(ids, found, truth, training_means=before.mean(axis=0), names=names)


def segmentation(
    sides: Sequence[Side],
    shards: Store,
    archives: Archives,
    *,
    threshold: float | None,
    progress: Callable[[int], Any],
) -> Evaluation:
    """Return Dice an image at its original size, against its raw mask, all sides as one set.

    Args:
        sides: One a fold.
        shards: Of the training part: the fit, and the masks for the mean-mask baseline.
        archives: Where the raw masks lie.
        threshold: The one to use, or None to choose the best.
        progress: Called with the number of images done.
    """
    ids: list[str] = []
    curves: list[Doubles] = []
    plain: list[Doubles] = []
    covered: list[float] = []
    for side in sides:
        mean = _mean_mask(shards, side.learned)
        paths = iter(side.rows[["image", "mask"]].itertuples(index=False, name=None))
        for names, probabilities, originals in side.predictions:
            for found, (height, width) in zip(probabilities, originals.tolist(), strict=True):
                image, mask = next(paths)
                truth = masks.read(archives, mask, height, width, name=image).pixels
                for picture, all_curves in ((found, curves), (mean, plain)):
                    # Interpolation keeps within 0..1 but for a rounding.
                    whole = np.clip(restore(picture, height, width, shards.fit), 0, 1)
                    all_curves.append(thresholds.dice_curve(whole, truth))
                covered.append(float(truth.mean()))
            ids += names
            progress(len(names))
    return metrics.segmentation(
        ids,
        np.array(curves),
        np.array(covered),
        threshold=threshold,
        mean_mask_dice=np.array(plain),
    )


def _mean_mask(shards: Store, learned: pd.DataFrame) -> Floats:
    """Return the mean of the masks learned from, float32 (H, W), at the stored size."""
    row_of = {row_id: row for row, row_id in enumerate(shards.ids)}
    total = np.zeros((shards.height, shards.width), np.float64)
    for row_id in learned["id"]:
        mask = shards.mask(row_of[row_id])
        assert mask is not None, "a training row without a mask is refused by the index"
        total += mask
    return (total / len(learned)).astype(np.float32)
