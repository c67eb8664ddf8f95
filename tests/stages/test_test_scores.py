"""Scores of test images whose answers are known, of predictions that the submission would write."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from darkroom.index.card import Card
from darkroom.prediction.decision import Decision
from darkroom.prediction.predictions import Prediction
from darkroom.stages._submission import score_test


def test_each_network_gets_the_temperature_once() -> None:
    """Odds of 1:9 and 1:81 become 1:3 and 1:9; the mean of 3/4 and 9/10 is 0.825."""
    card = Card("binary", ("y",), metric="log_loss")
    index: Any = SimpleNamespace(card=card)
    rows = pd.DataFrame({"id": ["a", "b"], "y": [1.0, 0.0]})
    chances = [np.array([[p], [1 - p]], np.float32) for p in (9 / 10, 81 / 82)]
    sources = [[Prediction(["a", "b"], p, np.ones((2, 2), np.int64))] for p in chances]
    scores = score_test(index, rows, rows, Decision(0.5, temperature=2.0), sources, [])
    assert scores["log_loss"] == pytest.approx(-np.log(0.825))
    plain = score_test(index, rows, rows, Decision(0.5), sources, ["a"])
    assert plain["log_loss"] == pytest.approx(-np.log((9 / 10 + 81 / 82) / 2))
    assert (plain["accuracy"], plain["leaked_images"]) == (1, 1)
