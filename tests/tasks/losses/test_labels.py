"""Losses of labels and values: by hand, and against torch's own of one image at a time."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from darkroom.tasks.losses import labels
from darkroom.tasks.losses.build import build_loss
from darkroom.tasks.losses.choice import LossChoice
from tests.tasks.losses.cases import case

# Probabilities 0.8, 0.5, 0.2 of yes; and of three classes 1/8, 2/8, 5/8.
YES_NO = torch.log(torch.tensor([[4.0, 1.0, 0.25]]))
LABELS = torch.tensor([[1.0, 1.0, 0.0]])
CLASSES = torch.log(torch.tensor([[1.0, 2.0, 5.0]]))
# Errors of 3, 4, 0.5 and 0.
VALUES = torch.tensor([[1.0, 2.0], [0.5, 7.0]])
TRUE_VALUES = torch.tensor([[4.0, 6.0], [1.0, 7.0]])

Rows = NDArray[np.float64]


def softmax(logits: Tensor) -> Rows:
    powers = np.exp(logits.double().numpy())
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(logits: Tensor) -> Rows:
    return np.asarray(1 / (1 + np.exp(-logits.double().numpy())))


def test_bce_by_hand() -> None:
    expected = -(math.log(0.8) + math.log(0.5) + math.log(0.8)) / 3
    assert float(labels.bce(YES_NO, LABELS)) == pytest.approx(expected, abs=1e-6)


def test_positive_weights_by_hand() -> None:
    expected = -(2 * math.log(0.8) + 3 * math.log(0.5) + math.log(0.8)) / 3
    for loss in (
        build_loss("multilabel", class_weights=[2, 3, 5]),
        build_loss("multilabel", {"focal": {"gamma": 0}}, class_weights=[2, 3, 5]),
    ):
        assert float(loss(YES_NO, LABELS)) == pytest.approx(expected, abs=1e-6)


def test_smoothed_yes_and_no_by_hand() -> None:
    # A tenth is spread over both answers: 0.95 and 0.05 are what is wanted.
    parts = [(0.95, 0.8), (0.95, 0.5), (0.05, 0.8)]
    expected = -sum(t * math.log(p) + (1 - t) * math.log(1 - p) for t, p in parts) / 3
    logits = torch.log(torch.tensor([[4.0, 1.0, 4.0]]))
    for choice in ("bce", {"focal": {"gamma": 0.0}}):
        loss = build_loss("multilabel", choice, label_smoothing=0.1)
        assert float(loss(logits, LABELS)) == pytest.approx(expected, abs=1e-6)


def test_focal_of_yes_and_no_by_hand() -> None:
    right = [0.8, 0.5, 0.8]
    plain = -sum((1 - p) ** 2 * math.log(p) for p in right) / 3
    assert float(labels.label_focal(YES_NO, LABELS)) == pytest.approx(plain, abs=1e-6)
    weights = [0.3 * 2, 0.3 * 3, 0.7]
    weighed = -sum(w * (1 - p) * math.log(p) for w, p in zip(weights, right, strict=True)) / 3
    loss = build_loss("multilabel", {"focal": {"gamma": 1, "alpha": 0.3}}, class_weights=[2, 3, 5])
    assert float(loss(YES_NO, LABELS)) == pytest.approx(weighed, abs=1e-6)


def test_cross_entropy_by_hand() -> None:
    logits, classes = CLASSES.repeat(2, 1), torch.tensor([2, 0])
    plain = -(math.log(5 / 8) + math.log(1 / 8)) / 2
    assert float(labels.cross_entropy(logits, classes)) == pytest.approx(plain, abs=1e-6)
    # Divided by the images, not by the weights of those that happen to be here.
    weighed = -(7 * math.log(5 / 8) + 3 * math.log(1 / 8)) / 2
    loss = build_loss("multiclass", class_weights=[3, 1, 7])
    assert float(loss(logits, classes)) == pytest.approx(weighed, abs=1e-6)


def test_focal_of_classes_by_hand() -> None:
    logits, classes = CLASSES.repeat(2, 1), torch.tensor([2, 0])
    parts = [(3 / 8) ** 3 * math.log(5 / 8), (7 / 8) ** 3 * math.log(1 / 8)]
    found = labels.class_focal(logits, classes, gamma=3)
    assert float(found) == pytest.approx(-sum(parts) / 2, abs=1e-6)
    loss = build_loss("multiclass", {"focal": {"gamma": 3}}, class_weights=[3, 1, 7])
    expected = -(7 * parts[0] + 3 * parts[1]) / 2
    assert float(loss(logits, classes)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("weights", [None, [0.1, 1.0, 2.0, 7.0]])
@pytest.mark.parametrize("choice", ["cross_entropy", {"focal": {"gamma": 0.0}}])
def test_smoothing_as_torch_has_it(
    smoothing: float, weights: list[float] | None, choice: str | dict[str, dict[str, float]]
) -> None:
    logits, classes = case("multiclass", images=6)
    expected = F.cross_entropy(
        logits,
        classes,
        label_smoothing=smoothing,
        weight=None if weights is None else torch.tensor(weights),
        reduction="none",
    ).mean()
    loss = build_loss("multiclass", choice, label_smoothing=smoothing, class_weights=weights)
    assert float(loss(logits, classes)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_soft_classes_by_formula(gamma: float, smoothing: float) -> None:
    logits, _ = case("multiclass", images=6)
    shares = softmax(torch.randn(6, 4, generator=torch.Generator().manual_seed(3)))
    weights, found = np.array([0.1, 1.0, 2.0, 7.0]), softmax(logits)
    smooth = shares * (1 - smoothing) + smoothing / 4
    expected = -(weights * smooth * (1 - found) ** gamma * np.log(found)).sum(axis=1).mean()
    choices = [{"focal": {"gamma": gamma}}] + ([{"cross_entropy": {}}] if gamma == 0 else [])
    for choice in choices:
        loss = build_loss(
            "multiclass", choice, class_weights=weights.tolist(), label_smoothing=smoothing
        )
        soft = torch.from_numpy(shares).float()
        assert float(loss(logits, soft)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_soft_labels_by_formula(gamma: float) -> None:
    logits, _ = case("multilabel", images=6)
    truth = sigmoid(torch.randn(6, 4, generator=torch.Generator().manual_seed(3)))
    weights, found = np.array([0.1, 1.0, 2.0, 7.0]), sigmoid(logits)
    yes = weights * truth * (1 - found) ** gamma * np.log(found)
    no = (1 - truth) * found**gamma * np.log(1 - found)
    choices = [{"focal": {"gamma": gamma}}] + ([{"bce": {}}] if gamma == 0 else [])
    for choice in choices:
        loss = build_loss("multilabel", choice, class_weights=weights.tolist())
        value = float(loss(logits, torch.from_numpy(truth).float()))
        assert value == pytest.approx(-float((yes + no).mean()), rel=1e-5)


@pytest.mark.parametrize("loss", [labels.cross_entropy, labels.class_focal])
def test_whole_shares_are_classes(loss: Callable[..., Tensor]) -> None:
    logits, classes = case("multiclass", images=6)
    weights = torch.tensor([0.1, 1.0, 2.0, 7.0])
    for options in ({}, {"smoothing": 0.3}):
        soft = loss(logits, F.one_hot(classes, 4).float(), weights, **options)
        assert float(soft) == pytest.approx(float(loss(logits, classes, weights, **options)))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", (9 + 16 + 0.25) / 4),
        ("mse", (9 + 16 + 0.25) / 4),
        ("l1", 7.5 / 4),
        ("huber", (2.5 + 3.5 + 0.125) / 4),
        ({"huber": {"delta": 0.5}}, (0.5 * 2.75 + 0.5 * 3.75 + 0.125) / 4),
        ({"huber": {"delta": 10}}, (9 + 16 + 0.25) / 8),
    ],
)
def test_values_by_hand(choice: LossChoice, expected: float) -> None:
    loss = build_loss("regression", choice)
    assert float(loss(VALUES, TRUE_VALUES)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("mse", (1.5**2 + 1 + 0.25**2) / 4),
        ("l1", (1.5 + 1 + 0.25) / 4),
        ("huber", (1 + 0.5 + 0.25**2 / 2) / 4),
    ],
)
def test_errors_are_divided_by_the_scale(choice: LossChoice, expected: float) -> None:
    loss = build_loss("regression", choice, scale=[2.0, 4.0])
    assert float(loss(VALUES, TRUE_VALUES)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("choice", ["mse", "l1", "huber"])
def test_a_scaled_loss_does_not_depend_on_the_unit(choice: str) -> None:
    metres = build_loss("regression", choice, scale=[1.0, 3.0])
    feet = build_loss("regression", choice, scale=[4.0, 12.0])
    assert float(metres(VALUES, TRUE_VALUES)) == float(feet(VALUES * 4, TRUE_VALUES * 4))
