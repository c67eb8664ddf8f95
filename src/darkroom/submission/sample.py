"""Hold the judge's sample submission against what will be written, before anything is decoded."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.raw.tables import Table
from darkroom.submission.cell_checks import Limits, cell_check, number_in
from darkroom.submission.form import Holds, cell_content, label_texts
from darkroom.tasks.metrics.specs import MetricSpec

_BLANK = ("", "nan", "null", "none")  # in lower case: there the sample says nothing
_NO_MASK = ("-1", "-", "1 0")  # they can mean nothing but an empty mask
_ANY_SIZE = (1 << 20, 1 << 20)
_FILLED = "or, if they only fill the column, write data.header in place of data.like"


def unlike_answers(card: Card, metric: MetricSpec, sample: Table, limits: Limits) -> int:
    """Return the number of the sample's answers if none is like what will be written, else 0.

    Args:
        card: Of the index.
        metric: What the judge counts.
        sample: The sample submission, under the card's header.
        limits: Of training.

    Raises:
        DataError: It holds numbers where labels would be written, words where numbers would be,
            or another text for an empty mask: the metric, or what texts mean, is another.
    """
    content = cell_content(card, metric)
    cells = cell_check(card, metric, [], replace(limits, sizes={"": _ANY_SIZE}))
    counts = _answers(card, sample)
    unlike = {key: n for key, n in counts.items() if cells.fault(1, "", "", key[1]) is not None}
    is_none_alike = len(unlike) == len(counts)
    texts = _texts(card, content, limits)
    for place, cell in unlike:
        if content == "runs":
            what = _empty_mask(card, cell)
        elif content in ("number", "probability"):
            what = _word(metric, cell)
        else:
            what = _number(metric, _words(card, content, cell), texts, is_alone=is_none_alike)
        if what is not None:
            raise DataError(
                f"column {card.header[place]} of the sample submission holds {what[0]}",
                file=sample.file,
                row=sample.lines[sample.column(card.header[place]).index(cell)],
                found=repr(cell),
                expected=f"such as {', '.join(texts)}"[:200] if texts else None,
                fix=what[1],
            )
    return sum(unlike.values()) if is_none_alike else 0


def _answers(card: Card, sample: Table) -> dict[tuple[int, str], int]:
    """Return how often each text that says something stands in each column of answers."""
    return {
        (place, cell): count
        for place in range(len(card.keys), len(card.header))
        for cell, count in Counter(sample.column(card.header[place])).items()
        if cell.strip().lower() not in _BLANK
    }


def _texts(card: Card, content: Holds, limits: Limits) -> Sequence[str]:
    """Return what a cell of labels may hold; () if it holds no labels."""
    match content:
        case "runs" | "number" | "probability":
            return ()
        case "flag":
            return card.label_values
        case "grade":
            return limits.grades
        case _:
            return label_texts(card)


def _words(card: Card, content: Holds, cell: str) -> list[str]:
    if content not in ("labels", "ranking", "scored label"):
        return [cell]
    words = cell.split(card.separator)
    return words[:1] if content == "scored label" else words


def _empty_mask(card: Card, cell: str) -> tuple[str, str] | None:
    text = cell.strip()
    if text not in _NO_MASK:
        return None
    what = f"{text!r} for an empty mask, and {card.runs.empty!r} would be written"
    return what, f'set data.runs.empty: "{text}"'


def _word(metric: MetricSpec, cell: str) -> tuple[str, str] | None:
    if not math.isnan(number_in(cell)):
        return None
    what = f"words, and {metric.name} is judged by {metric.writes}"
    return what, "set data.metric to what the judge counts, such as accuracy or macro_f1"


def _number(
    metric: MetricSpec, words: Sequence[str], texts: Sequence[str], *, is_alone: bool
) -> tuple[str, str] | None:
    """Return what is wrong with words of which each is a number that no label is.

    Args:
        metric: What the judge counts.
        words: Of an answer.
        texts: The labels.
        is_alone: Whether no answer of the sample is a label.
    """
    numbers = [number_in(word) for word in words]
    if not all(map(math.isfinite, numbers)):
        return None
    labels = [number for text in texts if math.isfinite(number := number_in(text))]
    if any(number % 1 for number in numbers) and not any(number % 1 for number in labels):
        what = f"fractions, and {metric.name} is judged by labels"
        return what, f"set data.metric to what the judge counts, such as log_loss; {_FILLED}"
    if is_alone and not labels:
        what = f"numbers, and {metric.name} is judged by labels, of which none is a number"
        return what, (
            "say the number of each label by data.values, such as {cat: 0, dog: 1}; or set "
            f"data.metric to what the judge counts, such as roc_auc; {_FILLED}"
        )
    return None
