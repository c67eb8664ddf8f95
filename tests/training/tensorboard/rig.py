"""Callbacks without a training: a learner that has seen so much, a trainer that writes events."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from darkroom.models.build import MEAN, STD
from darkroom.store.loader import Batch
from darkroom.training.module import Learner, Manner


def learner(task: str = "segmentation", *, seen: int = 7, net: nn.Module | None = None) -> Learner:
    manner = Manner(task, nn.MSELoss(), 1, MEAN, STD)
    known = Learner(net or nn.Conv2d(3, 1, 1), manner, cast(Any, None))
    known.seen = seen
    return known


def trainer(folder: Path, **attributes: Any) -> Trainer:
    logger = TensorBoardLogger(folder, name="", version="", purge_step=0)
    known = {"loggers": [logger], "global_step": 0, "should_stop": False, "max_epochs": 3}
    return cast(Trainer, SimpleNamespace(**(known | attributes)))


def told(trainer: Trainer) -> EventAccumulator:
    """Return what TensorBoard reads of it."""
    (logger,) = trainer.loggers
    assert isinstance(logger, TensorBoardLogger)
    logger.experiment.flush()
    return EventAccumulator(logger.log_dir, size_guidance={"images": 0, "tensors": 0}).Reload()


def batch(targets: Tensor, *, first: int = 0, side: int = 8) -> Batch:
    """Return grey images, numbered from `first`, each as bright as its number."""
    count = len(targets)
    numbers = torch.arange(first, first + count, dtype=torch.uint8)
    return Batch(
        ids=[f"{number:03d}" for number in numbers.tolist()],
        images=numbers[:, None, None, None].expand(count, 3, side, side).contiguous(),
        targets=targets,
        originals=torch.full((count, 2), side),
    )


def validate(
    callback: Callback, trainer: Trainer, learner: Learner, *batches: tuple[Batch, Tensor]
) -> None:
    """Let a callback live through the validation of batches, given their probabilities."""
    callback.on_validation_start(trainer, learner)
    for number, (images, probabilities) in enumerate(batches):
        callback.on_validation_batch_end(trainer, learner, cast(Any, probabilities), images, number)
    callback.on_validation_end(trainer, learner)
