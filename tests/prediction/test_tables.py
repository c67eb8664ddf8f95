"""Tables for people: what a spreadsheet would run is text, and numbers are numbers."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.prediction.tables import as_csv


@pytest.mark.parametrize("cell", ['=HYPERLINK("http://x","y")', "+1+1", "@SUM(A1)", "-a", "--1"])
def test_a_formula_becomes_text(cell: str) -> None:
    text = as_csv(pd.DataFrame({"id": [cell, "b"], "dice": [0.5, -1.0]}))
    back = pd.read_csv(io.StringIO(text))
    assert back["id"].tolist() == [f"'{cell}", "b"]
    assert back["dice"].tolist() == [0.5, -1.0]
    assert as_csv(pd.DataFrame({cell: [1]})).startswith(("'", "\"'"))


@pytest.mark.parametrize("cell", ["-1", "+1.5", "-1e5", "a=b", "", "a-b", "1"])
def test_other_texts_stay(cell: str) -> None:
    assert as_csv(pd.DataFrame({"id": [cell]}, dtype="str")).split("\n")[1] in (cell, '""')


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r"), min_size=1)))
def test_no_text_begins_as_a_formula(cells: list[str]) -> None:
    text = as_csv(pd.DataFrame({"id": cells, "n": 1}, dtype=object))
    back = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)["id"]
    assert len(back) == len(cells)
    for cell, old in zip(back, cells, strict=True):
        assert cell in (old, f"'{old}")
        assert cell[0] not in "=@\t"
