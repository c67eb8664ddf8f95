"""Archives: the same bytes at any hour, readable by the standard tools, whole or absent."""

import gzip
import tarfile
import time
import zipfile
from pathlib import Path

import pytest

from darkroom.raw.sample.packing import map_in_order, write_tar_gz, write_zip

MEMBERS = [("a/2.txt", b"two"), ("a/1.txt", b"one" * 100)]


def test_a_zip_keeps_order_and_fixed_dates(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", MEMBERS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        entries = archive.infolist()
        assert [(e.filename, archive.read(e)) for e in entries] == MEMBERS
    assert {e.date_time for e in entries} == {(2017, 7, 24, 0, 0, 0)}
    assert {e.compress_type for e in entries} == {zipfile.ZIP_STORED}
    assert {e.external_attr >> 16 for e in entries} == {0o100644}


def test_a_tar_has_neither_dates_nor_owners_nor_a_name(tmp_path: Path) -> None:
    write_tar_gz(tmp_path / "a.tar.gz", MEMBERS)
    with tarfile.open(tmp_path / "a.tar.gz") as archive:
        entries = archive.getmembers()
    assert [e.name for e in entries] == ["a/2.txt", "a/1.txt"]
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e in entries} == {
        (0, 0, 0, "", "", 0o644)
    }
    head = (tmp_path / "a.tar.gz").read_bytes()[:10]
    assert head[3] == 0, "no file name in the gzip head"
    assert head[4:8] == bytes(4), "no date in the gzip head"
    assert len(gzip.decompress((tmp_path / "a.tar.gz").read_bytes())) % 512 == 0


def test_bytes_do_not_depend_on_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zip(tmp_path / "one.zip", MEMBERS, deflate=True)
    write_tar_gz(tmp_path / "one.tar.gz", MEMBERS)
    monkeypatch.setattr(time, "time", lambda: 1e9)
    write_zip(tmp_path / "two.zip", MEMBERS, deflate=True)
    write_tar_gz(tmp_path / "two.tar.gz", MEMBERS)
    for kind in ("zip", "tar.gz"):
        one, two = tmp_path / f"one.{kind}", tmp_path / f"two.{kind}"
        assert one.read_bytes() == two.read_bytes()


def test_a_file_that_could_not_be_finished_has_no_name(tmp_path: Path) -> None:
    def broken() -> list[tuple[str, bytes]]:
        raise OSError("disk")

    (tmp_path / "a.zip").write_bytes(b"before")
    with pytest.raises(OSError, match="disk"):
        write_zip(tmp_path / "a.zip", (m for m in broken()))
    assert (tmp_path / "a.zip").read_bytes() == b"before"


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(map_in_order(abs, [-3, 1, -2], 1)) == [3, 1, 2]
    assert list(map_in_order(abs, [-3, 1, -2], 2)) == [3, 1, 2]
