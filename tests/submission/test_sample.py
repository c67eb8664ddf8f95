"""The judge's sample submission against what will be written: metric and texts must agree."""

import pytest

from darkroom.errors import DataError
from darkroom.images.rle import Runs
from darkroom.index.card import Card
from darkroom.raw.tables import Table
from darkroom.submission.cell_checks import Limits
from darkroom.submission.sample import unlike_answers
from darkroom.tasks.metrics.specs import get_metric

HEADER = ("id", "y")
ANIMALS = Card("multiclass", ("y",), ("cat", "dog"), header=HEADER)
NUMBERED = Card("multiclass", ("y",), ("1", "2"), header=HEADER)
COLUMNS = Card("multiclass", ("y",), ("cat", "dog"), header=("id", "cat", "dog"))
VERSIONS = Card("multiclass", ("y",), ("1.5", "2.5"), header=HEADER)
PAIR = Card("binary", ("y",), header=HEADER, label_values=("cat", "dog"))
TAGS = Card("multilabel", ("hat", "tie"), header=HEADER)
FLAGS = Card("multilabel", ("hat", "tie"), header=("id", "hat", "tie"))
DIGITS = Card("multilabel", ("0", "1"), header=("id", "0", "1"))  # a column 1 at position 2
WEIGHT = Card("regression", ("y",), header=HEADER)
MASKS = Card("segmentation", header=HEADER, runs=Runs(empty="-1"))


def count(card: Card, metric: str, cells: list[str]) -> int:
    """Return the count for a sample that has these cells, rows of values parted by a bar."""
    rows = [[str(row), *cell.split("|")] for row, cell in enumerate(cells)]
    table = Table("sample.csv", card.header, rows, list(range(2, 2 + len(rows))))
    limits = Limits(grades=("0", "1", "2"))
    return unlike_answers(card, get_metric(metric, card.task), table, limits)


@pytest.mark.parametrize(
    ("card", "metric", "cells", "expected"),
    [
        (ANIMALS, "accuracy", ["cat", "cat"], 0),
        (ANIMALS, "accuracy", ["cat", "?"], 0),  # it has a label that training lacks
        (ANIMALS, "accuracy", ["?", "x", ""], 2),
        (ANIMALS, "accuracy", ["", "NaN"], 0),  # it says nothing
        (ANIMALS, "accuracy", ["cat", "7"], 0),
        (ANIMALS, "map@2", ["dog cat", "dog"], 0),
        (ANIMALS, "gap", ["dog 0.5", ""], 0),
        (ANIMALS, "gap", ["x 0.5"], 1),
        (COLUMNS, "log_loss", ["0.5|0.5"], 0),
        (COLUMNS, "log_loss", ["50|50"], 2),
        (COLUMNS, "accuracy", ["0|1"], 0),
        (NUMBERED, "accuracy", ["0", "0"], 2),
        (NUMBERED, "accuracy", ["0", "1"], 0),
        (VERSIONS, "accuracy", ["0.5"], 1),
        (TAGS, "samples_f1", ["hat tie", "hat"], 0),
        (FLAGS, "samples_f1", ["0|0"], 0),
        (DIGITS, "macro_f1", ["0|1"], 0),
        (WEIGHT, "rmse", ["0.5"], 0),
        (WEIGHT, "quadratic_kappa", ["0"], 0),
        (WEIGHT, "quadratic_kappa", ["7"], 1),
        (MASKS, "dice", ["1 1"], 0),
        (MASKS, "dice", ["-1"], 0),
        (MASKS, "dice", ["0 1"], 1),
    ],
)
def test_answers_that_may_be_of_the_judges_own_kind_are_counted(
    card: Card, metric: str, cells: list[str], expected: int
) -> None:
    assert count(card, metric, cells) == expected


@pytest.mark.parametrize(
    ("card", "metric", "cells", "holds"),
    [
        (ANIMALS, "accuracy", ["0.5", "0.5"], "fractions, and accuracy is judged by labels"),
        (ANIMALS, "accuracy", ["cat", "0.5"], "fractions, and accuracy is judged by labels"),
        (ANIMALS, "accuracy", ["0", "1"], "numbers, and accuracy is judged by labels, of which"),
        (ANIMALS, "gap", ["0.5"], "fractions, and gap is judged by labels"),
        (ANIMALS, "map@2", ["0.5 0.25"], "fractions, and map@2 is judged by labels"),
        (NUMBERED, "accuracy", ["0.5"], "fractions, and accuracy is judged by labels"),
        (COLUMNS, "accuracy", ["0|1", "0.5|0.5"], "fractions, and accuracy is judged by labels"),
        (COLUMNS, "log_loss", ["cat|dog"], "words, and log_loss is judged by probabilities"),
        (PAIR, "f1", ["1"], "numbers, and f1 is judged by labels, of which none is a number"),
        (PAIR, "roc_auc", ["cat"], "words, and roc_auc is judged by probabilities"),
        (TAGS, "samples_f1", ["0.5"], "fractions, and samples_f1 is judged by labels"),
        (FLAGS, "samples_f1", ["0|0.5"], "fractions, and samples_f1 is judged by labels"),
        (WEIGHT, "rmse", ["high"], "words, and rmse is judged by values"),
        (WEIGHT, "quadratic_kappa", ["1.5"], "fractions, and quadratic_kappa is judged by labels"),
        (MASKS, "dice", ["1 0"], "'1 0' for an empty mask, and '-1' would be written"),
    ],
)
def test_a_sample_of_another_kind_is_refused(
    card: Card, metric: str, cells: list[str], holds: str
) -> None:
    with pytest.raises(DataError) as caught:
        count(card, metric, cells)
    assert f"of the sample submission holds {holds}" in str(caught.value)
    assert str(caught.value).startswith("sample.csv, row ")
