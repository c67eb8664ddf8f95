"""The same validation images with their predictions, every epoch."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from darkroom.store.loader import Batch, BatchDataset, Loader
from darkroom.store.sampler import EpochSampler
from darkroom.training.tensorboard import events, examples
from darkroom.training.tensorboard.examples import Example


class Pictures(Callback):
    """Draws `predictions` of the same validation images every epoch.

    Args:
        count: How many images, spread evenly over the loader's; all, where it has fewer.
        loader: The validation loader.
        names: Of the classes, or of the labels; numbers stand where there are none.
    """

    def __init__(self, count: int, loader: Loader, names: Sequence[str] = ()) -> None:
        sampler, source = loader.sampler, loader.dataset
        assert isinstance(sampler, EpochSampler)
        assert isinstance(source, BatchDataset)
        self.names = names
        places = np.linspace(0, len(sampler.rows) - 1, count).round().astype(int)
        rows = dict.fromkeys(sampler.rows[places].tolist())
        self.ids = [source.store.ids[row] for row in rows]
        self._examples: dict[str, Example] = {}

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a page."""
        self._examples = {}

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep those images of the batch that belong on the page."""
        for place, name in enumerate(batch.ids):
            if name in self.ids:
                self._examples[name] = examples.take(batch, outputs, place)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the page."""
        learner = events.learner(pl_module)
        found: dict[str, Example] = {}
        for part in events.gather(learner.team, self._examples):
            found |= part
        self._examples = {}
        if found and events.writers(trainer):
            ordered = [found[name] for name in self.ids if name in found]
            page = examples.page(learner.task, ordered, self.names)
            events.add(trainer, events.picture("predictions", page), learner.seen)
