"""The section `preprocess`: what levels may be."""

from typing import Any

import pytest
from pydantic import ValidationError

from darkroom.params.preprocess import Preprocess

SIZE: dict[str, Any] = {"height": 8, "width": 8}


@pytest.mark.parametrize("levels", [None, "auto", [0, 4095], [-1000.0, 0.5]])
def test_levels_are_auto_or_two_rising_numbers(levels: Any) -> None:
    assert Preprocess(**SIZE, levels=levels).levels == levels


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([5, 5], "the first less than"),
        ([9, 1], "the first less than"),
        ([1], "at least 2"),
        ([1, 2, 3], "at most 2"),
        ("Auto", "auto"),
        ([0, float("inf")], "finite"),
        (["0", "9"], "valid number"),
    ],
)
def test_other_levels_are_refused(levels: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Preprocess(**SIZE, levels=levels)
