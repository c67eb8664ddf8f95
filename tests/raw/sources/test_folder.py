"""Raw files from a folder: copied, listed, without junk; the source never changes."""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import DataError, ParamsError, ResourceError
from darkroom.raw.sources.folder import (
    copy_files,
    refuse_foreign_files,
    refuse_nested,
    refuse_overlap,
    source_folder,
    write_manifest,
)
from tests.support.packed import folder_of, zip_of

FILES = {"a.csv": b"x,y\n", "train/1.jpg": b"one", "train/deep/2.jpg": b"two", "other.txt": b"?"}


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_files_are_copied_and_never_share_an_inode(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", FILES)
    copy_files(source, ["train", "a.csv"], tmp_path / "raw")
    assert names(tmp_path / "raw") == ["a.csv", "train/1.jpg", "train/deep/2.jpg"]
    for name in names(tmp_path / "raw"):
        copy = tmp_path / "raw" / name
        assert copy.read_bytes() == FILES[name]
        copy.chmod(0o444)  # as DVC does to what it links with its cache
        assert (source / name).stat().st_nlink == 1
        assert (source / name).stat().st_mode & 0o200


def test_blocks_are_shared_where_that_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(copy: int, request: int, source: int) -> None:
        assert request == 0x40049409  # FICLONE of linux/fs.h
        os.write(copy, os.read(source, 100))

    monkeypatch.setattr(fcntl, "ioctl", clone)
    monkeypatch.setattr(shutil, "copyfileobj", lambda *_: pytest.fail("the bytes were copied"))
    source = folder_of(tmp_path / "source", FILES)
    copy_files(source, ["train"], tmp_path / "raw")
    assert (tmp_path / "raw/train/1.jpg").read_bytes() == b"one"


def test_a_full_disk_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    source = folder_of(tmp_path / "source", FILES)
    with pytest.raises(OSError, match="No space left"):
        copy_files(source, ["a.csv"], tmp_path / "raw")


def unreadable(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Forbid to list a folder, whoever runs the tests."""
    scandir = os.scandir

    def guarded(path: str | Path) -> Any:
        if str(path) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)


def test_a_folder_that_may_not_be_listed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = folder_of(tmp_path / "source", FILES)
    unreadable(monkeypatch, source / "train/deep")
    with pytest.raises(ResourceError) as caught:
        copy_files(source, ["train"], tmp_path / "raw")
    assert str(caught.value) == (
        f"{source}/train/deep: may not be read\n"
        "  found: Permission denied\n"
        "  to do: change its permissions"
    )
    with pytest.raises(ResourceError, match="train/deep: may not be read"):
        refuse_foreign_files(source)


@pytest.mark.parametrize("name", ["train.csv", "train/x.jpg", "other"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    source = folder_of(tmp_path / "source", FILES)
    os.mkfifo(source / name)
    with pytest.raises(DataError, match=f"{name}: it is not a file\n  to do: remove it"):
        copy_files(source, ["train", *([] if "/" in name else [name])], tmp_path / "raw")
    refuse_nested(source, ["x.csv"])


def test_a_pipe_among_the_raw_files_is_not_removed(tmp_path: Path) -> None:
    tmp_path.joinpath("raw").mkdir()
    os.mkfifo(tmp_path / "raw/manifest.json")
    with pytest.raises(DataError, match=r"manifest\.json: it is not a file"):
        refuse_foreign_files(tmp_path / "raw")
    (tmp_path / "raw/manifest.json").unlink()
    os.mkfifo(tmp_path / "raw/mine")
    with pytest.raises(DataError, match="1 files here were not fetched"):
        refuse_foreign_files(tmp_path / "raw")


def test_a_link_in_the_source_is_followed(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", {})
    source.mkdir()
    folder_of(tmp_path / "elsewhere", {"train.zip": b"PK"})
    (source / "train.zip").symlink_to(tmp_path / "elsewhere/train.zip")
    copy_files(source, ["train.zip"], tmp_path / "raw")
    taken = tmp_path / "raw/train.zip"
    assert not taken.is_symlink()
    assert taken.read_bytes() == b"PK"


def test_junk_is_left_out_even_if_empty(tmp_path: Path) -> None:
    junk = {
        "train/.DS_Store": b"",
        "train/deep/Thumbs.db": b"x",
        "train/__MACOSX/._1.jpg": b"",
        "train/.gitkeep": b"",
    }
    source = folder_of(tmp_path / "source", FILES | junk)
    copy_files(source, ["train"], tmp_path / "raw")
    assert names(tmp_path / "raw") == ["train/1.jpg", "train/deep/2.jpg"]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", FILES | {"train/3.jpg": b""})
    with pytest.raises(DataError) as caught:
        copy_files(source, ["train"], tmp_path / "raw")
    file, fix = source / "train/3.jpg", "fetch it again, or remove it if nothing needs it"
    expected = f"{file}: the file is empty\n  found: 0 bytes\n  to do: {fix}"
    assert str(caught.value) == expected


def test_a_broken_link_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", FILES)
    (source / "train/3.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"3\.jpg: it is not a file\n  to do: correct the link"):
        copy_files(source, ["train"], tmp_path / "raw")


@pytest.mark.parametrize(
    ("place", "found", "fix"),
    [
        ("tables", "tables/train.csv", "set data.source to SOURCE/tables, or move what is in it"),
        ("all.zip", "all.zip/train.csv", "unpack all.zip, and set data.source to the folder that"),
        ("deep.zip", "deep.zip/dogs/train.csv", "unpack deep.zip, and set data.source to"),
        ("deep", "deep/dogs/train.csv", "set data.source to SOURCE/deep, or move"),
    ],
)
def test_a_file_inside_a_folder_or_zip_is_named(
    tmp_path: Path, place: str, found: str, fix: str
) -> None:
    members = {f"{found.removeprefix(place)[1:]}": b"a\n", "train/1.jpg": b"one"}
    make = zip_of if place.endswith(".zip") else folder_of
    make(tmp_path / place, members)
    (tmp_path / "broken.zip").write_bytes(b"PK")
    with pytest.raises(DataError) as caught:
        refuse_nested(tmp_path, ["train.csv", "train.csv.zip"])
    assert str(caught.value).startswith(
        f"{tmp_path}: train.csv is missing here, but lies deeper\n  found: {found}\n"
        "  expected: tables and archives in the folder itself\n"
        f"  to do: {fix.replace('SOURCE', str(tmp_path))}"
    )


def test_a_file_that_is_nowhere_raises_nothing(tmp_path: Path) -> None:
    zip_of(tmp_path / "all.zip", {"a/b/train.csv": b"three deep", "x/train.csv.txt": b""})
    zip_of(tmp_path / "my_train.zip", {"train/1.jpg": b"misnamed, not too deep"})
    refuse_nested(tmp_path, ["train.csv", "train.zip", "train"])
    zip_of(tmp_path / "near.zip", {"a/train.csv": b"two deep"})
    with pytest.raises(DataError, match="lies deeper"):
        refuse_nested(tmp_path, ["train.csv", "train.zip", "train"])


def test_the_manifest_lists_name_bytes_and_sha256(tmp_path: Path) -> None:
    folder_of(tmp_path, {"b/2.jpg": b"two", "a.csv": b""})
    digests = {
        "a.csv": hashlib.sha256(b"").hexdigest(),
        "b/2.jpg": hashlib.sha256(b"two").hexdigest(),
    }
    assert write_manifest(tmp_path) == (digests, 3)
    text = (tmp_path / "manifest.json").read_text()
    assert json.loads(text) == {
        "files": [
            {"name": "a.csv", "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest()},
            {"name": "b/2.jpg", "bytes": 3, "sha256": hashlib.sha256(b"two").hexdigest()},
        ]
    }


def test_the_source_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_folder(str(tmp_path)) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    assert source_folder("~") == tmp_path
    with pytest.raises(
        ParamsError, match="found: gone, which does not exist\n  expected: `sample`"
    ):
        source_folder("gone")
    file = tmp_path / "a.zip"
    file.touch()
    with pytest.raises(ParamsError, match=r"data\.source is not a folder\n  found: .*a\.zip, a fi"):
        source_folder(str(file))


def _manifest(folder: Path) -> None:
    write_manifest(folder)


def test_a_folder_written_by_fetch_may_be_replaced(tmp_path: Path) -> None:
    refuse_foreign_files(tmp_path / "absent")
    (tmp_path / "train.zip").write_bytes(b"x")
    _manifest(tmp_path)
    (tmp_path / ".DS_Store").touch()  # a look with the Finder is no claim to the folder
    refuse_foreign_files(tmp_path)
    assert names(tmp_path) == [".DS_Store", "manifest.json", "train.zip"]


def test_files_of_the_user_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "train.zip").write_bytes(b"x")
    with pytest.raises(DataError, match="1 files here were not fetched") as fault:
        refuse_foreign_files(tmp_path)
    _manifest(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.zip").write_bytes(b"y")
    with pytest.raises(DataError, match="1 files here were not fetched") as fault:
        refuse_foreign_files(tmp_path)
    assert "mine/a.zip" in str(fault.value)
    assert "name that folder in data.source" in str(fault.value)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match="it is not a manifest that fetch wrote"):
        refuse_foreign_files(tmp_path)


@pytest.mark.parametrize("source", ["data/raw/cars", "data/raw/cars/inner", "data", "."])
def test_a_source_within_or_around_the_raw_folder_is_refused(tmp_path: Path, source: str) -> None:
    raw = tmp_path / "data" / "raw" / "cars"
    (raw / "inner").mkdir(parents=True)
    with pytest.raises(ParamsError, match=r"data\.source and the folder to fetch into overlap"):
        refuse_overlap(tmp_path / source, raw)
    refuse_overlap(tmp_path / "data" / "raw" / "cars2", raw)


def test_a_linked_folder_inside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source" / "train").mkdir(parents=True)
    (tmp_path / "source" / "train" / "a.jpg").write_bytes(b"x")
    (tmp_path / "source" / "train" / "round").symlink_to(tmp_path / "source")
    with pytest.raises(DataError, match="a folder inside it is a link"):
        copy_files(tmp_path / "source", ["train"], tmp_path / "raw")


def test_a_raw_file_with_the_manifests_name_is_refused(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "source", {"manifest.json": b"{}", "deep/manifest.json": b"{}"})
    with pytest.raises(DataError) as caught:
        copy_files(source, ["manifest.json"], tmp_path / "raw")
    assert f"{source / 'manifest.json'}: a raw file can't have this name" in str(caught.value)
    assert not (tmp_path / "raw").exists()
    copy_files(source, ["deep"], tmp_path / "raw")
    assert names(tmp_path / "raw") == ["deep/manifest.json"]


def test_a_relative_source_is_the_project_s_in_the_copy_of_a_queued_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    (copy / ".dvc").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert source_folder("mine") == tmp_path / "mine"
    assert source_folder(str(tmp_path)) == tmp_path
    monkeypatch.chdir(tmp_path)
    assert source_folder("mine") == Path("mine")
