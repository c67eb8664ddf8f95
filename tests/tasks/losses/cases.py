"""Logits and targets of every task, and what every loss must keep to."""

from collections.abc import Iterator

import torch
from torch import Tensor

from darkroom.tasks.losses.choice import NAMES

EVERY = [(task, name) for task, names in NAMES.items() for name in names]


def case(task: str, images: int = 3, *, outputs: int = 4) -> tuple[Tensor, Tensor]:
    """Return random logits and targets, always the same; images differ in how much they hold."""
    rng = torch.Generator().manual_seed(7)
    if task == "segmentation":
        masks = (
            torch.rand(images, 1, 6, 5, generator=rng)
            < torch.linspace(0.1, 0.9, images)[:, None, None, None]
        )
        return torch.randn(images, 1, 6, 5, generator=rng) * 2, masks.to(torch.uint8)
    if task == "multiclass":
        classes = torch.randint(outputs, (images,), generator=rng)
        return torch.randn(images, outputs, generator=rng) * 2, classes
    outputs = 1 if task == "binary" else outputs
    values = torch.randn(images, outputs, generator=rng)
    targets = values if task == "regression" else (values > 0).float()
    return torch.randn(images, outputs, generator=rng) * 2, targets


def extremes(task: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits of ±10,000, 0 and a mixture, against targets all empty, all full and mixed."""
    logits, targets = case(task)
    if task == "multiclass":
        kinds = [torch.full_like(targets, 0), torch.full_like(targets, 3), targets]
    else:
        kinds = [torch.zeros_like(targets), torch.ones_like(targets), targets]
    for level in (-1e4, 0.0, 1e4):
        for kind in kinds:
            yield torch.full_like(logits, level), kind
    for kind in kinds:
        yield logits.sign() * 1e4, kind
