"""What earlier stages wrote is read together: shards of another index are refused."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from darkroom.errors import ArtifactError
from darkroom.index.table import read_index
from darkroom.project.paths import Layout
from darkroom.stages._inputs import read_part
from tests.support import tiny
from tests.support.damage import Project

PATHS = Layout(tiny.NAME)


@pytest.mark.parametrize("part", ["train", "test"])
def test_rows_are_those_of_the_shards(project: Project, part: str) -> None:
    project("masks")
    store, rows = read_part(PATHS, read_index(PATHS.index, PATHS.card), part)
    assert store.ids == rows["id"].tolist()
    assert rows.index.tolist() == list(range(len(store)))


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("change", [lambda rows: rows[::-1], lambda rows: rows.drop([0, 20])])
def test_shards_of_another_index_are_refused(
    project: Project, part: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    project("masks")
    index = read_index(PATHS.index, PATHS.card)
    other = replace(index, rows=change(index.rows))
    with pytest.raises(ArtifactError, match=f"its {part} images are not those of the index"):
        read_part(PATHS, other, part)
