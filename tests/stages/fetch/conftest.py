"""A server that plays Kaggle, and a download cache of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import Kaggle


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.lead(monkeypatch)
        monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
        yield server
