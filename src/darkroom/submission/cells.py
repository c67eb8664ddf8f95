"""Turn predictions into the rows of a submission: its keys, then what the metric wants to see.

An image has one row; or one for each label, all of them together; or one for each object, and at
least one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.images.geometry import Fit
from darkroom.index.card import Card, answer_columns
from darkroom.prediction.decision import Decision
from darkroom.prediction.predictions import Prediction
from darkroom.project.processes import MOST_AT_FULL_SIZE, cores, map_ahead
from darkroom.submission.form import cell_content, key_cells, label_texts, row_labels
from darkroom.submission.masks import Floats, Sizes, plane_encoder
from darkroom.submission.writer import Writer
from darkroom.tasks.answers import normalised_shares
from darkroom.tasks.metrics.probabilities import ranked
from darkroom.tasks.metrics.specs import MetricSpec, get_metric

Rows = list[list[str]]
RowEncoder = Callable[[Sequence[str], Floats, Sizes], Iterator[Rows]]
"""(ids, a batch of predictions, the originals' heights and widths) -> the rows of each image."""
Texts = Callable[[Floats], Iterable[Sequence[str]]]
"""(predictions (N, K)) -> the cells of each image: one an output, or a single one."""


def row_encoder(card: Card, metric: MetricSpec, decision: Decision, fit: Fit) -> RowEncoder:
    """Return the function that turns a batch of predictions into rows.

    Args:
        card: The task, and the form that the competition expects.
        metric: What the judge counts decides what cells hold.
        decision: How probabilities become answers.
        fit: How the images were fitted to the stored size, to undo it for masks.

    Raises:
        DataError: The header does not have the names of the targets, or no room for the answers.
    """
    content = cell_content(card, metric)
    if content == "runs":
        objects = metric.writes == "objects"
        encode = plane_encoder(card, decision, fit, objects=objects)
        return partial(_mask_rows, card=card, encode=encode)
    texts: Texts
    match content:
        case "probability" if card.task == "multiclass":
            texts = _shares
        case "probability" | "number":
            texts = _numbers
        case "ranking" | "scored label":
            scored = content == "scored label"
            texts = partial(_rankings, card=card, top=metric.top, scored=scored)
        case _:
            answers = partial(decision.answers, card.task)
            texts = partial(_answers, card=card, content=content, answers=answers)
    return partial(_label_rows, card=card, texts=texts, columns=answer_columns(card))


def write_rows(
    writer: Writer,
    predictions: Iterable[Prediction],
    card: Card,
    decision: Decision,
    fit: Fit,
    progress: Callable[[int], object],
) -> int:
    """Write the rows of averaged predictions; return how many numbers had to change to be legal.

    Args:
        writer: Of the submission.
        predictions: Of the test images, in their order, at the decision's temperature.
        card: The task, and the form that the competition expects.
        decision: How probabilities become answers.
        fit: How the images were fitted to the stored size.
        progress: Called with the number of images written, as they are.

    Raises:
        DataError: See `row_encoder`.
    """
    metric = get_metric(card.metric, card.task)
    to_rows = row_encoder(card, metric, decision, fit)
    changed = 0

    def batches() -> Iterator[Prediction]:
        nonlocal changed
        for ids, values, originals in predictions:
            legal, illegal = legal_values(values, metric)
            changed += illegal
            yield from _pieces(
                Prediction(ids, legal, originals), is_mask=card.task == "segmentation"
            )

    def encode(batch: Prediction) -> tuple[int, bytes]:
        sizes = [(int(h), int(w)) for h, w in batch.originals]
        rows = to_rows(batch.ids, batch.probabilities, sizes)
        return len(batch.ids), writer.lines(row for some in rows for row in some)

    threads = min(cores(), MOST_AT_FULL_SIZE)
    for images, lines in map_ahead(encode, batches(), 2 * threads, threads=threads):
        writer.write_lines(lines, images)
        progress(images)
    return changed


def _pieces(batch: Prediction, *, is_mask: bool) -> Iterator[Prediction]:
    """Yield what a thread encodes at a time: a mask, whose arrays are large, or a whole batch."""
    ids, values, originals = batch
    step = 1 if is_mask else max(1, len(ids))
    for start in range(0, len(ids), step):
        part = slice(start, start + step)
        yield Prediction(ids[part], values[part], originals[part])


def legal_values(values: Floats, metric: MetricSpec) -> tuple[Floats, int]:
    """Return values that the judge takes, and how many had to change for it.

    RMSLE is not defined for numbers of -1 or less, and judges refuse those below 0: 0 is written
    instead, as `evaluate` scores it.
    """
    if metric.name != "rmsle":
        return values, 0
    return np.maximum(values, np.float32(0)), int(np.count_nonzero(values < 0))


def _label_rows(
    ids: Sequence[str],
    predictions: Floats,
    _originals: Sizes,
    *,
    card: Card,
    texts: Texts,
    columns: Sequence[int],
) -> Iterator[Rows]:
    """Yield the rows of each image of predictions (N, K)."""
    labels = row_labels(card)
    for image_id, cells in zip(ids, texts(predictions), strict=True):
        if card.long:
            pairs = zip(labels, cells, strict=True)
            yield [[*key_cells(card, image_id, label), cell] for label, cell in pairs]
        else:
            yield [[*key_cells(card, image_id), *[cells[column] for column in columns]]]


def _mask_rows(
    ids: Sequence[str],
    probabilities: Floats,
    originals: Sizes,
    *,
    card: Card,
    encode: Callable[[Floats, Sizes], Iterator[list[list[str]]]],
) -> Iterator[Rows]:
    """Yield the rows of each image of probabilities (N, K, h, w)."""
    labels, columns = row_labels(card), answer_columns(card)
    for image_id, planes in zip(ids, encode(probabilities, originals), strict=True):
        if card.long:
            yield [
                [*key_cells(card, image_id, label), text]
                for label, texts in zip(labels, planes, strict=True)
                for text in texts
            ]
        elif len(columns) == 1:
            yield [[*key_cells(card, image_id), text] for text in planes[0]]
        else:
            yield [[*key_cells(card, image_id), *[planes[column][0] for column in columns]]]


def _answers(
    predictions: Floats,
    *,
    card: Card,
    content: str,
    answers: Callable[[Floats], NDArray[Any]],
) -> Iterator[Sequence[str]]:
    """Yield label texts: of one class, of several labels in a cell, or of yes and no."""
    rows = answers(predictions)
    texts, (absent, present) = label_texts(card), card.label_values
    if card.task == "multiclass" and content == "flag":
        rows = rows[:, None] == np.arange(len(texts))
    for values in rows:
        match content:
            case "class":
                yield [texts[values]]
            case "grade":
                yield [str(int(np.rint(value))) for value in np.atleast_1d(values)]
            case "labels":
                yield [card.separator.join(texts[k] for k in np.flatnonzero(values))]
            case _:
                yield [present if value else absent for value in values]


def _rankings(
    probabilities: Floats, *, card: Card, top: int, scored: bool
) -> Iterator[Sequence[str]]:
    """Yield the best labels, best first; or the best one and its probability."""
    texts = label_texts(card)
    best = ranked(probabilities, top)
    for numbers, row in zip(best, probabilities, strict=True):
        words = [texts[k] for k in numbers]
        if scored:
            words.append(_decimal(row[numbers[0]]))
        yield [card.separator.join(words)]


def _shares(probabilities: Floats) -> Iterator[Sequence[str]]:
    """Yield probabilities (N, K) that sum to 1 as they are written: some judges demand it."""
    return _numbers(normalised_shares(probabilities))


def _numbers(values: Floats) -> Iterator[Sequence[str]]:
    """Yield values (N, K) as text that reads back to the same float32."""
    for row in values:
        yield [_decimal(value) for value in row]


def _decimal(value: np.float32) -> str:
    return np.format_float_positional(value, trim="-")
