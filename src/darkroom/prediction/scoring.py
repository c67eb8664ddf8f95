"""Score predictions on images whose truth is known, and choose the threshold.

`score_masks` and `score_labels` collect the predictions of all folds, out of fold: each
validation image is predicted by networks that were not trained on it. They are scored as one
set: counts are summed and divided once. An `evaluate_` function for each task turns the
predictions into an `Evaluation`. Every score stands beside a baseline: a prediction that does
not look at the image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import roc_auc_score

from darkroom.images.geometry import restore
from darkroom.index.card import Card
from darkroom.prediction import thresholds
from darkroom.prediction.parts import Arrays, extended, joined, rows_of
from darkroom.prediction.predict import Prediction
from darkroom.prediction.tables import (
    Ints,
    class_table,
    error_table,
    label_curve,
    label_table,
    mean,
)
from darkroom.prediction.thresholds import THRESHOLDS, Doubles, Floats
from darkroom.project.journal import Journal
from darkroom.raw.archives import Archives
from darkroom.raw.masks import ONE_MASK, MaskForm, read_masks
from darkroom.store.store import Store

Metrics = dict[str, float | None]


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


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set of predictions.

    Attributes:
        metrics: Scores by name; None where a score is not defined.
        per_image: One row an image, in the order given: id, score (higher is better) and more.
        curves: Tables for plots, by name.
        threshold: The threshold that the metrics are for, or None for tasks without one.
    """

    metrics: Metrics
    per_image: pd.DataFrame
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    threshold: float | None = None


def score_masks(
    folds: Sequence[LabelledPredictions],
    shards: Store,
    archives: Archives,
    *,
    threshold: float | None,
    progress: Callable[[int], Any],
    form: MaskForm = ONE_MASK,
) -> Evaluation:
    """Return the Dice of each image at its original size, against its raw mask.

    Args:
        folds: Scored as one set.
        shards: Of the training part: the fit, and the masks for the mean-mask baseline.
        archives: Of the raw masks.
        threshold: The one to use, or None to choose the best.
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
        threshold=threshold,
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
    folds: Sequence[LabelledPredictions], card: Card, *, threshold: float | None
) -> Evaluation:
    """Return the scores of predicted labels or values.

    Args:
        folds: Scored as one set.
        card: What the targets are.
        threshold: The one to use, or None to choose the best.
    """
    targets = list(card.targets)
    predicted = joined([part for fold in folds for part in _predicted(fold)])["probabilities"]
    rows = pd.concat([fold.rows for fold in folds])
    ids, truth = rows["id"].tolist(), rows[targets].to_numpy(np.float64)
    training = pd.concat([fold.training for fold in folds])[targets].to_numpy(np.float64)
    if card.task == "multiclass":
        return evaluate_multiclass(
            ids,
            predicted,
            truth[:, 0].astype(np.int64),
            training=training[:, 0].astype(np.int64),
            classes=card.classes,
        )
    if card.task == "multilabel":
        return evaluate_multilabel(
            ids,
            predicted,
            truth,
            training_shares=training.mean(axis=0),
            names=targets,
            threshold=threshold,
        )
    if card.task == "binary":
        return evaluate_binary(
            ids,
            predicted,
            truth,
            training_share=float(training.mean()),
            names=card.label_values,
            threshold=threshold,
        )
    return evaluate_regression(
        ids, predicted, truth, training_means=training.mean(axis=0), names=targets
    )


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
    return Evaluation(metrics, per_image, curves, float(THRESHOLDS[index]))


def evaluate_multiclass(
    ids: Sequence[str],
    probabilities: Floats,
    truth: Ints,
    *,
    training: Ints,
    classes: Sequence[str],
) -> Evaluation:
    """Return accuracy, macro F1, log loss, the confusion and a table of classes.

    Macro F1 is the mean over the classes that occur, as truth or as prediction.

    Args:
        ids: Of n images.
        probabilities: float32 (n, K).
        truth: int64 (n,), class numbers.
        training: int64 (any,), class numbers of the training images, whose most common is
            the baseline's prediction.
        classes: The K names.
    """
    thresholds.require_probabilities(probabilities)
    predicted = probabilities.argmax(axis=1)
    most_common = int(np.bincount(training, minlength=len(classes)).argmax())
    table = class_table(truth, predicted, classes)
    baseline = class_table(truth, np.full_like(truth, most_common), classes)
    of_truth = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    metrics: Metrics = {
        "accuracy": float((predicted == truth).mean()),
        "baseline_accuracy": float((truth == most_common).mean()),
        "macro_f1": mean(table["f1"]),
        "baseline_macro_f1": mean(baseline["f1"]),
        "log_loss": float(-np.log(np.maximum(of_truth, 1e-7)).mean()),
        "images": len(ids),
    }
    names = np.array(classes, object)
    per_image = pd.DataFrame(
        {
            "id": list(ids),
            "score": of_truth,
            "actual": names[truth],
            "predicted": names[predicted],
            "confidence": probabilities.max(axis=1).astype(np.float64),
        }
    )
    curves = {"confusion": per_image[["actual", "predicted"]], "classes": table}
    return Evaluation(metrics, per_image, curves)


def evaluate_multilabel(
    ids: Sequence[str],
    probabilities: Floats,
    truth: npt.NDArray[np.generic],
    *,
    training_shares: Doubles,
    names: Sequence[str],
    threshold: float | None = None,
) -> Evaluation:
    """Return means over labels, at the one threshold where mean accuracy is highest.

    A mean is over the labels for which the score is defined; a figure that ends in `_of` says
    how many they are.

    Args:
        ids: Of n images.
        probabilities: float32 (n, K).
        truth: 0 or 1, (n, K).
        training_shares: float64 (K,), the share of training images with each label: the
            baseline always predicts it where the share is over one half, else never.
        names: Of the K labels.
        threshold: Use this one, rounded to a multiple of 1/256, instead of the best.
    """
    curve = label_curve(probabilities, truth)
    index = thresholds.choose(curve["accuracy"].to_numpy(np.float64), threshold)
    predicted, present = probabilities > THRESHOLDS[index], truth != 0
    table = label_table(probabilities, predicted, present, training_shares, names)
    metrics: Metrics = {
        "accuracy": mean(table["accuracy"]),
        "baseline_accuracy": mean(table["baseline_accuracy"]),
        "mean_average_precision": mean(table["average_precision"]),
        "baseline_mean_average_precision": mean(
            table.loc[table["average_precision"].notna(), "baseline_average_precision"]
        ),
        "mean_average_precision_of": int(table["average_precision"].count()),
        "macro_f1": mean(table["f1"]),
        "baseline_macro_f1": mean(table["baseline_f1"]),
        "macro_f1_of": int(table["f1"].count()),
        "attributes": len(names),
        "threshold": float(THRESHOLDS[index]),
        "images": len(ids),
    }
    wrong = predicted != present
    wrong_names = [" ".join(np.array(names, object)[row]) for row in wrong]
    per_image = pd.DataFrame(
        {"id": list(ids), "score": 1 - wrong.mean(axis=1), "wrong": wrong_names}
    )
    curves = {"threshold": curve, "attributes": table}
    return Evaluation(metrics, per_image, curves, float(THRESHOLDS[index]))


def evaluate_binary(
    ids: Sequence[str],
    probabilities: Floats,
    truth: npt.NDArray[np.generic],
    *,
    training_share: float,
    names: tuple[str, str] = ("0", "1"),
    threshold: float | None = None,
) -> Evaluation:
    """Return accuracy, F1, average precision and ROC area at the most accurate threshold.

    Args:
        ids: Of n images.
        probabilities: float32 (n,) or (n, 1), of "yes".
        truth: 0 or 1, (n,) or (n, 1).
        training_share: The share of "yes" among the training images; the baseline predicts
            "yes" if it is over one half.
        names: Of "no" and "yes".
        threshold: Use this one, rounded to a multiple of 1/256, instead of the best.
    """
    scores, positive = probabilities.reshape(-1, 1), truth.reshape(-1, 1) != 0
    as_multilabel = evaluate_multilabel(
        ids,
        scores,
        positive,
        training_shares=np.array([training_share]),
        names=[names[1]],
        threshold=threshold,
    )
    label = as_multilabel.curves["attributes"].iloc[0]
    has_both = 0 < positive.sum() < len(positive)
    metrics: Metrics = {
        name: None if pd.isna(label[name]) else float(label[name])
        for name in ("accuracy", "baseline_accuracy", "f1", "baseline_f1", "average_precision")
    }
    metrics["baseline_average_precision"] = float(positive.mean()) if positive.any() else None
    metrics["roc_auc"] = float(roc_auc_score(positive[:, 0], scores[:, 0])) if has_both else None
    chosen = as_multilabel.metrics["threshold"] or 0.0
    metrics |= {"threshold": chosen, "images": len(ids)}
    name_of, of_truth = np.array(names, object), np.where(positive, scores, 1 - scores)[:, 0]
    per_image = pd.DataFrame(
        {
            "id": list(ids),
            "score": of_truth.astype(np.float64),
            "actual": name_of[positive[:, 0].astype(int)],
            "predicted": name_of[(scores[:, 0] > chosen).astype(int)],
        }
    )
    curves = {
        "threshold": as_multilabel.curves["threshold"],
        "confusion": per_image[["actual", "predicted"]],
    }
    return Evaluation(metrics, per_image, curves, chosen)


def evaluate_regression(
    ids: Sequence[str],
    values: npt.NDArray[np.floating],
    truth: npt.NDArray[np.floating],
    *,
    training_means: Doubles,
    names: Sequence[str],
) -> Evaluation:
    """Return mean absolute error, root mean squared error and R2, means over the targets.

    R2 is not defined for a target that is the same in all images.

    Args:
        ids: Of n images.
        values: Predictions (n, K), in the units of the table.
        truth: (n, K).
        training_means: float64 (K,), the baseline's predictions.
        names: Of the K targets.
    """
    errors = values.astype(np.float64) - truth
    table = error_table(errors, truth, names)
    baseline = error_table(np.asarray(training_means - truth, np.float64), truth, names)
    metrics: Metrics = {}
    for name in ("mae", "rmse", "r2"):
        metrics[name] = mean(table[name])
        metrics[f"baseline_{name}"] = mean(baseline[name])
        table[f"baseline_{name}"] = baseline[name]
    metrics |= {"r2_of": int(table["r2"].count()), "targets": len(names), "images": len(ids)}
    # Targets have different units, so an image's errors are compared in standard deviations.
    deviations = truth.std(axis=0)
    relative = np.abs(errors) / np.where(deviations > 0, deviations, 1)
    per_image = pd.DataFrame({"id": list(ids), "score": -relative.mean(axis=1)})
    scatter = pd.DataFrame(
        {
            "target": np.repeat(np.array(names, object), len(ids)),
            "actual": truth.T.ravel().astype(np.float64),
            "predicted": values.T.ravel().astype(np.float64),
        }
    )
    return Evaluation(metrics, per_image, {"scatter": scatter, "targets": table})
