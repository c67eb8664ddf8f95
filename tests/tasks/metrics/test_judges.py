"""Scores of random predictions equal what the judges of drawn contests say of them as a file."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from darkroom.images.objects import find_objects
from darkroom.images.rle import encode
from darkroom.prediction.decision import Decision
from darkroom.tasks.metrics import masks, objects
from darkroom.tasks.metrics.probabilities import ranked
from darkroom.tasks.metrics.specs import column_weights, get_metric
from tests.support.contests import CONTESTS, needs_contests

pytestmark = [needs_contests, pytest.mark.slow]

Array = NDArray[Any]
SIX_DIGITS = 5e-7


class Drawn:
    """A drawn contest: its judge, and the truth of its test images as a table of text."""

    def __init__(self, name: str, folder: Path) -> None:
        self.contest: ModuleType = importlib.import_module(name)
        self.contest.draw(folder, 3)
        self.folder = folder
        truth = pd.read_csv(folder / "answers/truth.csv", dtype=str, keep_default_na=False)
        self.truth = truth
        self.rng = np.random.default_rng(0)

    def judge(self, **columns: Any) -> float:
        """Return the judge's score of the truth's table with other columns."""
        path = self.folder / "submission.csv"
        table = self.truth.assign(**columns)
        table.to_csv(path, index=False)
        return float(self.contest.judge(path, self.folder / "answers"))

    def judge_rows(self, rows: list[tuple[str, str]]) -> float:
        """Return the judge's score of rows of the truth's two columns."""
        path = self.folder / "submission.csv"
        pd.DataFrame(rows, columns=list(self.truth.columns)).to_csv(path, index=False)
        return float(self.contest.judge(path, self.folder / "answers"))


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Drawn]:
    monkeypatch.syspath_prepend(str(CONTESTS))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return lambda name: Drawn(name, tmp_path)


def uncertain(rng: np.random.Generator, truth: Array) -> NDArray[np.float32]:
    """Return probabilities (n, K) that know something of one-hot truth; rows sum to 1."""
    odds = rng.exponential(1, truth.shape) + truth
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def texts(values: Array) -> list[str]:
    return [np.format_float_positional(np.float32(value), trim="-") for value in values]


CLASSES = [
    ("aptos", "diagnosis", "quadratic_kappa"),
    ("humpback", "Id", "map@5"),
    ("iwildcam_2019", "Category", "macro_f1"),
    ("seedlings", "species", "accuracy"),
    ("seedlings", "species", "micro_f1"),
    ("sorghum", "cultivar", "accuracy"),
]


@pytest.mark.parametrize(("name", "column", "metric"), CLASSES)
def test_classes(draw: Callable[[str], Drawn], name: str, column: str, metric: str) -> None:
    drawn = draw(name)
    labels, truth = np.unique(drawn.truth[column], return_inverse=True)
    found = uncertain(drawn.rng, np.eye(len(labels))[truth])
    spec = get_metric(metric, "multiclass")
    if spec.writes == "ranking":
        cells = [" ".join(labels[row]) for row in ranked(found, spec.top)]
        score = spec.score("multiclass", truth, found)
    else:
        answers = Decision(None).answers("multiclass", found)
        cells, score = labels[answers], spec.score("multiclass", truth, answers)
    assert score == pytest.approx(drawn.judge(**{column: cells}), abs=SIX_DIGITS)


PROBABILITIES = [
    ("cactus", ["has_cactus"], "roc_auc", "binary"),
    ("seti", ["target"], "roc_auc", "binary"),
    ("dogs_vs_cats", ["label"], "log_loss", "binary"),
    ("plant_pathology_2020", ["healthy", "multiple_diseases", "rust", "scab"],
     "mean_column_auc", "multiclass"),
    ("state_farm", [f"c{k}" for k in range(10)], "log_loss", "multiclass"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "columns", "metric", "task"), PROBABILITIES)
def test_probabilities(
    draw: Callable[[str], Drawn], name: str, columns: list[str], metric: str, task: str
) -> None:
    drawn = draw(name)
    truth = drawn.truth[columns].to_numpy(np.float64)
    found = uncertain(drawn.rng, truth)
    if task == "binary":
        found = (0.3 * truth + drawn.rng.uniform(0, 0.7, truth.shape)).astype(np.float32)
    numbers = truth if task == "binary" else truth.argmax(axis=1)
    score = get_metric(metric, task).score(task, numbers, found)
    cells = {column: texts(found[:, k]) for k, column in enumerate(columns)}
    assert score == pytest.approx(drawn.judge(**cells), abs=SIX_DIGITS)


@pytest.mark.parametrize(
    ("name", "column", "metric"),
    [
        ("planet", "tags", "samples_f2"),
        ("plant_pathology_2021", "labels", "samples_f1"),
        ("protein_atlas", "Predicted", "macro_f1"),
    ],
)
def test_labels_of_one_cell(
    draw: Callable[[str], Drawn], name: str, column: str, metric: str
) -> None:
    drawn = draw(name)
    cells = [cell.split() for cell in drawn.truth[column]]
    words = sorted({word for cell in cells for word in cell})
    truth = np.array([[word in cell for word in words] for cell in cells], np.float64)
    found = (0.3 * truth + drawn.rng.uniform(0, 0.7, truth.shape)).astype(np.float32)
    answers = Decision(0.5, at_least_one=True).answers("multilabel", found)
    told = [" ".join(np.array(words)[row > 0]) for row in answers]
    score = get_metric(metric, "multilabel").score("multilabel", truth, answers)
    assert score == pytest.approx(drawn.judge(**{column: told}), abs=SIX_DIGITS)


def test_weighted_log_loss_of_a_row_a_label(draw: Callable[[str], Drawn]) -> None:
    drawn = draw("rsna_haemorrhage")
    kinds = list(drawn.contest.KINDS)
    truth = drawn.truth.Label.to_numpy(np.float64).reshape(-1, len(kinds))
    found = (0.3 * truth + drawn.rng.uniform(0, 0.7, truth.shape)).astype(np.float32)
    spec = get_metric("weighted_log_loss", "multilabel")
    score = spec.score("multilabel", truth, found, column_weights(spec, kinds, {"any": 2}))
    assert score == pytest.approx(drawn.judge(Label=texts(found.ravel())), abs=SIX_DIGITS)


def test_values(draw: Callable[[str], Drawn]) -> None:
    drawn = draw("pawpularity")
    truth = drawn.truth.Pawpularity.to_numpy(np.float64)[:, None]
    found = (truth + drawn.rng.normal(0, 9, truth.shape)).astype(np.float32)
    score = get_metric("rmse", "regression").score("regression", truth, found)
    judged = drawn.judge(Pawpularity=texts(found[:, 0]))
    assert score == pytest.approx(judged, abs=SIX_DIGITS, rel=1e-7)


def test_weighted_r2_of_a_row_a_target(draw: Callable[[str], Drawn]) -> None:
    drawn = draw("csiro")
    weights = drawn.contest.WEIGHTS
    truth = drawn.truth.target.to_numpy(np.float64).reshape(-1, len(weights))
    found = (truth + drawn.rng.normal(0, 5, truth.shape)).astype(np.float32)
    spec = get_metric("weighted_r2", "regression")
    score = spec.score("regression", truth, found, column_weights(spec, list(weights), weights))
    assert score == pytest.approx(drawn.judge(target=texts(found.ravel())), abs=SIX_DIGITS)


# Masks


def worn(rng: np.random.Generator, truth: Array) -> NDArray[np.uint8]:
    """Return masks like the truth (..., H, W), with pixels of it missing and some too many."""
    flipped = rng.random(truth.shape) < np.where(truth, 0.1, 0.002)
    shown = rng.random((*truth.shape[:-2], 1, 1)) < 0.9
    return ((truth ^ flipped) & shown).astype(np.uint8)


def run_lengths(masks_: Array) -> list[str]:
    return [encode(np.ascontiguousarray(mask, np.uint8), order="column") for mask in masks_]


@pytest.mark.parametrize(
    ("name", "column", "classes", "metric"),
    [
        ("severstal", "EncodedPixels", 4, "dice"),
        ("clouds", "EncodedPixels", 4, "dice"),
        ("camvid", "rle", 4, "mean_iou"),
    ],
)
def test_masks_of_classes(
    draw: Callable[[str], Drawn], name: str, column: str, classes: int, metric: str
) -> None:
    drawn = draw(name)
    kit = importlib.import_module("kit")
    shape = getattr(drawn.contest, "ASKED", drawn.contest.SHAPE)
    flat = np.array([kit.unrle(cell, shape) for cell in drawn.truth[column]])
    truth = flat.reshape(-1, classes, *shape)
    answer = worn(drawn.rng, truth)
    judged = drawn.judge(**{column: run_lengths(answer.reshape(-1, *shape))})
    if name == "camvid":  # classes cover all pixels that are known
        answer = answer & truth.any(axis=1, keepdims=True)
    hits, answered, areas = (part.sum(axis=(2, 3)) for part in (truth & answer, answer, truth))
    score = masks.masks_score(metric, hits, answered, areas)
    assert score == pytest.approx(judged, abs=SIX_DIGITS)


@pytest.mark.parametrize(("name", "metric"), [("dsb2018", "iou_precision"), ("airbus", "f2_iou")])
def test_objects(draw: Callable[[str], Drawn], name: str, metric: str) -> None:
    drawn = draw(name)
    kit = importlib.import_module("kit")
    counts, rows = [], []
    for image_id, cells in drawn.truth.groupby("ImageId").EncodedPixels:
        truth = np.zeros(drawn.contest.SHAPE, np.int32)
        for number, cell in enumerate((cell for cell in cells if cell.strip()), 1):
            truth[kit.unrle(cell, truth.shape)] = number
        answer = find_objects(worn(drawn.rng, truth > 0))
        counts.append(objects.count_objects(truth, answer))
        parts = [answer == number for number in range(1, int(answer.max()) + 1)]
        rows += [(str(image_id), cell) for cell in run_lengths(np.array(parts)) or [""]]
    score = float(objects.object_scores(metric, np.array(counts)).mean())
    assert score == pytest.approx(drawn.judge_rows(rows), abs=SIX_DIGITS)


def test_stacks(draw: Callable[[str], Drawn]) -> None:
    drawn = draw("uw_madison")
    kit = importlib.import_module("kit")
    shape = drawn.contest.SHAPE
    truth = np.array([kit.unrle(cell, shape) for cell in drawn.truth.predicted])
    truth = truth.reshape(-1, 3, *shape)
    answer = worn(drawn.rng, truth)
    judged = drawn.judge(predicted=run_lengths(answer.reshape(-1, *shape)))
    hits, answered, areas = (part.sum(axis=(2, 3)) for part in (truth & answer, answer, truth))
    dice = masks.masks_score("dice_hausdorff", hits, answered, areas)
    assert dice is not None
    stacks = [objects.stack_name(image_id) for image_id in drawn.truth.id[::3]]
    distances = [
        objects.stack_distance(truth[rows, k], answer[rows, k])
        for rows in (np.array(stacks) == stack for stack in sorted(set(stacks)))
        for k in range(3)
        if truth[rows, k].any() or answer[rows, k].any()
    ]
    assert 0.4 * dice + 0.6 * (1 - np.mean(distances)) == pytest.approx(judged, abs=SIX_DIGITS)
