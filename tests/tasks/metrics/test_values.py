"""Metrics of values against scikit-learn and torchmetrics, and by hand at the edges."""

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from hypothesis import given
from sklearn import metrics as sk

from darkroom.tasks.metrics import values as metrics
from tests.tasks.metrics import cases
from tests.tasks.metrics.cases import Case


@given(cases.values())
def test_errors_agree_with_scikit_learn(case: Case) -> None:
    flat = case.truth.ravel(), case.probabilities.ravel().astype(float)  # to compute in float64
    assert metrics.rmse(*case) == pytest.approx(sk.root_mean_squared_error(*flat))
    assert metrics.mae(*case) == pytest.approx(sk.mean_absolute_error(*flat))
    assert metrics.rmsle(*case) == pytest.approx(sk.root_mean_squared_log_error(*flat))
    assert metrics.mcrmse(*case) == pytest.approx(sk.root_mean_squared_error(*case))


@given(cases.values())
def test_r2_agrees_with_scikit_learn(case: Case) -> None:
    varied = [k for k, t in enumerate(case.truth.T) if t.min() < t.max()]
    columns = case.truth[:, varied], case.probabilities[:, varied]
    expected = sk.r2_score(*columns) if varied else None
    assert metrics.r2(*case) == pytest.approx(expected)


@given(cases.values())
def test_weighted_r2_agrees_with_scikit_learn(case: Case) -> None:
    weights = np.arange(1.0, case.truth.shape[1] + 1)
    flat = case.truth.ravel(), case.probabilities.ravel()
    score = metrics.weighted_r2(*case, weights=weights)
    if case.truth.min() == case.truth.max():
        assert score is None
        return
    each = np.broadcast_to(weights, case.truth.shape).ravel()
    assert score == pytest.approx(sk.r2_score(*flat, sample_weight=each))


@given(cases.values())
def test_errors_agree_with_torchmetrics(case: Case) -> None:
    pair = torch.tensor(case.probabilities).ravel(), torch.tensor(case.truth).float().ravel()
    rmse = tm.mean_squared_error(*pair, squared=False)
    assert metrics.rmse(*case) == pytest.approx(float(rmse), abs=1e-5)
    assert metrics.rmsle(*case) == pytest.approx(
        float(tm.mean_squared_log_error(*pair)) ** 0.5, abs=1e-4
    )


@given(cases.values(unknown=True))
def test_unknown_values_are_left_out(case: Case) -> None:
    known = ~np.isnan(case.truth)
    flat = case.truth[known][:, None], case.probabilities[known][:, None]
    for pooled in (metrics.rmse, metrics.mae, metrics.rmsle):
        assert pooled(*case) == pytest.approx(pooled(*flat))
    columns = [
        (t[rows][:, None], p[rows][:, None])
        for t, p, rows in zip(case.truth.T, case.probabilities.T, known.T, strict=True)
    ]
    errors = [metrics.rmse(*column) for column in columns if len(column[0])]
    assert metrics.mcrmse(*case) == pytest.approx(np.mean(errors) if errors else None)  # type: ignore[arg-type]
    scores = [score for column in columns if (score := metrics.r2(*column)) is not None]
    assert metrics.r2(*case) == pytest.approx(np.mean(scores) if scores else None)


def test_a_weighted_r2_by_hand() -> None:
    # Weighted mean (0 + 2 * 3) / 3 = 2; spread 4 + 2 * 1 = 6; error 2 * 1.
    truth, predicted = np.array([[0.0, 3.0]]), np.array([[0.0, 2.0]])
    assert metrics.weighted_r2(truth, predicted, weights=np.array([1.0, 2.0])) == pytest.approx(
        1 - 2 / 6
    )


def test_negative_values_have_no_logarithm() -> None:
    assert metrics.rmsle(np.array([[-1.0]]), np.array([[1.0]])) is None
    # A network may predict what cannot be; it counts as 0.
    assert metrics.rmsle(np.array([[0.0]]), np.array([[-0.5]], np.float32)) == 0


def test_what_is_not_defined_is_none() -> None:
    unknown = np.full((2, 2), np.nan), np.zeros((2, 2), np.float32)
    for score in (metrics.rmse, metrics.mae, metrics.rmsle, metrics.mcrmse, metrics.r2):
        assert score(*unknown) is None
    assert metrics.weighted_r2(*unknown) is None
    assert metrics.r2(np.ones((3, 1)), np.ones((3, 1), np.float32)) is None
    assert metrics.weighted_r2(np.ones((3, 1)), np.ones((3, 1), np.float32)) is None
