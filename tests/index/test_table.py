import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.errors import ArtifactError, DataError
from darkroom.index import table
from darkroom.index.card import Card, Runs
from darkroom.index.table import (
    COLUMNS,
    Index,
    check_index,
    hard_labels,
    read_index,
    write_index,
)
from darkroom.project.checked_json import write_json

CARD = Card(
    task="multiclass",
    targets=("y",),
    classes=("cat", "dog"),
    declared={"train images": 3},
    header=("id", "class"),
)
MASKS = Card(task="segmentation", header=("img", "rle_mask"))


RUNS = {"order": "row", "start": 1, "relative": False, "empty": "", "size": None}


def rows(ids: list[str], parts: list[str], y: list[float] | None = None) -> pd.DataFrame:
    count = len(ids)
    frame = pd.DataFrame({name: [""] * count for name in COLUMNS}, dtype="str")
    frame["id"] = pd.Series(ids, dtype="str")
    frame["part"] = pd.Series(parts, dtype="str")
    frame["image"] = pd.Series([f"t.zip/{n}.jpg" for n in range(count)], dtype="str")
    frame["digest"] = pd.Series([f"{n:032x}" for n in range(count)], dtype="str")
    frame["mask_digest"] = pd.Series([""] * count, dtype="str")
    if y is not None:
        frame["y"] = y
    return frame


def sample() -> Index:
    ids, parts = ["a", "b", "c", "x"], ["train"] * 3 + ["test"]
    return Index(rows(ids, parts, [0.0, 1.0, 1.0, np.nan]), CARD)


def masked() -> Index:
    frame = rows(["a", "b", "x"], ["train", "train", "test"])
    frame["mask"] = ["m.zip/a.gif", "rle:column 1 3 10 2", ""]
    return Index(frame, MASKS)


def refused(index: Index) -> str:
    with pytest.raises(DataError) as caught:
        check_index(index)
    return str(caught.value)


def changed(index: Index, row: int, column: str, value: Any) -> Index:
    frame = index.rows.copy()
    frame[column] = frame[column].astype(object)
    frame.loc[row, column] = value
    if column == "y":
        frame[column] = frame[column].astype(float)
    return Index(frame, index.card)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("group", "a\tb", "column group holds what is not a line of text: 1 of 4 rows"),
        ("group", "a\x7f", "column group holds what is not a line of text"),
        ("group", "a\x85b", "column group holds what is not a line of text"),
        ("group", None, "column group holds what is not a line of text"),
        ("digest", "0" * 31 + "g", "column digest is not 32 hexadecimal digits: 1 of 4 rows"),
        ("digest", "0" * 33, "column digest is not 32 hexadecimal digits"),
        ("digest", "", "column digest is not 32 hexadecimal digits"),
        ("mask_digest", "0", "column mask_digest is not 32 hexadecimal digits"),
    ],
)
def test_columns_of_text_are_looked_at_as_they_lie(
    column: str, value: str | None, words: str
) -> None:
    frame = rows(["a", "b", "c", "x"], ["train"] * 3 + ["test"], [0.0, 1.0, 1.0, np.nan])
    frame.loc[1, column] = value
    assert frame[column].dtype == "str"
    assert words in refused(Index(frame, CARD))
    frame.loc[1, column] = "ä é"
    if column == "group":
        check_index(Index(frame, CARD))


def test_cells_with_commas_and_quotes_come_back(tmp_path: Path) -> None:
    index = sample()
    index.rows["group"] = ['a,"b"', '"', ",", "plain"]
    write_index(index, tmp_path / "i.csv", tmp_path / "i.json")
    assert (
        (tmp_path / "i.csv")
        .read_text()
        .splitlines()[1]
        .split("t.zip")[1]
        .startswith('/0.jpg,,"a,""b""",')
    )
    assert read_index(tmp_path / "i.csv", tmp_path / "i.json").rows.equals(index.rows)


@pytest.mark.parametrize("make", [sample, masked])
@pytest.mark.parametrize("block_bytes", [1, 50, 2**22])
def test_only_some_columns_are_read_block_by_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[], Index], block_bytes: int
) -> None:
    monkeypatch.setattr(table, "_BLOCK_BYTES", block_bytes)
    index, paths = make(), (tmp_path / "i.csv", tmp_path / "i.json")
    write_index(index, *paths)
    assert read_index(*paths).rows.equals(index.rows)
    some = read_index(*paths, ("part", "id"), targets=False)
    assert some.rows.equals(index.rows[["id", "part"]])
    assert some.card == index.card
    targets = [name for name in index.rows if name not in COLUMNS]
    assert read_index(*paths, ("mask",)).rows.equals(index.rows[["mask", *targets]])


def test_a_good_index_passes() -> None:
    check_index(sample())
    check_index(masked())
    check_index(changed(masked(), 0, "mask", "rle:row"))  # an empty mask


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (1, "id", "", "column id is empty: 1 of 4 rows"),
        (1, "id", "a", "an id comes twice in part train: 1 of 3 rows\n  train 'a': id 'a'"),
        (0, "id", "d", "part train is not in order of id\n  found: d first"),
        (1, "id", 7, "column id holds what is not a line of text: 1 of 4 rows\n  train 7: id 7"),
        (1, "id", "a\nb", "column id holds what is not a line of text"),
        (1, "group", None, "column group holds what is not a line of text"),
        (1, "part", "valid", 'a part is "train" or "test": 1 of 4 rows\n  valid \'b\''),
        (0, "part", "test", "part train comes first, then part test"),
        (3, "part", "train", "no image in part test\n  found: 4 rows\n  expected: at least one"),
        (2, "official", "train", 'official is "" everywhere, or else "train" or "valid"'),
        (2, "digest", "abc", "column digest is not 32 hexadecimal digits: 1 of 4 rows"),
        (2, "image", "", "column image is empty"),
        (1, "y", np.nan, "target y is unknown for training images: 1 of 4 rows"),
        (3, "y", np.inf, "target y is not finite: 1 of 4 rows"),
        (1, "y", 2.0, "target y is not one of 0 to 1: 1 of 4 rows\n  train 'b': y 2.0"),
        (1, "y", 0.5, "target y is not one of 0 to 1"),
        (
            0,
            "y",
            1.0,
            "classes of y without a training image: cat\n  found: training images of dog",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused(row: int, column: str, value: Any, words: str) -> None:
    assert words in refused(changed(sample(), row, column, value))


def test_a_class_must_be_in_the_official_training_part() -> None:
    index = sample()
    index.rows["official"] = ["valid", "train", "train", "test"]
    assert "classes of y without a training image: cat" in refused(index)
    index.rows["y"] = [0.0, 0.0, 1.0, 1.0]
    check_index(index)


def test_a_training_mask_must_be_there_and_legal() -> None:
    words = "training images without a mask: 1 of 3 rows\n  train 'a': image 't.zip/0.jpg'"
    assert words in refused(changed(masked(), 0, "mask", ""))
    for mask in ("rle:row 1", "rle:row 0 3", "rle:diagonal 1 2", "rle:row  1 2", "rle: 1 2"):
        assert 'an RLE mask reads "rle:row" or' in refused(changed(masked(), 0, "mask", mask))


@pytest.mark.parametrize(
    ("mask", "is_right"),
    [
        ('[["m.zip/a.gif"], []]', True),
        ('[["rle:column 1 3", "rle:column 9 1"], ["m.zip/a.gif"]]', True),
        ('[["m.zip/a.gif"]]', False),
        ('[["rle:column 0 3"], []]', False),
        ('[[""], []]', False),
        ('["a", "b"]', False),
        ("[[]", False),
        ("m.zip/a.gif", False),
    ],
)
def test_a_mask_of_two_classes_is_a_list_of_two_lists(mask: str, is_right: bool) -> None:
    card = replace(MASKS, targets=("round", "square"), header=("id", "round", "square"))
    frame = masked().rows.assign(mask=[mask, "[[], []]", ""])
    if is_right:
        check_index(Index(frame, card))
    else:
        assert "a mask is no JSON list of 2 lists" in refused(Index(frame, card))


def test_a_class_that_the_judge_has_a_column_for_needs_no_image() -> None:
    card = Card("multiclass", ("y",), ("a", "b", "c"), header=("id", "a", "b", "c"))
    frame = rows(["a", "b", "x"], ["train", "train", "test"]).assign(y=[0.0, 1.0, np.nan])
    check_index(Index(frame, card))
    words = refused(Index(frame, replace(card, header=("id", "class"))))
    assert "classes of y without a training image: c" in words


def test_some_targets_may_be_unknown_but_for_classes() -> None:
    card = Card("multilabel", ("y", "z"), header=("id", "y", "z"))
    frame = rows(["a", "b", "x"], ["train", "train", "test"])
    frame = frame.assign(y=[0.0, np.nan, np.nan], z=[np.nan, 1.0, np.nan])
    check_index(Index(frame, card))
    words = refused(Index(frame.assign(z=np.nan), card))
    assert "target z is unknown for all training images" in words


def test_shares_of_classes_sum_to_one() -> None:
    card = Card("multiclass", ("y", "z"), ("y", "z"), header=("id", "y", "z"), soft=True)
    frame = rows(["a", "b", "x"], ["train", "train", "test"])
    frame = frame.assign(y=[0.25, 1.0, np.nan], z=[0.75, 0.0, np.nan])
    check_index(Index(frame, card))
    assert "do not sum to 1" in refused(Index(frame.assign(z=[0.7, 0.0, np.nan]), card))
    words = refused(Index(frame.assign(y=[1.5, 1.0, np.nan]), card))
    assert "target y is no share, 0 to 1" in words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "detection"}, "unknown task\n  found: detection\n  expected: segmentation |"),
        ({"runs": Runs("diagonal")}, "unknown order of run lengths"),  # type: ignore[arg-type]
        ({"targets": ("y", "z")}, "wrong number of targets for the task multiclass\n  found: 2"),
        ({"targets": ("part",)}, "a target has a name that is taken\n  found: 1: part"),
        (
            {"header": ("id",)},
            "header has the wrong number of columns\n  found: 1: id\n  expected: 2",
        ),
        ({"classes": ("cat", "cat")}, "class labels must differ"),
        ({"classes": ("cat",)}, "wrong number of classes for the task multiclass"),
        (
            {"classes": ("cat", "dog\nhot")},
            "classes hold what is not a line of text\n  found: 'dog\\nhot'\n"
            "  expected: no control characters",
        ),
        ({"header": ("id", "a\r")}, "header hold what is not a line of text"),
        ({"targets": ("y\x7f",)}, "targets hold what is not a line of text"),
        ({"label_values": ("no", "y\0")}, "label_values hold what is not a line"),
        ({"targets": ("z",)}, "the index has other columns than its card says"),
    ],
)
def test_a_card_that_does_not_hold_together_is_refused(change: Any, words: str) -> None:
    index = sample()
    assert words in refused(Index(index.rows, replace(index.card, **change)))


def test_a_target_of_another_dtype_is_refused() -> None:
    index = sample()
    frame = index.rows.assign(y=["0", "1", "1", "1"])
    assert "target column y is not of floats" in refused(Index(frame, index.card))


def test_a_number_whose_square_float32_can_not_add_up_is_refused() -> None:
    index = sample()
    card = replace(index.card, task="regression", classes=(), header=("id", "y"))
    check_index(changed(Index(index.rows, card), 1, "y", 1e15))
    words = refused(changed(Index(index.rows, card), 1, "y", -3.5e38))
    assert words == "target y is beyond 1e15: 1 of 4 rows\n  train 'b': y -3.5e+38"


def test_there_and_back_keeps_ids_as_text(tmp_path: Path) -> None:
    ids = sorted(
        ["000001.jpg", "007", "NA", "1e5", "nan", "None", '"q", x', " a", "-0", "é", "True"]
    )
    parts = ["train"] * len(ids) + ["test"]
    index = Index(rows([*ids, "NA"], parts, [0.0, 1.0] * 6), CARD)
    write_index(index, tmp_path / "a.csv", tmp_path / "a.json")
    again = read_index(tmp_path / "a.csv", tmp_path / "a.json")
    assert again.rows["id"].tolist() == [*ids, "NA"]
    pd.testing.assert_frame_equal(again.rows, index.rows)
    assert again.card == index.card


@pytest.mark.parametrize(
    ("odd", "by_place"), [(None, True), (np.nan, False), (0.25, False), (1.0, True)]
)
def test_labels_are_exact_there_and_back(tmp_path: Path, odd: float | None, by_place: bool) -> None:
    """Digits are read by their place; a gap or a share sends the table the long way."""
    card = Card("multilabel", ("y", '"z", 0', "w"), header=("id", "y", '"z", 0', "w"))
    frame = rows(["0,1,0", '"1",0', "c", "x", ",,"], ["train"] * 3 + ["test"] * 2)
    frame.loc[2, "mask_digest"] = "0" * 32
    for name, values in zip(card.targets, ([0.0, 1, 1], [1.0, 1, 0], [0.0, 0, 1]), strict=True):
        frame[name] = [*values, np.nan, np.nan]
    if odd is not None:
        frame.loc[1, "w"] = odd
    frame = frame.sort_values(["part", "id"], ascending=[False, True], ignore_index=True)
    write_index(Index(frame, card), tmp_path / "a.csv", tmp_path / "a.json")
    again = read_index(tmp_path / "a.csv", tmp_path / "a.json")
    pd.testing.assert_frame_equal(again.rows, frame, check_exact=True)
    data = (tmp_path / "a.csv").read_bytes()
    lines = data.split(b"\n", 1)[1]
    assert (table._split_digits(lines, len(card.targets)) is not None) == by_place


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(st.text(min_size=1), min_size=2, max_size=8, unique=True),
    values=st.lists(st.floats(-1e15, 1e15), min_size=8, max_size=8),
)
def test_there_and_back_is_exact(tmp_path: Path, ids: list[str], values: list[float]) -> None:
    clean = sorted({name for name in ids if name.isprintable()})
    if len(clean) < 2:
        return
    y = [*values[: len(clean) - 1], np.nan]
    frame = rows(clean, ["train"] * (len(clean) - 1) + ["test"], y)
    index = Index(frame, Card(task="regression", targets=("y",), header=("id", "y")))
    write_index(index, tmp_path / "a.csv", tmp_path / "a.json")
    again = read_index(tmp_path / "a.csv", tmp_path / "a.json")
    pd.testing.assert_frame_equal(again.rows, index.rows, check_exact=True)


def test_the_bytes_are_known(tmp_path: Path) -> None:
    write_index(sample(), tmp_path / "a.csv", tmp_path / "a.json")
    text = (tmp_path / "a.csv").read_bytes()
    header = b"id,part,image,mask,group,official,digest,mask_digest,y\n"
    assert text.startswith(header + b"a,train,t.zip/0.jpg,,,,0")
    assert text.endswith(b"3,,\n")
    assert b"\r" not in text
    card = json.loads((tmp_path / "a.json").read_bytes())
    assert card["rows"] == 4
    assert card["classes"] == ["cat", "dog"]
    first = (text, (tmp_path / "a.json").read_bytes())
    write_index(sample(), tmp_path / "a.csv", tmp_path / "a.json")
    assert ((tmp_path / "a.csv").read_bytes(), (tmp_path / "a.json").read_bytes()) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json"]


def test_a_bad_index_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        write_index(changed(sample(), 1, "id", "a"), tmp_path / "a.csv", tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_an_absent_file_is_refused(tmp_path: Path, name: str) -> None:
    write_index(sample(), tmp_path / "a.csv", tmp_path / "a.json")
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: it is not there") as caught:
        read_index(tmp_path / "a.csv", tmp_path / "a.json")
    assert "to do: run the index stage: `dvc repro -sf index@a`" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("a.csv", b"a,train", b"A,train", "the index is not the one that its card describes"),
        ("a.csv", b"3,,\n", b"", "the index is not the one that its card describes"),
        ("a.json", b'"task"', b'"tusk"', "it is damaged or was edited"),
        ("a.json", b"}", b"", "it is damaged: this is not JSON of Darkroom"),
        ("a.json", b'"sha256": "', b'"sha256": "0', "it is damaged or was edited"),
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, name: str, old: bytes, new: bytes, words: str
) -> None:
    write_index(sample(), tmp_path / "a.csv", tmp_path / "a.json")
    data = (tmp_path / name).read_bytes()
    assert old in data
    (tmp_path / name).write_bytes(data.replace(old, new))
    with pytest.raises(ArtifactError, match=words):
        read_index(tmp_path / "a.csv", tmp_path / "a.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "art"}, "unknown task"),
        ({"runs": RUNS | {"order": "diagonal"}}, "unknown order of run lengths"),
        ({"runs": RUNS | {"start": 2}}, "the first pixel has no such number"),
        ({"runs": None}, "not the card of an index"),
        ({"header": "id"}, "header: not a list"),
        ({"header": ["image", 5]}, "header hold what is not a line of text"),
        ({"classes": [["a"], ["b"]]}, "classes hold what is not a line of text"),
        ({"label_values": ["0", "1", "2"]}, "label values"),
        ({"declared": {"images": "3"}}, "declared"),
        ({"sha256": 5}, "found: "),
        ({"tusk": 5}, "keys "),
    ],
)
def test_a_card_is_checked_when_read_as_when_written(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    write_index(sample(), tmp_path / "a.csv", tmp_path / "a.json")
    values = json.loads((tmp_path / "a.json").read_text())
    del values["checksum"]
    write_json(tmp_path / "a.json", values | change)
    with pytest.raises(ArtifactError, match=words) as caught:
        read_index(tmp_path / "a.csv", tmp_path / "a.json")
    assert "a.json: not the card of an index" in str(caught.value)


def test_an_index_whose_header_has_other_names_is_not_read(tmp_path: Path) -> None:
    """`check`, predict and evaluate read it: an index of an older version may have one."""
    frame = rows(["a", "b", "x"], ["train", "train", "test"])
    frame["height"], frame["age"] = [1.0, 2.0, np.nan], [3.0, 4.0, np.nan]
    paths = tmp_path / "a.csv", tmp_path / "a.json"
    card = Card("regression", ("height", "age"), header=("id", "age", "height"))
    write_index(Index(frame, card), *paths)
    assert read_index(*paths).card.header == ("id", "age", "height")
    values = json.loads(paths[1].read_text())
    values = {key: value for key, value in values.items() if key != "checksum"}
    write_json(paths[1], values | {"header": ["id", "years", "height"]})
    with pytest.raises(ArtifactError, match="not the card of an index") as caught:
        read_index(*paths)
    assert "the submission's header does not have the names of the targets" in str(caught.value)


def test_soft_classes_are_hardened_by_their_greatest_share() -> None:
    shares = [[0.7, 0.3], [0.4, 0.6], [0.45, 0.55], [np.nan, np.nan]]
    soft = pd.DataFrame(shares, columns=["a", "b"])
    card = Card(task="multiclass", targets=("a", "b"), classes=("a", "b"), soft=True)
    hard, columns = hard_labels(soft, card)
    assert columns == ("a",)
    np.testing.assert_array_equal(hard["a"], [0, 1, 1, np.nan])
    assert hard_labels(soft, Card(task="segmentation", targets=("a", "b")))[1] == ()


@pytest.mark.parametrize("task", ["multilabel", "binary"])
def test_a_soft_label_is_there_above_one_half(task: str) -> None:
    soft = pd.DataFrame({"a": [0.3, 0.5, 0.51, np.nan]})
    hard, columns = hard_labels(soft, Card(task=task, targets=("a",)))
    assert columns == ("a",)
    np.testing.assert_array_equal(hard["a"], [0, 0, 1, np.nan])


def test_the_table_is_the_csv_that_pandas_writes(tmp_path: Path) -> None:
    ids = ['a"b', "a,b", "é", "x"]
    values = {"whole": [-2.0, 3e12, np.nan, np.nan], 'f,"': [0.1, -1e-9, 2.5, np.nan]}
    frame = rows(ids, ["train"] * 3 + ["test"]).assign(**values)
    card = Card("regression", ("whole", 'f,"'), header=("id", 'f,"', "whole"))
    write_index(Index(frame, card), tmp_path / "i.csv", tmp_path / "i.json")
    expected = frame.astype({"whole": "Int64"}).to_csv(index=False, lineterminator="\n")
    assert (tmp_path / "i.csv").read_text() == expected
