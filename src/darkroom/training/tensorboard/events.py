"""Writing to TensorBoard: what is written, at which step, by which of several processes."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor, distributed

from darkroom.images.codec import encode_jpeg
from darkroom.images.sheets import Pixels
from darkroom.training.distributed import Team
from darkroom.training.module import Learner

Thing = TypeVar("Thing")

JPEG_QUALITY = 85


def learner(module: LightningModule) -> Learner:
    """Return the module as what every module here is."""
    assert isinstance(module, Learner)
    return module


def writers(trainer: Trainer) -> list[Any]:
    """Return torch's event writers: none where nobody gave the trainer a TensorBoard to write."""
    loggers = [known for known in trainer.loggers if isinstance(known, TensorBoardLogger)]
    return [known.experiment.file_writer for known in loggers]


def add(trainer: Trainer, summary: Summary, step: int) -> None:
    """Write a summary."""
    for writer in writers(trainer):
        writer.add_summary(summary, step)


def add_graph(trainer: Trainer, graph: GraphDef) -> None:
    """Write the graph of a model."""
    for writer in writers(trainer):
        writer.add_event(Event(graph_def=graph.SerializeToString()))


def figures(values: Mapping[str, float]) -> Summary:
    """Return numbers by tag, all in one event: a training step writes one, not five."""
    return Summary(value=[Summary.Value(tag=tag, simple_value=x) for tag, x in values.items()])


def picture(tag: str, page: Pixels) -> Summary:
    """Return a page (H, W, 3) as a JPEG.

    torch's `add_image` makes a PNG, five times as large, and checksums it byte by byte in
    Python beside the next epoch: half a second of a core, every epoch.
    """
    image = Summary.Image(
        height=page.shape[0],
        width=page.shape[1],
        colorspace=3,
        encoded_image_string=encode_jpeg(page, JPEG_QUALITY),
    )
    return Summary(value=[Summary.Value(tag=tag, image=image)])


def gather(team: Team, thing: Thing) -> list[Thing]:
    """Return what every process passes here, in the order of their ranks; all must call it."""
    if team.world == 1:
        return [thing]
    things: list[Any] = [None] * team.world
    distributed.all_gather_object(things, thing)
    return things


def total(team: Team, counts: Tensor | None) -> NDArray[Any] | None:
    """Return the sum of every process's counts, of which one without images has none."""
    parts = gather(team, None if counts is None else counts.cpu().numpy())
    known = [part for part in parts if part is not None]
    return np.sum(known, axis=0) if known else None
