"""Scores with known values: by hand, out of fold, at the original size, beside baselines."""

from collections.abc import Iterator
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, r2_score

from darkroom.errors import ArtifactError, DataError
from darkroom.images.geometry import FITS, Fit, fit_mask
from darkroom.index.card import Card
from darkroom.prediction import label_scores, scoring, thresholds
from darkroom.prediction.deciding import OutOfFold, choose
from darkroom.prediction.decision import Decision
from darkroom.prediction.masks import scores
from darkroom.prediction.masks.counts import MaskRules
from darkroom.prediction.parts import extended
from darkroom.prediction.predictions import Prediction
from darkroom.prediction.scoring import LabelledPredictions
from darkroom.project.journal import Journal
from darkroom.raw.archives import Archives, digest_of
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard
from darkroom.tasks.metrics.specs import get_metric
from tests.support.packed import zip_of
from tests.support.tiny import png

LEFT = np.repeat([[1, 0]], 4, axis=1).repeat(4, axis=0).astype(np.uint8)  # 4 x 8
TOP = np.repeat([[1], [0]], 2, axis=0).repeat(8, axis=1).astype(np.uint8)
MASKS = {"a": LEFT, "b": TOP, "c": LEFT, "d": LEFT}


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    zip_of(tmp_path / "raw/m.zip", {f"{name}.png": png(mask) for name, mask in MASKS.items()})
    return Archives(tmp_path / "raw", tmp_path / "spool")


def store(folder: Path, fit: Fit = "stretch") -> Store:
    """Return a store of 4 x 4 px of the four masks; the pictures are black."""
    folder.mkdir()
    black = pack_image(np.zeros((4, 4, 3), np.uint8), "raw", 90)
    rows = [
        StoredImage(n, black, pack_mask(fit_mask(m, 4, 4, fit)), 4, 8) for n, m in MASKS.items()
    ]
    path = folder / shard_name("train", 0)
    write_shard(path, rows, ShardFormat(4, 4, fit, "raw"))
    return Store(folder, "train")


def index_rows(*ids: str, **targets: list[float]) -> pd.DataFrame:
    images = {"image": [f"{i}.jpg" for i in ids], "mask": [f"m.zip/{i}.png" for i in ids]}
    images["mask_digest"] = [""] * len(ids)
    return pd.DataFrame({"id": list(ids)} | images | targets)


def predicted(ids: str, values: Any, size: tuple[int, int] = (4, 8)) -> Iterator[Prediction]:
    """Yield one prediction a batch."""
    for name, value in zip(ids, np.asarray(values, np.float32), strict=True):
        yield Prediction([name], value[None], np.array([size]))


def test_masks_are_scored_at_their_original_size(tmp_path: Path, archives: Archives) -> None:
    shards = store(tmp_path / "s")
    exact = [[[[0.75, 0.75, 0.25, 0.25]] * 4]]  # at 4 x 4 px; half way between them lies the edge
    wrong = [[[[0.25, 0.25, 0.25, 0.25]] * 4]]  # nothing
    folds = [
        LabelledPredictions(index_rows("a"), index_rows("b", "c"), predicted("a", exact)),
        LabelledPredictions(index_rows("b"), index_rows("a", "d"), predicted("b", wrong)),
    ]
    counts: list[int] = []
    evaluation = scores.score_masks(
        folds, shards, archives, rules=MaskRules(threshold=0.5), progress=counts.append
    )
    assert evaluation.per_image["id"].tolist() == ["a", "b"]
    assert evaluation.per_image["score"].tolist() == [1, 0]
    assert evaluation.per_image["covered"].tolist() == [0.5, 0.5]
    assert evaluation.metrics["dice"] == 0.5
    assert evaluation.threshold == 0.5
    assert counts == [1, 1]
    assert evaluation.metrics["baseline_all_foreground"] == pytest.approx(2 / 3)


def test_a_mask_that_was_swapped_after_the_index_is_refused(
    tmp_path: Path, archives: Archives
) -> None:
    rows = index_rows("a").assign(mask_digest=digest_of(png(TOP)))
    folds = [LabelledPredictions(rows, index_rows("b"), predicted("a", [[[[0.75] * 4] * 4]]))]
    with pytest.raises(DataError, match=r"m\.zip/a\.png: not the file that was indexed"):
        scores.score_masks(
            folds,
            store(tmp_path / "s"),
            archives,
            rules=MaskRules(threshold=0.5),
            progress=lambda _: None,
        )


def test_the_mean_mask_is_that_of_the_training_images(tmp_path: Path, archives: Archives) -> None:
    shards = store(tmp_path / "s")
    nothing = np.zeros((1, 1, 4, 4))

    def baseline(*training: str) -> float | None:
        fold = LabelledPredictions(index_rows("a"), index_rows(*training), predicted("a", nothing))
        evaluation = scores.score_masks(
            [fold], shards, archives, rules=MaskRules(threshold="auto"), progress=lambda _: None
        )
        return evaluation.metrics["baseline_mean_mask"]

    assert baseline("c", "d") == 1, "their masks are a's own"
    assert baseline("b") == pytest.approx(0.5), "8 of 16 + 16 pixels, twice"


@pytest.mark.parametrize("fit", FITS)
def test_the_mean_of_one_mask_is_that_mask_with_any_fit(tmp_path: Path, fit: Fit) -> None:
    ys, xs = np.mgrid[:240, :480]
    disc = ((ys - 120) ** 2 + (xs - 240) ** 2 < 80**2).astype(np.uint8)
    zip_of(tmp_path / "raw/m.zip", {"a.png": png(disc)})
    black = pack_image(np.zeros((160, 160, 3), np.uint8), "raw", 90)
    rows = [StoredImage("a", black, pack_mask(fit_mask(disc, 160, 160, fit)), 240, 480)]
    path = tmp_path / shard_name("train", 0)
    write_shard(path, rows, ShardFormat(160, 160, fit, "raw"))
    evaluation = scores.score_masks(
        [
            LabelledPredictions(
                index_rows("a"),
                index_rows("a"),
                predicted("a", [np.zeros((1, 160, 160))], (240, 480)),
            )
        ],
        Store(tmp_path, "train"),
        Archives(tmp_path / "raw", tmp_path / "spool"),
        rules=MaskRules(threshold=0.5),
        progress=lambda _: None,
    )
    baseline = evaluation.metrics["baseline_mean_mask"]
    assert baseline is not None
    assert baseline > 0.99


def test_what_was_cropped_away_is_background(tmp_path: Path, archives: Archives) -> None:
    shards = store(tmp_path / "s", "crop")
    full = np.ones((1, 1, 4, 4))  # columns 2 to 5 of 8
    fold = LabelledPredictions(index_rows("a"), index_rows("b"), predicted("a", full))
    evaluation = scores.score_masks(
        [fold], shards, archives, rules=MaskRules(threshold=0.5), progress=lambda _: None
    )
    assert evaluation.per_image["score"].tolist() == pytest.approx([2 * 8 / (16 + 16)])


def most_accurate(task: str, probabilities: Any, truth: Any) -> Decision:
    found, labels = np.asarray(probabilities, np.float32), np.asarray(truth, np.float64)
    data = OutOfFold(
        get_metric("accuracy", task),
        task,
        labels.reshape(len(labels), -1),
        found.reshape(len(labels), -1),
    )
    return choose(data, "auto").decision


CARDS = {
    "multiclass": Card("multiclass", ("y",), ("five", "ten")),
    "binary": Card("binary", ("y",), label_values=("no", "yes")),
    "regression": Card("regression", ("y",)),
    "multilabel": Card("multilabel", ("y", "z")),
}


def folds(values: list[Any], **targets: list[float]) -> list[LabelledPredictions]:
    """Return two folds: a and b, then c; each learned from d and e, which bear 1."""
    training = index_rows("d", "e", **{name: [1.0, 1.0] for name in targets})
    return [
        LabelledPredictions(
            index_rows(*ids, **{name: each[part] for name, each in targets.items()}),
            training,
            predicted(ids, values[part]),
        )
        for ids, part in (("ab", slice(2)), ("c", slice(2, 3)))
    ]


def test_classes_of_all_folds_count_as_one_set() -> None:
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    evaluation = scoring.score_labels(
        folds(probabilities, y=[0.0, 1.0, 1.0]), CARDS["multiclass"], threshold="auto"
    )
    assert evaluation.per_image["id"].tolist() == ["a", "b", "c"]
    assert evaluation.per_image["actual"].tolist() == ["five", "ten", "ten"]
    assert evaluation.per_image["predicted"].tolist() == ["five", "ten", "five"]
    assert evaluation.metrics["accuracy"] == pytest.approx(2 / 3)
    assert evaluation.metrics["baseline_accuracy"] == pytest.approx(2 / 3), "always ten"
    assert evaluation.threshold is None


@pytest.mark.parametrize("name", ["gap", "map@3", "log_loss", "macro_f1", "roc_auc"])
def test_a_killed_evaluation_goes_on_from_what_counts(tmp_path: Path, name: str) -> None:
    """Of metrics that need no more, the journal holds a few numbers an image."""
    card = replace(CARDS["multiclass"], metric=name)
    values = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]
    table = index_rows(*"abc", y=[0.0, 1.0, 1.0])
    whole = scoring.score_labels(
        [LabelledPredictions(table, table, predicted("abc", values))], card
    )

    def killed() -> Iterator[Prediction]:
        yield from predicted("ab", values[:2])
        raise InterruptedError

    journal = Journal(tmp_path / "x.parts")
    with pytest.raises(InterruptedError):
        scoring.score_labels([LabelledPredictions(table, table, killed(), journal)], card)
    journal = Journal(journal.path)
    assert len(journal) == 2
    parts = list(extended(journal, lambda _: iter(())))
    shapes = {array.shape for part in parts for array in part.values()}
    assert shapes == ({(1, 2)} if name in ("roc_auc", "log_loss") else {(1,)})
    rest = LabelledPredictions(table, table, predicted("c", values[2:]), journal)
    again = scoring.score_labels([rest], card)
    assert again.metrics == whole.metrics
    pd.testing.assert_frame_equal(again.per_image, whole.per_image, check_exact=True)


def test_what_is_no_probability_is_refused_before_it_is_reduced() -> None:
    with pytest.raises(ArtifactError, match="not a probability"):
        scoring.score_labels(
            folds([[0.9, 0.1], [np.nan, 0.8], [0.6, 0.4]], y=[0.0, 1.0, 1.0]), CARDS["multiclass"]
        )


def test_binary_folds_and_thresholds() -> None:
    evaluation = scoring.score_labels(
        folds([[0.9], [0.4], [0.2]], y=[1.0, 1.0, 0.0]), CARDS["binary"], threshold="auto"
    )
    assert evaluation.metrics["accuracy"] == 1
    assert evaluation.threshold == pytest.approx(102 / 256), (
        "below 0.4, as near to one half as can be"
    )
    assert evaluation.metrics["baseline_accuracy"] == pytest.approx(2 / 3)
    fixed = scoring.score_labels(
        folds([[0.9], [0.4], [0.2]], y=[1.0, 1.0, 0.0]), CARDS["binary"], threshold=0.5
    )
    assert fixed.metrics["accuracy"] == pytest.approx(2 / 3)
    assert fixed.per_image["predicted"].tolist() == ["yes", "no", "no"]


def test_multilabel_over_folds() -> None:
    values = [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2]]
    evaluation = scoring.score_labels(
        folds(values, y=[1.0, 0.0, 1.0], z=[0.0, 1.0, 1.0]), CARDS["multilabel"], threshold=0.5
    )
    assert evaluation.metrics["accuracy"] == pytest.approx(5 / 6)
    assert evaluation.metrics["baseline_accuracy"] == pytest.approx(4 / 6), "d and e have both"
    assert evaluation.per_image["wrong"].tolist() == ["", "", "z"]


def test_regression_over_folds() -> None:
    evaluation = scoring.score_labels(
        folds([[1.0], [3.0], [6.0]], y=[1.0, 2.0, 3.0]), CARDS["regression"], threshold="auto"
    )
    assert evaluation.metrics["mae"] == pytest.approx(4 / 3)
    assert evaluation.metrics["baseline_mae"] == pytest.approx(1), "always the 1 of d and e"
    assert evaluation.per_image["score"].idxmin() == 2


def test_segmentation_chooses_the_threshold_of_the_highest_mean() -> None:
    mask = np.array([[1, 1], [0, 0]], np.uint8)
    one = thresholds.dice_curve(np.array([[0.3, 0.3], [0.1, 0.1]], np.float32), mask)
    two = thresholds.dice_curve(np.array([[0.8, 0.2], [0.2, 0.2]], np.float32), mask)
    evaluation = scores.evaluate_segmentation(
        ["a", "b"], np.stack([one, two]), np.array([0.5, 0.5])
    )
    # from 0.2 up to 0.3 image a is perfect and b has one pixel of two: 2 / 3
    assert evaluation.metrics["dice"] == pytest.approx((1 + 2 / 3) / 2)
    assert evaluation.threshold == evaluation.metrics["threshold"] == 76 / 256
    assert evaluation.metrics["dice_at_half"] == pytest.approx((0 + 2 / 3) / 2)
    assert evaluation.metrics["dice_lowest"] == pytest.approx(2 / 3)
    assert evaluation.metrics["baseline_all_background"] == 0
    assert evaluation.metrics["baseline_all_foreground"] == pytest.approx(2 * 2 / (4 + 2))
    assert evaluation.per_image["id"].tolist() == ["a", "b"]
    assert evaluation.per_image["score"].tolist() == pytest.approx([1, 2 / 3])
    assert len(evaluation.curves["threshold"]) == 255


def test_segmentation_at_a_given_threshold_and_beside_the_mean_mask() -> None:
    curves = np.tile(np.linspace(0, 1, 255), (3, 1))
    evaluation = scores.evaluate_segmentation(
        list("abc"), curves, np.array([0.0, 1.0, 0.5]), threshold=0.5, mean_mask_dice=curves / 2
    )
    assert evaluation.threshold == 0.5
    assert evaluation.metrics["dice"] == pytest.approx(0.5)
    assert evaluation.metrics["baseline_mean_mask"] == pytest.approx(0.5)
    assert evaluation.metrics["baseline_all_background"] == pytest.approx(1 / 3)
    assert evaluation.metrics["baseline_all_foreground"] == pytest.approx((0 + 1 + 2 / 3) / 3)


def test_multiclass_by_hand() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]], np.float32)
    evaluation = label_scores.evaluate_multiclass(
        ["x", "y", "z"],
        probabilities,
        np.array([0, 1, 1]),
        training=np.array([1, 1, 0]),
        classes=("five", "ten", "twenty"),
    )
    assert evaluation.metrics["accuracy"] == pytest.approx(2 / 3)
    assert evaluation.metrics["baseline_accuracy"] == pytest.approx(2 / 3)
    # five: 2 * 1 / (1 + 2); ten: 2 * 1 / (2 + 1); twenty does not occur
    assert evaluation.metrics["macro_f1"] == pytest.approx(2 / 3)
    # always ten: five 0, ten 2 * 2 / (2 + 3)
    assert evaluation.metrics["baseline_macro_f1"] == pytest.approx(0.4)
    assert evaluation.metrics["log_loss"] == pytest.approx(-(log(0.8) + log(0.3) + log(0.7)) / 3)
    assert evaluation.per_image["predicted"].tolist() == ["five", "five", "ten"]
    assert evaluation.per_image["score"].tolist() == pytest.approx([0.8, 0.3, 0.7])
    assert evaluation.curves["confusion"].to_numpy().tolist() == [
        ["five", "five"],
        ["ten", "five"],
        ["ten", "ten"],
    ]
    table = evaluation.curves["classes"].set_index("class")
    assert table["images"].tolist() == [1, 2, 0]
    assert table.loc["five", "precision"] == 0.5
    assert table.loc["ten", "recall"] == 0.5
    assert table.isna().to_numpy()[2].tolist() == [False, False, True, True, True]
    assert evaluation.threshold is None


def test_macro_f1_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    probabilities = rng.dirichlet(np.ones(4), 200).astype(np.float32)
    truth = rng.integers(0, 4, 200)
    evaluation = label_scores.evaluate_multiclass(
        [str(i) for i in range(200)], probabilities, truth, training=truth, classes=list("abcd")
    )
    expected = f1_score(truth, probabilities.argmax(axis=1), average="macro")
    assert evaluation.metrics["macro_f1"] == pytest.approx(expected)


def test_multiclass_of_one_class_only() -> None:
    evaluation = label_scores.evaluate_multiclass(
        ["x"],
        np.array([[1.0, 0.0]], np.float32),
        np.array([0]),
        training=np.array([0]),
        classes=("a", "b"),
    )
    assert evaluation.metrics["accuracy"] == evaluation.metrics["macro_f1"] == 1
    assert evaluation.metrics["log_loss"] == 0


def test_multilabel_by_hand() -> None:
    # at any threshold in [0.4, 0.6): 3 of 4 right for Bald, all of Young, all of Rare
    probabilities = np.array(
        [[0.9, 0.9, 0.1], [0.4, 0.8, 0.1], [0.2, 0.1, 0.1], [0.1, 0.2, 0.1]], np.float32
    )
    truth = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 0, 0]], np.uint8)
    evaluation = label_scores.evaluate_multilabel(
        list("abcd"),
        probabilities,
        truth,
        training_shares=np.array([0.1, 0.6, 0.0]),
        names=("Bald", "Young", "Rare"),
        decision=most_accurate("multilabel", probabilities, truth),
    )
    assert evaluation.threshold == 0.5
    assert evaluation.metrics["accuracy"] == pytest.approx((0.75 + 1 + 1) / 3)
    # always: not bald (2 of 4), young (2 of 4), not rare (4 of 4)
    assert evaluation.metrics["baseline_accuracy"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    # Bald: the positives are ranked 1st and 3rd, (1 + 2 / 3) / 2; Young 1; Rare undefined
    assert evaluation.metrics["mean_average_precision"] == pytest.approx((5 / 6 + 1) / 2)
    assert evaluation.metrics["baseline_mean_average_precision"] == pytest.approx(0.5)
    assert evaluation.metrics["mean_average_precision_of"] == 2
    # Bald 2 * 1 / (1 + 2), Young 1, Rare undefined: nobody has it and nobody was said to
    assert evaluation.metrics["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert evaluation.metrics["macro_f1_of"] == 2
    assert evaluation.per_image["wrong"].tolist() == ["", "", "Bald", ""]
    assert evaluation.per_image["score"].tolist() == pytest.approx([1, 1, 2 / 3, 1])
    table = evaluation.curves["attributes"].set_index("attribute")
    assert table["positives"].tolist() == [2, 2, 0]
    assert table[["f1", "average_precision"]].isna().to_numpy()[2].all()
    assert table.loc["Young", "baseline_f1"] == pytest.approx(2 * 2 / (4 + 2))


def test_accuracy_is_of_all_known_labels_however_few_a_label_has() -> None:
    probabilities = np.array([[0.9, 0.9], [0.2, 0.9], [0.2, 0.9], [0.2, 0.9]], np.float32)
    truth = np.array([[1, 1], [0, np.nan], [1, np.nan], [1, np.nan]], np.float64)
    evaluation = label_scores.evaluate_multilabel(
        list("abcd"),
        probabilities,
        truth,
        training_shares=np.array([0.7, 0.2]),
        names=("often", "seldom"),
        decision=Decision(0.5),
    )
    spec = get_metric("accuracy", "multilabel")
    judged = spec.score("multilabel", truth, probabilities > 0.5)
    assert evaluation.metrics["accuracy"] == judged == 3 / 5, "not the mean of 2 / 4 and 1 / 1"
    assert evaluation.metrics["baseline_accuracy"] == 3 / 5
    curve = evaluation.curves["threshold"].set_index("threshold")["accuracy"]
    assert curve[0.5] == 3 / 5


def test_multilabel_finds_a_threshold_away_from_a_half() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 2, (200, 5))
    probabilities = np.where(truth == 1, 0.3, 0.2).astype(np.float32)
    evaluation = label_scores.evaluate_multilabel(
        [str(i) for i in range(200)],
        probabilities,
        truth,
        training_shares=np.full(5, 0.5),
        names=list("abcde"),
        decision=most_accurate("multilabel", probabilities, truth),
    )
    assert evaluation.metrics["accuracy"] == 1
    assert evaluation.threshold == 76 / 256
    fixed = label_scores.evaluate_multilabel(
        [str(i) for i in range(200)],
        probabilities,
        truth,
        training_shares=np.full(5, 0.5),
        names=list("abcde"),
        decision=Decision(0.5),
    )
    assert fixed.metrics["accuracy"] == pytest.approx((truth == 0).mean())
    curve = evaluation.curves["threshold"].set_index("threshold")["accuracy"]
    assert curve[0.5] == pytest.approx(fixed.metrics["accuracy"])


def test_multilabel_without_a_single_positive() -> None:
    found, truth = np.full((2, 2), 0.1, np.float32), np.zeros((2, 2))
    evaluation = label_scores.evaluate_multilabel(
        ["a", "b"],
        found,
        truth,
        training_shares=np.zeros(2),
        names=("p", "q"),
        decision=most_accurate("multilabel", found, truth),
    )
    assert evaluation.metrics["accuracy"] == 1
    assert evaluation.metrics["mean_average_precision"] is None
    assert evaluation.metrics["macro_f1"] is None
    assert evaluation.metrics["mean_average_precision_of"] == 0


def test_binary_by_hand() -> None:
    found, truth = (
        np.array([[0.9], [0.4], [0.35], [0.1]], np.float32),
        np.array([1.0, 0.0, 1.0, 0.0]),
    )
    evaluation = label_scores.evaluate_binary(
        list("abcd"),
        found,
        truth,
        training_share=0.25,
        names=("cat", "dog"),
        decision=most_accurate("binary", found, truth),
    )
    # the best is 3 of 4, nearest to a half at 0.5: a is found, c is missed
    assert evaluation.threshold == 0.5
    assert evaluation.metrics["accuracy"] == 0.75
    assert evaluation.metrics["baseline_accuracy"] == 0.5
    assert evaluation.metrics["f1"] == pytest.approx(2 / 3)
    assert evaluation.metrics["baseline_f1"] == 0
    assert evaluation.metrics["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert evaluation.metrics["baseline_average_precision"] == 0.5
    assert evaluation.metrics["roc_auc"] == 0.75
    assert evaluation.per_image["actual"].tolist() == ["dog", "cat", "dog", "cat"]
    assert evaluation.per_image["predicted"].tolist() == ["dog", "cat", "cat", "cat"]
    assert evaluation.per_image["score"].tolist() == pytest.approx([0.9, 0.6, 0.35, 0.9])
    assert list(evaluation.curves) == ["threshold", "confusion"]


@pytest.mark.parametrize("only", [0, 1])
def test_binary_of_one_kind_only(only: int) -> None:
    found, truth = np.array([0.2, 0.9], np.float32), np.full(2, only)
    evaluation = label_scores.evaluate_binary(
        ["a", "b"],
        found,
        truth,
        training_share=0.5,
        decision=most_accurate("binary", found, truth),
    )
    assert evaluation.metrics["roc_auc"] is None
    assert (evaluation.metrics["average_precision"] is None) == (only == 0)
    assert (evaluation.metrics["baseline_average_precision"] is None) == (only == 0)
    assert evaluation.metrics["accuracy"] == 1


def test_regression_by_hand() -> None:
    evaluation = label_scores.evaluate_regression(
        list("abc"),
        np.array([[1.0], [2.0], [6.0]], np.float32),
        np.array([[1.0], [2.0], [3.0]]),
        training_means=np.array([3.0]),
        names=("age",),
    )
    assert evaluation.metrics["mae"] == pytest.approx(1)
    assert evaluation.metrics["rmse"] == pytest.approx(3**0.5)
    assert evaluation.metrics["r2"] == pytest.approx(1 - 9 / 2)
    assert evaluation.metrics["baseline_mae"] == pytest.approx(1)
    assert evaluation.metrics["baseline_rmse"] == pytest.approx((5 / 3) ** 0.5)
    assert evaluation.metrics["baseline_r2"] == pytest.approx(r2_score([1, 2, 3], [3, 3, 3]))
    assert evaluation.per_image.sort_values("score")["id"].iloc[0] == "c"
    assert evaluation.curves["scatter"].to_numpy().tolist()[2] == ["age", 3.0, 6.0]


def test_regression_of_a_constant_has_no_r2() -> None:
    evaluation = label_scores.evaluate_regression(
        ["a", "b"],
        np.array([[1.0, 5.0], [2.0, 6.0]]),
        np.array([[1.0, 5.0], [2.0, 5.0]]),
        training_means=np.array([1.5, 5.0]),
        names=("size", "same"),
    )
    assert evaluation.metrics["r2"] == 1
    assert evaluation.metrics["r2_of"] == 1
    assert evaluation.curves["targets"]["r2"].isna().tolist() == [False, True]
    assert evaluation.metrics["mae"] == pytest.approx((0 + 0.5) / 2)


def test_predictions_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ArtifactError, match="not a probability"):
        label_scores.evaluate_multiclass(
            ["a"],
            np.array([[np.nan, 0.5]], np.float32),
            np.array([0]),
            training=np.array([0]),
            classes=("a", "b"),
        )
