"""The best and the worst validation images on one page: where a network still goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.images import sheets
from darkroom.images.class_pictures import ERRORS_LEGEND, class_legend, mask_panels
from darkroom.images.sheets import Pixels
from darkroom.index.card import Card
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import Evaluation
from darkroom.store.store import Store
from darkroom.tasks.answers import Decoder, answer_caption, decode_value
from darkroom.tasks.planes import MaskClasses

COLUMNS = 4
PANEL_COLUMNS = 2  # of tiles that show truth, answer and errors
PANELS = "In each tile the truth, the answer, and where they differ."
SIGNS = "Wrong labels: + answered though it is not there, − missed."
FIGURES = 4


def select(scores: pd.DataFrame, count: int) -> list[str]:
    """Return the ids of the `count` worst images, the worst first, then of the best.

    Example:
        >>> select(pd.DataFrame({"id": ["a", "b", "c"], "score": [0.5, 0.9, 0.1]}), 1)
        ['c', 'b']

    Args:
        scores: Columns id and score, higher is better.
        count: Of each; fewer where there are not twice as many images.
    """
    ids = scores.sort_values(["score", "id"], kind="stable")["id"].tolist()
    few = min(count, len(ids) // 2) or len(ids)
    return ids[:few] + (ids[: -few - 1 : -1] if few < len(ids) else [])


def draw_page(
    name: str,
    evaluation: Evaluation,
    ids: Sequence[str],
    predictions: Mapping[str, NDArray[np.float32]],
    rows: pd.DataFrame,
    card: Card,
    shards: Store,
) -> Pixels:
    """Return a page of these images with their truth, prediction and score.

    Args:
        name: Of the competition.
        evaluation: For its metrics, scores and threshold.
        ids: Which images, in order; see `select`.
        predictions: By id: (K, H, W) probabilities for masks, else (K,).
        rows: The training rows of the index, numbered as the store's.
        card: What the targets are.
        shards: The training part.
    """
    score_of = evaluation.per_image.set_index("id")["score"]
    number_of = {image_id: number for number, image_id in enumerate(shards.ids)}
    decision, has_masks = evaluation.decision, card.task == "segmentation"
    has_panels = has_masks and card.planes > 1
    tiles, captions, colours = [], [], []
    for image_id in ids:
        number = number_of[image_id]
        prediction = decision.calibrated(card.task, predictions[image_id][None])[0]
        tile, caption, colour = _tile(shards, number, rows, card, prediction, decision)
        tiles.append(tile)
        captions.append(f"{image_id}\n{caption or f'{score_of[image_id]:.4f}'}")
        colours.append(colour)
    figures = [
        f"{key.replace('_', ' ')} {value:.4f}"
        for key, value in evaluation.metrics.items()
        if isinstance(value, float)
    ]
    return sheets.grid(
        tiles,
        captions,
        columns=PANEL_COLUMNS if has_panels else COLUMNS,
        title=f"{name}: the worst, then the best",
        text=[" · ".join(figures[:FIGURES]), *_explanation(card)],
        legend=_legend(card) if has_masks else (),
        marks=colours,
    )


def _explanation(card: Card) -> list[str]:
    if card.task == "multilabel":
        return [SIGNS]
    return [PANELS] if card.task == "segmentation" and card.planes > 1 else []


def _legend(card: Card) -> tuple[tuple[str, sheets.Colour], ...]:
    if card.planes == 1:
        return sheets.COMPARE_LEGEND
    return (*class_legend(card.targets), *ERRORS_LEGEND)


def _tile(
    shards: Store,
    number: int,
    rows: pd.DataFrame,
    card: Card,
    prediction: NDArray[np.float32],
    decision: Decision,
) -> tuple[Pixels, str, sheets.Colour | None]:
    """Return an image, a caption of its prediction, and the colour of right or wrong."""
    image = shards.image(number)
    if card.task == "segmentation":
        mask = shards.mask(number)
        assert mask is not None, "a training row without a mask is refused by the index"
        classes = MaskClasses(card.exclusive, card.background)
        answer = classes.decode(prediction, decision.threshold_array(card.planes))
        return mask_panels(image, mask, answer), "", None
    truth: Any = rows.loc[number, list(card.targets)].to_numpy(np.float64)
    truth = int(truth[0]) if card.task == "multiclass" and not card.soft else truth
    names = card.shown
    caption, is_right = answer_caption(_decoder(card.task, decision), truth, prediction, names)
    return image, caption, sheets.ANSWER_MARKS[is_right]


def _decoder(task: str, decision: Decision) -> Decoder:
    """Return what makes answers as was decided; numbers stay as they are, which say more."""
    if task == "regression":
        return decode_value
    return lambda predictions, _: decision.answers(task, predictions)
