"""Stacking: a small linear model of the members' predictions, by scikit-learn.

Wolpert, Stacked Generalization (Neural Networks 5, 1992). A label has a logistic regression of its
members' logits; classes one of all logarithms of all members; a target a ridge regression of its
members' values. How much each is regularised is chosen by cross-validation.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold

from darkroom.prediction.blending.mixes import Mix, WeightedMean
from darkroom.prediction.blending.stacked import (
    LEAST,
    Linear,
    StackedClasses,
    StackedLabels,
    StackedValues,
    logarithms_of,
    logits_of,
)
from darkroom.prediction.thresholds import Doubles, Floats

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C, from strong to weak
_ALPHAS = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_SPLITS = 3


def fit_stack(task: str, members: Sequence[Floats], truth: Doubles) -> Mix:
    """Return the linear model of members' predictions.

    Args:
        task: Of labels or values.
        members: A prediction (n, K) of each.
        truth: (n, K), NaN where unknown; class numbers or shares for multiclass, of which the
            greatest counts.
    """
    if task == "multiclass":
        numbers = truth.argmax(axis=1) if truth.ndim == 2 else truth.astype(np.int64)
        return _fit_classes(members, numbers)
    if task == "regression":
        return StackedValues(tuple(_fit_value(members, truth, k) for k in range(truth.shape[1])))
    return StackedLabels(tuple(_fit_label(members, truth, k) for k in range(truth.shape[1])))


def _fit_value(members: Sequence[Floats], truth: Doubles, k: int) -> Linear | None:
    is_known = ~np.isnan(truth[:, k])
    if is_known.sum() <= len(members):
        return None
    features = np.stack([member[is_known, k] for member in members], axis=1).astype(np.float64)
    means, scale = features.mean(axis=0), features.std() or 1.0
    model = RidgeCV(_ALPHAS).fit((features - means) / scale, truth[is_known, k])
    coefficients = np.atleast_2d(model.coef_) / scale
    return Linear(coefficients, np.atleast_1d(model.intercept_) - coefficients @ means)


def _fit_label(members: Sequence[Floats], truth: Doubles, k: int) -> Linear | None:
    is_known = ~np.isnan(truth[:, k])
    present = (truth[is_known, k] > 0.5).astype(np.int64)
    if min(np.bincount(present, minlength=2)) < _SPLITS:
        return None
    features = logits_of(members, k)[is_known]
    model = _fit_logistic(features, present)
    return Linear(model.coef_, model.intercept_)


def _fit_classes(members: Sequence[Floats], truth: np.ndarray) -> Mix:
    features = logarithms_of(members)
    if len(np.unique(truth)) < 2:
        return WeightedMean((1 / len(members),) * len(members))
    model = _fit_logistic(features, truth)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row: the second against the first
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros(1), intercepts])
    return StackedClasses(Linear(coefficients, intercepts), tuple(model.classes_.tolist()))


def _fit_logistic(features: Doubles, truth: np.ndarray) -> LogisticRegression:
    """Return the regression of the strength whose log loss is least in cross-validation."""
    is_common = np.isin(truth, np.flatnonzero(np.bincount(truth) >= _SPLITS))
    losses = np.zeros(len(STRENGTHS))
    splits = StratifiedKFold(_SPLITS, shuffle=True, random_state=0)
    tried = (
        splits.split(features[is_common], truth[is_common])
        if len(np.unique(truth[is_common])) > 1
        else ()
    )
    rows = np.flatnonzero(is_common)
    for learned, held_out in tried:
        for place, strength in enumerate(STRENGTHS):
            model = _logistic(features[rows[learned]], truth[rows[learned]], strength)
            shares = model.predict_proba(features[rows[held_out]])
            columns = np.searchsorted(model.classes_, truth[rows[held_out]])
            chosen = shares[np.arange(len(columns)), columns]
            losses[place] -= np.log(np.maximum(chosen, LEAST)).sum()
    return _logistic(features, truth, STRENGTHS[int(np.argmin(losses))])


def _logistic(features: Doubles, truth: np.ndarray, strength: float) -> LogisticRegression:
    with warnings.catch_warnings():
        # It stops where it is: a weakly regularised model that the losses seldom choose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=300).fit(features, truth)
