"""How good validation predictions are, beside what could be had for nothing.

One function a kind of target, each a pure function of arrays. Every score stands beside a
baseline: an answer that never looks at the picture. A figure that is not defined (the average
precision of an attribute that nobody has) is None in the metrics and empty in the tables, and
means leave it out and say of how many they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from darkroom.prediction import thresholds
from darkroom.prediction.thresholds import THRESHOLDS, Doubles, Floats

Ints = npt.NDArray[np.int64]
Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """What is known about a set of predictions.

    Attributes:
        metrics: Name to figure; None where it is not defined.
        rows: One row an image, in the order given: id, score (higher is better) and more.
        curves: Tables for plots, by name.
        threshold: The threshold that the metrics are for, or None for tasks without one.
    """

    metrics: Metrics
    rows: pd.DataFrame
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    threshold: float | None = None


def segmentation(
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
    at = thresholds.best(curve) if threshold is None else thresholds.position(threshold)
    scores = dice[:, at]
    metrics: Metrics = {
        "dice": float(scores.mean()),
        "dice_median": float(np.median(scores)),
        "dice_lowest": float(scores.min()),
        "dice_at_half": float(curve[thresholds.position(0.5)]),
        "baseline_all_background": float((covered == 0).mean()),
        "baseline_all_foreground": float((2 * covered / (covered + 1)).mean()),
        "threshold": float(THRESHOLDS[at]),
        "images": len(ids),
    }
    if mean_mask_dice is not None:
        metrics["baseline_mean_mask"] = float(mean_mask_dice.mean(axis=0).max())
    rows = pd.DataFrame({"id": list(ids), "score": scores, "covered": covered})
    curves = {"threshold": pd.DataFrame({"threshold": THRESHOLDS, "dice": curve})}
    return Evaluation(metrics, rows, curves, float(THRESHOLDS[at]))


def multiclass(
    ids: Sequence[str],
    probabilities: Floats,
    truth: Ints,
    *,
    training: Ints,
    classes: Sequence[str],
) -> Evaluation:
    """Return accuracy, macro F1, log loss, the confusion and a table of classes.

    Macro F1 is the mean over the classes that occur, as truth or as answer.

    Args:
        ids: Of n images.
        probabilities: float32 (n, K).
        truth: int64 (n,), class numbers.
        training: int64 (any,), class numbers of the training images, whose most common is
            the baseline's answer.
        classes: The K names.
    """
    thresholds.check_probabilities(probabilities)
    found = probabilities.argmax(axis=1)
    common = int(np.bincount(training, minlength=len(classes)).argmax())
    table = class_table(truth, found, classes)
    plain = class_table(truth, np.full_like(truth, common), classes)
    true = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    metrics: Metrics = {
        "accuracy": float((found == truth).mean()),
        "baseline_accuracy": float((truth == common).mean()),
        "macro_f1": mean(table["f1"]),
        "baseline_macro_f1": mean(plain["f1"]),
        "log_loss": float(-np.log(np.maximum(true, 1e-7)).mean()),
        "images": len(ids),
    }
    names = np.array(classes, object)
    rows = pd.DataFrame(
        {
            "id": list(ids),
            "score": true,
            "actual": names[truth],
            "predicted": names[found],
            "confidence": probabilities.max(axis=1).astype(np.float64),
        }
    )
    return Evaluation(metrics, rows, {"confusion": rows[["actual", "predicted"]], "classes": table})


def multilabel(
    ids: Sequence[str],
    probabilities: Floats,
    truth: npt.NDArray[np.generic],
    *,
    training_shares: Doubles,
    names: Sequence[str],
    threshold: float | None = None,
) -> Evaluation:
    """Return means over attributes, at the one threshold where mean accuracy is highest.

    Args:
        ids: Of n images.
        probabilities: float32 (n, K).
        truth: 0 or 1, (n, K).
        training_shares: float64 (K,), the share of training images with each attribute: the
            baseline always answers yes where it is over one half, else no.
        names: Of the K attributes.
        threshold: Use this one, rounded to a multiple of 1/256, instead of the best.
    """
    curve = label_curve(probabilities, truth)
    accuracy = curve["accuracy"].to_numpy(np.float64)
    at = thresholds.best(accuracy) if threshold is None else thresholds.position(threshold)
    found, positive = probabilities > THRESHOLDS[at], truth != 0
    table = label_table(probabilities, found, positive, training_shares, names)
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
        "threshold": float(THRESHOLDS[at]),
        "images": len(ids),
    }
    wrong = found != positive
    told = [" ".join(np.array(names, object)[row]) for row in wrong]
    rows = pd.DataFrame({"id": list(ids), "score": 1 - wrong.mean(axis=1), "wrong": told})
    curves = {"threshold": curve, "attributes": table}
    return Evaluation(metrics, rows, curves, float(THRESHOLDS[at]))


def binary(
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
        training_share: The share of "yes" among the training images; the baseline's answer
            is "yes" if it is over one half.
        names: What "no" and "yes" are called.
        threshold: Use this one, rounded to a multiple of 1/256, instead of the best.
    """
    scores, positive = probabilities.reshape(-1, 1), truth.reshape(-1, 1) != 0
    shares = np.array([training_share])
    several = multilabel(
        ids, scores, positive, training_shares=shares, names=[names[1]], threshold=threshold
    )
    one = several.curves["attributes"].iloc[0]
    both = 0 < positive.sum() < len(positive)
    metrics: Metrics = {
        name: None if pd.isna(one[name]) else float(one[name])
        for name in ("accuracy", "baseline_accuracy", "f1", "baseline_f1", "average_precision")
    }
    metrics["baseline_average_precision"] = float(positive.mean()) if positive.any() else None
    metrics["roc_auc"] = float(roc_auc_score(positive[:, 0], scores[:, 0])) if both else None
    at = several.metrics["threshold"] or 0.0
    metrics |= {"threshold": at, "images": len(ids)}
    told, number = np.array(names, object), positive[:, 0].astype(int)
    found = (scores[:, 0] > at).astype(int)
    sure = np.where(positive, scores, 1 - scores)[:, 0].astype(np.float64)
    rows = pd.DataFrame(
        {"id": list(ids), "score": sure, "actual": told[number], "predicted": told[found]}
    )
    curves = {
        "threshold": several.curves["threshold"],
        "confusion": rows[["actual", "predicted"]],
    }
    return Evaluation(metrics, rows, curves, at)


def regression(
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
        training_means: float64 (K,), what the baseline always answers.
        names: Of the K targets.
    """
    errors = values.astype(np.float64) - truth
    table = error_table(errors, truth, names)
    plain = error_table(np.asarray(training_means - truth, np.float64), truth, names)
    metrics: Metrics = {}
    for figure in ("mae", "rmse", "r2"):
        metrics[figure] = mean(table[figure])
        metrics[f"baseline_{figure}"] = mean(plain[figure])
        table[f"baseline_{figure}"] = plain[figure]
    metrics |= {"r2_of": int(table["r2"].count()), "targets": len(names), "images": len(ids)}
    # across targets of different units, an error counts in standard deviations
    spread = truth.std(axis=0)
    relative = np.abs(errors) / np.where(spread > 0, spread, 1)
    rows = pd.DataFrame({"id": list(ids), "score": -relative.mean(axis=1)})
    scatter = pd.DataFrame(
        {
            "target": np.repeat(np.array(names, object), len(ids)),
            "actual": truth.T.ravel().astype(np.float64),
            "predicted": values.T.ravel().astype(np.float64),
        }
    )
    return Evaluation(metrics, rows, {"scatter": scatter, "targets": table})


def class_table(truth: Ints, found: Ints, classes: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall and F1 a class, empty where nothing is there to divide by."""
    every = range(len(classes))
    actual, predicted = (np.bincount(each, minlength=len(classes)) for each in (truth, found))
    right = np.array([((truth == k) & (found == k)).sum() for k in every])
    return pd.DataFrame(
        {
            "class": list(classes),
            "images": actual,
            "predicted": predicted,
            "precision": ratio(right, predicted),
            "recall": ratio(right, actual),
            "f1": ratio(2 * right, actual + predicted),
        }
    )


def label_table(
    probabilities: Floats,
    found: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    training_shares: Doubles,
    names: Sequence[str],
) -> pd.DataFrame:
    """Return the scores a label, each beside those of the more common training answer."""
    positives = truth.sum(axis=0)
    usual = np.broadcast_to(training_shares > 0.5, truth.shape)
    precision = [
        average_precision_score(truth[:, k], probabilities[:, k]) if positives[k] else np.nan
        for k in range(len(names))
    ]
    return pd.DataFrame(
        {
            "attribute": list(names),
            "images": len(truth),
            "positives": positives,
            "accuracy": (found == truth).mean(axis=0),
            "baseline_accuracy": (usual == truth).mean(axis=0),
            "f1": ratio(2 * (found & truth).sum(axis=0), found.sum(axis=0) + positives),
            "baseline_f1": ratio(2 * (usual & truth).sum(axis=0), usual.sum(axis=0) + positives),
            "average_precision": precision,
            "baseline_average_precision": positives / max(1, len(truth)),
        }
    )


def label_curve(probabilities: Floats, truth: npt.NDArray[np.generic]) -> pd.DataFrame:
    """Return mean accuracy and macro F1 at every threshold."""
    accuracy, f1 = [], []
    for k in range(probabilities.shape[1]):
        wrong, right = (
            each[1:] for each in thresholds.counts_above(probabilities[:, k], truth[:, k])
        )
        positives = np.count_nonzero(truth[:, k])
        accuracy.append((right + len(truth) - positives - wrong) / len(truth))
        f1.append(ratio(2 * right, right + wrong + positives))
    defined = ~np.isnan(f1)
    mean_f1 = ratio(np.where(defined, f1, 0).sum(axis=0), defined.sum(axis=0))
    return pd.DataFrame(
        {"threshold": THRESHOLDS, "accuracy": np.mean(accuracy, axis=0), "macro_f1": mean_f1}
    )


def error_table(
    errors: Doubles, truth: npt.NDArray[np.floating], names: Sequence[str]
) -> pd.DataFrame:
    """Return mean absolute error, root mean squared error and R2 a target."""
    squares = (errors**2).mean(axis=0)
    return pd.DataFrame(
        {
            "target": list(names),
            "mae": np.abs(errors).mean(axis=0),
            "rmse": np.sqrt(squares),
            "r2": 1 - ratio(squares, truth.astype(np.float64).var(axis=0)),
        }
    )


def ratio(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> Doubles:
    """Return part / whole, not a number where the whole is 0."""
    above, below = part.astype(np.float64), whole.astype(np.float64)
    undefined = np.full(above.shape, np.nan)
    return np.asarray(np.divide(above, below, out=undefined, where=below > 0), np.float64)


def mean(column: "pd.Series[float]") -> float | None:
    """Return the mean of the defined values, None if there are none."""
    value = column.mean()
    return None if pd.isna(value) else float(value)
