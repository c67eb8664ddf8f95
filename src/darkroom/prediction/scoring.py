"""Score predictions on images whose truth is known.

`score_labels`, and `score_masks` of `darkroom.prediction.masks.scores`, collect the predictions of
all folds, out of fold: each validation image is predicted by networks that were not trained on it.
They are scored as one set: counts are summed and divided once. An `evaluate_` function for each
task turns the predictions into an `Evaluation` (`darkroom.prediction.label_scores`). Every score
stands beside a baseline: a prediction that does not look at the image.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.prediction.calibration import calibrate, is_calibrated
from darkroom.prediction.deciding import (
    Chosen,
    OutOfFold,
    choose,
    constant_prediction,
    constant_predictions,
    count_grades,
)
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import (
    Evaluation,
    evaluate_binary,
    evaluate_classes,
    evaluate_multiclass,
    evaluate_multilabel,
    evaluate_regression,
    with_metric,
)
from darkroom.prediction.parts import Arrays, extended, rows_of
from darkroom.prediction.predictions import Prediction
from darkroom.prediction.tables import Ints
from darkroom.prediction.thresholds import Doubles, Floats, require_probabilities
from darkroom.project.journal import Journal
from darkroom.tasks.metrics.labels import class_numbers
from darkroom.tasks.metrics.reduced import (
    is_reducible,
    reduce_constant,
    reduce_rows,
    reduced_score,
)
from darkroom.tasks.metrics.specs import MetricSpec, column_weights, get_metric

_MOST_CALIBRATED = 1 << 27  # images x classes that a temperature is chosen of: 512 MiB

Reduce = Callable[[pd.DataFrame, Floats], Arrays]
"""(rows, probabilities of some images) to what is taken of them."""


@dataclass(frozen=True)
class LabelledPredictions:
    """The predictions for some images whose truth is known: a validation fold, say.

    Attributes:
        rows: The images' rows of the index, in the order of the predictions.
        training: The rows that the networks were trained on, for baselines.
        predictions: Batches, from `darkroom.prediction.networks.predict`: of the rows that are not
            in the journal.
        journal: What an earlier run computed of the first rows, and where to add the others.
    """

    rows: pd.DataFrame
    training: pd.DataFrame
    predictions: Iterator[Prediction]
    journal: Journal | None = None


def score_labels(
    folds: Sequence[LabelledPredictions],
    card: Card,
    *,
    threshold: float | Literal["auto"] | None = None,
    decision: Decision | None = None,
) -> Evaluation:
    """Return the scores of predicted labels or values, the card's metric first.

    Images without a known target are left out.

    Args:
        folds: Scored as one set.
        card: What the targets are, and what the judge counts.
        threshold: See `darkroom.prediction.deciding.choose`.
        decision: Take this one, and choose none.

    Raises:
        DataError: The metric is not defined for these images, or not for these targets.
    """
    targets = list(card.targets)
    rows = pd.concat([fold.rows for fold in folds])
    spec = get_metric(card.metric, card.task)
    is_numbered = card.task == "multiclass" and not card.soft
    is_whole = is_calibrated(spec) and len(rows) * len(card.outputs) <= _MOST_CALIBRATED
    is_reduced = is_numbered and is_reducible(spec) and not is_whole
    predicted = _predicted(folds, len(rows), partial(_reduced, spec, card) if is_reduced else _all)
    is_known = rows[targets].notna().any(axis=1).to_numpy()
    if not is_known.all():
        predicted = {name: array[is_known] for name, array in predicted.items()}
    ids = rows["id"].to_numpy()[is_known].tolist()
    truth = rows[targets].to_numpy(np.float64)[is_known]
    training = pd.concat([fold.training for fold in folds])[targets].to_numpy(np.float64)
    if is_reduced:
        classes = truth[:, 0].astype(np.int64)
        return _score_reduced(ids, predicted, classes, training, card, spec, decision)
    data = OutOfFold(
        spec,
        card.task,
        truth[:, 0].astype(np.int64) if is_numbered else truth,
        predicted["probabilities"],
        column_weights(spec, card.outputs, card.weights),
    )
    grades = count_grades(data, card, training)
    some_label = _some_label(data, card, training)
    chosen = (
        choose(data, threshold, some_label=some_label, grades=grades)
        if decision is None
        else Chosen(decision, data.score(decision))
    )
    if decision is None:
        _require_score(chosen.score, spec, len(ids))
        if is_calibrated(spec):
            chosen = calibrate(data, chosen)
    decided = chosen.decision
    shown = replace(data, predictions=decided.calibrated(card.task, data.predictions))
    evaluation = _EVALUATE[card.task](ids, shown, training, card, decided)
    constant = replace(data, predictions=constant_predictions(data, training))
    baseline = choose(constant, threshold, some_label=some_label, grades=grades).score
    return with_metric(evaluation, spec, chosen, baseline)


def _score_reduced(
    ids: list[str],
    rows: Arrays,
    truth: Ints,
    training: Doubles,
    card: Card,
    spec: MetricSpec,
    decision: Decision | None,
) -> Evaluation:
    """Return the scores of what is counted of each image; nothing is to be decided."""
    score = reduced_score(spec, truth, rows)
    if decision is None:
        _require_score(score, spec, len(ids))
        decision = Decision(None)
    evaluation = evaluate_classes(
        ids,
        rows["answers"],
        truth,
        of_truth=rows["of_truth"],
        confidence=rows["confidence"],
        training=class_numbers(training[:, 0]),
        classes=card.shown,
        decision=decision,
    )
    constant = constant_prediction(spec, card.task, training, len(card.classes))
    baseline = reduced_score(spec, truth, reduce_constant(spec, truth, constant))
    return with_metric(evaluation, spec, Chosen(decision, score), baseline)


def _require_score(score: float | None, spec: MetricSpec, count: int) -> None:
    """Raise DataError if a score is not defined."""
    if score is None:
        raise DataError(
            f"data.metric: {spec.name} is not defined on the validation images",
            found=f"{count} images",
            expected="images that differ in what is to be predicted",
            fix="train more folds, split otherwise, or name another metric",
        )


def _some_label(
    data: OutOfFold, card: Card, training: Doubles
) -> Literal["always", "never", "auto"]:
    """Return whether an image must have a label, from what training images have."""
    if card.task != "multilabel" or data.spec.writes != "labels":
        return "never"
    one_cell = len(card.answers) == 1 and not card.long and len(card.targets) > 1
    if one_cell and (np.nan_to_num(training) > 0.5).any(axis=1).all():
        return "always"  # judges refuse an empty cell where nothing is empty
    return "auto" if data.spec.threshold == "auto" else "never"


def _multiclass(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_multiclass(
        ids,
        data.predictions,
        class_numbers(data.truth),
        training=class_numbers(training if card.soft else training[:, 0]),
        classes=card.shown,
        decision=decision,
    )


def _multilabel(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_multilabel(
        ids,
        data.predictions,
        data.truth,
        training_shares=_means(training),
        names=card.targets,
        decision=decision,
    )


def _binary(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_binary(
        ids,
        data.predictions,
        data.truth,
        training_share=float(_means(training)[0]),
        names=card.label_values,
        decision=decision,
    )


def _regression(
    ids: list[str], data: OutOfFold, training: Doubles, card: Card, decision: Decision
) -> Evaluation:
    return evaluate_regression(
        ids,
        data.predictions,
        data.truth,
        training_means=_means(training),
        names=card.targets,
        decision=decision,
    )


_EVALUATE = {
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "binary": _binary,
    "regression": _regression,
}


def _means(training: Doubles) -> Doubles:
    """Return the mean (K,) of the known targets."""
    return np.asarray(np.nanmean(training, axis=0), np.float64)


def _predicted(folds: Sequence[LabelledPredictions], count: int, reduce: Reduce) -> Arrays:
    """Return what is taken of the predictions of all folds, (n, ...), filled in batch by batch.

    Of thousands of classes they take gigabytes: batches that are joined would be held twice.
    """
    predictions: Arrays = {}
    start = 0
    for fold in folds:
        for part in extended(fold.journal, partial(_batches, fold, reduce)):
            if not predictions:
                predictions = {
                    name: np.empty((count, *array.shape[1:]), array.dtype)
                    for name, array in part.items()
                }
            for name, array in part.items():
                predictions[name][start : start + len(array)] = array
            start += rows_of(part)
    assert predictions, "there are images to validate on"
    return predictions


def _batches(fold: LabelledPredictions, reduce: Reduce, done: int) -> Iterator[Arrays]:
    for batch in fold.predictions:
        yield reduce(fold.rows.iloc[done : done + len(batch.ids)], batch.probabilities)
        done += len(batch.ids)


def _all(_rows: pd.DataFrame, probabilities: Floats) -> Arrays:
    return {"probabilities": probabilities}


def _reduced(spec: MetricSpec, card: Card, rows: pd.DataFrame, probabilities: Floats) -> Arrays:
    require_probabilities(probabilities)
    # An image without a known class is left out later.
    truth = rows[card.targets[0]].fillna(0).to_numpy(np.int64)
    return reduce_rows(spec, truth, probabilities)
