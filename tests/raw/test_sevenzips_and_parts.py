"""7z archives, tars in them, and zips in parts: read by name like any other archive."""

import io
import os
import shutil
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from darkroom.errors import DataError, ResourceError
from darkroom.raw import limits, parts, sevenzips
from darkroom.raw.archives import Archives
from darkroom.raw.parts import find_parts, open_parts
from darkroom.raw.tables import read_table, table_files
from darkroom.raw.templates import Template
from tests.support.packed import tar_of, zip_of

py7zr = pytest.importorskip("py7zr")

MEMBERS = {"train/a.jpg": b"a" * 1000, "train/b c/é.jpg": b"", "train/" + "n" * 150: b"n" * 513}


def sevenzip_of(path: Path, members: Mapping[str, bytes], **options: Any) -> Path:
    with py7zr.SevenZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return path


def split(path: Path, parts: int) -> None:
    data = path.read_bytes()
    step = -(-len(data) // parts)
    for number in range(parts):
        part = path.with_name(f"{path.name}.{number + 1:03}")
        part.write_bytes(data[number * step : (number + 1) * step])
    path.unlink()


@pytest.fixture
def raw(tmp_path: Path) -> Archives:
    (tmp_path / "raw").mkdir()
    return Archives(tmp_path / "raw", tmp_path / "unpacked")


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_7z_is_read_by_name(
    raw: Archives, in_memory: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sevenzips, "MAX_IN_MEMORY_BYTES", 2**20 if in_memory else 0)
    junk = {"__MACOSX/._a.jpg": b"x", "train/.DS_Store": b"y"}
    sevenzip_of(raw.root / "train.7z", junk | MEMBERS)
    assert raw.paths("train.7z") == sorted(f"train.7z/{name}" for name in MEMBERS)
    assert {name: raw.read(f"train.7z/{name}") for name in MEMBERS} == MEMBERS
    assert raw.unpack_folder.exists() == (not in_memory)


def test_a_7z_is_unpacked_once_and_anew_when_it_changes(
    raw: Archives, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sevenzips, "MAX_IN_MEMORY_BYTES", 0)
    calls: list[Path] = []
    unpack = sevenzips._unpack

    def counted(path: Path, *others: Any) -> None:
        calls.append(path)
        unpack(path, *others)

    monkeypatch.setattr(sevenzips, "_unpack", counted)
    path = sevenzip_of(raw.root / "train.7z", MEMBERS)
    for _ in range(2):
        archives = Archives(raw.root, raw.unpack_folder)
        assert [len(archives.read(name)) for name in archives.paths("train.7z")] == [1000, 0, 513]
    assert len(calls) == 1
    assert capsys.readouterr().err == f"unpacking train.7z, once: {path.stat().st_size} bytes\n"
    path.unlink()
    sevenzip_of(path, {"train/a.jpg": b"new"})
    assert Archives(raw.root, raw.unpack_folder).read("train.7z/train/a.jpg") == b"new"


def test_a_tar_in_a_7z_is_read_through_both(raw: Archives) -> None:
    inner = tar_of(raw.root.parent / "train-jpg.tar", {"train-jpg/x.jpg": b"x"}).read_bytes()
    sevenzip_of(raw.root / "train-jpg.tar.7z", {"train-jpg.tar": inner})
    assert raw.paths("train-jpg.tar.7z") == ["train-jpg.tar.7z/train-jpg/x.jpg"]
    for text in ("train-jpg/{n}.jpg", "train-jpg.tar.7z/train-jpg/{n}.jpg"):
        assert Template(text).paths(raw) == [("train-jpg.tar.7z/train-jpg/x.jpg", {"n": "x"})]


def test_a_table_in_a_7z_is_read(raw: Archives) -> None:
    sevenzip_of(raw.root / "train.csv.7z", {"data/train.csv": b"id\n1\n"})
    sevenzip_of(raw.root / "more.7z", {"more/a.csv": b"id\n2\n", "more/b.json": b'[{"id": 3}]'})
    assert read_table(raw, "train.csv").rows == [["1"]]
    assert read_table(raw, "more/a.csv").rows == [["2"]]
    assert read_table(raw, "more/b.json").rows == [["3"]]
    with pytest.raises(DataError, match=r"write its path as the table: more\.7z/more/a\.csv"):
        read_table(raw, "more")
    names = ["more.7z", "train.csv.7z"]
    assert table_files(names, "more/a.csv") == ["more.7z"]
    assert table_files(names, "train.csv") == ["train.csv.7z"]


def test_without_py7zr_the_error_says_what_to_install(
    raw: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    sevenzip_of(raw.root / "train.7z", MEMBERS)
    monkeypatch.setitem(sys.modules, "py7zr", None)
    with pytest.raises(ResourceError, match=r"pip install py7zr, or unpack"):
        raw.paths("train.7z")


@pytest.mark.parametrize("name", ["../a.jpg", "a\nb.jpg", "C:/a.jpg"])
def test_an_unsafe_name_is_refused_before_anything_is_unpacked(raw: Archives, name: str) -> None:
    with py7zr.SevenZipFile(raw.root / "train.7z", "w") as archive:
        archive._writestr(b"x", name)
    with pytest.raises(DataError, match="a path that may lead out of its archive"):
        raw.paths("train.7z")
    assert not raw.unpack_folder.exists()


def test_two_members_of_one_name_a_link_and_a_password_are_refused(raw: Archives) -> None:
    with py7zr.SevenZipFile(raw.root / "twice.7z", "w") as archive:
        archive.writestr(b"1", "a.jpg")
        archive.writestr(b"2", "a.jpg")
    link = raw.root.parent / "link"
    link.symlink_to("target")
    (raw.root.parent / "target").write_bytes(b"x")
    with py7zr.SevenZipFile(raw.root / "link.7z", "w") as archive:
        archive.write(raw.root.parent / "target", "target")
        archive.write(link, "link")
    sevenzip_of(raw.root / "locked.7z", MEMBERS, password="x")
    sevenzip_of(raw.root / "hidden.7z", MEMBERS, password="x", header_encryption=True)
    for name, words in (
        ("twice.7z", "found: a.jpg: two members of this name"),
        ("link.7z", "found: link: a link"),
        ("locked.7z", "it is encrypted"),
        ("hidden.7z", "it is encrypted"),
    ):
        with pytest.raises(DataError) as caught:
            raw.paths(name)
        assert words in str(caught.value)


def test_a_bomb_and_too_many_members_are_refused(
    raw: Archives, monkeypatch: pytest.MonkeyPatch
) -> None:
    sevenzip_of(raw.root / "bomb.7z", {"a": bytes(8 * 2**20)})
    sevenzip_of(raw.root / "many.7z", {str(n): b"" for n in range(20)})
    monkeypatch.setattr(limits, "_SMALL_BYTES", 1000)
    monkeypatch.setattr(limits, "MAX_MEMBERS", 10)
    with pytest.raises(DataError, match="unpacks to more than any set of images would"):
        raw.paths("bomb.7z")
    with pytest.raises(DataError, match="holds more files than any set of images"):
        raw.paths("many.7z")


def test_damage_at_any_byte_is_refused_or_changes_no_member(raw: Archives) -> None:
    whole = sevenzip_of(raw.root / "x.7z", {"a.png": b"ab" * 40, "b.png": b"c" * 50}).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        (raw.root / "x.7z").write_bytes(damaged)
        archives = Archives(raw.root, raw.unpack_folder)
        with suppress(DataError):
            read = [archives.read(path) for path in archives.paths("x.7z")]
            assert read == [b"ab" * 40, b"c" * 50], place
    for length in range(len(whole)):
        (raw.root / "x.7z").write_bytes(whole[:length])
        with pytest.raises(DataError):
            Archives(raw.root, raw.unpack_folder).paths("x.7z")


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_a_zip_in_parts_is_read_as_one(raw: Archives, parts: int) -> None:
    whole = zip_of(raw.root / "train.zip", MEMBERS)
    data = whole.read_bytes()
    split(whole, parts)
    with open_parts(raw.root / "train.zip.001") as file:
        assert file.read() == data
        assert file.seek(-10, io.SEEK_END) == len(data) - 10
        assert file.read(5) == data[-10:-5]
    names = sorted(path.name for path in raw.root.iterdir())
    for text in ("train/{n}.jpg", "train.zip/train/{n}.jpg"):
        template = Template(text)
        assert template.containers(names) == names
        assert template.paths(raw) == [("train.zip.001/train/a.jpg", {"n": "a"})]
    assert raw.read("train.zip.001/train/a.jpg") == MEMBERS["train/a.jpg"]


def test_a_missing_part_is_named(raw: Archives) -> None:
    split(zip_of(raw.root / "train.zip", MEMBERS), 3)
    (raw.root / "train.zip.003").rename(raw.root.parent / "last")
    with pytest.raises(DataError) as caught:
        raw.paths("train.zip.001")
    assert "the zip in parts has no end" in str(caught.value)
    assert "expected: a part train.zip.003, or a complete last one" in str(caught.value)
    shutil.copy(raw.root.parent / "last", raw.root / "train.zip.003")
    (raw.root / "train.zip.002").unlink()
    with pytest.raises(DataError, match=r"train\.zip\.002 is missing"):
        raw.paths("train.zip.001")
    with pytest.raises(DataError, match=r"train\.zip\.002 is missing"):
        Template("train/{n}.jpg").containers(["train.zip.001", "train.zip.003"])


def test_a_zip_and_its_parts_are_two_things() -> None:
    names = ["train.zip", "train.zip.001", "train.zip.002"]
    for text in ("train/{n}", "train.zip/{n}"):
        with pytest.raises(DataError, match="is two things here"):
            Template(text).containers(names)
    assert find_parts(names, "train.zip.001") == names[1:]


def test_threads_read_their_own_bytes_where_there_is_no_pread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: a thread that has sought is stopped before it reads."""
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(64)))

    def seek(descriptor: int, place: int, whence: int) -> int:
        os.lseek(descriptor, place, whence)
        time.sleep(0.001)
        return place

    system = SimpleNamespace(lseek=seek, read=os.read, SEEK_SET=os.SEEK_SET)
    monkeypatch.setattr(parts, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(parts, "os", system)
    with path.open("rb") as stream, ThreadPoolExecutor(8) as pool:
        read = partial(parts._read_at, stream.fileno(), 1)
        assert b"".join(pool.map(read, range(64))) == bytes(range(64))
