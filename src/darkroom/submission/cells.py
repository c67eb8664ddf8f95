"""Encode predictions as the cells of a submission: run lengths, label texts or numbers."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.images.geometry import Fit, fit_placement
from darkroom.images.rle import Order
from darkroom.index.card import Card, answer_columns
from darkroom.submission.upsample import encode_probabilities
from darkroom.tasks.table import TASKS

Floats = NDArray[np.float32]
Cells = list[str]
CellEncoder = Callable[[Floats, Sequence[tuple[int, int]]], Iterator[Cells]]
"""(a batch of probabilities, the originals' heights and widths) -> cells, one list an image."""


def cell_encoder(card: Card, *, threshold: float, fit: Fit) -> CellEncoder:
    """Return the function that turns a batch of predictions into cells, the id left out.

    Args:
        card: The task, and the texts that the competition expects.
        threshold: A pixel or label is present if its probability is greater.
        fit: How the images were fitted to the stored size, to undo it for masks.

    Raises:
        DataError: The submission's header does not have the names of the targets.
    """
    if card.task == "segmentation":
        return partial(_masks, threshold=threshold, fit=fit, order=card.runs.order)
    if card.task == "multiclass":
        return partial(_labels, decode=_decoder(card, threshold), texts=card.classes)
    encode: CellEncoder = _numbers
    if card.task != "regression":
        encode = partial(_labels, decode=_decoder(card, threshold), texts=card.label_values)
    columns = answer_columns(card)
    return lambda values, originals: encode(values[:, columns], originals)


def _decoder(card: Card, threshold: float) -> Callable[[Floats], NDArray[Any]]:
    decode = TASKS[card.task].decode
    return lambda probabilities: decode(probabilities, threshold)


def _masks(
    probabilities: Floats,
    originals: Sequence[tuple[int, int]],
    *,
    threshold: float,
    fit: Fit,
    order: Order,
) -> Iterator[Cells]:
    """Yield the run lengths, at original size, of probabilities (N, K, H, W): K cells an image."""
    for planes, (height, width) in zip(probabilities, originals, strict=True):
        placement = fit_placement(height, width, planes.shape[1], planes.shape[2], fit)
        encode = partial(
            encode_probabilities,
            threshold=threshold,
            height=height,
            width=width,
            order=order,
            box=placement.source,
        )
        yield [encode(plane[placement.stored.slices]) for plane in planes]


def _labels(
    probabilities: Floats,
    _originals: Sequence[tuple[int, int]],
    *,
    decode: Callable[[Floats], NDArray[Any]],
    texts: Sequence[str],
) -> Iterator[Cells]:
    """Yield the label texts of probabilities (N, K): one class, or K times yes or no."""
    for numbers in decode(probabilities):
        yield [texts[number] for number in np.atleast_1d(numbers)]


def _numbers(values: Floats, _originals: Sequence[tuple[int, int]]) -> Iterator[Cells]:
    """Yield values (N, K) as text that reads back to the same float32."""
    for row in values:
        yield [np.format_float_positional(value, trim="-") for value in row]
