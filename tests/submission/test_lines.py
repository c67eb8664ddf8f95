import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.submission.lines import Fault, Line, read_lines, split_fields


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", [""]),
        ("a,b", ["a", "b"]),
        ("a,,", ["a", "", ""]),
        ('"a,b",c', ["a,b", "c"]),
        ('"say ""x""",""', ['say "x"', ""]),
        ('a,"', None),
        ('a,"b"c', None),
        ('a"b', None),
        ('"a', None),
    ],
)
def test_fields(text: str, fields: list[str] | None) -> None:
    assert split_fields(text) == fields


@given(st.text(alphabet='ab,"', max_size=12))
def test_fields_are_those_of_the_csv_module_or_none(text: str) -> None:
    fields = split_fields(text)
    if fields is not None and text:
        assert list(csv.reader(io.StringIO(text), strict=True)) == [fields]


def test_a_million_quotes_are_fast() -> None:
    assert split_fields('"' + '""' * 1_000_000) is None
    assert split_fields('"' + '""' * 1_000_000 + '"') == ['"' * 1_000_000]


def test_lines_are_counted_from_one_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darkroom.submission.lines._CHUNK_BYTES", 3)
    (tmp_path / "x").write_bytes("a\nlönger\n\nlast".encode())
    assert list(read_lines(tmp_path / "x")) == [
        Line(1, "a"),
        Line(2, "lönger"),
        Line(3, ""),
        Line(4, "last"),
    ]


def test_a_replacement_character_in_the_file_is_not_a_fault(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("\ufffd\n".encode() + b"\xff\n")
    fault = Fault(2, "bytes that are not UTF-8")
    assert list(read_lines(tmp_path / "x")) == [Line(1, "\ufffd"), fault, Line(2, "\ufffd")]
