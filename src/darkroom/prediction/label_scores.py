"""Scores of predicted labels, classes and values: tables, plots, and a row an image.

Each `evaluate_` function takes predictions of one task with their truth and the decision that
turns them into answers. Every score stands beside a baseline that does not look at the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from darkroom.prediction import thresholds
from darkroom.prediction.deciding import Chosen
from darkroom.prediction.decision import Decision, Threshold
from darkroom.prediction.tables import (
    Ints,
    class_table,
    error_table,
    label_curve,
    label_table,
    mean,
    share_of_known,
)
from darkroom.prediction.thresholds import Doubles, Floats
from darkroom.tasks.metrics import values as value_metrics
from darkroom.tasks.metrics.labels import split_truth
from darkroom.tasks.metrics.probabilities import area_under_curve
from darkroom.tasks.metrics.specs import MetricSpec

Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set of predictions.

    Attributes:
        metrics: Scores by name; None where a score is not defined.
        per_image: One row an image, in the order given: id, score (higher is better) and more.
        curves: Tables for plots, by name.
        decision: What turned the predictions into the answers that the metrics are of.
    """

    metrics: Metrics
    per_image: pd.DataFrame
    curves: dict[str, pd.DataFrame] = field(default_factory=dict)
    decision: Decision = field(default_factory=Decision)

    @property
    def threshold(self) -> Threshold | None:
        """The threshold or thresholds that the metrics are for, None for tasks without one."""
        return self.decision.threshold


def with_metric(
    evaluation: Evaluation, spec: MetricSpec, chosen: Chosen, baseline: float | None
) -> Evaluation:
    """Return an evaluation whose metrics begin with the one that the judge counts.

    Args:
        evaluation: The other scores.
        spec: The metric.
        chosen: Its score.
        baseline: The best score of a constant prediction.
    """
    name = spec.name
    if name == "accuracy":  # stands there, beside the more common answer
        return evaluation
    head: Metrics = {name: chosen.score, f"baseline_{name}": baseline}
    if chosen.cross_fitted is not None:
        head[f"{name}_cross_fitted"] = chosen.cross_fitted
    if chosen.decision.temperature != 1:
        head["temperature"] = chosen.decision.temperature
    apart = {*head, f"{name}_of"}
    rest = {key: value for key, value in evaluation.metrics.items() if key not in apart}
    return replace(evaluation, metrics=head | rest)


def evaluate_multiclass(
    ids: Sequence[str],
    probabilities: Floats,
    truth: Ints,
    *,
    training: Ints,
    classes: Sequence[str],
    decision: Decision | None = None,
) -> Evaluation:
    """Return `evaluate_classes` of probabilities.

    Args:
        ids: Of n images.
        probabilities: float32 (n, K).
        truth: int64 (n,), class numbers.
        training: See `evaluate_classes`.
        classes: Likewise.
        decision: Its cuts, if any, make grades of the classes; None: the greatest class.
    """
    thresholds.require_probabilities(probabilities)
    decision = decision or Decision(None)
    return evaluate_classes(
        ids,
        decision.answers("multiclass", probabilities),
        truth,
        of_truth=probabilities[np.arange(len(truth)), truth],
        confidence=probabilities.max(axis=1),
        training=training,
        classes=classes,
        decision=decision,
    )


def evaluate_classes(
    ids: Sequence[str],
    answers: Ints,
    truth: Ints,
    *,
    of_truth: Floats,
    confidence: Floats,
    training: Ints,
    classes: Sequence[str],
    decision: Decision,
) -> Evaluation:
    """Return accuracy, macro F1, log loss, the confusion and a table of classes.

    Macro F1 is the mean over the classes that occur, as truth or as prediction.

    Args:
        ids: Of n images.
        answers: int64 (n,), class numbers.
        truth: Likewise.
        of_truth: float32 (n,), the probability of the true class.
        confidence: float32 (n,), the greatest probability.
        training: int64 (any,), class numbers of the training images, whose most common is
            the baseline's prediction.
        classes: The names of all.
        decision: What the answers are by.
    """
    most_common = int(np.bincount(training, minlength=len(classes)).argmax())
    table = class_table(truth, answers, classes)
    baseline = class_table(truth, np.full_like(truth, most_common), classes)
    chances = of_truth.astype(np.float64)
    metrics: Metrics = {
        "accuracy": float((answers == truth).mean()),
        "baseline_accuracy": float((truth == most_common).mean()),
        "macro_f1": mean(table["f1"]),
        "baseline_macro_f1": mean(baseline["f1"]),
        "log_loss": float(-np.log(np.maximum(chances, 1e-7)).mean()),
        "images": len(ids),
    }
    names = np.array(classes, object)
    per_image = pd.DataFrame(
        {
            "id": list(ids),
            "score": chances,
            "actual": names[truth],
            "predicted": names[answers],
            "confidence": confidence.astype(np.float64),
        }
    )
    curves = {"confusion": per_image[["actual", "predicted"]], "classes": table}
    return Evaluation(metrics, per_image, curves, decision)


def evaluate_multilabel(
    ids: Sequence[str],
    probabilities: Floats,
    truth: npt.NDArray[np.generic],
    *,
    training_shares: Doubles,
    names: Sequence[str],
    decision: Decision,
) -> Evaluation:
    """Return accuracy, of all known labels, and means over labels.

    A mean is over the labels for which the score is defined; a figure that ends in `_of` says
    how many they are.

    Args:
        ids: Of n images.
        probabilities: float32 (n, K).
        truth: (n, K): 0, 1, or NaN where unknown.
        training_shares: float64 (K,), the share of training images with each label: the
            baseline always predicts it where the share is over one half, else never.
        names: Of the K labels.
        decision: Which labels are present.
    """
    curve = label_curve(probabilities, truth)
    predicted = decision.answers("multilabel", probabilities) > 0
    present, is_known = split_truth(truth)
    table = label_table(probabilities, predicted, truth, training_shares, names)
    if isinstance(decision.threshold, tuple):
        table["threshold"] = decision.threshold
    right, baseline = (
        float(share_of_known(table[name].to_numpy(np.float64), table["images"].to_numpy(np.int64)))
        for name in ("accuracy", "baseline_accuracy")
    )
    metrics: Metrics = {
        "accuracy": right,
        "baseline_accuracy": baseline,
        "mean_average_precision": mean(table["average_precision"]),
        "baseline_mean_average_precision": mean(
            table.loc[table["average_precision"].notna(), "baseline_average_precision"]
        ),
        "mean_average_precision_of": int(table["average_precision"].count()),
        "macro_f1": mean(table["f1"]),
        "baseline_macro_f1": mean(table["baseline_f1"]),
        "macro_f1_of": int(table["f1"].count()),
        "attributes": len(names),
        **_single_threshold(decision),
        "images": len(ids),
    }
    wrong = (predicted != present) & is_known
    shares_wrong = wrong.sum(axis=1) / np.maximum(1, is_known.sum(axis=1))
    wrong_names = [" ".join(np.array(names, object)[row]) for row in wrong]
    per_image = pd.DataFrame({"id": list(ids), "score": 1 - shares_wrong, "wrong": wrong_names})
    curves = {"threshold": curve, "attributes": table}
    return Evaluation(metrics, per_image, curves, decision)


def evaluate_binary(
    ids: Sequence[str],
    probabilities: Floats,
    truth: npt.NDArray[np.generic],
    *,
    training_share: float,
    names: tuple[str, str] = ("0", "1"),
    decision: Decision,
) -> Evaluation:
    """Return accuracy, F1, average precision and ROC area.

    Args:
        ids: Of n images.
        probabilities: float32 (n,) or (n, 1), of "yes".
        truth: 0 or 1, (n,) or (n, 1).
        training_share: The share of "yes" among the training images; the baseline predicts
            "yes" if it is over one half.
        names: Of "no" and "yes".
        decision: Its threshold says what is "yes".
    """
    scores, positive = probabilities.reshape(-1, 1), split_truth(truth)[0].reshape(-1, 1)
    as_multilabel = evaluate_multilabel(
        ids,
        scores,
        positive,
        training_shares=np.array([training_share]),
        names=[names[1]],
        decision=decision,
    )
    label = as_multilabel.curves["attributes"].iloc[0]
    metrics: Metrics = {
        name: None if pd.isna(label[name]) else float(label[name])
        for name in ("accuracy", "baseline_accuracy", "f1", "baseline_f1", "average_precision")
    }
    metrics["baseline_average_precision"] = float(positive.mean()) if positive.any() else None
    metrics["roc_auc"] = area_under_curve(positive[:, 0], scores[:, 0])
    metrics |= {**_single_threshold(decision), "images": len(ids)}
    name_of, of_truth = np.array(names, object), np.where(positive, scores, 1 - scores)[:, 0]
    per_image = pd.DataFrame(
        {
            "id": list(ids),
            "score": of_truth.astype(np.float64),
            "actual": name_of[positive[:, 0].astype(int)],
            "predicted": name_of[decision.answers("binary", scores)[:, 0].astype(int)],
        }
    )
    curves = {
        "threshold": as_multilabel.curves["threshold"],
        "confusion": per_image[["actual", "predicted"]],
    }
    return Evaluation(metrics, per_image, curves, decision)


def evaluate_regression(
    ids: Sequence[str],
    values: npt.NDArray[np.floating],
    truth: npt.NDArray[np.floating],
    *,
    training_means: Doubles,
    names: Sequence[str],
    decision: Decision | None = None,
) -> Evaluation:
    """Return mean absolute error, root mean squared error and R2.

    The errors are means over all values, R2 is one over the targets. It is not defined for a
    target that is the same in all images.

    Args:
        ids: Of n images.
        values: Predictions (n, K), in the units of the table.
        truth: (n, K), NaN where unknown.
        training_means: float64 (K,), the baseline's predictions.
        names: Of the K targets.
        decision: Its cuts, if any, make grades of the values; they are not in these scores.
    """
    errors = values.astype(np.float64) - truth
    table = error_table(errors, truth, names)
    baseline = error_table(np.asarray(training_means - truth, np.float64), truth, names)
    metrics: Metrics = {}
    constant = np.broadcast_to(training_means, truth.shape)
    for name, score in (
        ("rmse", value_metrics.rmse),
        ("mae", value_metrics.mae),
        ("r2", value_metrics.r2),
    ):
        metrics[name] = score(truth, values)
        metrics[f"baseline_{name}"] = score(truth, constant)
        table[f"baseline_{name}"] = baseline[name]
    metrics |= {"r2_of": int(table["r2"].count()), "targets": len(names), "images": len(ids)}
    # Targets have different units, so an image's errors are compared in standard deviations.
    deviations = np.nanstd(truth, axis=0)
    relative = np.abs(errors) / np.where(deviations > 0, deviations, 1)
    per_image = pd.DataFrame({"id": list(ids), "score": -np.nanmean(relative, axis=1)})
    scatter = pd.DataFrame(
        {
            "target": np.repeat(np.array(names, object), len(ids)),
            "actual": truth.T.ravel().astype(np.float64),
            "predicted": values.T.ravel().astype(np.float64),
        }
    )
    scatter = scatter[scatter["actual"].notna()]
    curves = {"scatter": scatter, "targets": table}
    return Evaluation(metrics, per_image, curves, decision or Decision(None))


def _single_threshold(decision: Decision) -> Metrics:
    """Return the threshold; nothing where there is one a label: see the table of attributes."""
    threshold = decision.threshold
    return {"threshold": threshold} if isinstance(threshold, float) else {}
