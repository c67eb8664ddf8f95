"""What people call the classes that the submission writes as codes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import ArtifactError, DarkroomError, DataError, ParamsError
from darkroom.index.assembly.build import build_index
from darkroom.index.card import Card, card_values, with_names, write_names
from darkroom.params.data import Data
from darkroom.raw.archives import Archives
from tests.support.packed import zip_of

DATA: dict[str, Any] = {
    "source": "raw",
    "task": "multiclass",
    "train": {"table": "train.csv", "image": "all.zip/{img}.png", "targets": "code"},
    "test": {"table": "test.csv", "image": "all.zip/{img}.png"},
    "header": ["id", "code"],
}
ROWS = ("a,0,five", "b,1,ten", "c,0,five ", "d,2,twenty")


def card_of(raw: Path, rows: tuple[str, ...] = ROWS, **changes: Any) -> Card:
    raw.mkdir(exist_ok=True)
    (raw / "train.csv").write_text("\n".join(["img,code,word", *rows, ""]))
    (raw / "test.csv").write_text("img\ne\n")
    zip_of(raw / "all.zip", {f"{name}.png": name.encode() for name in "abcde"})
    data = Data.model_validate(DATA | changes)
    return build_index(Archives(raw, raw / "spool"), data).card


def refused(raw: Path, kind: type[DarkroomError], *args: Any, **changes: Any) -> str:
    with pytest.raises(kind) as caught:
        card_of(raw, *args, **changes)
    return str(caught.value)


def test_a_column_or_a_mapping_names_the_classes(tmp_path: Path) -> None:
    for names in ("word", "{word}", {0: "five", 1: "ten", "2": "twenty"}):
        card = card_of(tmp_path, names=names)
        assert (card.classes, card.shown) == (("0", "1", "2"), ("five", "ten", "twenty"))
    assert card_of(tmp_path, names={1: "ten"}).shown == ("0", "ten", "2")
    assert card_of(tmp_path).shown == ("0", "1", "2")


def test_a_column_names_classes_that_cells_only_mean(tmp_path: Path) -> None:
    card = card_of(tmp_path, values={0: "low", 1: "high", 2: None}, names="word")
    assert card.classes == ("high", "low")
    assert card.shown == ("ten", "five")


def test_a_class_of_two_names_is_refused_with_its_rows(tmp_path: Path) -> None:
    words = refused(tmp_path, DataError, (*ROWS, "e,1,eleven"), names="word")
    assert "row 6" in words
    assert "found: 'eleven', and 'ten' in row 3" in words
    assert "no column 'wrod'" in refused(tmp_path, DataError, names="wrod")


def test_names_that_are_no_class_or_of_two_are_refused(tmp_path: Path) -> None:
    words = refused(tmp_path, ParamsError, names={3: "fifty"})
    assert "data.names names '3', which is no class" in words
    assert "expected: classes: 0, 1, 2" in words
    words = refused(tmp_path, ParamsError, names={0: "note", 2: "note"})
    assert "found: 'note' for 0, 2" in words
    assert "found: '1' for 0, 1" in refused(tmp_path, ParamsError, names={0: "1"})
    alike = {0: "caf\u00e9", 1: "cafe\u0301"}, {0: "x", 1: "  x "}, {0: "x", 1: "x\u200b"}
    for names in alike:
        assert "for 0, 1" in refused(tmp_path, ParamsError, names=names)
    assert "found: '' for 1" in refused(tmp_path, ParamsError, names={1: "\u200b"})


def test_names_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    card, plain = card_of(tmp_path, names="word"), card_of(tmp_path)
    assert card_values(card) == card_values(plain)
    path = tmp_path / "notes.names.json"
    assert with_names(plain, path) == plain
    write_names(path, card)
    assert with_names(plain, path) == card
    write_names(path, replace(card, names=("one",)))
    with pytest.raises(ArtifactError, match="not the names of these classes") as caught:
        with_names(plain, path)
    assert "index@notes" in str(caught.value)
