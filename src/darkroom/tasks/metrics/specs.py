"""The metrics by name: which is better, what a submission holds for them, for which tasks."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import ParamsError
from darkroom.params.section import is_own_metric
from darkroom.project.names import nearest_name
from darkroom.tasks.metrics import labels, probabilities, values
from darkroom.tasks.metrics.own import load_own

Array = NDArray[Any]
Best = Literal["max", "min"]
Writes = Literal["labels", "probabilities", "ranking", "scored_label", "values", "masks", "objects"]
Score = Callable[..., float | None]

LABEL_TASKS = ("multilabel", "binary")
_CLASSES = ("multiclass",)
_VALUES = ("regression",)
_MASKS = ("segmentation",)


@dataclass(frozen=True)
class MetricSpec:
    """A metric for some tasks.

    Attributes:
        name: As `data.metric` names it.
        best: Whether more or less is better.
        writes: What a submission holds for it. "labels": answers (whole grades where the task is
            regression). "ranking": the `top` most probable classes, best first. "scored_label":
            the most probable one and its probability. "objects": a row each.
        tasks: For which it is defined.
        scores: By task, (truth, predictions) to a score, None where it is not defined: see
            `darkroom.tasks.metrics.labels`, `probabilities` and `values`. Predictions are answers
            where it writes labels, else what the network gives. None for masks, which are counted
            image by image: `darkroom.tasks.metrics.masks`.
        top: How many answers a ranking holds.
        weighted: Whether the score takes `weights`, one a column.
        threshold: What `evaluate.threshold: null` means: 0.5, or the best one out of fold.
        average: Of an F-beta of several labels, over what it is a mean.
        beta: Of an F-beta.
    """

    name: str
    best: Best
    writes: Writes
    tasks: tuple[str, ...]
    scores: Mapping[str, Score] = field(default_factory=dict)
    top: int = 1
    weighted: bool = False
    threshold: Literal["half", "auto"] = "half"
    average: labels.Average | None = None
    beta: float = 1.0

    def score(
        self, task: str, truth: Array, predictions: Array, weights: Array | None = None
    ) -> float | None:
        """Return the score, None where it is not defined.

        Args:
            task: One of `tasks`.
            truth: (n,) or (n, K); see `scores`.
            predictions: Likewise.
            weights: One a column, for a weighted metric; others ignore them.
        """
        options = {"weights": weights} if self.weighted else {}
        return self.scores[task](truth, predictions, **options)


def _each(tasks: tuple[str, ...], score: Score) -> dict[str, Score]:
    return dict.fromkeys(tasks, score)


def _f(name: str, beta: float, average: labels.Average | None) -> MetricSpec:
    label = partial(labels.label_f, beta=beta, average=average or "macro")
    scores: dict[str, Score] = {"binary": label}  # of what is present
    if average is not None:
        of_classes = partial(labels.class_f, beta=beta, average=average)
        scores = {"multilabel": label}
        if average != "samples":
            scores |= {"binary": of_classes, "multiclass": of_classes}
    return _spec(name, "max", "labels", scores, threshold="auto", average=average, beta=beta)


def _precision_at(name: str, top: int) -> MetricSpec:
    scores: dict[str, Score] = {
        "multiclass": partial(probabilities.class_precision_at, top=top),
        "multilabel": partial(probabilities.label_precision_at, top=top),
    }
    return _spec(name, "max", "ranking", scores, top=top)


def _top_accuracy(name: str, top: int) -> MetricSpec:
    scores = _each(_CLASSES, partial(probabilities.top_accuracy, top=top))
    return _spec(name, "max", "ranking", scores, top=top)


def _spec(
    name: str, best: Best, writes: Writes, scores: Mapping[str, Score], **options: Any
) -> MetricSpec:
    return MetricSpec(name, best, writes, tuple(scores), scores, **options)


def _masks(name: str, writes: Writes = "masks") -> MetricSpec:
    return MetricSpec(name, "max", writes, _MASKS, threshold="auto")


def _both(label: Score, of_classes: Score) -> dict[str, Score]:
    return _each(LABEL_TASKS, label) | _each(_CLASSES, of_classes)


_LOSSES = _both(probabilities.label_log_loss, probabilities.class_log_loss)
_AREAS = _both(probabilities.mean_column_auc, probabilities.class_column_auc)
_PRECISIONS = _both(probabilities.mean_average_precision, probabilities.class_average_precision)
_KAPPA = _each((*_CLASSES, *_VALUES), labels.quadratic_kappa)

_TABLE = (
    _spec("accuracy", "max", "labels", _both(labels.label_accuracy, labels.class_accuracy)),
    _spec(
        "balanced_accuracy",
        "max",
        "labels",
        _each(("binary", *_CLASSES), labels.class_balanced_accuracy),
        threshold="auto",
    ),
    _spec("log_loss", "min", "probabilities", _LOSSES),
    _spec("weighted_log_loss", "min", "probabilities", _LOSSES, weighted=True),
    _spec("roc_auc", "max", "probabilities", _AREAS),
    _spec("mean_column_auc", "max", "probabilities", _AREAS),
    _spec("average_precision", "max", "probabilities", _PRECISIONS),
    _spec("mean_average_precision", "max", "probabilities", _PRECISIONS),
    _f("f1", 1, None),
    _f("f2", 2, None),
    _f("f0.5", 0.5, None),
    _f("macro_f1", 1, "macro"),
    _f("micro_f1", 1, "micro"),
    _f("samples_f1", 1, "samples"),
    _f("samples_f2", 2, "samples"),
    _spec("quadratic_kappa", "max", "labels", _KAPPA),
    _precision_at("map@3", 3),
    _precision_at("map@5", 5),
    _top_accuracy("top5_accuracy", 5),
    _spec("gap", "max", "scored_label", _each(_CLASSES, probabilities.global_average_precision)),
    _spec("rmse", "min", "values", _each(_VALUES, values.rmse)),
    _spec("mae", "min", "values", _each(_VALUES, values.mae)),
    _spec("rmsle", "min", "values", _each(_VALUES, values.rmsle)),
    _spec("r2", "max", "values", _each(_VALUES, values.r2)),
    _spec("weighted_r2", "max", "values", _each(_VALUES, values.weighted_r2), weighted=True),
    _spec("mcrmse", "min", "values", _each(_VALUES, values.mcrmse)),
    MetricSpec("dice", "max", "masks", _MASKS),
    _masks("global_dice"),
    _masks("iou"),
    _masks("mean_iou"),
    _masks("mask_iou_precision"),
    _masks("iou_precision", "objects"),
    _masks("f2_iou", "objects"),
    _masks("dice_hausdorff"),
)

METRICS = {spec.name: spec for spec in _TABLE}

# Any k and any beta have a meaning; the table names the usual ones.
_FAMILIES: tuple[tuple[str, Callable[[str, re.Match[str]], MetricSpec]], ...] = (
    (r"map@([1-9][0-9]{0,2})", lambda name, match: _precision_at(name, int(match[1]))),
    (r"top([1-9][0-9]{0,2})_accuracy", lambda name, match: _top_accuracy(name, int(match[1]))),
    (
        r"(?:(macro|micro|samples)_)?f((?:0\.)?[1-9])",
        lambda name, match: _f(name, float(match[2]), match[1]),  # type: ignore[arg-type]
    ),
)

_OWN_TOP = 5  # answers of a ranking for a metric of the user's own
_DEFAULTS = {"segmentation": "dice", "regression": "rmse"}


def get_metric(name: str, task: str) -> MetricSpec:
    """Return a metric of a task.

    Args:
        name: A key of `METRICS`, or one like it with another k or beta, such as map@10 and
            macro_f2; "" for the task's usual one: dice, rmse, else accuracy; or a function of the
            user's own, `metrics/mine.py:score`.
        task: A name of `darkroom.tasks.table.TASKS`.

    Raises:
        ParamsError: There is no such metric, it is not defined for the task, or its file is
            invalid.

    Example:
        >>> get_metric("map@10", "multiclass").top
        10
    """
    if is_own_metric(name):
        own = load_own(name, task)
        threshold = "auto" if own.writes == "labels" else "half"
        scores = {task: own.score}
        return _spec(name, own.best, own.writes, scores, top=_OWN_TOP, threshold=threshold)  # type: ignore[arg-type]
    name = name or _DEFAULTS.get(task, "accuracy")
    spec = METRICS.get(name) or _of_family(name)
    if spec is not None and task in spec.tasks:
        return spec
    names = sorted(each.name for each in METRICS.values() if task in each.tasks)
    near = nearest_name(name, names)
    raise ParamsError(
        "data.metric: there is no such metric"
        if spec is None
        else f"data.metric: {name} is not defined for the task {task}",
        found=name,
        expected=f"for {task}: {', '.join(names)}; or a function of yours, metrics/mine.py:score",
        fix=f"did you mean {near}?" if near else None,
    )


def _of_family(name: str) -> MetricSpec | None:
    for pattern, build in _FAMILIES:
        if match := re.fullmatch(pattern, name):
            return build(name, match)
    return None


def column_weights(
    spec: MetricSpec, names: Sequence[str], weights: Mapping[str, float]
) -> NDArray[np.float64] | None:
    """Return what each column weighs, (K,), 1 where it is not named; None: the metric has none.

    Args:
        spec: The metric.
        names: Of the columns.
        weights: By name.

    Raises:
        ParamsError: A name that no column has.

    Example:
        >>> column_weights(METRICS["weighted_log_loss"], ["any", "other"], {"any": 2})
        array([2., 1.])
    """
    if not spec.weighted:
        return None
    for name in weights:
        if name not in names:
            near = nearest_name(name, names)
            raise ParamsError(
                "data.weights: there is no such label or target",
                found=name,
                expected=", ".join(names[:20]),
                fix=f"did you mean {near}?" if near else None,
            )
    return np.array([weights.get(name, 1.0) for name in names], np.float64)
