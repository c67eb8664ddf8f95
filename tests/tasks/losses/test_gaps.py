"""Unknown targets cost nothing, and the rest is a mean over what is known."""

from typing import Any

import numpy as np
import pytest
import torch

from darkroom.tasks.losses.build import balanced_weights, build_loss
from darkroom.training.augment.mixup import Mixup

NAN = float("nan")
LABELS = torch.tensor([[1.0, NAN], [0.0, 1.0], [NAN, NAN], [1.0, 0.0]])
VALUES = torch.tensor([[3.0, NAN], [-1.0, 2.0], [NAN, NAN], [0.5, 9.0]])
CASES = [
    ("multilabel", "bce", {}),
    ("multilabel", "bce", {"class_weights": [2.0, 3.0]}),
    ("multilabel", "bce", {"label_smoothing": 0.2}),
    ("multilabel", "focal", {}),
    ("multilabel", {"focal": {"gamma": 1, "alpha": 0.3}}, {}),
    ("multilabel", {"bce": 1, "focal": 0.5}, {}),
    ("regression", "mse", {}),
    ("regression", "l1", {"scale": [2.0, 0.5]}),
    ("regression", "huber", {}),
]


def outputs() -> torch.Tensor:
    logits = torch.linspace(-2, 2, 8).reshape(4, 2)
    return logits.requires_grad_()


@pytest.mark.parametrize(("task", "loss", "options"), CASES)
def test_the_loss_is_a_mean_over_what_is_known(task: str, loss: Any, options: Any) -> None:
    targets = LABELS if task == "multilabel" else VALUES
    logits, known = outputs(), ~targets.isnan()
    total = build_loss(task, loss, **options, known_share=5 / 8)(logits, targets)
    # Each known cell alone, as a batch of its column.
    losses = []
    for row, column in known.nonzero().tolist():
        own: Any = {
            name: [value[column]] if isinstance(value, list) else value
            for name, value in options.items()
        }
        cell = slice(row, row + 1), slice(column, column + 1)
        losses.append(build_loss(task, loss, **own)(logits[cell], targets[cell]))
    torch.testing.assert_close(total, torch.stack(losses).mean())
    total.backward()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known] != 0).all()


@pytest.mark.parametrize(("task", "loss", "options"), CASES)
def test_nothing_changes_where_nothing_is_missing(task: str, loss: Any, options: Any) -> None:
    targets = (LABELS if task == "multilabel" else VALUES).nan_to_num(1.0)
    plain = build_loss(task, loss, **options)(outputs(), targets)
    whole = build_loss(task, loss, **options, known_share=1.0)(outputs(), targets)
    assert plain.item() == pytest.approx(whole.item(), rel=1e-6)


def test_the_loss_does_not_depend_on_how_the_gaps_fall_into_batches() -> None:
    loss, logits = build_loss("multilabel", known_share=5 / 8), outputs()
    halves = [loss(logits[part], LABELS[part]) for part in (slice(2), slice(2, 4))]
    assert loss(logits, LABELS).item() == pytest.approx(sum(half.item() for half in halves) / 2)
    assert loss(logits[2:3], LABELS[2:3]).item() == 0, "an image of which nothing is known"


def test_a_mixed_label_is_known_where_both_are() -> None:
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    mixup = Mixup(mixup=0.4)
    _, mixed = mixup(images, LABELS, seed=0)
    partners = torch.from_numpy(mixup.plan(4, 8, 8, 0).partners)
    assert torch.equal(mixed.isnan(), LABELS.isnan() | LABELS[partners].isnan())
    assert build_loss("multilabel", known_share=5 / 8)(outputs(), mixed).isfinite()


def test_balanced_weights_count_what_is_known() -> None:
    assert balanced_weights("multilabel", LABELS.numpy()) == [1 / 2, 1.0]


def test_balanced_weights_of_soft_classes_count_shares() -> None:
    shares = np.array([[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], np.float32)
    assert balanced_weights("multiclass", shares) == [4 / (2 * 3), 4 / (2 * 1)]


def test_soft_classes_are_learned_with_balanced_weights() -> None:
    shares = torch.tensor([[0.25, 0.75]])
    logits = torch.zeros(1, 2)
    loss = build_loss("multiclass", class_weights=[1.0, 3.0])(logits, shares)
    assert loss.item() == pytest.approx((0.25 * 1 + 0.75 * 3) * np.log(2))
