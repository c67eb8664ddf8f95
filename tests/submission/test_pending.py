from pathlib import Path

import pytest

from darkroom.errors import ArtifactError
from darkroom.submission import pending
from darkroom.submission.pending import Note


@pytest.mark.parametrize("reference", [None, 20_000_001])
def test_a_note_comes_back(tmp_path: Path, reference: int | None) -> None:
    path, note = tmp_path / "a/b.json", Note("titanic", "0123456789ab-2", 1.5e9, reference)
    assert pending.read(path) is None
    pending.write(path, note)
    assert pending.read(path) == note
    pending.clear(path)
    pending.clear(path)
    assert pending.read(path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"reference": "x"}', "\udcff"])
def test_a_damaged_note_is_not_taken_for_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ArtifactError, match="it is damaged") as raised:
        pending.read(path)
    assert "look at your submissions on Kaggle, then delete this file" in str(raised.value)
