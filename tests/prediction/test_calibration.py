"""The temperature of probabilities: known ones are found again, and none makes a score worse."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.index.card import Card
from darkroom.prediction import calibration, scoring
from darkroom.prediction.calibration import best_temperature, calibrate, is_calibrated
from darkroom.prediction.deciding import Array, Chosen, OutOfFold, choose
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import Evaluation
from darkroom.prediction.predictions import Prediction
from darkroom.prediction.scoring import LabelledPredictions, score_labels
from darkroom.tasks.answers import apply_temperature
from darkroom.tasks.metrics.specs import METRICS, get_metric

TASKS = ("multiclass", "multilabel", "binary")


def honest(task: str, seed: int, images: int, spread: float = 1.5) -> tuple[Array, Array]:
    """Return logits (n, K), and a truth that is drawn by their very probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (images, 1 if task == "binary" else 4))
    if task == "multiclass":
        noise = rng.gumbel(size=logits.shape)
        return logits, (logits + noise).argmax(axis=1)
    return logits, (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float64)


def probabilities(task: str, logits: Array) -> Array:
    if task != "multiclass":
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def data_of(task: str, truth: Array, predictions: Array, metric: str = "log_loss") -> OutOfFold:
    return OutOfFold(get_metric(metric, task), task, truth, predictions)


def calibrated(data: OutOfFold) -> Chosen:
    return calibrate(data, choose(data, None))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_found(task: str, temperature: float) -> None:
    logits, truth = honest(task, 1, 6000)
    data = data_of(task, truth, probabilities(task, temperature * logits))
    assert best_temperature(data) == pytest.approx(temperature, rel=0.06)
    chosen = calibrated(data)
    best = data_of(task, truth, probabilities(task, logits)).score(Decision())
    assert best is not None
    assert chosen.score == pytest.approx(best, abs=2e-3), "as if never spoiled"
    if temperature != 1:
        assert chosen.decision.temperature == best_temperature(data)
        assert chosen.cross_fitted == pytest.approx(best, abs=2e-3)


@pytest.mark.parametrize("task", TASKS)
def test_the_order_of_answers_stays(task: str) -> None:
    p = probabilities(task, honest(task, 2, 50)[0])
    for temperature in (0.3, 1.0, 4.0):
        other = apply_temperature(task, p, temperature)
        axis = 1 if task == "multiclass" else None
        assert (np.argsort(other, axis=axis) == np.argsort(p, axis=axis)).all()
    assert apply_temperature(task, p, 1.0) is p
    back = apply_temperature(task, apply_temperature(task, p, 3.0), 1 / 3)
    assert back == pytest.approx(p, abs=1e-5)


def test_a_probability_of_0_or_1_stays_finite() -> None:
    sure = np.array([[0.0], [1.0]], np.float32)
    # float32 has nothing between 1 - 2^-25 and 1: a logit of 17.3, at T = 4 one of 4.3.
    assert apply_temperature("binary", sure, 4.0)[1, 0] == pytest.approx(1 / (1 + 2**-6.25), 1e-4)
    assert 0 < apply_temperature("binary", sure, 4.0)[0, 0] < 1e-9
    rows = apply_temperature("multiclass", np.array([[1, 0, 0]], np.float32), 8.0)
    assert rows[0].sum() == pytest.approx(1)
    assert np.isfinite(rows).all()


@given(
    seed=st.integers(0, 1000),
    images=st.integers(1, 40),
    task=st.sampled_from(TASKS),
    spoiled=st.floats(0.2, 6),
)
@settings(max_examples=60)
def test_the_loss_is_never_worse(seed: int, images: int, task: str, spoiled: float) -> None:
    logits, truth = honest(task, seed, images)
    data = data_of(task, truth, probabilities(task, spoiled * logits))
    plain = data.score(Decision())
    chosen = calibrated(data)
    assert chosen.score is not None
    assert plain is not None
    assert chosen.score <= plain
    if chosen.decision.temperature == 1:
        assert chosen.score == plain
        assert chosen.cross_fitted is None


def test_it_is_taken_where_it_helps_the_other_half() -> None:
    """Both cases occur; and two images whose own loss it would raise are left alone."""
    taken = set()
    for seed in range(12):
        logits, truth = honest("multiclass", seed, 30)
        data = data_of("multiclass", truth, probabilities("multiclass", 1.3 * logits))
        odd = data.take(slice(1, None, 2)), data.take(slice(0, None, 2))
        temperatures = [best_temperature(half) for half in odd[::-1]]
        losses = [
            half.score(Decision(temperature=t)) for half, t in zip(odd, temperatures, strict=True)
        ]
        helps = np.mean(losses) < (data.score(Decision()) or 0)  # type: ignore[arg-type]
        decision = calibrated(data).decision
        assert decision.temperature == (best_temperature(data) if helps else 1)
        taken.add(helps)
    assert taken == {True, False}
    logits, truth = honest("multiclass", 39, 2)
    assert calibrated(data_of("multiclass", truth, probabilities("multiclass", logits))).score == (
        data_of("multiclass", truth, probabilities("multiclass", logits)).score(Decision())
    )


@pytest.mark.parametrize("task", TASKS)
def test_a_few_right_answers_do_not_make_it_sure(task: str) -> None:
    """Twenty images, all right at 0.9: no loss is too small for T, but the next may be wrong."""
    truth = np.arange(20) % 2
    p = np.where(np.arange(2) == truth[:, None], 0.9, 0.1).astype(np.float32)
    if task != "multiclass":
        p = p[:, :1] if task == "binary" else p
        truth = (np.arange(p.shape[1]) == truth[:, None]).astype(np.float64)
    chosen = calibrated(data_of(task, truth, p))
    surest = chosen.decision.calibrated(task, p).max()
    assert surest == pytest.approx(1 - 1 / (2 * 22), abs=1e-3), "Platt's rule"


def test_unknown_labels_and_weights_count_as_in_the_metric() -> None:
    logits, truth = honest("multilabel", 3, 4000)
    spoiled = logits * np.array([3.0, 1.0, 1.0, 1.0])  # the first label alone is overconfident
    weights = np.array([1.0, 0, 0, 0])
    first = data_of("multilabel", truth, probabilities("multilabel", spoiled), "weighted_log_loss")
    assert best_temperature(replace(first, weights=weights)) == pytest.approx(3, rel=0.1)
    assert best_temperature(replace(first, weights=weights[::-1])) == pytest.approx(1, rel=0.1)
    truth[:, 1:] = np.nan
    assert best_temperature(replace(first, truth=truth)) == pytest.approx(3, rel=0.1)
    assert best_temperature(replace(first, truth=truth * np.nan)) == 1


def test_which_metrics_are_calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name for name, spec in METRICS.items() if is_calibrated(spec)} == {
        "log_loss",
        "weighted_log_loss",
    }
    monkeypatch.chdir(tmp_path)
    Path("metrics").mkdir()
    Path("metrics/mine.py").write_text(
        "BEST = 'min'\nWRITES = 'probabilities'\n\n\n"
        "def score(truth, predictions):\n    return ((truth - predictions) ** 2).mean()\n"
    )
    logits, truth = honest("binary", 4, 2000)
    data = data_of("binary", truth, probabilities("binary", 3 * logits), "metrics/mine.py:score")
    chosen = calibrated(data)
    assert chosen.decision.temperature == pytest.approx(3, rel=0.1)
    assert chosen.score == data.score(chosen.decision)
    assert (chosen.score or 0) < (data.score(Decision()) or 0)


def scored(task: str, p: Array, truth: Array, **options: Any) -> Evaluation:
    classes = ("a", "b", "c", "d") if task == "multiclass" else ()
    targets = tuple(f"y{k}" for k in range(1 if classes else p.shape[1]))
    card = Card(task, targets, classes, metric="log_loss")
    ids = [str(number) for number in range(len(p))]
    columns = dict(zip(targets, truth.reshape(len(p), -1).T.astype(float), strict=True))
    table = pd.DataFrame({"id": ids} | columns)
    batches = iter([Prediction(ids, p, np.ones((len(p), 2), np.int64))])
    return score_labels([LabelledPredictions(table, table, batches)], card, **options)


@pytest.mark.parametrize("task", TASKS)
def test_an_evaluation_shows_what_was_chosen(task: str) -> None:
    logits, truth = honest(task, 5, 2000)
    p = probabilities(task, 3 * logits)
    evaluation = scored(task, p, truth)
    temperature = evaluation.decision.temperature
    assert temperature == pytest.approx(3, rel=0.15)
    assert evaluation.metrics["temperature"] == temperature
    best = data_of(task, truth, probabilities(task, logits)).score(Decision())
    assert evaluation.metrics["log_loss"] == pytest.approx(best, abs=3e-3)
    assert evaluation.metrics["log_loss_cross_fitted"] == pytest.approx(best, abs=3e-3)
    again = scored(task, p, truth, decision=evaluation.decision)
    assert again.metrics["log_loss"] == evaluation.metrics["log_loss"]
    plain = scored(task, p, truth, decision=Decision(None if task == "multiclass" else 0.5))
    assert plain.metrics["accuracy"] == evaluation.metrics["accuracy"]
    if task == "multiclass":
        shown = apply_temperature(task, p, temperature).max(axis=1)
        assert evaluation.per_image["confidence"].to_numpy() == pytest.approx(shown)


def test_more_classes_than_memory_holds_are_scored_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logits, truth = honest("multiclass", 6, 500)
    p = probabilities("multiclass", 3 * logits)
    monkeypatch.setattr(scoring, "_MOST_CALIBRATED", 1999)
    assert scored("multiclass", p, truth).decision == Decision(None)
    monkeypatch.setattr(scoring, "_MOST_CALIBRATED", 2000)
    assert scored("multiclass", p, truth).decision.temperature > 2
    monkeypatch.setattr(calibration, "_MOST_CELLS", 400)  # every fifth image says nearly the same
    assert scored("multiclass", p, truth).decision.temperature == pytest.approx(3, rel=0.4)
