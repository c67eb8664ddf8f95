"""Targets that a metric is not defined for are refused before anything is learned."""

from typing import Any

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.tasks.metrics.domain import refuse_undefined
from darkroom.tasks.metrics.specs import METRICS

NAN = float("nan")


def try_metric(name: str, task: str, truth: list[Any], **options: Any) -> str:
    values = np.array(truth, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    ids = [f"im{place}" for place in range(len(values))]
    try:
        refuse_undefined(
            METRICS[name],
            task,
            truth=values,
            ids=ids,
            classes=options.get("classes", ()),
            weights=options.get("weights"),
        )
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("classes", "is_legal"),
    [
        (("0", "1", "2"), True),
        (("1", "2"), True),
        (("-1", "0", "1"), True),
        (("a", "b", "c"), False),
        (("0", "1", "3"), False),
        (("0", "1.5"), False),
    ],
)
def test_kappa_wants_classes_that_are_grades(classes: tuple[str, ...], is_legal: bool) -> None:
    truth = [float(place) for place in range(len(classes))]
    words = try_metric("quadratic_kappa", "multiclass", truth, classes=classes)
    assert (words == "") is is_legal
    assert is_legal or f"  found: {', '.join(classes)}\n" in words
    assert try_metric("accuracy", "multiclass", truth, classes=classes) == ""


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        ([0, 1, NAN, 4], ""),
        ([1, 2.5, 3], "values such as 2.5, from 1 to 3"),
        ([1, NAN, -1], "values such as -1, from -1 to 1"),
        ([0, 5000], "values such as 5000, from 0 to 5000"),
    ],
)
def test_kappa_of_numbers_wants_whole_ones(truth: list[float], found: str) -> None:
    assert found in try_metric("quadratic_kappa", "regression", truth)
    assert found or not try_metric("quadratic_kappa", "regression", truth)


def test_a_logarithm_wants_no_value_below_0() -> None:
    words = try_metric("rmsle", "regression", [[1, 2], [3, -2.5], [-1, NAN]])
    assert (
        "found: -2.5 for the image im1; such images: 2\n  expected: values of 0 and more" in words
    )
    assert try_metric("rmsle", "regression", [[0, 2], [3, NAN]]) == ""
    assert try_metric("rmse", "regression", [[1, 2], [3, -2.5]]) == ""


@pytest.mark.parametrize(
    ("name", "task", "truth", "is_defined"),
    [
        ("r2", "regression", [5, 5, NAN, 5], False),
        ("r2", "regression", [5, 5, 6], True),
        ("r2", "regression", [[5, 1], [5, 2]], True),
        ("weighted_r2", "regression", [[5, 5], [5, 5]], False),
        ("rmse", "regression", [5, 5], True),
        ("quadratic_kappa", "regression", [3, 3], False),
        ("roc_auc", "multilabel", [[0, 1], [0, 1]], False),
        ("roc_auc", "multilabel", [[0, 1], [1, 1]], True),
        ("mean_average_precision", "multilabel", [[0, 0], [0, NAN]], False),
        ("log_loss", "multilabel", [[0, 0], [0, 0]], True),
        ("samples_f1", "multilabel", [[0, 1], [1, NAN]], True),
        ("f1", "binary", [0, 1, 0], True),
    ],
)
def test_targets_that_are_all_the_same(
    name: str, task: str, truth: list[Any], is_defined: bool
) -> None:
    weights = np.ones(np.array(truth).shape[-1]) if name == "weighted_r2" else None
    words = try_metric(name, task, truth, weights=weights)
    assert (words == "") is is_defined
    assert is_defined or f"data.metric: {name} is not defined for these targets\n  found: " in words


def test_what_is_found_is_told() -> None:
    words = try_metric("r2", "regression", [[5, 0.5], [5, NAN], [NAN, 0.5]])
    assert "found: 3 training images, each with 5, 0.5\n" in words
