"""Validation images with their truth and prediction, and a page of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from darkroom.images import class_pictures, sheets
from darkroom.store.loader import Batch
from darkroom.tasks.answers import Floats, answer_caption
from darkroom.tasks.table import Task

COLUMNS = 4  # of a page; the four pictures of a mask fill one row
TILE_PX = 200


@dataclass(frozen=True)
class Example:
    """One image, on the host.

    Attributes:
        id: As in the index.
        image: uint8 (H, W, C).
        truth: uint8 (K, H, W) of 0 and 1; a class number; or (K,).
        prediction: float32 (K, H, W) or (K,): probabilities, or values.
    """

    id: str
    image: sheets.Pixels
    truth: NDArray[Any]
    prediction: Floats


def take(batch: Batch, probabilities: torch.Tensor, place: int) -> Example:
    """Return one image of a batch, copied: the loader fills the batch's memory again."""
    assert batch.targets is not None
    return Example(
        id=batch.ids[place],
        image=batch.picture(place),
        truth=batch.targets[place].cpu().numpy().copy(),
        # On a GPU numbers may be bfloat16, which numpy lacks.
        prediction=probabilities[place].float().cpu().numpy().copy(),
    )


def page(task: Task, examples: Sequence[Example], names: Sequence[str]) -> sheets.Pixels:
    """Return a page of examples.

    A mask: a row each of the image, the truth, the probability, and both compared; of several
    classes the answer in place of the probability. Others: the image over its truth and prediction.

    Args:
        task: Whose targets these are.
        examples: At least one.
        names: Of the classes or labels, or none.
    """
    rows = [_mask_row(task, one) if task.masks else _labelled(task, one, names) for one in examples]
    tiles = [tile for row in rows for tile in row]
    return sheets.grid(
        [pixels for pixels, _, _ in tiles],
        [caption for _, caption, _ in tiles],
        columns=COLUMNS,
        tile_height=TILE_PX,
        legend=_legend(examples[0], names) if task.masks else (),
        marks=[mark for _, _, mark in tiles],
    )


def grey(values: Any) -> sheets.Pixels:
    """Return an RGB picture (H, W, 3) of values (H, W) in 0..1."""
    shades = np.asarray(np.clip(np.asarray(values, np.float32) * 255 + 0.5, 0, 255), np.uint8)
    return np.repeat(shades[..., None], 3, axis=2)


Tile = tuple[sheets.Pixels, str, sheets.Colour | None]


def _labelled(task: Task, one: Example, names: Sequence[str]) -> list[Tile]:
    caption, is_right = answer_caption(task.decode, one.truth, one.prediction, names)
    return [(one.image, f"{one.id}\n{caption}", sheets.ANSWER_MARKS[is_right])]


def _legend(one: Example, names: Sequence[str]) -> Sequence[tuple[str, sheets.Colour]]:
    if len(one.prediction) == 1:
        return sheets.COMPARE_LEGEND
    classes = [*names, *map(str, range(len(names), len(one.prediction)))]
    return (*class_pictures.class_legend(classes), *class_pictures.ERRORS_LEGEND)


def _mask_row(task: Task, one: Example) -> list[Tile]:
    score, count = task.monitor.sum_and_count(
        torch.from_numpy(one.prediction)[None], torch.from_numpy(one.truth)[None]
    )
    answer = task.decode(one.prediction, 0.5)
    height = min(TILE_PX, len(one.image))
    errors = class_pictures.compare_masks(one.image, one.truth, answer, height=height)
    caption = f"{task.monitor.name} {score / count:.3f}"
    if len(one.prediction) > 1:
        classes = len(one.prediction)
        return [
            (one.image, one.id, None),
            (class_pictures.draw_masks(one.image, one.truth, classes), "truth", None),
            (class_pictures.draw_masks(one.image, answer, classes), "answer", None),
            (errors, caption, None),
        ]
    return [
        (one.image, one.id, None),
        (grey(one.truth[0]), "truth", None),
        (grey(one.prediction[0]), "probability", None),
        (errors, caption, None),
    ]
