"""The event file of a training: written by rank 0; a resumed run hides what it repeats."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from darkroom.images.codec import encode_jpeg
from darkroom.images.sheets import Pixels
from darkroom.training import distributed
from darkroom.training.callbacks import Callback

if TYPE_CHECKING:
    from darkroom.training.loop import Loop

JPEG_QUALITY = 85


class EventWriter(Callback):
    """Opens the event file when training starts, on rank 0 alone; the other callbacks add to it.

    Args:
        log_dir: Its folder.
    """

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self._writer: SummaryWriter | None = None

    def on_train_start(self, loop: "Loop") -> None:
        """Open the file; hide what an interrupted run wrote after its checkpoint."""
        if distributed.rank() == 0:
            # Events of this very step were written before its checkpoint.
            purge_step = loop.batches_seen + 1 if loop.batches_seen else 0
            self._writer = SummaryWriter(str(self.log_dir), purge_step=purge_step)

    def on_checkpoint(self, loop: "Loop") -> None:
        """Write what is still in memory: a resumed run does not repeat it."""
        if self._writer is not None:
            self._writer.flush()

    def on_train_end(self, loop: "Loop") -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def is_open(self) -> bool:
        """Whether anything that is added is written: on rank 0, while training runs."""
        return self._writer is not None

    def add(self, summary: Summary, step: int) -> None:
        """Write a summary; the step is the number of training batches seen."""
        if self._writer is not None:
            self._file.add_summary(summary, step)

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag, all in one event: an optimizer step writes one, not five."""
        self.add(
            Summary(value=[Summary.Value(tag=tag, simple_value=x) for tag, x in values.items()]),
            step,
        )

    def add_image(self, tag: str, page: Pixels, step: int) -> None:
        """Write a page uint8 (H, W, 3), RGB, as a JPEG.

        torch's `add_image` makes a PNG, five times as large, and checksums it byte by byte in
        Python beside the next epoch: half a second of a core, every epoch.
        """
        image = Summary.Image(
            height=page.shape[0],
            width=page.shape[1],
            colorspace=3,
            encoded_image_string=encode_jpeg(page, JPEG_QUALITY),
        )
        self.add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def add_graph(self, graph: GraphDef) -> None:
        """Write the graph of a model."""
        if self._writer is not None:
            self._file.add_event(Event(graph_def=graph.SerializeToString()))

    @property
    def _file(self) -> Any:
        assert self._writer is not None
        return self._writer._get_file_writer()  # type: ignore[no-untyped-call]


def sum_over_ranks(counts: Tensor | None) -> NDArray[Any] | None:
    """Return the sum of every rank's counts; a rank without images has none. All must call it."""
    parts = distributed.gather(None if counts is None else counts.cpu().numpy())
    counted = [part for part in parts if part is not None]
    return np.sum(counted, axis=0) if counted else None
