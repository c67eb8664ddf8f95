"""Counts of predictions: by class, precision and recall, calibration, against other definitions."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from darkroom.cli.main import read_context
from darkroom.cli.report.counts import BINS, Counts, count_predictions
from darkroom.cli.report.evidence import Evidence, read_evidence
from darkroom.index.card import Card
from darkroom.prediction.decision import Decision
from darkroom.prediction.predictions import Header, Prediction, Predictions, write_predictions
from tests.support.damage import Project

Floats = NDArray[np.float32]


def evidence(folder: Path, card: Card, values: Floats, truth: Any, decision: Decision) -> Evidence:
    """Return evidence of kept predictions (n, K), in two folds, and of the truth (n, targets)."""
    targets = pd.DataFrame(np.asarray(truth, np.float64), columns=list(card.targets))
    train = targets.assign(id=[str(n) for n in range(len(values))])
    train["fold"] = (np.arange(len(values)) >= len(values) // 2).astype(int)
    predictions = {}
    for fold in (0, 1):
        places = np.flatnonzero(train["fold"] == fold)
        ids = train["id"].iloc[places].tolist()
        sizes = np.full((len(places), 2), 8)
        header = Header("valid", card.task, values.shape[1:], len(places))
        batch = Prediction(ids, values[places], sizes)
        path = folder / f"fold{fold}.arrow"
        write_predictions(path, header, lambda _, batch=batch: iter([batch]))  # type: ignore[misc]
        predictions[fold] = Predictions(path)
    index = type("Index", (), {"card": card})()
    nothing = cast(Any, None)
    return Evidence(nothing, cast(Any, index), train, nothing, predictions, decision)


def labels(folder: Path, values: list[list[float]], truth: list[list[float]]) -> Counts:
    card = Card("multilabel", ("cat", "dog"), header=("id", "cat", "dog"))
    data = evidence(folder, card, np.array(values, np.float32), truth, Decision(0.5))
    counts = count_predictions(data)
    assert counts is not None
    return counts


def test_labels_by_hand(tmp_path: Path) -> None:
    nan = np.nan
    counts = labels(
        tmp_path,
        [[0.9, 0.2], [0.6, 0.1], [0.3, 0.4], [0.8, 0.9]],
        [[1, 1], [0, 0], [1, 1], [1, nan]],
    )
    assert counts.images == 4
    assert counts.known_count.tolist() == [4, 3]
    assert counts.positives.tolist() == [3, 2]
    assert counts.predicted.tolist() == [3, 0]  # what is unknown is no answer either
    assert counts.hits.tolist() == [2, 0]
    assert counts.recall.tolist() == [2 / 3, 0]
    assert counts.precision[0] == 2 / 3
    assert np.isnan(counts.precision[1])
    assert counts.f1.tolist() == [2 / 3, 0]
    assert counts.never_predicted == ["dog"]
    assert counts.never_right == []


def test_a_label_that_is_predicted_but_never_right(tmp_path: Path) -> None:
    counts = labels(tmp_path, [[0.9, 0.9], [0.1, 0.2]], [[0, 1], [1, 1]])
    assert counts.never_right == ["cat"]
    assert counts.never_predicted == []
    assert counts.absent == []


def test_a_label_of_no_image_is_absent_and_not_missed(tmp_path: Path) -> None:
    counts = labels(tmp_path, [[0.9, 0.2], [0.1, 0.1]], [[1, 0], [0, 0]])
    assert (counts.absent, counts.never_predicted, counts.never_right) == (["dog"], [], [])


def test_classes_are_as_scikit_learn_counts_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    values = rng.dirichlet(np.ones(4), 300).astype(np.float32)
    truth = rng.integers(0, 4, 300)
    card = Card("multiclass", ("kind",), tuple("abcd"), header=("id", "kind"))
    data = evidence(tmp_path, card, values, truth[:, None], Decision(None))
    counts = count_predictions(data)
    assert counts is not None
    expected = precision_recall_fscore_support(truth, values.argmax(1), labels=range(4))
    for own, theirs in zip((counts.precision, counts.recall, counts.f1), expected, strict=False):
        assert np.allclose(own, theirs)


def test_precision_and_recall_at_each_threshold(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    values = rng.random((200, 2), np.float32)
    truth = (rng.random((200, 2)) < values).astype(float)
    counts = labels(tmp_path, values.tolist(), truth.tolist())
    recall, precision = counts.precision_recall(0)
    assert (np.diff(recall) >= 0).all()
    for level in (32, 128, 200):
        answer = values[:, 0] > level / 256
        hits = (answer & (truth[:, 0] > 0)).sum()
        point = hits / truth[:, 0].sum(), hits / answer.sum()
        assert np.isclose(np.stack([recall, precision], 1), point).all(1).any()


def test_reliability_is_that_of_bins(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    values = rng.random((500, 2), np.float32)
    values[:9] = 0  # exceeds no level
    truth = (rng.random((500, 2)) < values**2).astype(float)
    truth[:4, 0] = 1
    counts = labels(tmp_path, values.tolist(), truth.tolist())
    mean, share, count = counts.reliability()
    place = np.clip(np.ceil(values * BINS).astype(int) - 1, 0, BINS - 1)
    error = 0.0
    for k in range(BINS):
        inside = place == k
        assert count[k] == inside.sum()
        assert np.isclose(mean[k], values[inside].mean())
        assert np.isclose(share[k], truth[inside].mean())
        error += inside.sum() * abs(values[inside].mean() - truth[inside].mean())
    assert np.isclose(counts.calibration_error(), error / values.size)


def test_reliability_of_classes_is_that_of_the_greatest_probability(tmp_path: Path) -> None:
    values = np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.3, 0.7]], np.float32)
    card = Card("multiclass", ("kind",), ("a", "b"), header=("id", "kind"))
    data = evidence(tmp_path, card, values, [[0], [1], [1], [1]], Decision(None))
    counts = count_predictions(data)
    assert counts is not None
    mean, share, count = counts.reliability()
    assert count.sum() == 4
    assert np.allclose(mean[14], 0.9)
    assert share[14] == 0.5
    assert np.isclose(counts.calibration_error(), (2 * 0.4 + 0.8 + 0.3) / 4)


def test_many_classes_have_one_curve(tmp_path: Path) -> None:
    names = tuple(f"n{k}" for k in range(30))
    values = np.random.default_rng(3).random((20, 30), np.float32)
    card = Card("multilabel", names, header=("id", *names))
    data = evidence(tmp_path, card, values, values > 0.5, Decision(0.5))
    counts = count_predictions(data)
    assert counts is not None
    assert counts.above.shape == (2, 1, 256)
    assert counts.above[1, 0, 0] == (values > 0.5).sum()
    assert counts.f1.tolist() == [1.0] * 30


@pytest.mark.parametrize("task", ["regression"])
def test_values_have_no_classes(tmp_path: Path, task: str) -> None:
    card = Card(task, ("age",), header=("id", "age"))
    data = evidence(tmp_path, card, np.ones((4, 1), np.float32), np.ones((4, 1)), Decision(None))
    assert count_predictions(data) is None


def test_pixels_of_masks_are_those_of_the_picture_without_its_padding(project: Project) -> None:
    project("masks")
    data = read_evidence(read_context("tiny"))
    counts = count_predictions(data)
    assert counts is not None
    assert (counts.unit, counts.images, counts.names) == ("pixel", 8, ("mask",))
    rows = slice(2, 29)  # 40 x 48 px became 27 x 32 of 32 x 32
    limit = data.decision.threshold_array(1)[0]
    hits = positives = predicted = 0
    for ids, probabilities, _ in data.predictions[0].batches():
        for image_id, planes in zip(ids, probabilities, strict=True):
            mask = data.shards.mask(data.shards.ids.index(image_id))
            assert mask is not None
            truth, answer = mask[0, rows] > 0, planes[0, rows] > limit
            hits += int((truth & answer).sum())
            positives += int(truth.sum())
            predicted += int(answer.sum())
    assert counts.known_count.tolist() == [8 * 27 * 32]
    assert counts.positives.tolist() == [positives]
    assert counts.predicted.tolist() == [predicted]
    assert counts.hits.tolist() == [hits]
    assert counts.images_with.tolist() == [8]
    assert counts.above[:, 0, 0].sum() <= 8 * 27 * 32
