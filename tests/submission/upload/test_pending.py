from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.submission.upload import pending
from darkroom.submission.upload.pending import Note

STEM = "0123456789ab"


def test_each_note_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert pending.read(folder, STEM) == []
    first, second = Note(STEM, 1.5e9, 20_000_001), Note(f"{STEM}-2", 1.5e9 + 1)
    pending.write(folder, Note(f"{STEM}-2", 1.5e9))
    for note in (second, first, Note("c" * 12, 1.5e9)):
        pending.write(folder, note)
    assert pending.read(folder, STEM) == [first, second]
    for _ in range(2):
        pending.clear(folder, STEM)
    assert pending.read(folder, STEM) == [second]


def told(
    mark: str = f'"{STEM}-2"', time: str = "1.5e9", reference: str = "null", ahead: str = "-3"
) -> str:
    return f'{{"mark": {mark}, "time": {time}, "reference": {reference}, "ahead": {ahead}}}'


ODD_TIMES = ("NaN", "Infinity", "1e300", "-1", "[]", "1" * 400)
ODD_REFERENCES = ("Infinity", "-5", "0", "1.5", '"7"', "[]", str(10**18))
ODD_MARKS = ('"../../history"', f'"{STEM}-x"', f'"{STEM}"', f'"{STEM}-{"9" * 5000}"', "7")
DAMAGED = [
    *["", "{}", "[]", '{"reference": "x"}', "\udcff", "[" * 100_000],
    *[told(time=time) for time in ODD_TIMES],
    *[told(reference=reference) for reference in ODD_REFERENCES],
    *[told(mark=mark) for mark in ODD_MARKS],
    *[told(ahead=ahead) for ahead in ("null", '"1"', "1.5", "true", "[]")],
]


def test_a_note_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / f"{STEM}-2.json").write_text(told())
    assert pending.read(tmp_path, STEM) == [Note(f"{STEM}-2", 1.5e9, ahead=-3)]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_note_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / f"{STEM}-2.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ArtifactError, match="it is damaged") as raised:
        pending.read(tmp_path, STEM)
    assert str(raised.value).startswith(f"{path}: ")
    assert "look at your submissions on Kaggle, then delete this file" in str(raised.value)
