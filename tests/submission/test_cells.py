"""Encode rows from images small enough to write out the result."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from darkroom.errors import DataError
from darkroom.images import rle
from darkroom.images.geometry import Fit
from darkroom.index.card import Card, Runs
from darkroom.prediction.deciding import OutOfFold
from darkroom.prediction.decision import Decision
from darkroom.submission.cells import Rows, legal_values, row_encoder
from darkroom.tasks.metrics.specs import get_metric

LEFT = np.array([[1, 1, 0, 0]] * 4, np.float32)  # 4 x 4: the left half


def rows(
    card: Card,
    values: Any,
    sizes: list[tuple[int, int]] | None = None,
    *,
    metric: str = "",
    fit: Fit = "stretch",
    **decided: Any,
) -> list[Rows]:
    """Return the rows of each image; their ids are 0, 1, 2 ..."""
    if card.task in ("multiclass", "regression"):
        decided = {"threshold": None} | decided
    predictions = np.asarray(values, np.float32)
    encode = row_encoder(card, get_metric(metric, card.task), Decision(**decided), fit)
    ids = [str(number) for number in range(len(predictions))]
    return list(encode(ids, predictions, sizes or [(1, 1)] * len(predictions)))


def cells(card: Card, values: Any, *arguments: Any, **options: Any) -> list[list[str]]:
    """Return the value cells of the only row of each image."""
    images = rows(card, values, *arguments, **options)
    assert [[row[0] for row in some] for some in images] == [[str(k)] for k in range(len(images))]
    return [row[1:] for (row,) in images]


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


def test_labels_of_one_cell_are_joined_in_the_order_of_the_targets() -> None:
    card = Card("multilabel", ("hat", "id_target", "tie"), header=("x", "tags"), separator=";")
    values = [[0.7, 0.6, 0.9], [0.2, 0.1, 0.3], [0.1, 0.8, 0.1]]
    assert cells(card, values) == [["hat;id;tie"], [""], ["id"]]
    assert cells(card, values, threshold=(0.8, 0.05, 0.5)) == [["id;tie"], ["id"], ["id"]]
    assert cells(card, values, at_least_one=True) == [["hat;id;tie"], ["tie"], ["id"]]


def test_a_class_may_be_written_as_yes_and_no_in_its_column() -> None:
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "b", "a"), label_values=("-", "+"))
    assert cells(card, [[0.9, 0.1], [0.4, 0.6]]) == [["-", "+"], ["+", "-"]]


def test_grades_are_whole_numbers_by_cuts() -> None:
    card = Card("regression", ("grade",), header=("id", "grade"))
    options: dict[str, Any] = {"metric": "quadratic_kappa", "cuts": (0.5, 1.7, 2.5, 3.5)}
    values = [[-1.0], [1.6], [1.8], [9.0]]
    assert cells(card, values, **options) == [["0"], ["1"], ["2"], ["4"]]
    graded = Card("multiclass", ("grade",), ("none", "mild", "bad"), header=("id", "grade"))
    options["cuts"] = (0.3, 1.5)
    assert cells(graded, [[0.6, 0.4, 0.0]], **options) == [["mild"]]  # expected grade 0.4


def test_the_probability_of_yes_is_written() -> None:
    card = Card("binary", ("ok",), header=("id", "ok"), label_values=("no", "yes"))
    assert cells(card, [[0.25], [1e-7]], metric="roc_auc") == [["0.25"], ["0.0000001"]]


def test_a_probability_a_column_in_the_order_of_the_header() -> None:
    card = Card("multiclass", ("y",), ("a", "b", "c"), header=("id", "c", "a", "b"))
    assert cells(card, [[0.5, 0.25, 0.25]], metric="log_loss") == [["0.25", "0.5", "0.25"]]
    card = Card("multilabel", ("a", "b"), header=("id", "b", "a"))
    assert cells(card, [[0.5, 0.9]], metric="mean_column_auc") == [["0.9", "0.5"]]


def test_class_probabilities_that_do_not_sum_to_1_are_scaled() -> None:
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "a", "b"))
    assert cells(card, [[0.25, 0.25]], metric="log_loss") == [["0.5", "0.5"]]


@given(hnp.arrays(np.float32, (2, 130), elements=st.floats(0, 8, width=32)))
def test_class_probabilities_sum_to_1_as_they_are_written(logits: np.ndarray) -> None:
    names = tuple(map(str, range(130)))
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True, dtype=np.float32)
    card = Card("multiclass", ("y",), names, header=("id", *names))
    written = np.array(cells(card, chances, metric="log_loss")).astype(np.float64)
    assert np.abs(written.sum(axis=1) - 1).max() < 1e-6  # as the grader of dog breeds demands
    assert np.abs(written / chances - 1).max() < 1e-5


def test_the_area_of_what_is_written_is_the_one_that_evaluate_counts() -> None:
    # Two sure answers that differ in the rest of their sum alone, and a float32 below them.
    sure = np.nextafter(np.float32(1), np.float32(0))
    chances = np.array([[sure, 9e-8], [sure, 0], [1, 3e-8], [0.5, 6e-8]], np.float32)
    truth = np.array([1, 0, 0, 1])
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "a", "b"))
    written = np.array(cells(card, chances, metric="roc_auc")).astype(np.float64)
    judged = np.mean([roc_auc_score(truth == k, written[:, k]) for k in (0, 1)])
    data = OutOfFold(get_metric("roc_auc", "multiclass"), "multiclass", truth, chances)
    assert data.score(Decision(None)) == pytest.approx(judged, abs=1e-12)


def test_a_ranking_holds_the_best_labels_of_which_equal_ones_keep_their_order() -> None:
    card = Card("multiclass", ("y",), ("a", "b", "c", "d"), header=("id", "y"))
    values = [[0.1, 0.3, 0.3, 0.3], [0.4, 0.3, 0.2, 0.1]]
    assert cells(card, values, metric="map@3") == [["b c d"], ["a b c"]]
    assert cells(card, values, metric="map@9") == [["b c d a"], ["a b c d"]]
    assert cells(card, values, metric="gap") == [["b 0.3"], ["a 0.4"]]


def test_a_row_for_each_label() -> None:
    card = Card(
        "multilabel", ("any", "image_target"), header=("ID", "Label"), keys=("{id}_{label}",)
    )
    assert rows(card, [[0.25, 0.5], [1.0, 0.0]], metric="log_loss") == [
        [["0_any", "0.25"], ["0_image", "0.5"]],
        [["1_any", "1"], ["1_image", "0"]],
    ]
    card = Card(
        "regression", ("a", "b"), header=("id", "kind", "value"), keys=("{id}.jpg", "{label}")
    )
    assert rows(card, [[1.5, 2.0]]) == [[["0.jpg", "a", "1.5"], ["0.jpg", "b", "2"]]]
    card = Card("multiclass", ("y",), ("a", "b"), header=("id", "y"), keys=("{id}{label}",))
    assert rows(card, [[0.25, 0.75]], metric="log_loss") == [[["0a", "0.25"], ["0b", "0.75"]]]
    assert rows(card, [[0.25, 0.75]]) == [[["0a", "0"], ["0b", "1"]]]


def test_an_id_that_looks_like_a_template_is_an_id() -> None:
    card = Card("regression", ("a", "b"), header=("id", "x"), keys=("{id}_{label}",))
    encode = row_encoder(card, get_metric("rmse", "regression"), Decision(None), "stretch")
    (written,) = encode(["{label}"], np.ones((1, 2), np.float32), [(1, 1)])
    assert [row[0] for row in written] == ["{label}_a", "{label}_b"]


@pytest.mark.parametrize(
    ("card", "metric"),
    [
        (Card("multiclass", ("y",), ("a", "b"), header=("id", "y")), "log_loss"),
        (Card("multilabel", ("a", "b"), header=("id", "y")), "mean_column_auc"),
        (Card("multiclass", ("y",), ("a", "b"), header=("id", "a", "b")), "map@3"),
        (Card("segmentation", ("a", "b"), header=("id", "a", "b")), "iou_precision"),
    ],
)
def test_a_header_without_room_for_the_answers_is_refused(card: Card, metric: str) -> None:
    with pytest.raises(DataError, match=rf"no room for what {metric} counts\n  found: "):
        rows(card, np.zeros((1, 2)), metric=metric)


@pytest.mark.parametrize(
    ("card", "metric"),
    [
        (Card("multilabel", ("big cat", "dog"), header=("id", "y")), "samples_f1"),
        (Card("multiclass", ("y",), ("big cat", "dog"), header=("id", "y")), "top3_accuracy"),
        (Card("multiclass", ("y",), ("big cat", "dog"), header=("id", "y")), "gap"),
    ],
)
def test_a_label_with_the_separator_of_labels_is_refused(card: Card, metric: str) -> None:
    with pytest.raises(DataError, match=r"'big cat'\n  expected: labels without ' '"):
        rows(card, [[0.9, 0.1]], metric=metric)
    other = Card(**{**vars(card), "separator": ";"})
    assert cells(other, [[0.9, 0.1]], metric=metric)[0][0].startswith("big cat")


def test_labels_with_names_of_the_index_are_written_as_they_are() -> None:
    names = ("width_target", "mode_target", "fold_target", "tall_target")
    card = Card("multilabel", names, header=("id", "y"))
    assert cells(card, np.ones((1, 4))) == [["width mode fold tall_target"]]


def test_a_label_in_the_keys_of_a_class_without_a_name_is_refused() -> None:
    card = Card("segmentation", header=("id", "rle"), keys=("{id}_{label}",))
    with pytest.raises(DataError, match=r"a single mask class has no name(.|\n)*such as \{id\}_1"):
        rows(card, SPOTS, [(2, 4)] * 2)
    card = Card("segmentation", header=("id", "rle"), keys=("{id}_1",))
    assert rows(card, SPOTS, [(2, 4)] * 2) == [[["0_1", "1 1 3 2 7 1"]], [["1_1", ""]]]


def test_numbers_below_0_are_written_as_0_for_rmsle_alone_and_counted() -> None:
    values = np.array([[1.5, -2], [-0.25, 0]], np.float32)
    legal, changed = legal_values(values, get_metric("rmsle", "regression"))
    assert (legal.tolist(), changed) == ([[1.5, 0], [0, 0]], 2)
    assert legal_values(values, get_metric("rmse", "regression")) == (values, 0)


CLASSES = Card(
    "segmentation", ("a", "b"), header=("id", "rle"), keys=("{id}_{label}",), runs=Runs("column")
)


def test_a_mask_for_each_class_has_a_threshold_of_its_own() -> None:
    values = [[[[0.4, 0.6]], [[0.4, 0.6]]]]
    options: dict[str, Any] = {"sizes": [(1, 2)], "threshold": (0.3, 0.5)}
    assert rows(CLASSES, values, **options) == [[["0_a", "1 2"], ["0_b", "2 1"]]]
    wide = Card("segmentation", ("a", "b"), header=("id", "b", "a"))
    assert cells(wide, values, **options) == [["2 1", "1 2"]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (((1, "a"), (2, "b")), ["1 1", "2 1"]),  # value 0 is a class of its own
        (((0, "a"), (1, "b")), ["1 1 3 2", "2 1"]),
    ],
)
def test_of_exclusive_classes_the_most_probable_one_has_the_pixel(
    values: tuple[tuple[int, str], ...], expected: list[str]
) -> None:
    chances = [[[[0.6, 0.1, 0.3, 0.4]], [[0.3, 0.5, 0.3, 0.1]]]]
    card = Card(**{**vars(CLASSES), "values": values})
    (written,) = rows(card, chances, [(1, 4)], threshold=0.9)
    assert [text for _, text in written] == expected


def test_exclusive_classes_are_compared_at_the_original_size() -> None:
    # Between the middles of two stored pixels the chances cross where they are equal.
    chances = np.array([[[0.9, 0.2]], [[0.1, 0.8]]], np.float32)
    card = Card(**{**vars(CLASSES), "values": ((0, "a"), (1, "b"))})
    (written,) = rows(card, [chances], [(1, 40)])
    edge = 10 + round(20 * 0.8 / 1.4)  # 0.9 - 0.7 t = 0.1 + 0.7 t
    assert [text for _, text in written] == [f"1 {edge}", f"{edge + 1} {40 - edge}"]


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_masks_of_another_size_come_from_probabilities(fit: Fit) -> None:
    card = Card("segmentation", header=("id", "rle"), runs=Runs("row", size=(4, 4)))
    chances = np.zeros((1, 1, 16, 16), np.float32)
    chances[:, :, :, :4] = 1
    chances[:, :, :, [4, 7]] = 0.9  # the second of four columns holds 0.45 on average
    assert cells(card, chances, [(32, 32)], fit=fit) == [["1 1 5 1 9 1 13 1"]]
    assert cells(card, chances, [(32, 32)], fit=fit, threshold=0.4) == [["1 2 5 2 9 2 13 2"]]


def test_masks_of_another_size_are_empty_outside_of_a_crop() -> None:
    card = Card("segmentation", header=("id", "rle"), runs=Runs("row", size=(2, 8)))
    stored = np.ones((1, 1, 4, 4), np.float32)  # of an image of 8 x 16 px, columns 4 to 11
    assert cells(card, stored, [(8, 16)], fit="crop") == [["3 4 11 4"]]


OBJECTS = Card("segmentation", header=("id", "rle"), runs=Runs(empty="-1"))
SPOTS = [[[[0.9, 0.1, 0.8, 0.8], [0.1, 0.1, 0.8, 0.2]]], [[[0.1] * 4] * 2]]


def test_a_row_for_each_object_and_at_least_one_an_image() -> None:
    written = rows(OBJECTS, SPOTS, [(2, 4)] * 2, metric="iou_precision")
    assert written == [[["0", "1 1"], ["0", "3 2 7 1"]], [["1", "-1"]]]
    few = rows(OBJECTS, SPOTS, [(2, 4)] * 2, metric="iou_precision", min_area=2)
    assert few == [[["0", "3 2 7 1"]], [["1", "-1"]]]
    none = rows(OBJECTS, SPOTS, [(2, 4)] * 2, metric="iou_precision", min_area=9)
    assert none == [[["0", "-1"]], [["1", "-1"]]]


def test_small_spots_and_holes_leave_a_mask_too_where_that_is_wanted() -> None:
    assert cells(OBJECTS, SPOTS, [(2, 4)] * 2, min_area=2) == [["3 2 7 1"], ["-1"]]
    assert cells(OBJECTS, SPOTS, [(2, 4)] * 2, largest=True) == [["3 2 7 1"], ["-1"]]
    ring = np.ones((1, 1, 3, 3), np.float32)
    ring[0, 0, 1, 1] = 0
    assert cells(OBJECTS, ring, [(3, 3)]) == [["1 4 6 4"]]
    assert cells(OBJECTS, ring, [(3, 3)], fill_holes=True) == [["1 9"]]


def test_a_hole_that_another_class_fills_stays_its_own() -> None:
    ring = np.full((5, 5), 0.1, np.float32)
    ring[1:4, 1:4], ring[2, 2] = 0.8, 0.1
    chances = np.stack([ring, np.where(ring > 0.5, 0.1, 0.0)])
    chances[1, 2, 2] = 0.9
    card = Card(**{**vars(CLASSES), "values": ((1, "a"), (2, "b"))})
    (written,) = rows(card, [chances], [(5, 5)], fill_holes=True)
    assert [text for _, text in written] == ["7 3 12 1 14 1 17 3", "13 1"]


@given(hnp.arrays(np.float32, (1, 1, 6, 7), elements=st.sampled_from([0.0, 0.25, 0.75, 1.0])))
def test_objects_cover_the_mask_and_no_pixel_twice(chances: np.ndarray) -> None:
    options: dict[str, Any] = {"sizes": [(12, 9)], "threshold": 0.437}
    (written,) = rows(OBJECTS, chances, metric="iou_precision", separate=True, **options)
    masks = [
        rle.mask_from_bounds(rle.bounds_from_text(text, 108, OBJECTS.runs), 12, 9)
        for _, text in written
    ]
    ((whole,),) = cells(OBJECTS, chances, **options)
    bounds = rle.bounds_from_text(whole, 108, OBJECTS.runs)
    assert np.array_equal(np.sum(masks, axis=0), rle.mask_from_bounds(bounds, 12, 9))
