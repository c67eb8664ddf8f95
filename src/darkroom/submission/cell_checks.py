"""What a value cell of a submission may hold, by what the metric wants to see."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd

from darkroom.index.card import Card
from darkroom.project.names import nearest_name
from darkroom.submission.form import Holds, cell_content, label_texts
from darkroom.submission.lines import Fault, quote
from darkroom.submission.mask_cells import MaskCells, Size
from darkroom.tasks.metrics.specs import MetricSpec

_NUMBER = re.compile(r"[+-]?(\d++\.?\d*+|\.\d++)([eE][+-]?\d++)?", re.ASCII)
_SHOWN_LABELS = 12
_MOST_HINTS = 20  # of a nearest label: of ten thousands it takes a tenth of a second
_MARGIN = 0.1  # of the range of training: a network may well go beyond it a little
_FEW = 10  # answers, which may well be alike
_SUM_TOLERANCE = 1e-3  # of a thousand classes, each rounded to six digits


@dataclass(frozen=True)
class Limits:
    """What answers are held against beside the card.

    Attributes:
        sizes: Masks: (height, width) of each id's image, px.
        grades: Regression that is judged by whole grades: their texts.
        empty_labels: Whether a training image may have no label at all.
        reach: Regression: the least and the greatest target of training.
    """

    sizes: Mapping[str, Size] = field(default_factory=dict)
    grades: Sequence[str] = ()
    empty_labels: bool = False
    reach: tuple[float, float] = (-math.inf, math.inf)


NO_LIMITS = Limits()


def training_limits(card: Card, content: Holds, rows: pd.DataFrame) -> Limits:
    """Return what the targets of training say of the answers; of masks nothing.

    Args:
        card: Of the index.
        content: Of the submission's cells.
        rows: Of the index.
    """
    if content not in ("grade", "labels", "number"):
        return NO_LIMITS
    is_train = (rows["part"] == "train").to_numpy()
    # Column by column: of thousands of labels a copy is larger than memory.
    columns = (rows[name].to_numpy(np.float64)[is_train] for name in card.targets)
    if content == "labels":
        has_label = np.zeros(int(is_train.sum()), bool)
        for column in columns:
            has_label |= column > 0.5  # as `evaluate` decides whether an image must have a label
        return Limits(empty_labels=not has_label.all())
    ends = [
        (np.nanmin(column), np.nanmax(column)) for column in columns if not np.isnan(column).all()
    ]
    low, high = float(min(ends)[0]), float(max(end[1] for end in ends))
    if content == "number":
        return Limits(reach=(low, high))
    return Limits(grades=tuple(map(str, range(int(low), int(high) + 1))))


class CellCheck(Protocol):
    """The check of one kind of cell."""

    def fault(self, row: int, key: str, image_id: str, value: str) -> str | None:
        """Return what is wrong with a cell."""

    def finish(self) -> Sequence[Fault]:
        """Return what is wrong with several cells together, after the last."""

    def facts(self) -> dict[str, float]:
        """Return figures of all cells."""

    def warnings(self) -> list[str]:
        """Return what is legal, and hardly meant."""


def cell_check(card: Card, metric: MetricSpec, ids: Sequence[str], limits: Limits) -> CellCheck:
    """Return the check of what a submission's cells hold.

    Raises:
        DataError: The card has no room for what the metric counts.
        ValueError: A size that the masks need is absent.
    """
    texts = label_texts(card)
    match content := cell_content(card, metric):
        case "runs":
            if card.runs.size is None and (name := _first_absent(ids, limits.sizes)) is not None:
                raise ValueError(f"no size is given for {name}")
            return MaskCells(card.runs, limits.sizes, metric.writes == "objects")
        case "number":
            return _Numbers(low=0 if metric.name == "rmsle" else -math.inf, reach=limits.reach)
        case "probability":
            return _Probabilities(exclusive=card.task == "multiclass")
        case "flag":
            one_of = card.label_values[1] if card.task == "multiclass" else None
            return _Words(card.label_values, one_of=one_of)
        case "class" | "grade":
            return _Words(texts if content == "class" else tuple(limits.grades))
        case "labels":
            least = 0 if limits.empty_labels else 1
            return _Words(texts, card.separator, least, len(texts))
        case "ranking":
            return _Words(texts, card.separator, most=metric.top)
        case "scored label":
            # Who sees nothing to name may leave a cell empty: Google Landmark Recognition says so.
            return _Words(texts, card.separator, least=0, scored=True)


def _first_absent(names: Sequence[str], sizes: Mapping[str, Size]) -> str | None:
    return next((name for name in names if name not in sizes), None)


@dataclass
class _Words:
    """Cells of one label, or of several.

    Attributes:
        labels: Those allowed.
        separator: Between several; None: a cell is one label.
        least: How many there must be.
        most: How many there may be.
        scored: Whether a label's score stands behind it.
        one_of: Of flags, a cell a class: the text of which an image has exactly one.
    """

    labels: tuple[str, ...]
    separator: str | None = None
    least: int = 1
    most: int = 1
    scored: bool = False
    one_of: str | None = None
    counts: Counter[str] = field(default_factory=Counter)
    first_row: dict[str, int] = field(default_factory=dict)
    class_counts: Counter[str] = field(default_factory=Counter)
    hints: int = 0

    def __post_init__(self) -> None:
        self._allowed = frozenset(self.labels)

    def fault(self, row: int, key: str, image_id: str, value: str) -> str | None:  # noqa: ARG002
        words = self._split(value)
        fault = self._fault(words)
        if fault is None:
            self.counts.update(words[:1] if self.scored else words)
        if self.one_of is not None:
            self.first_row.setdefault(image_id, row)
            self.class_counts[image_id] += value == self.one_of
        return fault

    def finish(self) -> Sequence[Fault]:
        """Return a fault for each image that is not of exactly one class."""
        return [
            Fault(row, f"{quote(name)} is of {self.class_counts[name]} classes, expected one")
            for name, row in self.first_row.items()
            if self.class_counts[name] != 1
        ]

    def facts(self) -> dict[str, float]:
        total = self.counts.total()
        if len(self.labels) > _SHOWN_LABELS:
            return {"different labels": len(self.counts)} if total else {}
        return {f"share of {text}": self.counts[text] / total for text in self.labels if total}

    def warnings(self) -> list[str]:
        if len(self.counts) != 1 or self.counts.total() < _FEW:
            return []
        return [f"every answer is {quote(*self.counts)}"]

    def _split(self, value: str) -> list[str]:
        if self.separator is None:
            return [value]
        if not self.separator.strip():
            return value.split()
        return value.split(self.separator) if value else []

    def _fault(self, words: list[str]) -> str | None:
        labels = words
        if self.scored and words:
            if len(words) != 2:
                return f"{len(words)} words, expected a label and its score"
            labels = words[:1]
            if not math.isfinite(number_in(words[1])):
                return f"the score {quote(words[1])} is not a finite number"
        for word in labels:
            if word not in self._allowed:
                return f"{quote(word)} is not one of {self._expected(word)}"
        if twice := next((word for word, count in Counter(labels).items() if count > 1), None):
            return f"{quote(twice)} stands in it twice"
        if len(labels) < self.least:
            return "no label, expected at least one"
        if len(labels) > self.most:
            return f"{len(labels)} labels, expected at most {self.most}"
        return None

    def _expected(self, word: str) -> str:
        if len(self.labels) <= _SHOWN_LABELS:
            return quote(", ".join(self.labels))
        if self.hints >= _MOST_HINTS:
            return f"the {len(self.labels)} labels"
        self.hints += 1
        near = nearest_name(word, self.labels)
        return f"the {len(self.labels)} labels; did you mean {quote(near or '')}?"


@dataclass
class _Numbers:
    """Cells of a finite number from `low` to `high`; those far outside of `reach` are counted."""

    low: float = -math.inf
    high: float = math.inf
    reach: tuple[float, float] = (-math.inf, math.inf)
    least: float = math.inf
    greatest: float = -math.inf
    total: float = 0.0
    count: int = 0
    beyond: int = 0

    def fault(self, row: int, key: str, image_id: str, value: str) -> str | None:  # noqa: ARG002
        number = number_in(value)
        legal = math.isfinite(number) and self.low <= number <= self.high
        if not legal:
            return f"{quote(value)} is not {self._expected()}"
        self._add(image_id, number)
        return None

    def _add(self, image_id: str, number: float) -> None:  # noqa: ARG002
        self.least, self.greatest = min(self.least, number), max(self.greatest, number)
        low, high = self.reach
        self.beyond += max(low - number, number - high) > _MARGIN * (high - low)
        self.total += number
        self.count += 1

    def finish(self) -> Sequence[Fault]:
        return ()

    def facts(self) -> dict[str, float]:
        return {"least": self.least, "greatest": self.greatest} if self.count else {}

    def warnings(self) -> list[str]:
        warnings = []
        if self.count >= _FEW and self.least == self.greatest:
            warnings.append(f"every answer is {self.least:g}")
        if self.beyond:
            low, high = self.reach
            what = "1 number is" if self.beyond == 1 else f"{self.beyond} numbers are"
            warnings.append(f"{what} far from those of training, {low:g} to {high:g}")
        return warnings

    def _expected(self) -> str:
        return "a finite number" if self.low < 0 else "a finite number of 0 or more"


@dataclass
class _Probabilities(_Numbers):
    """Cells of a probability.

    Attributes:
        exclusive: Whether they are those of classes, which sum to 1 for an image.
        sums: By image, if so.
        whole: The number of cells that are 0 or 1.
    """

    low: float = 0.0
    high: float = 1.0
    exclusive: bool = False
    sums: dict[str, float] = field(default_factory=dict)
    whole: int = 0

    def _add(self, image_id: str, number: float) -> None:
        super()._add(image_id, number)
        self.whole += number in (0, 1)
        if self.exclusive:
            self.sums[image_id] = self.sums.get(image_id, 0) + number

    def facts(self) -> dict[str, float]:
        if not self.count:
            return {}
        mean = self.total / self.count
        return {"least": self.least, "mean": mean, "greatest": self.greatest}

    def warnings(self) -> list[str]:
        warnings = super().warnings()
        if self.count and self.whole == self.count:
            warnings.append("every cell is 0 or 1: answers, where probabilities are judged")
        if odd := sum(abs(total - 1) > _SUM_TOLERANCE for total in self.sums.values()):
            what = "1 image has" if odd == 1 else f"{odd} images have"
            warnings.append(
                f"{what} probabilities that do not sum to 1: some judges rescale them, "
                "others refuse them"
            )
        return warnings

    def _expected(self) -> str:
        return "a probability, 0 to 1"


def number_in(text: str) -> float:
    """Return the number that a text holds, blanks around it left out; NaN if it is none.

    Example:
        >>> number_in(" 3e2"), number_in("1_000")
        (300.0, nan)
    """
    text = text.strip(" ")
    return float(text) if _NUMBER.fullmatch(text) else math.nan
