"""Score predictions on images whose truth is known, and choose the threshold.

`score_masks` and `score_labels` collect the predictions of all folds, out of fold: each
validation image is predicted by networks that were not trained on it. They are scored as one
set: counts are summed and divided once. An `evaluate_` function for each task turns the
predictions into an `Evaluation` (`darkroom.prediction.label_scores`). Every score stands beside a
baseline: a prediction that does not look at the image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from darkroom.images.geometry import restore
from darkroom.index.card import Card
from darkroom.prediction import thresholds
from darkroom.prediction.deciding import (
    Chosen,
    OutOfFold,
    choose,
    constant_predictions,
    count_grades,
)
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import (
    Evaluation,
    Metrics,
    evaluate_binary,
    evaluate_multiclass,
    evaluate_multilabel,
    evaluate_regression,
    with_metric,
)
from darkroom.prediction.parts import Arrays, extended, joined, rows_of
from darkroom.prediction.predict import Prediction
from darkroom.prediction.thresholds import THRESHOLDS, Doubles, Floats
from darkroom.project.journal import Journal
from darkroom.raw.archives import Archives
from darkroom.raw.masks import ONE_MASK, MaskForm, read_masks
from darkroom.store.store import Store
from darkroom.tasks.metrics.labels import class_numbers
from darkroom.tasks.metrics.specs import column_weights, get_metric


@dataclass(frozen=True)
class LabelledPredictions:
    """The predictions for some images whose truth is known: a validation fold, say.

    Attributes:
        rows: The images' rows of the index, in the order of the predictions.
        training: The rows that the networks were trained on, for baselines.
        predictions: Batches, from `darkroom.prediction.predict.predict`: of the rows that are not
            in the journal.
        journal: What an earlier run computed of the first rows, and where to add the others.
    """

    rows: pd.DataFrame
    training: pd.DataFrame
    predictions: Iterator[Prediction]
    journal: Journal | None = None


def score_masks(
    folds: Sequence[LabelledPredictions],
    shards: Store,
    archives: Archives,
    *,
    threshold: float | Literal["auto"] | None,
    progress: Callable[[int], Any],
    form: MaskForm = ONE_MASK,
) -> Evaluation:
    """Return the Dice of each image at its original size, against its raw mask.

    Args:
        folds: Scored as one set.
        shards: Of the training part: the fit, and the masks for the mean-mask baseline.
        archives: Of the raw masks.
        threshold: The one to use; "auto" or None: choose the best.
        progress: Called with the number of images done.
        form: How the raw masks are read.
    """
    ids: list[str] = []
    scored: list[Arrays] = []
    for fold in folds:
        for part in extended(fold.journal, partial(_score_masks, fold, shards, archives, form)):
            scored.append(part)
            progress(rows_of(part))
        ids += fold.rows["id"].tolist()
    scores = joined(scored)
    return evaluate_segmentation(
        ids,
        scores["dice"],
        scores["covered"],
        threshold=None if threshold == "auto" else threshold,
        mean_mask_dice=scores["mean_mask_dice"],
    )


def _score_masks(
    fold: LabelledPredictions, shards: Store, archives: Archives, form: MaskForm, done: int
) -> Iterator[Arrays]:
    """Yield the scores of each batch of a fold, but for its first rows, which are done.

    Of each image `dice`, the curve of its prediction, `mean_mask_dice`, that of the baseline, both
    float64 (255,), means over the classes, and `covered`, the share that its mask covers.
    """
    if done == len(fold.rows):
        return
    mean_mask = _mean_mask(shards, fold.training)
    columns = fold.rows[["image", "mask", "mask_digest"]].iloc[done:]
    paths = columns.itertuples(index=False, name=None)
    for batch in fold.predictions:
        curves: list[Doubles] = []
        baseline_curves: list[Doubles] = []
        covered: list[float] = []
        sizes = batch.originals.tolist()
        for probabilities, (height, width) in zip(batch.probabilities, sizes, strict=True):
            image, mask, digest = next(paths)
            truth = read_masks(
                archives, mask, height, width, form=form, name=image, digest=digest
            ).planes
            for stored, dice_curves in ((probabilities, curves), (mean_mask, baseline_curves)):
                # Rounding in the interpolation can leave 0..1 by a little.
                restored = (np.clip(restore(p, height, width, shards.fit), 0, 1) for p in stored)
                by_class = map(thresholds.dice_curve, restored, truth)
                dice_curves.append(np.mean(list(by_class), axis=0))
            covered.append(float(truth.mean()))
        yield {
            "dice": np.array(curves),
            "mean_mask_dice": np.array(baseline_curves),
            "covered": np.array(covered),
        }


def _mean_mask(shards: Store, training: pd.DataFrame) -> Floats:
    """Return the mean of the training masks, float32 (K, H, W), at the stored size."""
    number_of = {image_id: number for number, image_id in enumerate(shards.ids)}
    total = np.zeros((shards.planes, shards.height, shards.width), np.float64)
    for image_id in training["id"]:
        mask = shards.mask(number_of[image_id])
        assert mask is not None, "a training row without a mask is refused by the index"
        total += mask
    return (total / len(training)).astype(np.float32)


def score_labels(
    folds: Sequence[LabelledPredictions],
    card: Card,
    *,
    threshold: float | Literal["auto"] | None = None,
    decision: Decision | None = None,
) -> Evaluation:
    """Return the scores of predicted labels or values, the card's metric first.

    Images without a known target are left out.

    Args:
        folds: Scored as one set.
        card: What the targets are, and what the judge counts.
        threshold: See `darkroom.prediction.deciding.choose`.
        decision: Take this one, and choose none.

    Raises:
        DataError: The metric is not defined for these images, or not for these targets.
    """
    targets = list(card.targets)
    predicted = joined([part for fold in folds for part in _predicted(fold)])["probabilities"]
    rows = pd.concat([fold.rows for fold in folds])
    known = rows[targets].notna().any(axis=1).to_numpy()
    truth = rows[targets].to_numpy(np.float64)[known]
    training = pd.concat([fold.training for fold in folds])[targets].to_numpy(np.float64)
    spec = get_metric(card.metric, card.task)
    is_numbered = card.task == "multiclass" and not card.soft
    data = OutOfFold(
        spec,
        card.task,
        truth[:, 0].astype(np.int64) if is_numbered else truth,
        predicted[known],
        column_weights(spec, card.outputs, card.weights),
    )
    grades = count_grades(data, card, training)
    some_label = _some_label(data, card, training)
    chosen = (
        choose(data, threshold, some_label=some_label, grades=grades)
        if decision is None
        else Chosen(decision, data.score(decision))
    )
    evaluation = _EVALUATE[card.task](
        rows["id"].to_numpy()[known].tolist(), data, training, card, chosen.decision
    )
    constant = replace(data, predictions=constant_predictions(data, training))
    baseline = choose(constant, threshold, some_label=some_label, grades=grades).score
    return with_metric(evaluation, spec, chosen, baseline)


def _some_label(
    data: OutOfFold, card: Card, training: Doubles
) -> Literal["always", "never", "auto"]:
    """Return whether an image must have a label, from what training images have."""
    if card.task != "multilabel" or data.spec.writes != "labels":
        return "never"
    one_cell = len(card.answers) == 1 and not card.long and len(card.targets) > 1
    if one_cell and (np.nan_to_num(training) > 0.5).any(axis=1).all():
        return "always"  # judges refuse an empty cell where nothing is empty
    return "auto" if data.spec.threshold == "auto" else "never"


def _multiclass(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_multiclass(
        ids,
        data.predictions,
        class_numbers(data.truth),
        training=class_numbers(training if card.soft else training[:, 0]),
        classes=card.classes,
        decision=decision,
    )


def _multilabel(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_multilabel(
        ids,
        data.predictions,
        data.truth,
        training_shares=_means(training),
        names=card.targets,
        decision=decision,
    )


def _binary(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_binary(
        ids,
        data.predictions,
        data.truth,
        training_share=float(_means(training)[0]),
        names=card.label_values,
        decision=decision,
    )


def _regression(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_regression(
        ids,
        data.predictions,
        data.truth,
        training_means=_means(training),
        names=card.targets,
        decision=decision,
    )


_EVALUATE = {
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "binary": _binary,
    "regression": _regression,
}


def _means(training: Doubles) -> Doubles:
    """Return the mean (K,) of the known targets."""
    return np.asarray(np.nanmean(training, axis=0), np.float64)


def _predicted(fold: LabelledPredictions) -> Iterator[Arrays]:
    """Yield the probabilities of a fold's rows, batch by batch."""
    return extended(
        fold.journal,
        lambda _: ({"probabilities": batch.probabilities} for batch in fold.predictions),
    )


def evaluate_segmentation(
    ids: Sequence[str],
    dice: Doubles,
    covered: Doubles,
    *,
    threshold: float | None = None,
    mean_mask_dice: Doubles | None = None,
) -> Evaluation:
    """Return the mean Dice of the images, at the threshold where it is highest.

    Args:
        ids: Of n images.
        dice: float64 (n, 255), from thresholds.dice_curve.
        covered: float64 (n,), the share of each image that its mask covers.
        threshold: Use this one, rounded to a multiple of 1/256, instead of the best.
        mean_mask_dice: float64 (n, 255), the curves of the mean mask of the training images
            taken as a prediction, for a baseline; its own best threshold is taken.
    """
    curve = dice.mean(axis=0)
    index = thresholds.choose(curve, threshold)
    scores = dice[:, index]
    metrics: Metrics = {
        "dice": float(scores.mean()),
        "dice_median": float(np.median(scores)),
        "dice_lowest": float(scores.min()),
        "dice_at_half": float(curve[thresholds.index_of(0.5)]),
        "baseline_all_background": float((covered == 0).mean()),
        "baseline_all_foreground": float((2 * covered / (covered + 1)).mean()),
        "threshold": float(THRESHOLDS[index]),
        "images": len(ids),
    }
    if mean_mask_dice is not None:
        metrics["baseline_mean_mask"] = float(mean_mask_dice.mean(axis=0).max())
    per_image = pd.DataFrame({"id": list(ids), "score": scores, "covered": covered})
    curves = {"threshold": pd.DataFrame({"threshold": THRESHOLDS, "dice": curve})}
    return Evaluation(metrics, per_image, curves, Decision(float(THRESHOLDS[index])))
