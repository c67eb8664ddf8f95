"""Digests of many files: the same as those of each file's bytes, however they are packed."""

import hashlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from darkroom.errors import DataError
from darkroom.raw.archives import Archives
from tests.support.packed import folder_of, tar_of, zip_of

MEMBERS = {f"{n}.jpg": bytes([n % 251]) * (1 + n * 41) for n in range(200)}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


@pytest.mark.parametrize(("name", "pack"), [("t.zip", zip_of), ("t.tar", tar_of), ("t", folder_of)])
def test_digests_are_those_of_the_bytes_in_the_order_of_the_paths(
    tmp_path: Path, name: str, pack: Callable[..., object]
) -> None:
    pack(tmp_path / name, MEMBERS)
    (tmp_path / "bare.png").write_bytes(b"bare")
    paths = [*(f"{name}/{n}.jpg" for n in reversed(range(200))), f"{name}/7.jpg", "bare.png"]
    expected = [*map(digest, reversed(MEMBERS.values())), digest(MEMBERS["7.jpg"]), digest(b"bare")]
    archives = Archives(tmp_path, tmp_path / "unpacked")
    assert archives.digests(pa.array(paths)).to_pylist() == expected


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_that_lie_far_apart_are_read_too(tmp_path: Path, method: int) -> None:
    members = {f"{n}.bin": bytes([n]) * 700_000 for n in range(9)}
    with zipfile.ZipFile(tmp_path / "t.zip", "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    paths = pa.array([f"t.zip/{n}.bin" for n in (8, 0, 5)])
    expected = [digest(members[f"{n}.bin"]) for n in (8, 0, 5)]
    assert Archives(tmp_path, tmp_path / "unpacked").digests(paths).to_pylist() == expected


@pytest.mark.parametrize(("name", "pack"), [("t", folder_of), ("t.zip", zip_of)])
def test_an_empty_image_is_refused(tmp_path: Path, name: str, pack: Callable[..., object]) -> None:
    pack(tmp_path / name, {"a.jpg": b"a", "b.jpg": b""})
    with pytest.raises(DataError, match=rf"{name}/b\.jpg: an empty file\n  found: 0 bytes"):
        Archives(tmp_path, tmp_path / "u").digests(pa.array([f"{name}/a.jpg", f"{name}/b.jpg"]))


def test_the_damaged_one_of_many_members_is_named(tmp_path: Path) -> None:
    zip_of(tmp_path / "t.zip", MEMBERS)
    data = bytearray((tmp_path / "t.zip").read_bytes())
    place = data.index(bytes([150]) * 100)
    data[place + 50] ^= 1
    (tmp_path / "t.zip").write_bytes(data)
    paths = pa.array([f"t.zip/{n}.jpg" for n in range(200)])
    with pytest.raises(DataError, match=r"t\.zip/150\.jpg: can't be read\n  found: Bad CRC-32"):
        Archives(tmp_path, tmp_path / "unpacked").digests(paths)


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    zip_of(tmp_path / "t.zip", MEMBERS)
    paths = pa.array(["t.zip/1.jpg", "t.zip/1000.jpg"])
    with pytest.raises(DataError, match=r"t\.zip/1000\.jpg: no such file"):
        Archives(tmp_path, tmp_path / "unpacked").digests(paths)
