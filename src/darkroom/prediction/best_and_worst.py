"""The best and the worst validation images on one page: where a network still goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.images import sheets
from darkroom.images.sheets import Pixels
from darkroom.index.table import Card
from darkroom.prediction.metrics import Evaluation
from darkroom.store.store import Store
from darkroom.tasks.captions import describe
from darkroom.tasks.table import TASKS

COLUMNS = 4
FIGURES = 4


def best_and_worst(scores: pd.DataFrame, count: int) -> list[str]:
    """Return the ids of the `count` worst images, the worst first, then of the best.

    Args:
        scores: Columns id and score, higher is better.
        count: Of each; fewer where there are not twice as many images.
    """
    ids = scores.sort_values(["score", "id"], kind="stable")["id"].tolist()
    few = min(count, len(ids) // 2) or len(ids)
    return ids[:few] + (ids[: -few - 1 : -1] if few < len(ids) else [])


def sheet(
    name: str,
    made: Evaluation,
    ids: Sequence[str],
    found: Mapping[str, NDArray[np.float32]],
    rows: pd.DataFrame,
    card: Card,
    shards: Store,
) -> Pixels:
    """Return a page of these images with their truth, prediction and score.

    Args:
        name: Of the competition.
        made: The evaluation, for its figures and scores.
        ids: Which images, in order; see `best_and_worst`.
        found: Their predictions by id: (H, W) probabilities for masks, else (K,).
        rows: The training rows of the index, with a column fold, numbered as the store's.
        card: What the targets are.
        shards: The training part.
    """
    score_of = made.rows.set_index("id")["score"]
    number_of = {row_id: row for row, row_id in enumerate(shards.ids)}
    threshold = made.threshold or 0.5
    tiles, captions, marks = [], [], []
    for row_id in ids:
        row = number_of[row_id]
        tile, line, mark = _tile(shards, row, rows, card, found[row_id], threshold)
        tiles.append(tile)
        captions.append(f"{row_id}\n{line or f'{score_of[row_id]:.4f}'}")
        marks.append(mark)
    figures = [
        f"{key.replace('_', ' ')} {value:.4f}"
        for key, value in made.metrics.items()
        if isinstance(value, float)
    ]
    return sheets.grid(
        tiles,
        captions,
        columns=COLUMNS,
        title=f"{name}: the worst, then the best",
        text=[" · ".join(figures[:FIGURES])],
        legend=sheets.COMPARE_LEGEND if TASKS[card.task].masks else (),
        marks=marks,
    )


def _tile(
    shards: Store,
    row: int,
    rows: pd.DataFrame,
    card: Card,
    found: NDArray[np.float32],
    threshold: float,
) -> tuple[Pixels, str, sheets.Colour | None]:
    """Return the picture of one image, a line on its answer, and the colour of right or wrong."""
    task = TASKS[card.task]
    image = shards.image(row)
    if task.masks:
        truth = shards.mask(row)
        assert truth is not None, "a training row without a mask is refused by the index"
        return sheets.compare(image, truth, task.decode(found, threshold)), "", None
    truth_row: Any = rows.loc[row, list(card.targets)].to_numpy(np.float64)
    truth_row = int(truth_row[0]) if card.task == "multiclass" else truth_row
    names = card.classes or card.targets
    line, mark = describe(task, truth_row, found, names, threshold=threshold)
    return image, line, mark
