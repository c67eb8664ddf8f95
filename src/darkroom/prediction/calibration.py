"""The temperature that makes probabilities as sure as they are right, for log loss and its kin.

Networks are overconfident: softmax(log p / T) with one T > 1, fitted on images that they did not
learn, lowers the log loss and changes no order of the answers (Guo et al. 2017).

Where all images are right, no T is too small for the log loss, and the first wrong answer costs
all. So T is fitted to targets that are a little unsure, by 1 / (n + 2), as in Platt scaling (Platt
1999).
"""

from dataclasses import replace

import numpy as np

from darkroom.params.section import is_own_metric
from darkroom.prediction.deciding import Array, Chosen, OutOfFold
from darkroom.prediction.decision import Decision
from darkroom.prediction.thresholds import Doubles
from darkroom.tasks.answers import apply_temperature
from darkroom.tasks.metrics.probabilities import class_shares
from darkroom.tasks.metrics.specs import METRICS, MetricSpec

LEAST, MOST = 1 / 8, 8.0
_DIGITS = 3  # of a temperature: more are noise, and may differ from machine to machine
_MOST_CELLS = 1 << 20  # images x columns that it is fitted to: one number needs no more


def is_calibrated(spec: MetricSpec) -> bool:
    """Return whether a metric's score depends on how sure probabilities are.

    Areas under curves depend on their order alone; a metric of the user's own may do either.
    """
    is_loss = spec.name in ("log_loss", "weighted_log_loss")
    return spec.writes == "probabilities" and (is_loss or is_own_metric(spec.name))


def calibrate(data: OutOfFold, chosen: Chosen) -> Chosen:
    """Return a decision with the temperature that is best, or as it was where none helps.

    Whether it helps is seen by cross-fitting: each half of the images with the temperature of the
    other half.

    Args:
        data: Out-of-fold predictions of a metric that `is_calibrated`.
        chosen: What else was decided.
    """
    plain = chosen.decision

    def propose(some: OutOfFold) -> list[Decision]:
        return [plain, replace(plain, temperature=best_temperature(some))]

    before, after = data.cross_fitted(propose)
    decision = propose(data)[1]
    score = data.score(decision)
    is_better = data.sign(after) > data.sign(before) and data.sign(score) > data.sign(chosen.score)
    return Chosen(decision, score, after) if is_better else chosen


def best_temperature(data: OutOfFold) -> float:
    """Return the temperature with the least log loss, of LEAST to MOST; 1 where nothing is known.

    A metric of the user's own gets that of the plain log loss, which is smooth.
    """
    # Here, not above: its import takes a moment, and most metrics need no temperature.
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    rows = max(1, _MOST_CELLS // max(1, data.predictions.shape[1]))
    data = data.take(slice(None, None, -(-len(data.predictions) // rows) or 1))
    spec = METRICS["log_loss"] if is_own_metric(data.spec.name) else data.spec
    truth = _unsure(data)

    def loss(logarithm: float) -> float:
        p = apply_temperature(data.task, data.predictions, float(np.exp(logarithm)))
        score = spec.score(data.task, truth, p, data.weights)
        return np.nan if score is None else score

    if np.isnan(loss(0.0)):
        return 1.0
    bounds = (np.log(LEAST), np.log(MOST))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(best.x)), _DIGITS)


def _unsure(data: OutOfFold) -> Doubles:
    """Return the truth (n, K) of labels or shares of classes, a little nearer to all alike."""
    truth: Array = data.truth
    columns = data.predictions.shape[1]
    share = 1 / (len(truth) + 2)
    if data.task == "multiclass":
        return np.asarray((1 - share) * class_shares(truth, columns) + share / columns)
    return np.asarray((1 - share) * np.asarray(truth, np.float64) + share / 2)
