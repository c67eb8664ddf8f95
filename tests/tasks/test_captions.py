"""What the captions say, and that the same images are drawn every epoch."""

import numpy as np
import pytest

from darkroom.images import sheets
from darkroom.tasks.captions import describe
from darkroom.tasks.table import TASKS

NAMES = ("Hat", "Smiling", "Young")


@pytest.mark.parametrize(
    ("task", "truth", "found", "line", "colour"),
    [
        ("multiclass", 1, (0.1, 0.9, 0.0), "Smiling 90%", sheets.RIGHT),
        ("multiclass", 2, (0.1, 0.9, 0.0), "Smiling 90%, is Young", sheets.EXCESS),
        ("multilabel", (0, 1, 1), (0.1, 0.9, 0.8), "3 of 3 right", sheets.RIGHT),
        ("multilabel", (0, 1, 1), (0.7, 0.9, 0.2), "1 of 3: +Hat −Young", sheets.EXCESS),
        ("regression", (2.5, 1), (2.25, 1), "2.25 (is 2.5), 1 (is 1)", None),
    ],
)
def test_captions(task: str, truth: object, found: object, line: str, colour: object) -> None:
    values = np.array(found, np.float32)
    assert describe(TASKS[task], np.array(truth), values, NAMES) == (line, colour)


def test_numbers_stand_for_missing_names() -> None:
    found = np.array([0.0, 1.0], np.float32)
    assert describe(TASKS["multiclass"], np.array(0), found, ())[0] == "1 100%, is 0"


def test_the_threshold_decides() -> None:
    found = np.array([0.4, 0.4], np.float32)
    truth = np.array([1, 1])
    assert describe(TASKS["multilabel"], truth, found, NAMES)[0] == "0 of 2: −Hat −Smiling"
    assert describe(TASKS["multilabel"], truth, found, NAMES, threshold=0.3)[0] == "2 of 2 right"
