"""Figures: of every step of the optimiser, and of every epoch, training beside validation."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard.summary import custom_scalars

from darkroom.store.loader import Batch
from darkroom.tasks.table import Task
from darkroom.training.tensorboard import events
from darkroom.training.tensorboard.throughput import RATE, WAITING

OF_STEPS = ("epoch", "learning rate")  # in a row of the history, but told step by step


class Scalars(Callback):
    """Tells the figures of every step of the optimiser, and those of every epoch.

    Of a step: `loss/step`, `gradient norm`, `learning rate/<group>`. Of an epoch:
    `<name>/train` and `<name>/val`, for the loss and each metric.

    The tab of custom scalars gets a chart a name, with training and validation in it.
    """

    def __init__(self) -> None:
        self._steps = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which curves belong in one chart."""
        self._steps = trainer.global_step
        learner = events.learner(pl_module)
        if learner.seen == 0:
            events.add(trainer, charts(learner.task), 0)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Tell the figures of a step, if the batch ended one."""
        learner = events.learner(pl_module)
        if trainer.global_step != self._steps:
            self._steps = trainer.global_step
            events.add(trainer, events.figures(learner.last), learner.seen)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the figures of an epoch."""
        learner = events.learner(pl_module)
        row = {name: x for name, x in learner.history[-1].items() if name not in OF_STEPS}
        events.add(trainer, events.figures(row), learner.seen)


def charts(task: Task) -> Summary:
    """Return the layout of the tab of custom scalars; its tags are regular expressions."""
    names = ["loss", *(metric.name for metric in task.metrics)]
    parts = {
        "training and validation": {name: f"^{name}/(train|val)$" for name in names},
        "steps": {"learning rate": "^learning rate/", "gradient norm": "^gradient norm$"},
        "speed": {name: f"^{name}$" for name in (RATE, WAITING)},
    }
    layout = {
        title: {name: ["Multiline", [tags]] for name, tags in of.items()}
        for title, of in parts.items()
    }
    summary: Summary = custom_scalars(layout)  # type: ignore[no-untyped-call]
    return summary
