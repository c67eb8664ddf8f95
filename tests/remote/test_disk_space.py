"""Disk space: summed over what shares a disk, and figures for what does not fit."""

from pathlib import Path

import pytest

from darkroom.errors import ResourceError
from darkroom.remote import disk_space
from darkroom.remote.disk_space import SpaceNeed


@pytest.mark.parametrize(
    ("size", "words"),
    [
        *((0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (812_300_000, "812.3 MB")),
        *((1_460_000_000, "1.5 GB"), (2_000_000_000_000, "2,000.0 GB")),
    ],
)
def test_bytes_as_text(size: int, words: str) -> None:
    assert disk_space.format_bytes(size) == words


def test_a_missing_folder_lies_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert disk_space.free_bytes(tmp_path / "a" / "b") > 0


def test_what_does_not_fit_is_refused_with_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 1000)
    needs = [
        SpaceNeed(tmp_path, 600, "to fetch"),
        SpaceNeed(tmp_path / "raw", 400, "for the copies"),
    ]
    disk_space.require_space(needs)
    with pytest.raises(ResourceError) as caught:
        disk_space.require_space([*needs, SpaceNeed(tmp_path, 10_000, "more")])
    assert str(caught.value).startswith(
        f"{tmp_path}: not enough disk space for the download\n  found: 1.0 kB free\n"
        "  expected: 11.0 kB: 600 bytes to fetch, 400 bytes for the copies, 10.0 kB more\n"
        "  to do: free 10.0 kB, or put the download cache on another disk: name a folder there"
    )


def test_different_disks_are_not_summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_space, "_device", hash)
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: {"a": 1000, "b": 10}[folder.name])
    disk_space.require_space(
        [SpaceNeed(tmp_path / "a", 1000, "x"), SpaceNeed(tmp_path / "b", 10, "y")]
    )
    with pytest.raises(ResourceError, match=r"/b: not enough.*\n.*10 bytes free\n.*11 bytes: 11"):
        disk_space.require_space(
            [SpaceNeed(tmp_path / "a", 1000, "x"), SpaceNeed(tmp_path / "b", 11, "y")]
        )
