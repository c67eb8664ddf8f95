"""Headers of tars, against Python's tarfile, which reads the same of what is not hostile."""

import io
import tarfile

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from darkroom.raw.tars import Member, read_members

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1, max_size=300)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
FORMATS = st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])


def by_tarfile(data: bytes) -> list[tuple[str, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        return [(m.name, m.size, m.offset_data) for m in tar.getmembers() if not m.isdir()]


def tar_of(members: list[tuple[str, int, bytes]], form: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as tar:
        for name, size, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "x" * 200 if kind == tarfile.SYMTYPE else ""
            info.size = size if kind in tarfile.REGULAR_TYPES else 0
            tar.addfile(info, io.BytesIO(b"x" * info.size))
    return data.getvalue()


@example([("é/", 0, tarfile.REGTYPE)], tarfile.PAX_FORMAT)
@given(st.lists(st.tuples(NAMES, st.integers(0, 2000), KINDS), max_size=8), FORMATS)
def test_members_are_those_of_tarfile(members: list[tuple[str, int, bytes]], form: int) -> None:
    data = tar_of(members, form)
    read = [(m.name, m.size, m.offset) for m in read_members(io.BytesIO(data))]
    assert read == by_tarfile(data)


def test_a_long_name_is_split_in_two_by_ustar() -> None:
    name = "/".join(["folder" * 5] * 5) + "/a.png"
    data = tar_of([(name, 3, tarfile.REGTYPE)], tarfile.USTAR_FORMAT)
    assert list(read_members(io.BytesIO(data))) == [Member(name, 3, 512, "")]


def test_a_label_and_the_listings_of_gnu_tar_are_no_members() -> None:
    """As `tar --label` and `tar --incremental` write them; tarfile takes them for files."""
    entries = [("set 1", 0, b"V"), ("./", 700, b"D"), ("a.png", 3, tarfile.REGTYPE)]
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, size, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, size
            tar.addfile(info, io.BytesIO(b"x" * size))
    assert list(read_members(data)) == [Member("a.png", 3, 512 + 512 + 1024 + 512, "")]


@given(st.data())
def test_a_damaged_tar_is_refused_or_gives_members_inside_it(choice: st.DataObject) -> None:
    data = bytearray(tar_of([("a" * 120, 700, tarfile.REGTYPE)] * 2, tarfile.PAX_FORMAT))
    place = choice.draw(st.integers(0, len(data) - 1))
    data[place] ^= choice.draw(st.integers(1, 255))
    try:
        members = list(read_members(io.BytesIO(data)))
    except tarfile.ReadError:
        return
    assert all(0 <= m.offset <= m.offset + m.size <= len(data) for m in members)


@pytest.mark.parametrize("cut", [512, 1024, 1500, 2048])
def test_a_tar_without_its_end_blocks_is_read_up_to_there(cut: int) -> None:
    data = tar_of([("a", 512, tarfile.REGTYPE)] * 2, tarfile.USTAR_FORMAT)
    whole = cut % 1024 == 0
    if not whole:
        with pytest.raises(tarfile.ReadError):
            list(read_members(io.BytesIO(data[:cut])))
    else:
        assert len(list(read_members(io.BytesIO(data[:cut])))) == cut // 1024
