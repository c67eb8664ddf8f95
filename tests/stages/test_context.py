"""What every stage is given."""

from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.stages._context import require


def test_an_earlier_output_is_required(tmp_path: Path) -> None:
    assert require(tmp_path, "index", "cars") == tmp_path
    with pytest.raises(ArtifactError) as caught:
        require(tmp_path / "x.csv", "index", "cars")
    expected = f"{tmp_path}/x.csv: it is not there\n  to do: run `dvc repro index@cars` first"
    assert str(caught.value) == expected
