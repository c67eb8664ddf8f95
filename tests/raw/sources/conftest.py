import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from darkroom.project import files


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Return an event that is set when a second process or thread waits for a locked folder."""
    waiting, lock = threading.Event(), files.lock

    def lock_and_signal(path: Path, *, busy: Callable[[], object]) -> AbstractContextManager[None]:
        def signal() -> None:
            busy()
            waiting.set()

        return lock(path, busy=signal)

    monkeypatch.setattr(files, "lock", lock_and_signal)
    return waiting
