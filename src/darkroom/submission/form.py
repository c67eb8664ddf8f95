"""The form of a submission: the keys of a row, the texts of labels, what a cell holds."""

import re
from typing import Literal

from darkroom.errors import DataError
from darkroom.index.card import TAKEN_SUFFIX, Card, counted
from darkroom.index.table import RESERVED_NAMES
from darkroom.params.section import ID_KEY, LABEL_KEY
from darkroom.tasks.metrics.specs import MetricSpec

_FIELD = re.compile(f"({re.escape(ID_KEY)}|{re.escape(LABEL_KEY)})")
Holds = Literal[
    "class", "flag", "labels", "grade", "ranking", "scored label", "number", "probability", "runs"
]
"""What a value cell holds: a class; whether a label is there; several labels; a whole number; the
best labels; the best one and its probability; a number; a probability; run lengths."""


def label_texts(card: Card) -> tuple[str, ...]:
    """Return the outputs' names as the submission writes them.

    Example:
        >>> label_texts(Card("multilabel", ("hat", "mask_target")))
        ('hat', 'mask')
    """
    if card.task == "multiclass" and not card.soft:
        return card.classes
    names = {f"{name}{TAKEN_SUFFIX}": name for name in RESERVED_NAMES}
    return tuple(names.get(name, name) for name in card.targets)


def row_labels(card: Card) -> tuple[str, ...]:
    """Return the label of each row of an image: one "" unless there is a row a label."""
    return label_texts(card) if card.long else ("",)


def key_cells(card: Card, image_id: str, label: str = "") -> list[str]:
    """Return the key cells of a row.

    Example:
        >>> card = Card("segmentation", ("fish", "sugar"), keys=("{id}_{label}",))
        >>> key_cells(card, "0.jpg", "fish")
        ['0.jpg_fish']
    """
    if card.keys == (ID_KEY,):
        return [image_id]
    texts = {ID_KEY: image_id, LABEL_KEY: label}
    # Split, not replaced twice: an id may hold "{label}".
    return ["".join(texts.get(part, part) for part in _FIELD.split(key)) for key in card.keys]


def cell_content(card: Card, metric: MetricSpec) -> Holds:
    """Return what each value cell of a submission holds.

    Raises:
        DataError: The header has no room for what the metric wants to see; the keys name a label
            and there is none; or several labels share a cell, and one holds what separates them.
    """
    if card.long and not card.outputs:
        raise DataError(
            f"the keys of the submission have {LABEL_KEY}, and a single mask class has no name",
            found=counted(card.keys),
            expected=f"{ID_KEY} alone",
            fix=f"write what stands for the class, such as {ID_KEY}_1, in data.row",
        )
    content = _content(card, metric)
    if content in ("labels", "ranking", "scored label"):
        _refuse_separators(card)
    return content


def _content(card: Card, metric: MetricSpec) -> Holds:
    columns = len(card.answers)
    each = card.long or columns == len(card.outputs)  # a cell for each output
    several = f"a column for each of {counted(card.outputs)}, or a row: keys with {LABEL_KEY}"
    match metric.writes:
        case "masks" | "objects":
            if metric.writes == "objects" and columns > 1:
                raise _no_room(card, metric, "one column of run lengths")
            return "runs"
        case "values":
            return "number"
        case "ranking" | "scored_label":
            if card.long or columns > 1:
                raise _no_room(card, metric, "one column, a row an image")
            return "ranking" if metric.writes == "ranking" else "scored label"
        case "probabilities":
            if not each and card.task != "binary":
                raise _no_room(card, metric, several)
            return "probability"
    if card.task == "regression":
        return "grade"
    if card.task == "multiclass":
        return "flag" if each else "class"
    return "flag" if each else "labels"


def _refuse_separators(card: Card) -> None:
    separator = card.separator
    odd = [text for text in label_texts(card) if separator in text or not text.strip()]
    if odd:
        raise DataError(
            "a label holds what separates labels in a cell of the submission",
            found=repr(odd[0]),
            expected=f"labels without {separator!r}",
            fix="set data.separator to what the judge has between labels, or rename the label",
        )


def _no_room(card: Card, metric: MetricSpec, expected: str) -> DataError:
    return DataError(
        f"the submission's header has no room for what {metric.name} counts",
        found=counted(card.header),
        expected=expected,
        fix="with two classes, task: binary writes the probability of the second"
        if metric.writes == "probabilities" and len(card.outputs) == 2
        else f"write the header that the judge wants in data.header or data.like; {metric.name} "
        f"is judged by {metric.writes}",
    )
