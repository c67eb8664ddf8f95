"""Losses of values, worked out by hand: errors of 3, 4, 0.5 and 0."""

import pytest
import torch

from darkroom.tasks.losses.build import LossChoice, build

FOUND = torch.tensor([[1.0, 2.0], [0.5, 7.0]])
TRUTH = torch.tensor([[4.0, 6.0], [1.0, 7.0]])


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
    assert float(build("regression", choice)(FOUND, TRUTH)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("mse", (1.5**2 + 1 + 0.25**2) / 4),
        ("l1", (1.5 + 1 + 0.25) / 4),
        ("huber", (1 + 0.5 + 0.25**2 / 2) / 4),
    ],
)
def test_errors_are_divided_by_the_scale(choice: LossChoice, expected: float) -> None:
    loss = build("regression", choice, scale=[2.0, 4.0])
    assert float(loss(FOUND, TRUTH)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("choice", ["mse", "l1", "huber"])
def test_a_scaled_loss_does_not_know_the_unit(choice: str) -> None:
    metres = build("regression", choice, scale=[1.0, 3.0])
    feet = build("regression", choice, scale=[4.0, 12.0])
    assert float(metres(FOUND, TRUTH)) == float(feet(FOUND * 4, TRUTH * 4))
