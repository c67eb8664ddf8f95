"""A journal gives back its whole parts, whatever happened to its end."""

import errno
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.project.journal import Journal

PARTS = st.lists(st.binary(max_size=40), max_size=5)


def written(path: Path, parts: list[bytes]) -> bytes:
    journal = Journal(path)
    for part in parts:
        journal.append(part)
    return path.read_bytes() if parts else b""


def test_parts_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "rows.parts"
    assert list(Journal(path)) == []
    written(path, [b"one", b"", b"three"])
    journal = Journal(path)
    assert (len(journal), list(journal)) == (3, [b"one", b"", b"three"])
    journal.append(b"four")
    assert list(Journal(path)) == [b"one", b"", b"three", b"four"]


@given(PARTS, st.data())
def test_a_torn_end_is_cut_off_and_written_anew(parts: list[bytes], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.parts")
        whole = written(path, parts)
        kept = data.draw(st.integers(0, len(whole)))
        tail = data.draw(st.sampled_from([b"", b"\0" * 30, b"garbage"]))
        path.write_bytes(whole[:kept] + tail)
        journal = Journal(path)
        count = len(journal)
        assert list(journal) == parts[:count]
        # The tail may happen to begin as what was cut off does.
        pairs = enumerate(zip(whole, whole[:kept] + tail, strict=False))
        alike = next((place for place, (one, other) in pairs if one != other), len(whole))
        assert sum(24 + len(part) for part in parts[:count]) <= alike
        for part in parts[count:]:
            journal.append(part)
        assert path.read_bytes() == whole


@given(PARTS.filter(bool), st.data())
def test_a_changed_byte_ends_it_before_its_part(parts: list[bytes], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.parts")
        changed = bytearray(written(path, parts))
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(changed)
        ends = [sum(24 + len(part) for part in parts[: n + 1]) for n in range(len(parts))]
        assert list(Journal(path)) == parts[: sum(end <= place for end in ends)]


def test_a_part_counts_only_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.parts"
    whole = written(path, [b"one", b"two"])
    path.write_bytes(whole[27:] + whole[:27])
    assert list(Journal(path)) == []


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "rows.parts")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match=r"rows\.parts"):
        journal.append(b"one")
