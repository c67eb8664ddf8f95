"""The judge's sample submission against what will be written: metric and texts must agree."""

from typing import Any

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


def of_classes(*classes: str) -> Card:
    return Card("multiclass", ("y",), classes, header=HEADER)


def of_masks(**runs: Any) -> Card:
    return Card("segmentation", header=HEADER, runs=Runs(**runs))


@pytest.mark.parametrize(
    ("card", "metric", "cell", "expected"),
    [
        pytest.param(of_classes("0", "1"), "accuracy", "0", 0, id="Digit Recognizer"),
        pytest.param(of_classes("71", "72"), "accuracy", " 71 108 339", 1, id="iNaturalist 2019"),
        pytest.param(of_classes("blast", "hispa"), "accuracy", "", 0, id="Paddy"),
        pytest.param(of_classes("1", "7"), "gap", "137790 0.1", 1, id="Landmarks 2020"),
        pytest.param(of_classes("new_whale", "w_1"), "map@5", "new_whale w_1", 0, id="Humpback"),
        pytest.param(of_classes("0", "1", "2"), "quadratic_kappa", "0", 0, id="APTOS"),
        pytest.param(WEIGHT, "quadratic_kappa", "0", 0, id="APTOS, as numbers"),
        pytest.param(WEIGHT, "rmse", "43.48", 0, id="Pawpularity"),
        pytest.param(Card("binary", ("y",), header=HEADER), "roc_auc", "0", 0, id="Melanoma"),
        pytest.param(
            Card("multilabel", ("0", "1", "2"), header=HEADER), "samples_f2", "0 1 2", 0, id="iMet"
        ),
        pytest.param(of_masks(), "f2_iou", "1 2", 0, id="Airbus"),
        pytest.param(of_masks(), "dice", "1 409600", 0, id="Severstal"),
        pytest.param(of_masks(), "dice", "", 0, id="HuBMAP"),
        pytest.param(of_masks(empty="-"), "global_dice", "-", 0, id="Contrails"),
        pytest.param(
            of_masks(empty="-1", relative=True, start=0), "dice", " -1", 0, id="Pneumothorax"
        ),
    ],
)
def test_what_real_samples_hold_is_not_refused(
    card: Card, metric: str, cell: str, expected: int
) -> None:
    assert count(card, metric, [cell]) == expected
