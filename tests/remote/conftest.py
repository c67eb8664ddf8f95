from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.download_rig import BODY, Rig
from tests.support.loopback import Kaggle


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Yield a file on a server, and a folder to download it into."""
    with Kaggle() as kaggle:
        rig = Rig(kaggle, tmp_path / "here")
        rig.serve(BODY)
        yield rig
        assert kaggle.unused_faults() == []
