import gzip
import hashlib
import tarfile
import zipfile
from pathlib import Path
from random import Random

import pytest

from darkroom.errors import RemoteError
from darkroom.remote.verify import IntegrityError, verify_file
from tests.support.packed import tar_of, zip_of

MEMBERS = {f"train/{n}.jpg": Random(n).randbytes(3000) for n in range(4)}


def _file(folder: Path, data: bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def test_a_sha256_decides_alone(tmp_path: Path) -> None:
    data = b"<html>whatever"
    path = _file(tmp_path, data)
    digest = hashlib.sha256(data).hexdigest()
    verify_file(path, name="a.zip", size=1, total=2, md5="0" * 32, sha256=digest.upper())
    with pytest.raises(IntegrityError) as caught:
        verify_file(path, name="a.zip", sha256="0" * 64)
    assert str(caught.value).splitlines() == [
        "a.zip: the download is not the file: its sha256 differs",
        f"  found: {digest}",
        f"  expected: {'0' * 64}",
        "  to do: run it again; if the error stays, the file at its source has changed",
    ]
    assert isinstance(caught.value, RemoteError)


def test_an_md5_decides_without_a_sha256(tmp_path: Path) -> None:
    path = _file(tmp_path, b"abc")
    verify_file(path, name="a.zip", size=1, md5="900150983cd24fb0d6963f7d28e17f72")  # RFC 1321
    with pytest.raises(IntegrityError, match="its md5 differs"):
        verify_file(path, name="a.csv", size=3, total=3, md5="0" * 32)


def test_a_page_is_refused(tmp_path: Path) -> None:
    page = b"<!DOCTYPE html><html>"
    path = _file(tmp_path, page)
    md5 = hashlib.md5(page, usedforsecurity=False).hexdigest()
    with pytest.raises(IntegrityError, match="a web page"):
        verify_file(path, name="a.csv", size=len(page), md5=md5)
    verify_file(path, name="a.html", size=len(page))


@pytest.mark.parametrize(
    ("size", "total", "words"),
    [
        (3, None, ""),
        (None, 3, ""),
        (3, 3, ""),
        (4, 3, "expected: 4 bytes"),
        (3, 4, "expected: 4 bytes"),
        (None, 2, "expected: 2 bytes"),
        (None, None, "its size is not known"),
    ],
)
def test_a_plain_file_has_its_size(
    tmp_path: Path, size: int | None, total: int | None, words: str
) -> None:
    path = _file(tmp_path, b"abc")
    if not words:
        return verify_file(path, name="a.csv", size=size, total=total)
    with pytest.raises(IntegrityError, match=words):
        verify_file(path, name="a.csv", size=size, total=total)
    return None


@pytest.mark.parametrize("name", ["a.csv", "a.zip", "a.tar", "a.csv.gz"])
def test_an_empty_file_is_refused_unless_its_sha256_matches(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, b"")
    md5 = hashlib.md5(b"", usedforsecurity=False).hexdigest()
    with pytest.raises(IntegrityError) as caught:
        verify_file(path, name=name, size=0, total=0, md5=md5)
    assert str(caught.value).splitlines()[:3] == [
        f"{name}: the download is not the file: it is empty",
        "  found: 0 bytes",
        "  expected: a file",
    ]
    verify_file(path, name=name, sha256=hashlib.sha256(b"").hexdigest())


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "A.ZIP"])
def test_a_whole_archive_passes_and_no_cut_one_does(tmp_path: Path, name: str) -> None:
    make = zip_of if name.lower().endswith("zip") else tar_of
    made = tmp_path / name.lower().replace("tgz", "tar.gz")
    data = make(made, MEMBERS).read_bytes()
    path = _file(tmp_path, data, "part")
    verify_file(path, name=name, size=7)  # the listed size does not count
    there = len(data.rstrip(b"\0"))  # a tar is filled up with zeros
    for tenth in range(1, 10):
        path.write_bytes(data[: there * tenth // 10])
        with pytest.raises(IntegrityError, match="the archive is damaged"):
            verify_file(path, name=name)


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_one_changed_byte_in_an_image_is_refused(tmp_path: Path, name: str) -> None:
    make = zip_of if name.endswith("zip") else tar_of
    data = bytearray(make(tmp_path / name, MEMBERS).read_bytes())
    path = tmp_path / "part"
    for eighth in (1, 3, 5, 7):  # the middle of each picture, in both
        place = len(data) * eighth // 8
        data[place] ^= 0x10
        path.write_bytes(data)
        data[place] ^= 0x10
        with pytest.raises(IntegrityError, match="the archive is damaged"):
            verify_file(path, name=name)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_a_compressed_member_is_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.csv", Random(1).randbytes(3000))
    data = path.read_bytes()
    verify_file(path, name="a.zip")
    for place in range(100, 3000, 97):
        spoilt = bytearray(data)
        spoilt[place] ^= 0xFF
        path.write_bytes(spoilt)
        with pytest.raises(IntegrityError, match="the archive is damaged"):
            verify_file(path, name="a.zip")


def test_a_zip_that_points_before_its_beginning_is_damaged(tmp_path: Path) -> None:
    data = bytearray(zip_of(tmp_path / "a.zip", MEMBERS).read_bytes())
    data[data.rindex(b"PK\x05\x06") + 16] += 1  # where the directory begins
    with pytest.raises(IntegrityError, match=r"found: .*Invalid argument"):
        verify_file(_file(tmp_path, bytes(data)), name="a.zip")


def test_an_unreadable_path_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        verify_file(tmp_path, name="a.zip")


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_random_damage_is_refused_or_harmless(tmp_path: Path, name: str) -> None:
    make = zip_of if name.endswith("zip") else tar_of
    data, rng, refused = make(tmp_path / name, MEMBERS).read_bytes(), Random(1), 0
    for _ in range(80):
        spoilt = bytearray(data)
        spoilt[rng.randrange(len(data))] ^= rng.randrange(1, 256)
        try:
            end = rng.choice((None, rng.randrange(len(data))))
            verify_file(_file(tmp_path, bytes(spoilt[:end])), name=name)
        except IntegrityError:
            refused += 1
    assert refused >= 30


def test_an_archive_is_what_its_name_says(tmp_path: Path) -> None:
    path = _file(tmp_path, b"image,label\n" * 100)
    for name in ("a.zip", "a.tar", "a.tar.gz", "a.gz"):
        with pytest.raises(IntegrityError, match="the archive is damaged"):
            verify_file(path, name=name)


def test_a_gzip_is_read_to_its_end(tmp_path: Path) -> None:
    data = gzip.compress(b"1,2\n" * 9999)
    verify_file(_file(tmp_path, data), name="a.csv.gz")
    spoilt = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]  # the last byte of its CRC-32
    with pytest.raises(IntegrityError, match="the archive is damaged"):
        verify_file(_file(tmp_path, spoilt), name="a.csv.gz")


def test_a_tar_without_its_end_is_cut(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + -(-last.size // 512) * 512
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(IntegrityError, match="no end after 4 members"):
        verify_file(path, name="a.tar")


def test_announced_sizes_hold_for_archives_too(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "a.zip", MEMBERS)
    with pytest.raises(IntegrityError, match="its size differs"):
        verify_file(path, name="a.zip", total=path.stat().st_size + 1)
