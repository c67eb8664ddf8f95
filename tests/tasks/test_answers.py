"""Answers from probabilities, and their captions."""

import numpy as np
import pytest

from darkroom.tasks.answers import answer_caption
from darkroom.tasks.table import TASKS

NAMES = ("Hat", "Smiling", "Young")


@pytest.mark.parametrize(
    ("task", "truth", "scores", "line", "is_right"),
    [
        ("multiclass", 1, (0.1, 0.9, 0.0), "Smiling 90%", True),
        ("multiclass", 2, (0.1, 0.9, 0.0), "Smiling 90%, is Young", False),
        ("multilabel", (0, 1, 1), (0.1, 0.9, 0.8), "3 of 3 right", True),
        ("multilabel", (0, 1, 1), (0.7, 0.9, 0.2), "1 of 3: +Hat −Young", False),
        ("regression", (2.5, 1), (2.25, 1), "2.25 (is 2.5), 1 (is 1)", None),
    ],
)
def test_captions(task: str, truth: object, scores: object, line: str, is_right: object) -> None:
    values = np.array(scores, np.float32)
    caption = answer_caption(TASKS[task].decode, np.array(truth), values, NAMES)
    assert caption == (line, is_right)


def test_numbers_stand_for_missing_names() -> None:
    found = np.array([0.0, 1.0], np.float32)
    assert answer_caption(TASKS["multiclass"].decode, np.array(0), found, ())[0] == "1 100%, is 0"


def test_the_threshold_decides() -> None:
    row = TASKS["multilabel"].decode, np.array([1, 1]), np.array([0.4, 0.4], np.float32), NAMES
    assert answer_caption(*row)[0] == "0 of 2: −Hat −Smiling"
    assert answer_caption(*row, threshold=0.3)[0] == "2 of 2 right"


def test_decoding() -> None:
    found = np.array([[0.2, 0.5, 0.7]], np.float32)
    assert TASKS["multilabel"].decode(found, 0.5).tolist() == [[0, 0, 1]]
    assert TASKS["segmentation"].decode(found[None], 0.3).tolist() == [[[0, 1, 1]]]
    assert TASKS["multiclass"].decode(found, 0.5).tolist() == [2]
    assert TASKS["regression"].decode(found, 0.5) is found
    assert TASKS["binary"].decode(found, 0.5).dtype == np.uint8
