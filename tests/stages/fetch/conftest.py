"""A server that plays Kaggle, a download cache of the test's own, a folder for a project."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.loopback import Kaggle


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.lead(monkeypatch)
        monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
        (tmp_path / "project").mkdir()
        monkeypatch.chdir(tmp_path / "project")
        yield server
        assert server.unplayed() == []
