"""The same validation images with their predictions, epoch by epoch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from darkroom.store.loader import Batch, BatchDataset, Loader
from darkroom.training import distributed
from darkroom.training.callbacks import Callback
from darkroom.training.tensorboard import examples
from darkroom.training.tensorboard.examples import Example
from darkroom.training.tensorboard.writer import EventWriter

if TYPE_CHECKING:
    from darkroom.training.loop import Loop


class Pictures(Callback):
    """Draws `predictions` of the same validation images; see `EventWriter.draws_pages`.

    Args:
        count: How many images, spread evenly over the loader's; all, where it has fewer.
        loader: The validation loader.
        names: Of the classes, or of the labels; those without a name are shown by number.
    """

    def __init__(
        self, events: EventWriter, count: int, loader: Loader, names: Sequence[str] = ()
    ) -> None:
        self.events = events
        sampler, source = loader.sampler, loader.dataset
        assert isinstance(source, BatchDataset)
        self.names = names
        places = np.linspace(0, len(sampler.rows) - 1, count).round().astype(int)
        rows = dict.fromkeys(sampler.rows[places].tolist())
        self.ids = [source.store.ids[row] for row in rows]
        self._examples: dict[str, Example] = {}

    def on_validation_start(self, loop: "Loop") -> None:
        """Reset."""
        self._examples = {}

    def on_validation_batch(self, loop: "Loop", batch: Batch, probabilities: Tensor) -> None:
        """Keep the images of the batch that belong on the page."""
        for place, name in enumerate(batch.ids):
            if name in self.ids:
                self._examples[name] = examples.take(batch, probabilities, place)

    def on_epoch_end(self, loop: "Loop") -> None:
        """Draw the page."""
        gathered: dict[str, Example] = {}
        for rank_examples in distributed.gather(self._examples):
            gathered |= rank_examples
        self._examples = {}
        if gathered and self.events.draws_pages(loop):
            ordered = [gathered[name] for name in self.ids if name in gathered]
            page = examples.page(loop.module.task, ordered, self.names)
            self.events.add_image("predictions", page, loop.batches_seen)
