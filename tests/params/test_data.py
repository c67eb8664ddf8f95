"""The data section: what separates cells, and which rows are left out."""

import pytest
from pydantic import ValidationError

from darkroom.params.data import CsvData

TABLE = {"table": "a.csv", "image": 0, "targets": [1]}
DATA = {
    "format": "csv",
    "source": "raw",
    "task": "regression",
    "train": TABLE,
    "test": TABLE,
    "header": ["id", "y"],
}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " ", ":", "^", "§"])
def test_any_character_may_separate_cells(delimiter: str) -> None:
    assert CsvData.model_validate(DATA | {"delimiter": delimiter}).delimiter == delimiter


@pytest.mark.parametrize("delimiter", ["\n", "\r", '"', "", ",,", "\0"])
def test_a_delimiter_is_one_visible_character(delimiter: str) -> None:
    with pytest.raises(ValidationError, match="delimiter"):
        CsvData.model_validate(DATA | {"delimiter": delimiter})
