import errno
import gzip
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom.errors import DataError, ResourceError
from darkroom.project import files
from darkroom.raw import gunzip, limits


def gz(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def test_a_small_gzip_stays_in_memory(tmp_path: Path) -> None:
    assert gunzip.unpack_gzip(gz(tmp_path / "a.tar.gz", b"abc"), tmp_path / "unpacked") == b"abc"
    assert not (tmp_path / "unpacked").exists()


def test_a_large_one_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "MAX_IN_MEMORY_BYTES", 10)
    path = gz(tmp_path / "a.tar.gz", b"abc" * 100)
    first = gunzip.unpack_gzip(path, tmp_path / "unpacked")
    assert isinstance(first, Path)
    assert first.read_bytes() == b"abc" * 100
    mtime_ns = first.stat().st_mtime_ns
    assert gunzip.unpack_gzip(path, tmp_path / "unpacked") == first
    assert first.stat().st_mtime_ns == mtime_ns
    gz(path, b"abd" * 200)  # another archive under the name must not find the old contents
    assert gunzip.unpack_gzip(path, tmp_path / "unpacked") != first


def test_a_bomb_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gunzip, "MAX_IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(limits, "MAX_UNPACKED_RATIO", 2)
    monkeypatch.setattr(limits, "_SMALL_BYTES", 2**20)
    path = gz(tmp_path / "a.tar.gz", bytes(3 * 2**20))
    with pytest.raises(DataError, match="unpacks to more than any set of images would") as caught:
        gunzip.unpack_gzip(path, tmp_path / "unpacked")
    assert "expected: at most 2,097,152 bytes" in str(caught.value)
    assert list((tmp_path / "unpacked").iterdir()) == []


@pytest.mark.parametrize("limit", [10, 2**20])
def test_a_gzip_cut_short_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(gunzip, "MAX_IN_MEMORY_BYTES", limit)
    path = gz(tmp_path / "a.tar.gz", bytes(range(256)) * 100)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"a\.tar\.gz: can't be read") as caught:
        gunzip.unpack_gzip(path, tmp_path / "unpacked")
    assert "download it again" in str(caught.value)
    assert not list(tmp_path.glob("unpacked/*"))


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> Iterator[bytes]:
        yield b"abc"
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gunzip, "MAX_IN_MEMORY_BYTES", 10)
    monkeypatch.setattr(gunzip, "_chunks", full)
    with pytest.raises(ResourceError, match="no disk space to unpack an archive") as caught:
        gunzip.unpack_gzip(gz(tmp_path / "a.tar.gz", bytes(100)), tmp_path / "unpacked")
    assert "found: 3 bytes unpacked" in str(caught.value)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_one_unpacks_and_the_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunzip, "MAX_IN_MEMORY_BYTES", 10)
    path, folder = gz(tmp_path / "a.tar.gz", b"abc" * 100), tmp_path / "unpacked"
    folder.mkdir()
    thread = threading.Thread(target=gunzip.unpack_gzip, args=(path, folder))
    with files.lock(folder):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert list(folder.iterdir()) == []
    thread.join(10)
    assert len(list(folder.iterdir())) == 1
