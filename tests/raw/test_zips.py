"""Zips as zipfile reads them: names, sizes and bytes, whatever stands around the members."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.errors import DataError
from darkroom.raw.members import Members
from darkroom.raw.zips import Zip

NAMES = st.lists(st.text("ab1é日 _-", min_size=1, max_size=5), min_size=1, max_size=4).map("/".join)


@settings(max_examples=60, deadline=None)
@given(
    members=st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=12),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    before=st.binary(max_size=9),
    # zipfile, too, takes these letters of a comment for the end of the zip.
    comment=st.binary(max_size=9).filter(lambda comment: b"PK\5\6" not in comment),
    extra=st.sampled_from([b"", b"UT\5\0\3abcd", b"UT\xc8\0" + bytes(200)]),
)
def test_members_are_those_of_zipfile(
    tmp_path_factory: pytest.TempPathFactory,
    members: dict[str, bytes],
    method: int,
    before: bytes,
    comment: bytes,
    extra: bytes,
) -> None:
    path = tmp_path_factory.mktemp("zips") / "a.zip"
    path.write_bytes(before)
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.comment = comment
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.extra, info.compress_type = extra, method
            archive.writestr(info, data)
        archive.mkdir("folder")
    ours = Zip(path)
    assert dict(ours.sizes) == {name: len(data) for name, data in members.items()}
    assert list(ours.sizes) == sorted(members)
    assert {name: ours.read(name) for name in ours.sizes} == members
    names, places = list(ours.sizes), np.arange(len(members))
    for span in ours.spans(places):
        contents = list(ours.read_span(places[span].tolist()))
        assert contents == [members[names[place]] for place in span]


def test_sizes_of_zip64_stand_in_the_extra_field(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("a", "b"):
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(name.encode() * 5)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    entry = data.rindex(b"PK\1\2")  # of b: its numbers move to an extra field of 24 bytes
    numbers = b"\1\0\x18\0" + b"".join(
        int.from_bytes(data[place : place + 4], "little").to_bytes(8, "little")
        for place in (entry + 24, entry + 20, entry + 42)
    )
    for place in (entry + 20, entry + 24, entry + 42):
        data[place : place + 4] = b"\xff" * 4
    data[entry + 30 : entry + 32] = len(numbers).to_bytes(2, "little")
    data[entry + 47 : entry + 47] = numbers
    end = data.rindex(b"PK\5\6")
    size = int.from_bytes(data[end + 12 : end + 16], "little") + len(numbers)
    data[end + 12 : end + 16] = size.to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(data)
    assert zipfile.ZipFile(tmp_path / "a.zip").read("b") == b"bbbbb"
    ours = Zip(tmp_path / "a.zip")
    assert dict(ours.sizes) == {"a": 5, "b": 5}
    assert ours.read("b") == b"bbbbb"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("./b", "b"),
        ("a//b", "a/b"),
        ("__MACOSX/._a", None),
        ("a/._b", None),
        ("a/.DS_Store", None),
        ("x__MACOSX/b", "x__MACOSX/b"),
        ("aThumbs.db", "aThumbs.db"),
        (".b", ".b"),
    ],
)
def test_names_are_written_plainly_and_junk_is_left_out(
    tmp_path: Path, name: str, kept: str | None
) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("z", b"z")
        archive.writestr(name, b"pixels")
    ours = Zip(tmp_path / "a.zip")
    assert set(ours.sizes) == {"z"} | ({kept} if kept else set())
    assert kept is None or ours.read(kept) == b"pixels"


def test_two_ways_to_write_a_name_are_two_members_of_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/b", b"1")
        archive.writestr("a//b", b"2")
    with pytest.raises(DataError, match="found: a/b: two members of this name"):
        Zip(tmp_path / "a.zip")


def test_members_are_looked_up_one_by_one_and_all_at_once() -> None:
    members = Members(pa.array(["b", "é", "a", "c/d"]), np.array([2, 4, 1, 3]))
    assert list(members) == ["a", "b", "c/d", "é"]
    assert members.order.tolist() == [2, 0, 3, 1]
    assert dict(members) == {"a": 1, "b": 2, "c/d": 3, "é": 4}
    assert members.places(pa.array(["é", "x", "a"])).tolist() == [3, -1, 0]
    assert members.place("c") == -1
    assert "c" not in members
    with pytest.raises(KeyError):
        members["c"]
    assert dict(Members.of_dict({"b": 1, "a": 2})) == {"a": 2, "b": 1}
    assert len(Members.of_dict({})) == 0


@pytest.mark.parametrize("place", [20, 42])  # of the last entry: its packed size, and its start
def test_a_member_that_reaches_beyond_the_members_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"aaaa")
        archive.writestr("b", b"bbbb")
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\1\2")
    data[entry + place : entry + place + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match="outside of the file, or in its directory"):
        Zip(path)
