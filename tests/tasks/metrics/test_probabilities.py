"""Metrics of probabilities against scikit-learn and torchmetrics, and by hand at the edges."""

import math

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from darkroom.tasks.metrics import probabilities as metrics
from tests.tasks.metrics import cases
from tests.tasks.metrics.cases import Case


@given(cases.classes())
def test_log_loss_of_classes_agrees_with_scikit_learn(case: Case) -> None:
    grades = range(case.probabilities.shape[1])
    p = case.probabilities.astype(np.float64)
    expected = sk.log_loss(case.truth, p / p.sum(axis=1, keepdims=True), labels=grades)
    assert metrics.class_log_loss(case.truth, case.probabilities) == pytest.approx(expected)


@given(cases.labels(outputs=1))
def test_log_loss_of_a_binary_task_agrees_with_scikit_learn(case: Case) -> None:
    clipped = np.clip(case.probabilities[:, 0].astype(np.float64), 1e-15, 1 - 1e-15)
    expected = sk.log_loss(case.truth[:, 0], clipped, labels=[0, 1])
    assert metrics.label_log_loss(case.truth, case.probabilities) == pytest.approx(expected)


def test_log_loss_is_clipped_as_kaggle_does() -> None:
    worst = -math.log(1e-15)  # of 1; of 1 - 1e-15 it is that of its rounding
    sure = np.array([[1.0, 0.0]], np.float32)
    assert metrics.class_log_loss(np.array([1]), sure) == pytest.approx(worst)
    assert metrics.label_log_loss(np.array([[1.0, 1.0]]), sure) == pytest.approx(worst / 2)
    no = -math.log(1 - clipped(1.0))
    assert metrics.label_log_loss(np.array([[0.0, 0.0]]), sure) == pytest.approx(no / 2)
    # Rows are scaled to a sum of 1.
    half = np.array([[0.2, 0.2]], np.float32)
    assert metrics.class_log_loss(np.array([1]), half) == pytest.approx(math.log(2))


def test_log_loss_of_shares() -> None:
    shares, p = np.array([[0.25, 0.75]]), np.array([[0.5, 0.5]])
    assert metrics.class_log_loss(shares, p) == pytest.approx(math.log(2))
    p = np.array([[0.9]])
    expected = -(0.3 * math.log(0.9) + 0.7 * math.log(0.1))
    assert metrics.label_log_loss(np.array([[0.3]]), p) == pytest.approx(expected)


def clipped(p: float) -> float:
    return min(max(p, 1e-15), 1 - 1e-15)


@given(cases.labels(unknown=True, outputs=3))
def test_weighted_log_loss_is_that_of_a_row_a_label(case: Case) -> None:
    """As RSNA Intracranial Hemorrhage Detection counts: all rows at once, `any` twice."""
    weights = np.array([1.0, 1.0, 2.0])
    rows = [
        (weights[k], -math.log(clipped(p) if t else 1 - clipped(p)))
        for truths, ps in zip(case.truth.tolist(), case.probabilities.tolist(), strict=True)
        for k, (t, p) in enumerate(zip(truths, ps, strict=True))
        if not math.isnan(t)
    ]
    score = metrics.label_log_loss(case.truth, case.probabilities, weights=weights)
    if not rows:
        assert score is None
        return
    expected = sum(w * loss for w, loss in rows) / sum(w for w, _ in rows)
    assert score == pytest.approx(expected, rel=1e-6)


@given(cases.labels())
def test_areas_agree_with_scikit_learn(case: Case) -> None:
    both = [k for k, t in enumerate(case.truth.T) if 0 < t.sum() < len(t)]
    areas = [sk.roc_auc_score(case.truth[:, k], case.probabilities[:, k]) for k in both]
    expected = np.mean(areas) if areas else None
    assert metrics.mean_column_auc(case.truth, case.probabilities) == pytest.approx(expected)
    present = [k for k, t in enumerate(case.truth.T) if t.any()]
    precisions = [
        sk.average_precision_score(case.truth[:, k], case.probabilities[:, k]) for k in present
    ]
    expected = np.mean(precisions) if precisions else None
    assert metrics.mean_average_precision(case.truth, case.probabilities) == pytest.approx(expected)


@given(st.integers(2, 300), st.sampled_from([2, 9, 1000]), st.sampled_from([0.02, 0.5]))
def test_areas_are_as_defined(images: int, steps: int, share: float) -> None:
    rng = np.random.default_rng(images)
    scores = (rng.integers(0, steps, images) / steps).astype(np.float32)
    present = rng.random(images) < share
    present[:2] = True, False
    # The share of pairs in the right order; a pair of equals counts one half.
    differences = np.subtract.outer(scores[present], scores[~present]).astype(float)
    area = (np.sign(differences) + 1).mean() / 2
    assert metrics.area_under_curve(present, scores) == pytest.approx(area, rel=1e-12)
    # The mean, over the images where it is present, of the precision at their score.
    precisions = [present[scores >= score].mean() for score in scores[present]]
    precision = metrics.average_precision(present, scores)
    assert precision == pytest.approx(np.mean(precisions), rel=1e-12)


def test_areas_need_both_kinds_of_images() -> None:
    for present, scores in (([True], [0.3]), ([True, True], [0.3, 0.4]), ([False], [0.3])):
        assert metrics.area_under_curve(np.array(present), np.array(scores)) is None
    assert metrics.average_precision(np.array([False]), np.array([0.3])) is None
    assert metrics.average_precision(np.array([True]), np.array([0.3])) == 1


@given(cases.classes())
def test_areas_of_classes_are_those_of_their_columns(case: Case) -> None:
    shares = metrics.class_shares(case.truth, case.probabilities.shape[1])
    for of_classes, of_labels in (
        (metrics.class_column_auc, metrics.mean_column_auc),
        (metrics.class_average_precision, metrics.mean_average_precision),
    ):
        expected = of_labels(shares, case.probabilities)
        assert of_classes(case.truth, case.probabilities) == expected
        assert of_classes(shares, case.probabilities) == expected, "soft classes are shares"


@given(cases.labels(outputs=2))
def test_areas_agree_with_torchmetrics(case: Case) -> None:
    truth = torch.tensor(case.truth, dtype=torch.int64)
    if not ((truth.sum(0) > 0) & (truth.sum(0) < len(truth))).all():
        return
    area = tm.classification.multilabel_auroc(
        torch.tensor(case.probabilities), truth, num_labels=2, average="macro"
    )
    score = metrics.mean_column_auc(case.truth, case.probabilities)
    assert score == pytest.approx(float(area), abs=1e-5)


@given(cases.labels(unknown=True, outputs=1))
def test_unknown_labels_are_left_out(case: Case) -> None:
    known = ~np.isnan(case.truth[:, 0])
    some = Case(case.truth[known], case.probabilities[known])
    for score in (
        metrics.label_log_loss,
        metrics.mean_column_auc,
        metrics.mean_average_precision,
    ):
        assert score(*case) == score(*some)


def test_an_area_of_one_class_is_not_defined() -> None:
    p = np.array([[0.2], [0.7]], np.float32)
    assert metrics.mean_column_auc(np.ones((2, 1)), p) is None
    assert metrics.mean_column_auc(np.zeros((2, 1)), p) is None
    assert metrics.mean_average_precision(np.zeros((2, 1)), p) is None
    # A constant answer has the area of one that does not look.
    assert metrics.mean_column_auc(np.array([[0.0], [1.0]]), np.full((2, 1), 0.3)) == 0.5


@given(cases.classes())
def test_classes_are_scored_each_against_all_others(case: Case) -> None:
    one_hot = np.eye(case.probabilities.shape[1])[case.truth]
    for of_classes, of_labels in (
        (metrics.class_column_auc, metrics.mean_column_auc),
        (metrics.class_average_precision, metrics.mean_average_precision),
    ):
        assert of_classes(*case) == of_labels(one_hot, case.probabilities)


def kaggle_apk(actual: list[int], predicted: list[int], k: int) -> float:
    """Return AP@k as Kaggle's published code (benhamner/Metrics) counts it."""
    hits, total = 0.0, 0.0
    for i, answer in enumerate(predicted[:k]):
        if answer in actual and answer not in predicted[:i]:
            hits += 1
            total += hits / (i + 1)
    return total / min(len(actual), k)


def by_rank(row: list[float]) -> list[int]:
    return sorted(range(len(row)), key=lambda k: (-row[k], k))


def test_few_images_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    case = rng.integers(0, 4, 50), (rng.integers(1, 9, (50, 4)) / 8).astype(np.float32)
    loss, ranks = metrics.class_log_loss(*case), metrics.class_ranks(*case)
    monkeypatch.setattr(metrics, "_CELLS_AT_ONCE", 30)
    assert metrics.class_log_loss(*case) == loss
    assert (metrics.class_ranks(*case) == ranks).all()
    assert metrics.class_ranks(case[0][:0], case[1][:0]).tolist() == []


@given(cases.classes(), st.integers(1, 5))
def test_map_of_classes_agrees_with_kaggle(case: Case, top: int) -> None:
    order = [by_rank(row) for row in case.probabilities.tolist()]
    each = [kaggle_apk([t], o, top) for t, o in zip(case.truth.tolist(), order, strict=True)]
    score = metrics.class_precision_at(*case, top=top)
    assert score == pytest.approx(np.mean(each))
    right = [t in o[:top] for t, o in zip(case.truth.tolist(), order, strict=True)]
    assert metrics.top_accuracy(*case, top=top) == pytest.approx(np.mean(right))


@given(cases.labels(unknown=True), st.integers(1, 5))
def test_map_of_labels_agrees_with_kaggle(case: Case, top: int) -> None:
    each = []
    for truth, row in zip(case.truth.tolist(), case.probabilities.tolist(), strict=True):
        named = [k for k in by_rank(row)[:top] if not math.isnan(truth[k])]
        if present := [k for k, t in enumerate(truth) if t == 1]:
            each.append(kaggle_apk(present, named, top))
    score = metrics.label_precision_at(*case, top=top)
    assert score == pytest.approx(np.mean(each) if each else None)


@given(cases.classes())
def test_top_accuracy_agrees_with_torchmetrics(case: Case) -> None:
    rows = [len(set(row)) == len(row) for row in case.probabilities.tolist()]
    truth, found = torch.tensor(case.truth)[rows], torch.tensor(case.probabilities)[rows]
    if not len(truth):
        return
    expected = tm.classification.multiclass_accuracy(
        found, truth, num_classes=found.shape[1], top_k=2, average="micro"
    )
    score = metrics.top_accuracy(case.truth[rows], case.probabilities[rows], top=2)
    assert score == pytest.approx(float(expected))


def test_gap_by_hand() -> None:
    p = np.array([[0.9, 0.1], [0.3, 0.7], [0.4, 0.6], [0.55, 0.45]], np.float32)
    # By confidence: right (1/1), wrong, right (2/3), wrong.
    score = metrics.global_average_precision(np.array([0, 0, 1, 1]), p)
    assert score == pytest.approx((1 + 2 / 3) / 4)


@given(cases.classes())
def test_gap_is_micro_average_precision(case: Case) -> None:
    confidence = case.probabilities.max(axis=1)
    if len(set(confidence.tolist())) < len(confidence):  # scikit-learn takes equals at once
        return
    right = case.probabilities.argmax(axis=1) == case.truth
    expected = sk.average_precision_score(right, confidence) * right.mean() if right.any() else 0
    assert metrics.global_average_precision(*case) == pytest.approx(expected)


def test_nothing_to_score_is_not_defined() -> None:
    none = np.zeros((0,), np.int64), np.zeros((0, 3), np.float32)
    assert metrics.class_log_loss(*none) is None
    assert metrics.global_average_precision(*none) is None
    assert metrics.class_precision_at(*none, top=3) is None
    assert metrics.top_accuracy(*none, top=3) is None
    labels = np.full((1, 2), np.nan), np.zeros((1, 2), np.float32)
    assert metrics.label_log_loss(*labels) is None
    assert metrics.label_precision_at(*labels, top=3) is None
