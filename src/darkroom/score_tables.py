"""Tables of scores, a row a class, label, threshold or target.

What would be divided by nothing is not a number here, which is an empty cell in a CSV.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score

from darkroom import thresholds
from darkroom.thresholds import THRESHOLDS, Doubles, Floats

Ints = npt.NDArray[np.int64]


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
