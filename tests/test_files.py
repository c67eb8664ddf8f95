from pathlib import Path

import pytest

from darkroom import files


def _fail_in(path: Path) -> None:
    with files.replacing(path) as part:
        part.write_text("half")
        raise RuntimeError("power cut")


def test_write_replaces_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write(path, "one")
    files.write(path, b"two")
    assert path.read_text() == "two"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="power cut"):
        _fail_in(path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()
    with files.replacing_folder(folder) as part:
        (part / "new").touch()
        assert (folder / "old").exists()
    assert [p.name for p in folder.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    (folder / "old").touch()

    def fail() -> None:
        with files.replacing_folder(folder) as part:
            (part / "new").touch()
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        fail()
    assert [p.name for p in folder.iterdir()] == ["old"]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
