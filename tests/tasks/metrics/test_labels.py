"""Metrics of answers against scikit-learn and torchmetrics, and by hand at the edges."""

import warnings

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from darkroom.tasks.metrics import labels
from tests.tasks.metrics import cases
from tests.tasks.metrics.cases import Case

BETAS = st.sampled_from([0.5, 1.0, 2.0])


@given(cases.classes())
def test_classes_agree_with_scikit_learn(case: Case) -> None:
    truth, answers = case.truth, case.probabilities.argmax(axis=1)
    assert labels.class_accuracy(truth, answers) == sk.accuracy_score(truth, answers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes in the answers alone
        expected = sk.balanced_accuracy_score(truth, answers)
    assert labels.class_balanced_accuracy(truth, answers) == pytest.approx(expected)


@given(cases.classes(), BETAS)
def test_f_of_classes_agrees_with_scikit_learn(case: Case, beta: float) -> None:
    truth, answers = case.truth, case.probabilities.argmax(axis=1)
    for average in ("macro", "micro"):
        expected = sk.fbeta_score(truth, answers, beta=beta, average=average, zero_division=0)
        score = labels.class_f(truth, answers, beta=beta, average=average)
        assert score == pytest.approx(expected)


@given(cases.labels(), BETAS)
def test_f_of_labels_agrees_with_scikit_learn(case: Case, beta: float) -> None:
    truth, answers = case.truth.astype(int), (case.probabilities > 0.5).astype(int)
    for average in ("micro", "samples", "macro"):
        score = labels.label_f(case.truth, answers, beta=beta, average=average)
        if average == "micro" and not truth.any() and not answers.any():
            assert score is None
            continue
        # A column beside: scikit-learn takes a single column for a binary task.
        columns = [np.pad(part, ((0, 0), (0, 1))) for part in (truth, answers)]
        options = {"labels": range(truth.shape[1])} if average == "macro" else {}
        expected = sk.fbeta_score(*columns, beta=beta, average=average, zero_division=0, **options)
        assert score == pytest.approx(expected)


@given(cases.labels(outputs=1), BETAS)
def test_f_of_a_binary_task_agrees_with_scikit_learn(case: Case, beta: float) -> None:
    truth, answers = case.truth, (case.probabilities > 0.5).astype(np.uint8)
    score = labels.label_f(truth, answers, beta=beta, average="macro")
    expected = sk.fbeta_score(truth[:, 0], answers[:, 0], beta=beta, zero_division=0)
    assert score == pytest.approx(expected)
    both = sk.f1_score(truth[:, 0], answers[:, 0], average="macro", zero_division=0)
    assert labels.class_f(truth, answers, average="macro") == pytest.approx(both)


@given(cases.labels(outputs=3))
def test_labels_agree_with_torchmetrics(case: Case) -> None:
    answers = (case.probabilities > 0.5).astype(np.uint8)
    pair = torch.tensor(answers), torch.tensor(case.truth, dtype=torch.int64)
    accuracy = tm.classification.multilabel_accuracy(*pair, num_labels=3, average="micro")
    assert labels.label_accuracy(case.truth, answers) == pytest.approx(float(accuracy))
    f1 = tm.classification.multilabel_f1_score(*pair, num_labels=3, average="micro")
    score = labels.label_f(case.truth, answers, average="micro")
    assert (score or 0) == pytest.approx(float(f1))


@given(cases.labels(unknown=True, outputs=2))
def test_unknown_labels_change_nothing(case: Case) -> None:
    """Each column scores what its known rows score alone."""
    answers = (case.probabilities > 0.5).astype(np.uint8)
    known = ~np.isnan(case.truth)
    for k in range(2):
        rows = known[:, k]
        for score in (labels.label_accuracy, labels.class_balanced_accuracy):
            whole = score(case.truth[:, [k]], answers[:, [k]])
            assert whole == score(case.truth[rows][:, [k]], answers[rows][:, [k]])
    hits = ((case.truth > 0.5) & (answers > 0)).sum()
    whole_count = (case.truth > 0.5).sum() + (answers[known] > 0).sum()
    expected = 2 * hits / whole_count if whole_count else None
    assert labels.label_f(case.truth, answers, average="micro") == pytest.approx(expected)


@given(cases.classes(least=2))
def test_kappa_agrees_with_scikit_learn_and_torchmetrics(case: Case) -> None:
    truth, answers = case.truth, case.probabilities.argmax(axis=1)
    score = labels.quadratic_kappa(truth, answers)
    if truth.min() == truth.max() == answers.min() == answers.max():
        assert score is None
        return
    grades = list(range(case.probabilities.shape[1]))
    expected = sk.cohen_kappa_score(truth, answers, labels=grades, weights="quadratic")
    assert score == pytest.approx(expected)
    torch_score = tm.classification.multiclass_cohen_kappa(
        torch.tensor(answers), torch.tensor(truth), num_classes=len(grades), weights="quadratic"
    )
    assert score == pytest.approx(float(torch_score), abs=1e-5)
    assert labels.quadratic_kappa(truth[:, None].astype(float), answers) == score


def test_kappa_counts_the_distance_of_grades_that_nobody_has() -> None:
    # Grade 1 is absent; scikit-learn alone would take 2 for its neighbour.
    assert labels.quadratic_kappa(np.array([0, 0, 2, 3]), np.array([0, 2, 2, 3])) == pytest.approx(
        1 - 1 / (1.6875 + 1.1875 + 0.25)
    )


def test_soft_truth_counts_as_its_greatest_share() -> None:
    shares = np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    assert labels.class_accuracy(shares, np.array([1, 0])) == 1
    assert labels.label_accuracy(np.array([[0.6, 0.5]]), np.array([[1, 1]])) == 0.5


def test_what_is_not_defined_is_none() -> None:
    nothing = np.full((2, 2), np.nan)
    assert labels.label_accuracy(nothing, np.ones((2, 2))) is None
    for average in ("macro", "micro", "samples"):
        assert labels.label_f(nothing, np.ones((2, 2)), average=average) is None
    assert labels.class_accuracy(np.array([]), np.array([])) is None
    assert labels.class_balanced_accuracy(np.array([]), np.array([])) is None
    assert labels.quadratic_kappa(np.array([]), np.array([])) is None
    assert labels.class_f(np.array([]), np.array([]), average="macro") is None
