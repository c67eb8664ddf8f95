from pathlib import Path

import pytest

from darkroom.errors import ParamsError
from darkroom.project.files import home_folder
from darkroom.raw.sources import cache


def test_it_is_where_home_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_folder() == tmp_path


def test_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", fail)
    for ask in (home_folder, cache.cache_root):
        with pytest.raises(ParamsError) as raised:
            ask()
        assert str(raised.value).splitlines() == [
            "there is no home folder",
            "  found: neither HOME nor an entry in passwd",
            "  to do: set the environment variable HOME to a folder",
        ]
