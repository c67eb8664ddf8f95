"""Scores of a few predictions that can be checked by hand, and where none is defined."""

from math import log

import numpy as np
import pytest
from sklearn.metrics import f1_score, r2_score

from darkroom.errors import ArtifactError
from darkroom.prediction import metrics, thresholds


def test_segmentation_chooses_the_threshold_of_the_highest_mean() -> None:
    mask = np.array([[1, 1], [0, 0]], np.uint8)
    one = thresholds.dice_curve(np.array([[0.3, 0.3], [0.1, 0.1]], np.float32), mask)
    two = thresholds.dice_curve(np.array([[0.8, 0.2], [0.2, 0.2]], np.float32), mask)
    told = metrics.segmentation(["a", "b"], np.stack([one, two]), np.array([0.5, 0.5]))
    # from 0.2 up to 0.3 image a is perfect and b has one pixel of two: 2 / 3
    assert told.metrics["dice"] == pytest.approx((1 + 2 / 3) / 2)
    assert told.threshold == told.metrics["threshold"] == 76 / 256
    assert told.metrics["dice_at_half"] == pytest.approx((0 + 2 / 3) / 2)
    assert told.metrics["dice_lowest"] == pytest.approx(2 / 3)
    assert told.metrics["baseline_all_background"] == 0
    assert told.metrics["baseline_all_foreground"] == pytest.approx(2 * 2 / (4 + 2))
    assert told.rows["id"].tolist() == ["a", "b"]
    assert told.rows["score"].tolist() == pytest.approx([1, 2 / 3])
    assert len(told.curves["threshold"]) == 255


def test_segmentation_at_a_given_threshold_and_beside_the_mean_mask() -> None:
    curves = np.tile(np.linspace(0, 1, 255), (3, 1))
    told = metrics.segmentation(
        list("abc"), curves, np.array([0.0, 1.0, 0.5]), threshold=0.5, mean_mask_dice=curves / 2
    )
    assert told.threshold == 0.5
    assert told.metrics["dice"] == pytest.approx(0.5)
    assert told.metrics["baseline_mean_mask"] == pytest.approx(0.5)
    assert told.metrics["baseline_all_background"] == pytest.approx(1 / 3)
    assert told.metrics["baseline_all_foreground"] == pytest.approx((0 + 1 + 2 / 3) / 3)


def test_multiclass_by_hand() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], np.float32)
    told = metrics.multiclass(
        ["x", "y", "z"],
        probabilities,
        np.array([0, 1, 1]),
        training=np.array([1, 1, 0]),
        classes=("five", "ten", "twenty"),
    )
    assert told.metrics["accuracy"] == pytest.approx(2 / 3)
    assert told.metrics["baseline_accuracy"] == pytest.approx(2 / 3)
    # five: 2 * 1 / (1 + 2); ten: 2 * 1 / (2 + 1); twenty does not occur
    assert told.metrics["macro_f1"] == pytest.approx(2 / 3)
    # always ten: five 0, ten 2 * 2 / (2 + 3)
    assert told.metrics["baseline_macro_f1"] == pytest.approx(0.4)
    assert told.metrics["log_loss"] == pytest.approx(-(log(0.8) + log(0.3) + log(0.7)) / 3)
    assert told.rows["predicted"].tolist() == ["five", "five", "ten"]
    assert told.rows["score"].tolist() == pytest.approx([0.8, 0.3, 0.7])
    assert told.curves["confusion"].to_numpy().tolist() == [
        ["five", "five"],
        ["ten", "five"],
        ["ten", "ten"],
    ]
    table = told.curves["classes"].set_index("class")
    assert table["images"].tolist() == [1, 2, 0]
    assert table.loc["five", "precision"] == 0.5
    assert table.loc["ten", "recall"] == 0.5
    assert table.isna().to_numpy()[2].tolist() == [False, False, True, True, True]
    assert told.threshold is None


def test_macro_f1_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    probabilities = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    truth = rng.integers(0, 4, 200)
    told = metrics.multiclass(
        [str(i) for i in range(200)], probabilities, truth, training=truth, classes=list("abcd")
    )
    expected = f1_score(truth, probabilities.argmax(axis=1), average="macro")
    assert told.metrics["macro_f1"] == pytest.approx(expected)


def test_multiclass_of_one_class_only() -> None:
    told = metrics.multiclass(
        ["x"],
        np.array([[1.0, 0.0]], np.float32),
        np.array([0]),
        training=np.array([0]),
        classes=("a", "b"),
    )
    assert told.metrics["accuracy"] == told.metrics["macro_f1"] == 1
    assert told.metrics["log_loss"] == 0


def test_multilabel_by_hand() -> None:
    # at any threshold in [0.4, 0.6): 3 of 4 right for Bald, all of Young, all of Rare
    probabilities = np.array(
        [[0.9, 0.9, 0.1], [0.4, 0.8, 0.1], [0.2, 0.1, 0.1], [0.1, 0.2, 0.1]], np.float32
    )
    truth = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], np.uint8)
    told = metrics.multilabel(
        list("abcd"),
        probabilities,
        truth,
        training_shares=np.array([0.1, 0.6, 0.0]),
        names=("Bald", "Young", "Rare"),
    )
    assert told.threshold == 0.5
    assert told.metrics["accuracy"] == pytest.approx((0.75 + 1 + 1) / 3)
    # always: not bald (2 of 4), young (2 of 4), not rare (4 of 4)
    assert told.metrics["baseline_accuracy"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    # Bald: the positives are ranked 1st and 3rd, (1 + 2 / 3) / 2; Young 1; Rare undefined
    assert told.metrics["mean_average_precision"] == pytest.approx((5 / 6 + 1) / 2)
    assert told.metrics["baseline_mean_average_precision"] == pytest.approx(0.5)
    assert told.metrics["mean_average_precision_of"] == 2
    # Bald 2 * 1 / (1 + 2), Young 1, Rare undefined: nobody has it and nobody was said to
    assert told.metrics["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert told.metrics["macro_f1_of"] == 2
    assert told.rows["wrong"].tolist() == ["", "", "Bald", ""]
    assert told.rows["score"].tolist() == pytest.approx([1, 1, 2 / 3, 1])
    table = told.curves["attributes"].set_index("attribute")
    assert table["positives"].tolist() == [2, 2, 0]
    assert table[["f1", "average_precision"]].isna().to_numpy()[2].all()
    assert table.loc["Young", "baseline_f1"] == pytest.approx(2 * 2 / (4 + 2))


def test_multilabel_finds_a_threshold_away_from_a_half() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, (200, 5))
    probabilities = np.where(truth == 1, 0.3, 0.2).astype(np.float32)
    told = metrics.multilabel(
        [str(i) for i in range(200)],
        probabilities,
        truth,
        training_shares=np.full(5, 0.5),
        names=list("abcde"),
    )
    assert told.metrics["accuracy"] == 1
    assert told.threshold == 76 / 256
    given = metrics.multilabel(
        [str(i) for i in range(200)],
        probabilities,
        truth,
        training_shares=np.full(5, 0.5),
        names=list("abcde"),
        threshold=0.5,
    )
    assert given.metrics["accuracy"] == pytest.approx((truth == 0).mean())
    curve = told.curves["threshold"].set_index("threshold")["accuracy"]
    assert curve[0.5] == pytest.approx(given.metrics["accuracy"])


def test_multilabel_without_a_single_positive() -> None:
    told = metrics.multilabel(
        ["a", "b"],
        np.full((2, 2), 0.1, np.float32),
        np.zeros((2, 2)),
        training_shares=np.zeros(2),
        names=("p", "q"),
    )
    assert told.metrics["accuracy"] == 1
    assert told.metrics["mean_average_precision"] is None
    assert told.metrics["macro_f1"] is None
    assert told.metrics["mean_average_precision_of"] == 0


def test_binary_by_hand() -> None:
    told = metrics.binary(
        list("abcd"),
        np.array([[0.9], [0.4], [0.35], [0.1]], np.float32),
        np.array([1.0, 0.0, 1.0, 0.0]),
        training_share=0.25,
        names=("cat", "dog"),
    )
    # the best is 3 of 4, nearest to a half at 0.5: a is found, c is missed
    assert told.threshold == 0.5
    assert told.metrics["accuracy"] == 0.75
    assert told.metrics["baseline_accuracy"] == 0.5
    assert told.metrics["f1"] == pytest.approx(2 / 3)
    assert told.metrics["baseline_f1"] == 0
    assert told.metrics["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert told.metrics["baseline_average_precision"] == 0.5
    assert told.metrics["roc_auc"] == 0.75
    assert told.rows["actual"].tolist() == ["dog", "cat", "dog", "cat"]
    assert told.rows["predicted"].tolist() == ["dog", "cat", "cat", "cat"]
    assert told.rows["score"].tolist() == pytest.approx([0.9, 0.6, 0.35, 0.9])
    assert list(told.curves) == ["threshold", "confusion"]


@pytest.mark.parametrize("only", [0, 1])
def test_binary_of_one_kind_only(only: int) -> None:
    told = metrics.binary(
        ["a", "b"], np.array([0.2, 0.9], np.float32), np.full(2, only), training_share=0.5
    )
    assert told.metrics["roc_auc"] is None
    assert (told.metrics["average_precision"] is None) == (only == 0)
    assert (told.metrics["baseline_average_precision"] is None) == (only == 0)
    assert told.metrics["accuracy"] == 1


def test_regression_by_hand() -> None:
    told = metrics.regression(
        list("abc"),
        np.array([[1.0], [2.0], [6.0]], np.float32),
        np.array([[1.0], [2.0], [3.0]]),
        training_means=np.array([3.0]),
        names=("age",),
    )
    assert told.metrics["mae"] == pytest.approx(1)
    assert told.metrics["rmse"] == pytest.approx(3**0.5)
    assert told.metrics["r2"] == pytest.approx(1 - 9 / 2)
    assert told.metrics["baseline_mae"] == pytest.approx(1)
    assert told.metrics["baseline_rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert told.metrics["baseline_r2"] == pytest.approx(r2_score([1, 2, 3], [3, 3, 3]))
    assert told.rows.sort_values("score")["id"].iloc[0] == "c"
    assert told.curves["scatter"].to_numpy().tolist()[2] == ["age", 3.0, 6.0]


def test_regression_of_a_constant_has_no_r2() -> None:
    told = metrics.regression(
        ["a", "b"],
        np.array([[1.0, 5.0], [2.0, 6.0]]),
        np.array([[1.0, 5.0], [2.0, 5.0]]),
        training_means=np.array([1.5, 5.0]),
        names=("size", "same"),
    )
    assert told.metrics["r2"] == 1
    assert told.metrics["r2_of"] == 1
    assert told.curves["targets"]["r2"].isna().tolist() == [False, True]
    assert told.metrics["mae"] == pytest.approx((0 + 0.5) / 2)


def test_predictions_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ArtifactError, match="not a probability"):
        metrics.multiclass(
            ["a"],
            np.array([[np.nan, 0.5]], np.float32),
            np.array([0]),
            training=np.array([0]),
            classes=("a", "b"),
        )
