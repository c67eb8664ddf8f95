"""The event file of a training: written by rank 0; a resumed run hides what it repeats."""

import itertools
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor

from darkroom.images.codec import encode_jpeg
from darkroom.images.sheets import Pixels
from darkroom.project.files import make_folder
from darkroom.training import distributed
from darkroom.training.callbacks import Callback

if TYPE_CHECKING:
    from darkroom.training.loop import Loop

JPEG_QUALITY = 85
_NUMBERS = itertools.count()  # of this process's files, two of which may be of one second
FLUSH_S = 30  # between two looks at a file, TensorBoard waits as long
PAGES = 10  # of a tag: TensorBoard shows no more by default, and each costs more than a checkpoint


class EventWriter(Callback):
    """Opens the event file when training starts, on rank 0 alone; the other callbacks add to it.

    It writes in this process's own thread: of TensorBoard's writer a thread fails on a full disk,
    with a traceback, and takes the training with it. Here a line says that events are missing, and
    the training, which does not depend on them, goes on.

    Args:
        log_dir: Its folder.
    """

    def __init__(self, log_dir: Path) -> None:
        self.log_dir = log_dir
        self._stream: BinaryIO | None = None
        self._records: Any = None
        self._flushed = 0.0

    def on_train_start(self, loop: "Loop") -> None:
        """Open the file; hide what an interrupted run wrote after its checkpoint."""
        if distributed.rank() > 0:
            return
        place = f"{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS):06}"
        name = f"events.out.tfevents.{int(time.time()):010}.{place}"
        with self._reported():
            make_folder(self.log_dir)
            self._stream = (self.log_dir / name).open("wb")
            self._records = RecordWriter(self._stream)
        self._write(Event(file_version="brain.Event:2"))
        # Events of the step of the checkpoint were written before it. A start hides what follows,
        # but for the first one of a run.
        step = loop.batches_seen + 1 if loop.batches_seen else 0
        self._write(Event(step=step, session_log=SessionLog(status=SessionLog.START)))

    def on_checkpoint(self, loop: "Loop") -> None:
        """Write what is still in memory: a resumed run does not repeat it."""
        self._flush()

    def on_train_end(self, loop: "Loop") -> None:
        """Close the file."""
        self._flush()
        self._close()

    @property
    def is_open(self) -> bool:
        """Whether anything that is added is written: on rank 0, while training runs."""
        return self._stream is not None

    def draws_pages(self, loop: "Loop") -> bool:
        """Whether the pages of the epoch that ends are written: of 10, evenly, and of the last."""
        epoch, epochs = loop.epoch + 1, loop.config.epochs
        is_due = epoch * PAGES // epochs > (epoch - 1) * PAGES // epochs
        return self.is_open and (is_due or loop.should_stop)

    def add(self, summary: Summary, step: int) -> None:
        """Write a summary; the step is the number of training batches seen."""
        self._write(Event(step=step, summary=summary))

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag, all in one event: an optimizer step writes one, not five."""
        self.add(
            Summary(value=[Summary.Value(tag=tag, simple_value=x) for tag, x in values.items()]),
            step,
        )

    def add_image(self, tag: str, page: Pixels, step: int) -> None:
        """Write a page uint8 (H, W, 3), RGB, as a JPEG.

        torch's `add_image` makes a PNG, five times as large, whose checksum Python makes byte by
        byte: half a second of a core, every epoch.
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
        self._write(Event(graph_def=graph.SerializeToString()))

    def _write(self, event: Event) -> None:
        if self._stream is None:
            return
        event.wall_time = time.time()
        with self._reported():
            self._records.write(event.SerializeToString())
        if time.monotonic() - self._flushed > FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        if self._stream is not None:
            with self._reported():
                self._stream.flush()
            self._flushed = time.monotonic()

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            with suppress(OSError):  # what is left in memory has been reported
                stream.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Turn an error of the disk into a line, and write no more."""
        try:
            yield
        except OSError as error:
            self._close()
            print(
                f"TensorBoard's events are incomplete from here on, as {self.log_dir} could not be "
                f"written: {error.strerror or error}. Training goes on",
                file=sys.stderr,
            )


def sum_over_ranks(counts: Tensor | None) -> NDArray[Any] | None:
    """Return the sum of every rank's counts; a rank without images has none. All must call it."""
    parts = distributed.gather(None if counts is None else counts.cpu().numpy())
    counted = [part for part in parts if part is not None]
    return np.sum(counted, axis=0) if counted else None
