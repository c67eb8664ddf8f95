"""Scores by class, label or target, as tables for plots and reports.

A score that is not defined (the average precision of a label that no image has) is NaN, and the
mean of a column leaves it out.
"""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from darkroom.prediction import thresholds
from darkroom.prediction.thresholds import THRESHOLDS, Doubles, Floats
from darkroom.tasks.metrics.labels import split_truth
from darkroom.tasks.metrics.probabilities import average_precision

Ints = npt.NDArray[np.int64]

_FORMULA = r"^(?='*[=+\-@\t\r])(?![-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?$)"


def as_csv(table: pd.DataFrame) -> str:
    """Return a table for people as CSV; what a spreadsheet would run gets an apostrophe before it.

    The ids and labels in it come from others. Numbers stay as they are. One that has apostrophes
    before it gets another, so that the text can be read again.

    Source:
        https://owasp.org/www-community/attacks/CSV_Injection

    Example:
        >>> as_csv(pd.DataFrame({"id": ["=1+1", "-1", "a"]}))
        "id\\n'=1+1\\n-1\\na\\n"
    """
    safe = table.rename(columns=lambda name: re.sub(_FORMULA, "'", str(name)))
    texts = safe.select_dtypes(exclude=["number", "bool"]).columns
    safe[texts] = safe[texts].replace(_FORMULA, "'", regex=True)
    return safe.to_csv(index=False, lineterminator="\n")


def class_table(truth: Ints, predicted: Ints, classes: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall and F1 by class, from class numbers (n,)."""
    actual_counts, predicted_counts = (
        np.bincount(numbers, minlength=len(classes)) for numbers in (truth, predicted)
    )
    correct = np.bincount(truth[truth == predicted], minlength=len(classes))
    return pd.DataFrame(
        {
            "class": list(classes),
            "images": actual_counts,
            "predicted": predicted_counts,
            "precision": ratio(correct, predicted_counts),
            "recall": ratio(correct, actual_counts),
            "f1": ratio(2 * correct, actual_counts + predicted_counts),
        }
    )


def label_table(
    probabilities: Floats,
    predicted: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.generic],
    training_shares: Doubles,
    names: Sequence[str],
) -> pd.DataFrame:
    """Return the scores by label, beside a baseline that predicts the more common training value.

    Args:
        probabilities: float32 (n, K).
        predicted: Whether each label is predicted, (n, K).
        truth: Whether each label is present, (n, K): 0, 1, or NaN where unknown.
        training_shares: float64 (K,), the share of training images with each label.
        names: Of the K labels.
    """
    present, is_known = split_truth(truth)
    images, positives = is_known.sum(axis=0), present.sum(axis=0)
    baseline = np.broadcast_to(training_shares > 0.5, present.shape)
    columns = zip(present.T, is_known.T, probabilities.T, strict=True)
    precisions = [average_precision(label[rows], scores[rows]) for label, rows, scores in columns]
    return pd.DataFrame(
        {
            "attribute": list(names),
            "images": images,
            "positives": positives,
            "accuracy": ratio(((predicted == present) & is_known).sum(axis=0), images),
            "baseline_accuracy": ratio(((baseline == present) & is_known).sum(axis=0), images),
            "f1": _f1(predicted & is_known, present),
            "baseline_f1": _f1(baseline & is_known, present),
            "average_precision": np.array(precisions, np.float64),
            "baseline_average_precision": positives / np.maximum(1, images),
        }
    )


def label_curve(probabilities: Floats, truth: npt.NDArray[np.generic]) -> pd.DataFrame:
    """Return accuracy and macro F1 at each of THRESHOLDS, for labels (n, K).

    Labels that are unknown, NaN in the truth, are left out, and so is a label without a known one.
    """
    present, is_known = split_truth(truth)
    false, true = (
        counts[:, 1:] for counts in thresholds.column_counts_above(probabilities, present, is_known)
    )
    images, positives = is_known.sum(axis=0), present.sum(axis=0)[:, None]
    accuracy = ratio(true + images[:, None] - positives - false, images[:, None])
    f1 = ratio(2 * true, true + false + positives)
    defined = ~np.isnan(f1)
    mean_f1 = ratio(np.where(defined, f1, 0).sum(axis=0), defined.sum(axis=0))
    return pd.DataFrame(
        {
            "threshold": THRESHOLDS,
            "accuracy": share_of_known(accuracy, images),
            "macro_f1": mean_f1,
        }
    )


def error_table(
    errors: Doubles, truth: npt.NDArray[np.floating], names: Sequence[str]
) -> pd.DataFrame:
    """Return mean absolute error, root mean squared error and R2 by target, from (n, K).

    Errors are NaN where the truth is, and left out; each target has a known value.
    """
    squares = np.nanmean(errors**2, axis=0)
    return pd.DataFrame(
        {
            "target": list(names),
            "mae": np.nanmean(np.abs(errors), axis=0),
            "rmse": np.sqrt(squares),
            "r2": 1 - ratio(squares, np.nanvar(truth.astype(np.float64), axis=0)),
        }
    )


def ratio(part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic]) -> Doubles:
    """Return part / whole, NaN where the whole is 0.

    Example:
        >>> ratio(np.array([1, 0]), np.array([2, 0])).tolist()
        [0.5, nan]
    """
    numerator, denominator = part.astype(np.float64), whole.astype(np.float64)
    undefined = np.full(numerator.shape, np.nan)
    result = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return np.asarray(result, np.float64)


def share_of_known(shares: Doubles, counts: Ints) -> Doubles:
    """Return the share of all known labels that is right, from that of each label (K, ...).

    Args:
        shares: NaN where the label is not known in any image.
        counts: In how many images each label is known, (K,).

    Example:
        >>> float(share_of_known(np.array([1.0, 0.5]), np.array([1, 3])))
        0.625
    """
    shares, counts = shares[counts > 0], counts[counts > 0]
    if len(counts) and (counts == counts[0]).all():  # the bits of a plain mean
        return np.asarray(shares.mean(axis=0))
    return np.asarray(np.average(shares, axis=0, weights=counts.astype(np.float64)))


def mean(column: "pd.Series[float]") -> float | None:
    """Return the mean of the defined values, None if there are none."""
    value = column.mean()
    return None if pd.isna(value) else float(value)


def _f1(predicted: npt.NDArray[np.bool_], truth: npt.NDArray[np.bool_]) -> Doubles:
    return ratio(2 * (predicted & truth).sum(axis=0), predicted.sum(axis=0) + truth.sum(axis=0))
