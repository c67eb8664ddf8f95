"""Encode cells from images small enough to write out the result."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from darkroom.errors import DataError
from darkroom.images import rle
from darkroom.index.card import Card, Runs
from darkroom.submission.cells import Cells, cell_encoder

LEFT = np.array([[1, 1, 0, 0]] * 4, np.float32)  # 4 x 4: the left half


def cells(
    card: Card, values: Any, sizes: list[tuple[int, int]] | None = None, **options: Any
) -> list[Cells]:
    settings: dict[str, Any] = {"threshold": 0.5, "fit": "stretch"} | options
    predictions = np.asarray(values, np.float32)
    return list(cell_encoder(card, **settings)(predictions, sizes or [(1, 1)] * len(predictions)))


def masked(values: Any, height: int, width: int, **options: Any) -> list[list[int]]:
    order = options.pop("order", "row")
    card = Card("segmentation", header=("id", "rle"), runs=Runs(order))
    ((text,),) = cells(card, [[values]], [(height, width)], **options)
    decoded: list[list[int]] = rle.decode(text, height, width, order).tolist()
    return decoded


@pytest.mark.parametrize("order", ["row", "column"])
def test_a_stretched_mask_covers_the_same_half(order: str) -> None:
    assert masked(LEFT, 2, 8, order=order) == [[1, 1, 1, 1, 0, 0, 0, 0]] * 2
    assert masked(LEFT.T, 8, 2, order=order) == [[1, 1]] * 4 + [[0, 0]] * 4


def test_the_padding_is_not_part_of_a_mask() -> None:
    # A picture of 2 x 4 px lies in rows 1 and 2 of the 4 x 4 stored ones.
    stored = np.array([[1] * 4, [1, 0, 0, 0], [1, 1, 0, 0], [1] * 4], np.float32)
    options: dict[str, Any] = {"fit": "pad", "threshold": 0.4}  # half a pixel of padding would show
    assert masked(stored, 2, 4, **options) == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert masked(stored.T, 4, 2, **options) == [[1, 1], [0, 1], [0, 0], [0, 0]]


def test_a_cropped_mask_is_empty_outside_the_crop() -> None:
    # Of a picture of 4 x 8 px only columns 2 to 5 were stored.
    assert masked(LEFT, 4, 8, fit="crop") == [[0, 0, 1, 1, 0, 0, 0, 0]] * 4
    assert (
        masked(np.ones((4, 4)), 8, 4, fit="crop") == [[0] * 4] * 2 + [[1] * 4] * 4 + [[0] * 4] * 2
    )


def test_a_pixel_must_be_above_the_threshold() -> None:
    card = Card("segmentation", header=("id", "rle"))
    values = [[[[0.5, 0.75], [0.25, 0.5]]]]
    assert cells(card, values, [(2, 2)]) == [["2 1"]]
    assert cells(card, values, [(2, 2)], threshold=0.25) == [["1 2 4 1"]]
    assert cells(card, values, [(2, 2)], threshold=0.9) == [[""]]


def test_each_image_of_a_batch_has_its_own_size() -> None:
    card = Card("segmentation", header=("id", "rle"))
    assert cells(card, [[LEFT], [LEFT]], [(1, 4), (1, 8)]) == [["1 2"], ["1 4"]]


def test_classes_are_written_by_name() -> None:
    card = Card("multiclass", ("note",), ("5", "10", "a, b"), header=("id", "note"))
    values = [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.4, 0.4, 0.2]]
    assert cells(card, values) == [["10"], ["a, b"], ["5"]]


def test_labels_are_written_as_the_competition_spells_yes_and_no() -> None:
    card = Card("multilabel", ("hat", "tie"), header=("id", "hat", "tie"), label_values=("-1", "1"))
    values = [[0.7, 0.2], [0.5, 0.51]]
    assert cells(card, values) == [["1", "-1"], ["-1", "1"]]
    assert cells(card, values, threshold=0.1) == [["1", "1"], ["1", "1"]]
    one = Card("binary", ("ok",), header=("id", "ok"), label_values=("no", "yes"))
    assert cells(one, [[0.4], [0.6]]) == [["no"], ["yes"]]


def test_numbers_are_written_without_an_exponent() -> None:
    card = Card("regression", ("a", "b"), header=("id", "a", "b"))
    values = [[1.5, -0.1], [1e7, 1e-5], [0.0, 3.0]]
    assert cells(card, values) == [["1.5", "-0.1"], ["10000000", "0.00001"], ["0", "3"]]


@given(
    hnp.arrays(
        np.float32, (3, 2), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
    )
)
def test_numbers_read_back_to_the_same_float32(values: np.ndarray) -> None:
    card = Card("regression", ("a", "b"), header=("id", "a", "b"))
    texts = cells(card, values)
    assert np.array(texts).astype(np.float32).tolist() == values.tolist()
    assert not any(set(text) - set("-.0123456789") for row in texts for text in row)


def test_an_answer_is_written_under_its_name_whatever_the_order_of_the_header() -> None:
    values = [[0.9, 0.1, 0.2]]
    card = Card("multilabel", ("hat", "tie", "scarf"), header=("id", "scarf", "hat", "tie"))
    assert cells(card, values) == [["0", "1", "0"]]
    card = Card("regression", ("a", "height_target", "c"), header=("id", "c", "a", "height"))
    assert cells(card, [[1.5, 2.5, 3.5]]) == [["3.5", "1.5", "2.5"]]


@given(st.permutations(["a", "b", "c", "d"]), st.sampled_from(["multilabel", "regression"]))
def test_columns_follow_their_names(header: list[str], task: str) -> None:
    values = dict(zip("abcd", [0.0, 1.0, 1.0, 0.0], strict=True))
    card = Card(task, tuple("abcd"), header=("id", *header))
    assert cells(card, [[*values.values()]]) == [[f"{values[name]:.0f}" for name in header]]


@pytest.mark.parametrize("header", [("a", "c"), ("a", "a"), ("A", "b"), ("a",), ("a", "b", "c")])
def test_a_header_of_other_names_is_refused(header: tuple[str, ...]) -> None:
    card = Card("regression", ("a", "b"), header=("id", *header))
    with pytest.raises(DataError, match="does not have the names of the targets"):
        cells(card, [[1.0, 2.0]])
