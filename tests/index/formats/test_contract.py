import pytest

from darkroom.index.formats import contract
from darkroom.index.formats.contract import Competition


@pytest.mark.parametrize("name", ["carvana", "celeba", "banknotes", "csv"])
def test_every_format_is_found_by_its_name(name: str) -> None:
    competition = contract.load(name)
    assert isinstance(competition, Competition)
    assert competition.options.__module__ == f"darkroom.index.formats.{name}"


def test_an_unknown_format_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="'tiff' is not carvana, celeba, banknotes or csv"):
        contract.load("tiff")
