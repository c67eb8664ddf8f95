"""A server that imitates Kaggle, a download cache, a project's folder, and no waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.remote.retry import RetryPolicy
from darkroom.stages import fetch
from tests.support.loopback import Kaggle


@pytest.fixture
def kaggle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kaggle]:
    with Kaggle() as server:
        server.redirect_clients(monkeypatch)
        monkeypatch.setenv("DARKROOM_CACHE", str(tmp_path / "cache"))
        without_waits = {"policy": RetryPolicy(sleep=lambda _: None)}
        monkeypatch.setattr(fetch.run, "__kwdefaults__", without_waits)
        (tmp_path / "project").mkdir()
        monkeypatch.chdir(tmp_path / "project")
        yield server
        assert server.unused_faults() == []
