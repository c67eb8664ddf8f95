"""The data section: what separates cells, and keys that are gone."""

import pytest
from pydantic import ValidationError

from darkroom.params.data import TableFile


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", ":", "^", "§"])
def test_any_character_may_separate_cells(delimiter: str) -> None:
    assert TableFile(table="a.csv", delimiter=delimiter).delimiter == delimiter


@pytest.mark.parametrize("delimiter", ["\n", "\r", '"', "", ",,", "\0"])
def test_a_delimiter_is_one_visible_character(delimiter: str) -> None:
    with pytest.raises(ValidationError, match="delimiter"):
        TableFile(table="a.csv", delimiter=delimiter)
