"""The score that evaluate gives is the one of the file that is written, for every metric.

Predictions are drawn, with ties, gaps and answers that are sure to the last bit. The judges here
read the file alone, and count by scikit-learn, or as the competition's page says.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from darkroom.index.card import Card
from darkroom.params.rules.data import METRIC_TASKS
from darkroom.prediction.predictions import Prediction
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.submission.cells import legal_values, row_encoder
from darkroom.submission.writer import Writer
from darkroom.tasks.metrics.specs import get_metric

Array = NDArray[Any]
IMAGES = 60
LABELS = ("l0", "l1", "l2", "l3")
WEIGHTS = {"l1": 3.0, "l3": 0.5}
FAMILIES = {
    "multiclass": ("map@1", "map@4", "top2_accuracy", "macro_f2", "micro_f0.5"),
    "multilabel": ("map@2", "macro_f2", "micro_f0.5", "samples_f3"),
    "binary": ("f3", "f0.1"),
}
CASES = [
    (task, name, gaps)
    for task in ("multiclass", "multilabel", "binary", "regression")
    for name in (
        *(each for each, tasks in METRIC_TASKS.items() if task in tasks),
        *FAMILIES.get(task, ()),
    )
    for gaps in (False, True)
    if not (gaps and task == "multiclass")
]


def drawn(task: str, name: str, *, gaps: bool) -> tuple[Array, NDArray[np.float32]]:
    """Return truth (n, K), of classes (n, 1), and predictions that know something of it."""
    rng = np.random.default_rng(len(name))
    columns = 1 if task == "binary" or name == "quadratic_kappa" else len(LABELS)
    if task == "multiclass":
        truth = rng.integers(0, len(LABELS), (IMAGES, 1)).astype(np.float64)
        logits = rng.normal(0, 1, (IMAGES, len(LABELS))) + 1.5 * (truth == np.arange(len(LABELS)))
        logits[::3] *= 12  # sure, and equal to others in float32
        chances = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(np.float32)
        return truth, chances / chances.sum(axis=1, keepdims=True)
    if task == "regression":
        truth = rng.gamma(2, 3, (IMAGES, columns))
        truth = np.round(truth / 4) if name == "quadratic_kappa" else truth
        predictions = truth + rng.normal(0, 2, truth.shape)
    else:
        truth = (rng.random((IMAGES, columns)) < 0.4).astype(np.float64)
        logits = rng.normal(0, 1.5, truth.shape) + 2 * truth - 1.5
        predictions = np.round(1 / (1 + np.exp(-logits)), 2)  # many are equal
    if gaps:
        truth[rng.random(truth.shape) < 0.2] = np.nan
        truth[:9, :1] = np.nan  # a label that is known less often than others
    return truth, predictions.astype(np.float32)


def card_of(task: str, name: str, columns: int) -> Card:
    targets = {"multiclass": ("y",), "binary": ("l1",)}.get(task, LABELS[:columns])
    classes = LABELS if task == "multiclass" else ()
    if task == "multiclass" and name == "quadratic_kappa":
        classes = ("0", "1", "2", "3")
    writes = get_metric(name, task).writes
    one_cell = writes in ("ranking", "scored_label") or (task, writes) == ("multiclass", "labels")
    answers = ("y",) if one_cell else (classes or targets)
    weights = WEIGHTS if name.startswith("weighted") and task != "binary" else {}
    return Card(task, targets, classes, header=("id", *answers), metric=name, weights=weights)


@pytest.mark.parametrize(("task", "name", "gaps"), CASES)
def test_the_local_score_is_that_of_the_file(
    tmp_path: Path, task: str, name: str, gaps: bool
) -> None:
    truth, predictions = drawn(task, name, gaps=gaps)
    card = card_of(task, name, truth.shape[1])
    ids = [f"i{number}" for number in range(IMAGES)]
    table = pd.DataFrame({"id": ids} | dict(zip(card.targets, truth.T, strict=True)))

    def batches() -> Iterator[Prediction]:
        for start in range(0, IMAGES, 7):
            part = slice(start, start + 7)
            yield Prediction(ids[part], predictions[part], np.ones((len(ids[part]), 2), np.int64))

    evaluation = score_labels([LabelledPredictions(table, table, batches())], card)
    metric = get_metric(name, task)
    path = tmp_path / "x.csv.gz"
    values, _ = legal_values(evaluation.decision.calibrated(task, predictions), metric)
    with Writer(path, card.header) as writer:
        encode = row_encoder(card, metric, evaluation.decision, "stretch")
        for rows in encode(ids, values, [(1, 1)] * IMAGES):
            writer.write_lines(writer.lines(rows), 1)
    cells = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("id").loc[ids]
    judged = JUDGES[task](name, truth, cells, list(card.outputs))
    assert evaluation.metrics[name] == pytest.approx(judged, abs=1e-6)


def of_classes(name: str, truth: Array, cells: pd.DataFrame, classes: list[str]) -> float:
    numbers = truth[:, 0].astype(int)
    names = [classes[number] for number in numbers]
    if cells.shape[1] > 1:
        chances = cells[classes].astype(float).to_numpy()
        assert np.abs(chances.sum(axis=1) - 1).max() < 1e-6
        if name.endswith("log_loss"):
            each = np.array([WEIGHTS.get(label, 1.0) for label in names])
            weights = each if name == "weighted_log_loss" else None
            scaled = chances / chances.sum(axis=1, keepdims=True)
            return float(sk.log_loss(numbers, scaled, sample_weight=weights))
        hot = np.eye(len(classes))[numbers]
        score = sk.roc_auc_score if "auc" in name else sk.average_precision_score
        return float(score(hot, chances, average="macro"))
    words = [cell.split() for cell in cells["y"]]
    if name.startswith("map@"):
        top = int(name[4:])
        pairs = zip(names, words, strict=True)
        return float(np.mean([1 / (w[:top].index(t) + 1) if t in w[:top] else 0 for t, w in pairs]))
    if name.startswith("top"):
        top = int(name[3:].removesuffix("_accuracy"))
        return float(np.mean([t in w[:top] for t, w in zip(names, words, strict=True)]))
    if name == "gap":
        order = np.argsort([-float(score) for _, score in words], kind="stable")
        right = np.array([words[k][0] == names[k] for k in order])
        return float((right.cumsum() / np.arange(1, IMAGES + 1) * right).sum() / IMAGES)
    answers = np.array([classes.index(word) for (word,) in words])
    if name == "quadratic_kappa":
        return float(sk.cohen_kappa_score(numbers, answers, weights="quadratic"))
    return plain_label_score(name, numbers, answers)


def of_labels(name: str, truth: Array, cells: pd.DataFrame, labels: list[str]) -> float:
    is_known = ~np.isnan(truth)
    if name.startswith("map@"):
        return labels_precision(int(name[4:]), truth, list(cells["y"]), labels)
    answers = cells[labels].astype(float).to_numpy()
    columns = [
        (truth[rows, k], answers[rows, k]) for k, rows in enumerate(is_known.T)
    ]  # what is known of each
    if name.endswith("log_loss"):
        weights = [WEIGHTS.get(label, 1.0) if "weighted" in name else 1.0 for label in labels]
        each = np.broadcast_to(weights, truth.shape)[is_known]
        right = np.where(truth == 1, answers, 1 - answers)[is_known]
        return float(-np.average(np.log(np.clip(right, 1e-15, 1)), weights=each))
    if "auc" in name or "precision" in name:
        score = sk.roc_auc_score if "auc" in name else sk.average_precision_score
        return float(np.mean([score(*column) for column in columns]))
    if name == "accuracy":
        return float((truth == answers)[is_known].mean())
    average, beta = name.split("_f")
    present, answered = np.where(is_known, truth, 0), np.where(is_known, answers, 0)
    score = sk.fbeta_score(present, answered, beta=float(beta), average=average, zero_division=0)
    rows_known = is_known.any(axis=1) if average == "samples" else np.ones(IMAGES, bool)
    return float(score) * IMAGES / int(rows_known.sum())


def labels_precision(top: int, truth: Array, cells: list[str], labels: list[str]) -> float:
    scores = []
    for row, cell in zip(truth, cells, strict=True):
        named = [row[labels.index(word)] for word in cell.split()[:top]]
        hits = [value == 1 for value in named if not np.isnan(value)]
        if present := int((row == 1).sum()):
            precisions = [sum(hits[: k + 1]) / (k + 1) for k, hit in enumerate(hits) if hit]
            scores.append(sum(precisions) / min(present, top))
    return float(np.mean(scores))


def of_one_label(name: str, truth: Array, cells: pd.DataFrame, _labels: list[str]) -> float:
    rows = ~np.isnan(truth[:, 0])
    present, answers = truth[rows, 0].astype(int), cells["l1"].astype(float).to_numpy()[rows]
    if name.endswith("log_loss"):
        return float(sk.log_loss(present, answers))
    if "auc" in name:
        return float(sk.roc_auc_score(present, answers))
    if "precision" in name:
        return float(sk.average_precision_score(present, answers))
    if name[0] == "f":
        return float(sk.fbeta_score(present, answers.astype(int), beta=float(name[1:])))
    return plain_label_score(name, present, answers.astype(int))


def plain_label_score(name: str, truth: Array, answers: Array) -> float:
    if name == "accuracy":
        return float(sk.accuracy_score(truth, answers))
    if name == "balanced_accuracy":
        return float(sk.balanced_accuracy_score(truth, answers))
    average, beta = name.split("_f")
    return float(sk.fbeta_score(truth, answers, beta=float(beta), average=average))


def of_values(name: str, truth: Array, cells: pd.DataFrame, names: list[str]) -> float:
    values, is_known = cells[names].astype(float).to_numpy(), ~np.isnan(truth)
    actual, guessed = truth[is_known], values[is_known]
    columns = [(truth[rows, k], values[rows, k]) for k, rows in enumerate(is_known.T)]
    match name:
        case "rmse":
            return float(sk.root_mean_squared_error(actual, guessed))
        case "mae":
            return float(sk.mean_absolute_error(actual, guessed))
        case "rmsle":
            return float(sk.root_mean_squared_log_error(actual, guessed))
        case "mcrmse":
            return float(np.mean([sk.root_mean_squared_error(*column) for column in columns]))
        case "r2":
            return float(np.mean([sk.r2_score(*column) for column in columns]))
        case "quadratic_kappa":
            return float(sk.cohen_kappa_score(actual, guessed, weights="quadratic"))
    assert name == "weighted_r2"
    weights = np.broadcast_to([WEIGHTS.get(each, 1.0) for each in names], truth.shape)[is_known]
    return float(sk.r2_score(actual, guessed, sample_weight=weights))


JUDGES: dict[str, Callable[[str, Array, pd.DataFrame, list[str]], float]] = {
    "multiclass": of_classes,
    "multilabel": of_labels,
    "binary": of_one_label,
    "regression": of_values,
}
