import math

import numpy as np
import pytest

from darkroom.errors import DataError
from darkroom.index.assembly.labels import (
    TargetCells,
    class_labels,
    encode_targets,
    is_number,
    is_representable,
    label_values,
)
from darkroom.index.checks import LARGEST
from darkroom.raw.tables import Table


def cells(*columns: list[str], complete: bool = True) -> TargetCells:
    count = len(columns[0]) if columns else 1
    table = Table("t.csv", (), [[""]] * count, list(range(2, 2 + count)))
    return TargetCells(table, list(columns), complete)


def test_classes_are_ordered_as_numbers_or_as_text() -> None:
    assert class_labels(["10", "2", "", "2", "-1"]) == ("-1", "2", "10")
    assert class_labels(["10", "2", "b"]) == ("10", "2", "b")
    with pytest.raises(DataError, match="two labels are one number\n  found: '01' and '1'"):
        class_labels(["1", "01"])


def test_multiclass_numbers_follow_the_classes() -> None:
    coded = encode_targets(
        "multiclass",
        ["y"],
        {"train": cells(["dog", "cat"]), "test": cells(["", "dog"], complete=False)},
    )
    assert coded.classes == ("cat", "dog")
    assert coded.numbers["train"] == [[1.0, 0.0]]
    assert math.isnan(coded.numbers["test"][0][0])
    assert coded.numbers["test"][0][1] == 1.0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["1", "1.0", "2.5"], "two labels are one number\n  found: '1' and '1.0'"),
        (["+1", "1"], "two labels are one number\n  found: '+1' and '1'"),
        (["caf\u00e9", "cafe\u0301", "tea"], "two labels look alike"),
        (
            [" fish", "fish"],
            "two labels look alike: they differ in blanks, or in the form of their",
        ),
    ],
)
def test_a_class_is_not_written_in_two_ways(labels: list[str], words: str) -> None:
    with pytest.raises(DataError) as caught:
        class_labels(labels)
    assert words in str(caught.value)
    # Among words a number is a name, and letters of another case are another letter.
    assert class_labels(["1", "1.0", "a", "A"]) == ("1", "1.0", "A", "a")


@pytest.mark.parametrize(
    ("column", "pair"),
    [
        (["0", "1"], ("0", "1")),
        (["-1", "1", ""], ("-1", "1")),
        (["1", "1"], ("0", "1")),
        (["0.0", "1.0"], ("0.0", "1.0")),
        (["True", "False"], ("False", "True")),
        (["TRUE"], ("FALSE", "TRUE")),
        (["no", "yes"], ("no", "yes")),
    ],
)
def test_absent_and_present_are_read_as_written(column: list[str], pair: tuple[str, str]) -> None:
    assert label_values(column) == pair
    coded = encode_targets("binary", ["y"], {"train": cells(column, complete=False)})
    assert coded.label_values == pair
    expected = [float(cell == pair[1]) for cell in column if cell]
    assert [number for number in coded.numbers["train"][0] if not math.isnan(number)] == expected


@pytest.mark.parametrize(
    ("task", "column", "words"),
    [
        ("binary", ["0", "1", "2"], "t.csv, row 4: target y holds '2'\n  found: 1 of 3 rows: 4"),
        ("multilabel", ["0", "-1", "1", "0"], "target y holds"),
        ("binary", ["True", "true", "False"], "target y holds"),
        ("regression", ["1.5", "nan"], "row 3: target y holds 'nan'"),
        ("regression", ["1_000"], "holds '1_000'\n  found: 1 of 1 rows: 2\n  expected: a finite"),
        ("regression", ["1", "3.5e38"], "row 3: target y holds '3.5e38'\n  found: 1 of 2 rows: 3"),
        ("regression", ["-1e16"], "expected: at most 1e15 in size"),
        ("multiclass", ["dog", "dog "], "row 3: target y holds 'dog ', which is 'dog' apart from"),
        ("multiclass", ["a  b", "a b"], "row 2: target y holds 'a  b', which is 'a b' apart"),
        ("multiclass", ["a", " "], "row 3: target y is empty for images to train on"),
        ("regression", ["", ""], "row 2: target y is empty for images to train on"),
        ("multiclass", ["a", ""], "row 3: target y is empty for images to train on"),
    ],
)
def test_what_is_no_value_is_refused_with_its_row(task: str, column: list[str], words: str) -> None:
    with pytest.raises(DataError) as caught:
        encode_targets(task, ["y"], {"train": cells(column)})
    assert words in str(caught.value)


def test_a_table_without_targets_gives_unknown_values() -> None:
    coded = encode_targets(
        "regression", ["a", "b"], {"train": cells(["1e5"], ["-2."]), "test": cells(complete=False)}
    )
    assert coded.numbers["train"] == [[1e5], [-2.0]]
    assert [[math.isnan(cell) for cell in column] for column in coded.numbers["test"]] == [
        [True],
        [True],
    ]


def test_an_empty_cell_is_unknown_but_for_classes() -> None:
    coded = encode_targets("binary", ["y"], {"train": cells(["1", "", "0"])})
    assert math.isnan(coded.numbers["train"][0][1])


def test_labels_may_be_shares() -> None:
    coded = encode_targets("multilabel", ["y"], {"train": cells(["0.3", "1", "0"])})
    assert coded.numbers["train"] == [[0.3, 1.0, 0.0]]
    assert coded.label_values == ("0", "1")
    with pytest.raises(DataError, match=r"row 2: target y holds '0\.3'"):
        encode_targets("multilabel", ["y"], {"train": cells(["0.3", "1.5"])})
    tables = {"train": cells(["0.3", "1"]), "valid": cells(["2", "1"])}
    with pytest.raises(DataError, match="row 2: target y holds '2'"):
        encode_targets("binary", ["y"], tables)


def test_cells_mean_what_values_say() -> None:
    values: dict[int | str, int | str | None] = {"cat": 1, "dog": 0, "?": None}
    train = cells(["dog", "?", "cat"])
    coded = encode_targets("binary", ["y"], {"train": train}, values=values)
    assert coded.label_values == ("dog", "cat")
    assert coded.numbers["train"][0][::2] == [0.0, 1.0]
    assert math.isnan(coded.numbers["train"][0][1])
    with pytest.raises(DataError, match="row 3: target y holds 'fox'"):
        encode_targets("binary", ["y"], {"train": cells(["cat", "fox"])}, values=values)


def test_a_class_that_the_judge_alone_knows_is_an_output() -> None:
    train = cells(["b", "a"])
    assert encode_targets("multiclass", ["y"], {"train": train}, further=["c"]).classes == (
        "a",
        "b",
        "c",
    )


def test_a_class_that_training_lacks_is_refused_with_the_nearest() -> None:
    tables = {"train": cells(["cat", "dog"]), "valid": cells(["cat", "cats"])}
    with pytest.raises(DataError, match="row 3: target y holds 'cats', which no training row has"):
        encode_targets("multiclass", ["y"], tables)


def test_blanks_of_the_test_table_are_found_too() -> None:
    test = cells(["", "cat "], complete=False)
    with pytest.raises(DataError, match="row 3: target y holds 'cat ', which is 'cat'"):
        encode_targets("multiclass", ["y"], {"train": cells(["cat", "dog"]), "test": test})


def test_labels_with_blanks_of_their_own_are_kept() -> None:
    assert encode_targets("multiclass", ["y"], {"train": cells([" a", "b c"])}).classes == (
        " a",
        "b c",
    )


def test_squares_of_the_largest_number_can_be_added_up() -> None:
    assert np.isfinite(np.float32(LARGEST) ** 2 * np.float32(1e6))
    assert is_representable(repr(-LARGEST))
    assert not is_representable("3.4028235e38")


def test_numbers() -> None:
    assert all(map(is_number, ["1", "-1.5", ".5", "1e-3", "+2"]))
    assert not any(map(is_number, ["", "nan", "inf", "1_0", "1e999", "0x1", " 1"]))


def test_thousands_of_digits_are_a_text() -> None:
    assert class_labels(["2", "9" * 5000]) == ("2", "9" * 5000)


def test_words_for_present_that_are_not_usual_are_said_by_values() -> None:
    with pytest.raises(DataError, match="target y holds '2'") as caught:
        encode_targets("binary", ["y"], {"train": cells(["1", "2", "1"])})
    assert "say what each text means: data.values: {'1': 0, '2': 1}" in str(caught.value)
    coded = encode_targets("binary", ["y"], {"train": cells(["1", "2"])}, values={"1": 0, "2": 1})
    assert coded.numbers["train"] == [[0.0, 1.0]]
