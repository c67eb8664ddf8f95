"""Raw pictures and masks at full resolution, and the place of a mask that is most wrong."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.cli.report.evidence import Evidence
from darkroom.errors import DataError
from darkroom.images import sheets
from darkroom.images.geometry import Box, cv2, restore
from darkroom.images.levels import levels_of
from darkroom.images.objects import plane_objects
from darkroom.images.sheets import Pixels
from darkroom.index.table import Index
from darkroom.raw.archives import Archives
from darkroom.raw.images.reader import ImageReader, plan_channels
from darkroom.raw.masks import read_masks
from darkroom.stages._context import Context
from darkroom.stages._inputs import mask_form
from darkroom.store.store import Store
from darkroom.tasks.answers import Floats

MOST_PX = 2048  # of the longer side of a picture in the page; a crop is never made smaller
SHARE = 6  # the side of a crop is the picture's longer side by this
LEAST_CROP_PX, MOST_CROP_PX = 64, 512
SHOWN_CROP_PX = 480  # smaller crops are enlarged, each pixel to a square

Masks = NDArray[np.uint8]


@dataclass(frozen=True)
class Originals:
    """Reads the raw files of a competition.

    Attributes:
        evidence: The competition.
        archives: Its raw files; None: they are not here, and stored pictures stand for them.
        reader: Of the images; None likewise.
        test: The stored test images, for those that the audit names.
    """

    evidence: Evidence
    archives: Archives | None
    reader: ImageReader | None

    def picture(self, row: "pd.Series[Any]") -> Pixels:
        """Return the picture of an index row, uint8 (H, W, 3), as large as it was delivered.

        Raises:
            DataError: It is not what was indexed.
        """
        if self.reader is None:
            part = str(row["part"])
            store = self.evidence.shards if part == "train" else self._test_store()
            return np.array(sheets.as_rgb(store.image(store.ids.index(str(row["id"])))))
        return sheets.as_rgb(self.reader.read(str(row["image"]), digest=str(row["digest"])).pixels)

    def _test_store(self) -> Store:
        return Store(self.evidence.context.paths.processed, "test")

    def masks(self, row: "pd.Series[Any]", size: tuple[int, int]) -> Masks:
        """Return the true masks (K, H, W) of a training row; unknown pixels are one plane more."""
        card, shards = self.evidence.card, self.evidence.shards
        if self.archives is None:
            mask = shards.mask(shards.ids.index(str(row["id"])))
            assert mask is not None, "a training row without a mask is refused by the index"
            return mask
        image, path, digest = (str(row[key]) for key in ("image", "mask", "mask_digest"))
        form = mask_form(card)
        raw = read_masks(self.archives, path, *size, form=form, name=image, digest=digest)
        return raw.stored()

    def answer(self, probabilities: Floats, size: tuple[int, int]) -> Masks:
        """Return the masks that the submission would write, at a picture's size, (K, H, W)."""
        evidence = self.evidence
        cleanup, exclusive = evidence.decision.cleanup, evidence.card.exclusive
        if self.archives is not None:
            fit = evidence.shards.fit
            planes = [np.clip(restore(plane, *size, fit), 0, 1) for plane in probabilities]
            probabilities = np.stack(planes)
        masks = evidence.answer_masks(probabilities)
        if not cleanup.changes_masks:
            return masks
        objects = plane_objects(masks > 0, cleanup, exclusive=exclusive)
        return (np.stack(objects) > 0).astype(np.uint8)


@contextmanager
def open_originals(evidence: Evidence) -> Iterator[Originals]:
    """Open the raw files of a competition; stored pictures stand for them where they are gone."""
    with open_reader(evidence.context, evidence.index) as reader:
        yield Originals(evidence, None if reader is None else reader.archives, reader)


@contextmanager
def open_reader(context: Context, index: Index) -> Iterator[ImageReader | None]:
    """Open what reads the raw pictures of a competition; None where they can't be read."""
    if not context.paths.raw.is_dir():
        yield None
        return
    levels = levels_of(context.section.preprocess.levels)
    images, pixels = index.rows["image"].tolist(), index.card.pixels
    Path(".darkroom").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="report.", dir=".darkroom") as unpacked:
        archives = Archives(context.paths.raw, Path(unpacked))
        try:
            channels = plan_channels(archives, images, levels, pixels)
        except DataError:
            yield None
            return
        yield ImageReader(archives, channels, levels, pixels)


def wrong_pixels(truth: Masks, answer: Masks) -> NDArray[np.bool_]:
    """Return the pixels (H, W) whose answer is not the truth in some class; unknown ones are none.

    Args:
        truth: (K, H, W), or with a plane more, of unknown pixels.
        answer: (K, H, W).
    """
    wrong: NDArray[np.bool_] = (truth[: len(answer)] != answer).any(axis=0)
    if len(truth) > len(answer):
        wrong &= truth[-1] == 0
    return wrong


def worst_place(wrong: NDArray[np.bool_]) -> Box | None:
    """Return the square that holds the most wrong pixels; None: none is wrong.

    Of equals it is the one that has them in its middle, else the first from above and the left.

    Args:
        wrong: Pixels (H, W).

    Example:
        >>> wrong = np.zeros((200, 300), bool)
        >>> wrong[100:110, 200:220] = True
        >>> worst_place(wrong)
        Box(top=72, left=178, height=64, width=64)
    """
    if not wrong.any():
        return None
    height, width = wrong.shape
    side = min(max(round(max(height, width) / SHARE), LEAST_CROP_PX), MOST_CROP_PX)
    tall, wide = min(side, height), min(side, width)
    sums = cv2.integral(wrong.astype(np.uint8))
    inside = sums[tall:, wide:] - sums[:-tall, wide:] - sums[tall:, :-wide] + sums[:-tall, :-wide]
    top, left = (int(place) for place in np.unravel_index(int(inside.argmax()), inside.shape))
    rows, columns = np.nonzero(wrong[top : top + tall, left : left + wide])
    middle = (
        min(max(0, top + round(float(rows.mean())) - tall // 2), height - tall),
        min(max(0, left + round(float(columns.mean())) - wide // 2), width - wide),
    )
    if inside[middle] == inside[top, left]:
        top, left = middle
    return Box(top, left, tall, wide)


def enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels (H, W) or (H, W, C), each as a square of several where there are few."""
    times = max(1, round(SHOWN_CROP_PX / max(pixels.shape[:2])))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def shrunk(pixels: Pixels, most: int = MOST_PX) -> Pixels:
    """Return a picture of at most so many pixels at its longer side."""
    height, width = pixels.shape[:2]
    factor = most / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def framed(pixels: Pixels, box: Box) -> Pixels:
    """Return a picture with a frame around a place."""
    drawn = np.ascontiguousarray(pixels).copy()
    thick = max(2, round(max(pixels.shape[:2]) / 400))
    corner = (box.left + box.width - 1, box.top + box.height - 1)
    cv2.rectangle(drawn, (box.left, box.top), corner, (0, 0, 0), thick + 2)
    cv2.rectangle(drawn, (box.left, box.top), corner, sheets.INK, thick)
    return drawn
