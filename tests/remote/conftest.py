import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from darkroom.project import files
from tests.remote.rig import BODY, Rig
from tests.support.loopback import Kaggle


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Kaggle() as kaggle:
        rig = Rig(kaggle, tmp_path / "here")
        rig.serve(BODY)
        yield rig
        assert kaggle.unplayed() == []


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return what is set as soon as somebody has said that he waits for a folder."""
    waiting, alone = threading.Event(), files.alone

    def telling(path: Path, *, busy: Callable[[], object]) -> AbstractContextManager[None]:
        def tell() -> None:
            busy()
            waiting.set()

        return alone(path, busy=tell)

    monkeypatch.setattr(files, "alone", telling)
    return waiting
