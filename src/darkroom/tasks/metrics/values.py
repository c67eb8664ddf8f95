"""Metrics of values: errors of predictions (n, K) in the units of the table.

Values that are unknown, NaN in the truth, are left out. A score that is not defined is None.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Doubles = NDArray[np.float64]


def rmse(truth: Array, values: Array) -> float | None:
    """Return the root of the mean squared error over all values.

    Example:
        >>> rmse(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]))
        3.5355339059327378
    """
    errors = _errors(truth, values)
    return float(np.sqrt(np.nanmean(errors**2))) if _any(errors) else None


def mae(truth: Array, values: Array) -> float | None:
    """Return the mean absolute error over all values."""
    errors = _errors(truth, values)
    return float(np.nanmean(np.abs(errors))) if _any(errors) else None


def mcrmse(truth: Array, values: Array) -> float | None:
    """Return the mean over the columns of their RMSE, of those with a known value."""
    errors = _errors(truth, values)
    errors = errors[:, ~np.isnan(errors).all(axis=0)]
    return float(np.sqrt(np.nanmean(errors**2, axis=0)).mean()) if errors.size else None


def rmsle(truth: Array, values: Array) -> float | None:
    """Return the root of the mean squared error of log(1 + value).

    Predictions below 0 count as 0; None where a true value is below 0: judges refuse both.
    """
    actual = np.asarray(truth, np.float64)
    if not _any(actual) or np.nanmin(actual) < 0:
        return None
    return rmse(np.log1p(actual), np.log1p(np.maximum(values, 0).astype(np.float64)))


def r2(truth: Array, values: Array) -> float | None:
    """Return R², 1 - Σ(t - v)² / Σ(t - mean t)², the mean over columns.

    A column that is the same in all images has none, and is left out.
    """
    actual, errors = np.asarray(truth, np.float64), _errors(truth, values)
    scores = []
    for column, error in zip(actual.T, errors.T, strict=True):
        targets = column[~np.isnan(column)]
        if len(targets) > 1 and targets.min() < targets.max():
            spread = ((targets - targets.mean()) ** 2).sum()
            scores.append(1 - np.nansum(error**2) / spread)
    return float(np.mean(scores)) if scores else None


def weighted_r2(truth: Array, values: Array, *, weights: Doubles | None = None) -> float | None:
    """Return R² over all values at once, each weighed by its column's weight (K,).

    The mean that they are compared with is the weighted one too (CSIRO Image2Biomass, 2025).
    """
    actual, errors = np.asarray(truth, np.float64), _errors(truth, values)
    is_known = ~np.isnan(actual)
    each = np.broadcast_to(1.0 if weights is None else weights, actual.shape)[is_known]
    actual, errors = actual[is_known], errors[is_known]
    if not each.sum() or actual.min() == actual.max():
        return None
    spread = (each * (actual - np.average(actual, weights=each)) ** 2).sum()
    return float(1 - (each * errors**2).sum() / spread) if spread > 0 else None


def _errors(truth: Array, values: Array) -> Doubles:
    return np.asarray(values, np.float64) - np.asarray(truth, np.float64)


def _any(values: Array) -> bool:
    return bool((~np.isnan(values)).any())
