from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import Kaggle
from tests.remote.rig import BODY, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Kaggle() as kaggle:
        rig = Rig(kaggle, tmp_path / "here")
        rig.serve(BODY)
        yield rig
        assert kaggle.unplayed() == []
