"""JSON with a checksum: there and back, and nothing that was changed."""

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import ArtifactError
from darkroom.project.checked_json import checksum, parse_json, read_json, write_json

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=5)
JSON = st.recursive(
    LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3)
)
MAPPINGS = st.dictionaries(st.text(max_size=5).filter(lambda key: key != "checksum"), JSON)


def read(path: Path) -> dict[str, Any]:
    return read_json(path, fix="run it again")


def test_the_checksum_is_the_sha256_of_the_sorted_values() -> None:
    # printf '{"a":[1,0.5],"b":"\\u00e9"}' | sha256sum
    known = "ec71ccdc"
    assert checksum({"b": "é", "a": (1, 0.5)})[:8] == known


@given(MAPPINGS)
def test_there_and_back(values: dict[str, Any]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.json")
        write_json(path, values)
        assert read(path) == values
        rearranged = json.dumps(json.loads(path.read_bytes()), sort_keys=True)
        path.write_text(rearranged.replace("\n", "\r\n"))
        assert read(path) == values


@given(st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(data: st.DataObject) -> None:
    values = {"mean": [0.485, 0.456, 0.406], "classes": ["a", "é"], "rle_order": "row", "n": None}
    text = json.dumps({**values, "checksum": checksum(values)}, indent=2).encode()
    place = data.draw(st.integers(0, len(text) - 1))
    changed = bytearray(text)
    changed[place] = data.draw(st.integers(0, 255))
    try:
        assert parse_json(bytes(changed), Path("a.json"), fix="") == values
    except ArtifactError as error:
        words = ("a.json: it is damaged", "a.json: it was written by an earlier version")
        assert str(error).startswith(words)  # noqa: PT017


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "this is not JSON of Darkroom"),
        ("{", "this is not JSON of Darkroom"),
        ("5", "int instead of keys and values"),
        ("[" * 100_000, "this is not JSON of Darkroom"),
        ('{"a": 1' + "0" * 5000 + "}", "this is not JSON of Darkroom"),
        ('{"a": NaN}', "this is not JSON of Darkroom"),
        ("\xff", "this is not JSON of Darkroom"),
        ('{"a": 1}', "found: no checksum"),
        ('{"a": 1, "checksum": "00"}', "found: checksum 00"),
        ('{"a": 1, "checksum": [1]}', "found: checksum [1]"),
    ],
)
def test_what_was_not_written_so_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ArtifactError) as caught:
        read(path)
    assert words in str(caught.value)
    assert str(caught.value).endswith("to do: run it again")
    assert len(str(caught.value)) < 2000


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a\.json: it is not there\n  to do: run it again"):
        read(tmp_path / "a.json")
    (tmp_path / "a.json").mkdir()
    with pytest.raises(ArtifactError, match="it can't be read\n  found: Is a directory\n"):
        read(tmp_path / "a.json")


def test_numbers_that_json_does_not_know_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ArtifactError, match="no file"):
        read(tmp_path / "a.json")


def test_a_permission_is_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ArtifactError, match="chmod"):
        read(tmp_path / "a.json")
