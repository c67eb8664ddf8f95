"""The data section: what separates cells, empty masks, empty lists, and keys that are gone."""

import pytest
from pydantic import ValidationError

from darkroom.params.data import Rows, RunLengths, TableFile


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", ":", "^", "§"])
def test_any_character_may_separate_cells(delimiter: str) -> None:
    assert TableFile(table="a.csv", delimiter=delimiter).delimiter == delimiter


@pytest.mark.parametrize("delimiter", ["\n", "\r", '"', "", ",,", "\0"])
def test_a_delimiter_is_one_visible_character(delimiter: str) -> None:
    with pytest.raises(ValidationError, match="delimiter"):
        TableFile(table="a.csv", delimiter=delimiter)


@pytest.mark.parametrize("empty", ["1 1", "\n", "x", "5 3 9 1"])
def test_the_cell_of_an_empty_mask_is_no_mask(empty: str) -> None:
    """`1 1` would make the masks of one pixel empty."""
    with pytest.raises(ValidationError, match="empty"):
        RunLengths.model_validate({"empty": empty})


@pytest.mark.parametrize(
    "rows", [{"image": []}, {"table": []}, {"mask": {}}, {"pixels": []}, {"where": {"x": []}}]
)
def test_a_list_of_nothing_is_refused(rows: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        Rows.model_validate(rows)
