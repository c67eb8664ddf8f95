"""Disk space: summed over what shares a disk, and figures for what does not fit."""

from pathlib import Path

import pytest

from darkroom.errors import ResourceError
from darkroom.remote import disk_space
from darkroom.remote.disk_space import Need


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (812_300_000, "812.3 MB")),
        *((1_460_000_000, "1.5 GB"), (2_000_000_000_000, "2,000.0 GB")),
    ],
)
def test_bytes_for_a_reader(size: int, words: str) -> None:
    assert disk_space.shown(size) == words


def test_a_folder_that_is_not_there_yet_lies_on_the_disk_around_it(tmp_path: Path) -> None:
    assert disk_space.free(tmp_path / "a" / "b") > 0
    assert disk_space.one_disk(tmp_path / "a" / "b", tmp_path / "c")


def test_what_fits_passes_and_what_does_not_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "free", lambda _: 1000)
    needs = [Need(tmp_path, 600, "to fetch"), Need(tmp_path / "raw", 400, "for the copies")]
    disk_space.require(needs)
    with pytest.raises(ResourceError) as caught:
        disk_space.require([*needs, Need(tmp_path, 10_000, "more")])
    assert str(caught.value).startswith(
        f"{tmp_path}: no room on the disk for what is to be fetched\n  found: 1.0 kB free\n"
        "  expected: 11.0 kB: 600 bytes to fetch, 400 bytes for the copies, 10.0 kB more\n"
        "  to do: free 10.0 kB; the download cache may lie on another disk: name a folder there"
    )


def test_disks_apart_are_not_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "_disk", hash)
    monkeypatch.setattr(disk_space, "free", lambda folder: {"a": 1000, "b": 10}[folder.name])
    disk_space.require([Need(tmp_path / "a", 1000, "x"), Need(tmp_path / "b", 10, "y")])
    with pytest.raises(ResourceError, match=r"/b: no room.*\n.*10 bytes free\n.*11 bytes: 11 byte"):
        disk_space.require([Need(tmp_path / "a", 1000, "x"), Need(tmp_path / "b", 11, "y")])
