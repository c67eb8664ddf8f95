"""Pictures of predictions, every epoch of the same validation images, for TensorBoard."""

# ruff: noqa: ARG002  # Lightning's hooks take more than each of them needs

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from darkroom import sheets
from darkroom.captions import describe
from darkroom.dataset import Batch, Loader
from darkroom.images import encode_jpeg
from darkroom.learner import Learner
from darkroom.sampling import EpochSampler
from darkroom.tasks import Floats, Task

COLUMNS = 4  # of a page; the four pictures of a mask fill one row


class Pictures(Callback):
    """Draws the predictions for the same validation images every epoch, for TensorBoard.

    Masks: the image, the truth, the probabilities, and both compared. Others: the image over
    its truth and its prediction.

    Args:
        count: How many images, spread evenly over the loader's; 0 for none.
        loader: The validation loader.
        names: Of the classes, or of the labels; numbers stand where there are none.
    """

    def __init__(self, count: int, loader: Loader, names: Sequence[str] = ()) -> None:
        sampler = loader.sampler
        assert isinstance(sampler, EpochSampler)
        self.names = names
        self._places = set(np.linspace(0, len(sampler.rows) - 1, count).round().astype(int))
        self._seen = 0
        self._tiles: list[sheets.Pixels] = []
        self._captions: list[str] = []
        self._marks: list[sheets.Colour | None] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a page."""
        self._seen, self._tiles, self._captions, self._marks = 0, [], [], []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw those images of the batch that belong on the page."""
        assert isinstance(pl_module, Learner)
        task = pl_module.task
        first, self._seen = self._seen, self._seen + len(batch.ids)
        assert batch.targets is not None
        for i in (place - first for place in sorted(self._places)):
            if 0 <= i < len(batch.ids):
                # On a GPU numbers may be bfloat16, which numpy lacks.
                image = batch.images[i].permute(1, 2, 0).cpu().numpy()
                truth = batch.targets[i].cpu().numpy()
                found = outputs[i].float().cpu().numpy()
                self._draw(task, batch.ids[i], image, truth, found)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the page to TensorBoard."""
        logger = trainer.logger
        assert isinstance(pl_module, Learner)
        if self._tiles and isinstance(logger, TensorBoardLogger):
            legend = sheets.COMPARE_LEGEND if pl_module.task.masks else ()
            page = sheets.grid(
                self._tiles, self._captions, columns=COLUMNS, legend=legend, marks=self._marks
            )
            logger.experiment.file_writer.add_summary(_as_summary(page), trainer.current_epoch + 1)

    def _draw(self, task: Task, name: str, image: sheets.Pixels, truth: Any, found: Floats) -> None:
        if not task.masks:
            caption, mark = describe(task, truth, found, self.names)
            self._tiles.append(image)
            self._captions.append(f"{name}\n{caption}")
            self._marks.append(mark)
            return
        score, _ = task.monitor.sum_and_count(
            torch.from_numpy(found)[None], torch.from_numpy(truth)[None]
        )
        self._tiles += [
            image,
            grey(truth),
            grey(found),
            sheets.compare(image, truth, task.decode(found, 0.5), height=200),
        ]
        self._captions += [name, "truth", "probability", f"{task.monitor.name} {score:.3f}"]
        self._marks += [None] * 4


def _as_summary(page: sheets.Pixels) -> Summary:
    """Return the page as a JPEG for TensorBoard.

    Its own `add_image` makes a PNG, five times as large, and checksums it byte by byte in
    Python beside the next epoch: half a second of a core, every epoch.
    """
    picture = Summary.Image(
        height=page.shape[0],
        width=page.shape[1],
        colorspace=3,
        encoded_image_string=encode_jpeg(page, 90),
    )
    return Summary(value=[Summary.Value(tag="predictions", image=picture)])


def grey(values: Any) -> sheets.Pixels:
    """Return an RGB picture (H, W, 3) of values (H, W) in 0..1."""
    shades = np.asarray(np.clip(np.asarray(values, np.float32) * 255 + 0.5, 0, 255), np.uint8)
    return np.repeat(shades[..., None], 3, axis=2)
