from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny


@pytest.fixture
def ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function of a kind of project that makes one, ready to be trained."""

    def make(kind: str, **sections: Any) -> Path:
        root = tiny.project(tmp_path / kind, kind, **sections)
        monkeypatch.chdir(root)
        tiny.run("fetch", "index", "split", "preprocess")
        return root

    return make
