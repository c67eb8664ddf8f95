import stat
from pathlib import Path

import pytest

from darkroom.errors import DataError, ResourceError
from darkroom.project.names import (
    CONTAINER_SUFFIXES,
    MissingFileError,
    describe_bytes,
    file_kind,
    nearest_name,
    path_fault,
    pick_name,
    read_errors,
    safe_name,
    sizes_by_name,
)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("/etc/passwd", "an absolute path"),
        ("../x.jpg", "a path with .."),
        ("a/../../x.jpg", "a path with .."),
        ("a\\x.jpg", "a path with a backslash"),
        ("C:x.jpg", "a path with a drive letter"),
        ("a\0.jpg", "a path with a control character"),
        ("a\ud800.jpg", "a path that is not UTF-8"),
        ("./", "a path without a name"),
    ],
)
def test_a_path_out_of_its_archive_is_refused(name: str, fault: str) -> None:
    with pytest.raises(DataError) as caught:
        safe_name(name, "a.zip")
    assert "a.zip: a path that may lead out of its archive" in str(caught.value)
    assert f"found: {fault}: {name!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fault"), [("a/b.jpg", ""), ("./a", ""), ("a/../b", "a path with ..")]
)
def test_a_path_is_judged_without_a_file(name: str, fault: str) -> None:
    assert path_fault(name) == fault


def test_a_safe_path_loses_dots_and_doubled_slashes() -> None:
    assert safe_name("./a//b..c/x.jpg", "a.tar") == "a/b..c/x.jpg"


def test_junk_is_left_out_of_a_listing() -> None:
    junk = ["__MACOSX/a/x.jpg", "a/._x.jpg", ".DS_Store", "a/Thumbs.db", "a/desktop.ini"]
    entries = [(name, 1, "") for name in [*junk, "a/x.jpg", "a/x._y.jpg"]]
    assert sizes_by_name(Path("a.zip"), entries) == {"a/x.jpg": 1, "a/x._y.jpg": 1}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><title>Quota exceeded", "an HTML page"),
        (b"\n <HTML>", "an HTML page"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x1f\x8brest", "a gzip file"),
        (b"\0" * 257 + b"ustar\0", "a tar archive"),
        (b"\xff\xfea\0", "UTF-16 text"),
        (b"img,rle_mask\n", "text"),
        (b"ab\0", "binary data"),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head: bytes, words: str) -> None:
    assert describe_bytes(head) == words


def test_links_and_devices_are_no_plain_files() -> None:
    assert file_kind(0) == file_kind(stat.S_IFREG | 0o644) == ""
    assert file_kind(stat.S_IFLNK) == "a link"
    assert file_kind(stat.S_IFCHR) == "a device, pipe or folder"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("train/a_01.jpg", "deep/train/a_01.jpg"),
        ("train/b_01.png", "train/b_01.jpeg"),
        ("train/c_0l.jpg", "train/c_01.jpg"),
    ],
)
def test_the_nearest_name_is_found(name: str, near: str) -> None:
    names = ["deep/train/a_01.jpg", "train/b_01.jpeg", "train/c_01.jpg", "x"]
    assert nearest_name(name, names) == near
    assert nearest_name(name, []) is None


def test_the_archive_delivered_is_picked_before_the_folder_unpacked() -> None:
    assert pick_name(["train", "train.zip", "train.tar"], "train") == "train.zip"
    assert pick_name(["train", "train_masks.zip"], "train") == "train"


def test_a_missing_file_is_named_with_what_is_there() -> None:
    with pytest.raises(DataError) as caught:
        pick_name(["Train.zip", "test.zip"], "train", file="raw")
    assert str(caught.value) == (
        "raw: train is missing\n"
        "  found: Train.zip, test.zip\n"
        "  expected: train.zip or train.tar.gz or train.tgz or train.tar or "
        "train.tar.7z or train.7z or train.zip.001 or train\n"
        "  to do: if Train.zip is it, rename it; else download train"
    )


def test_the_parameter_that_names_a_missing_file_is_told() -> None:
    with pytest.raises(MissingFileError) as caught:
        pick_name(["training.csv"], "train.csv", suffixes=["", ".zip"], key="data.train.table")
    assert str(caught.value).endswith(
        "to do: if training.csv is it, rename it, or write training.csv in data.train.table; "
        "else download train.csv"
    )
    assert caught.value.wanted == ("train.csv", "train.csv.zip")


def test_an_empty_folder_is_said_to_hold_nothing() -> None:
    with pytest.raises(DataError, match="found: nothing"):
        pick_name([], "train")


def test_what_reading_raises_names_the_file() -> None:
    with pytest.raises(DataError) as caught, read_errors(Path("a.zip"), EOFError):
        raise EOFError("ended early")
    assert str(caught.value) == (
        "a.zip: can't be read\n  found: ended early\n  expected: a complete file\n"
        "  to do: download it again; it is damaged or cut short"
    )
    with pytest.raises(ResourceError) as refused, read_errors(Path("a.zip")):
        raise PermissionError(13, "Permission denied")
    assert str(refused.value).startswith("a.zip: may not be read\n  found: Permission denied")
    with pytest.raises(KeyError), read_errors(Path("a.zip"), EOFError):
        raise KeyError("a fault of the program")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train.zip.002", "train.zip.003"], "train.zip.002 is one of its parts: join them: `cat"),
        (["train.z01", "test.zip"], "train.z01 is one of its parts"),
        (["train.rar"], "train.rar is packed in another way: unpack it"),
        (["train.tar.xz"], "train.tar.xz is packed in another way"),
        (["test.7z", "trains.zip"], "if trains.zip is it, rename it"),
    ],
)
def test_a_missing_archive_may_be_there_in_parts_or_packed_otherwise(
    names: list[str], words: str
) -> None:
    for stem, suffixes in (("train", (*CONTAINER_SUFFIXES, "")), ("train.zip", ("",))):
        with pytest.raises(MissingFileError) as caught:
            pick_name(names, stem, suffixes=suffixes)
        assert f"to do: {words}" in str(caught.value)


def test_comparing_long_names_takes_no_time() -> None:
    names = [f"{'ab' * 20_000}{n}.png" for n in range(100)]
    assert nearest_name("ab" * 20_000 + "7.pnf", names) is not None


def test_an_error_names_the_file_and_not_its_folder(tmp_path: Path) -> None:
    def refuse() -> None:
        raise PermissionError(13, "Permission denied", f"{tmp_path}/a/b")

    with (
        pytest.raises(ResourceError, match=f"{tmp_path}/a/b: may not be read"),
        read_errors(tmp_path),
    ):
        refuse()
