"""Score predictions on images whose truth is known.

`score_labels`, and `score_masks` of `darkroom.prediction.masks.scores`, collect the predictions of
all folds, out of fold: each validation image is predicted by networks that were not trained on it.
They are scored as one set: counts are summed and divided once. An `evaluate_` function for each
task turns the predictions into an `Evaluation` (`darkroom.prediction.label_scores`). Every score
stands beside a baseline: a prediction that does not look at the image.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.prediction.deciding import (
    Chosen,
    OutOfFold,
    choose,
    constant_predictions,
    count_grades,
)
from darkroom.prediction.decision import Decision
from darkroom.prediction.label_scores import (
    Evaluation,
    evaluate_binary,
    evaluate_multiclass,
    evaluate_multilabel,
    evaluate_regression,
    with_metric,
)
from darkroom.prediction.parts import Arrays, extended
from darkroom.prediction.predict import Prediction
from darkroom.prediction.thresholds import Doubles, Floats
from darkroom.project.journal import Journal
from darkroom.tasks.metrics.labels import class_numbers
from darkroom.tasks.metrics.specs import column_weights, get_metric


@dataclass(frozen=True)
class LabelledPredictions:
    """The predictions for some images whose truth is known: a validation fold, say.

    Attributes:
        rows: The images' rows of the index, in the order of the predictions.
        training: The rows that the networks were trained on, for baselines.
        predictions: Batches, from `darkroom.prediction.predict.predict`: of the rows that are not
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
    predicted = _predicted(folds, len(rows))
    is_known = rows[targets].notna().any(axis=1).to_numpy()
    truth = rows[targets].to_numpy(np.float64)[is_known]
    training = pd.concat([fold.training for fold in folds])[targets].to_numpy(np.float64)
    spec = get_metric(card.metric, card.task)
    is_numbered = card.task == "multiclass" and not card.soft
    data = OutOfFold(
        spec,
        card.task,
        truth[:, 0].astype(np.int64) if is_numbered else truth,
        predicted if is_known.all() else predicted[is_known],
        column_weights(spec, card.outputs, card.weights),
    )
    grades = count_grades(data, card, training)
    some_label = _some_label(data, card, training)
    chosen = (
        choose(data, threshold, some_label=some_label, grades=grades)
        if decision is None
        else Chosen(decision, data.score(decision))
    )
    if chosen.score is None and decision is None:
        raise DataError(
            f"data.metric: {spec.name} is not defined on the validation images",
            found=f"{len(data.predictions)} images",
            expected="images that differ in what is to be predicted",
            fix="train more folds, split otherwise, or name another metric",
        )
    evaluation = _EVALUATE[card.task](
        rows["id"].to_numpy()[is_known].tolist(), data, training, card, chosen.decision
    )
    constant = replace(data, predictions=constant_predictions(data, training))
    baseline = choose(constant, threshold, some_label=some_label, grades=grades).score
    return with_metric(evaluation, spec, chosen, baseline)


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
        classes=card.classes,
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


def _predicted(folds: Sequence[LabelledPredictions], count: int) -> Floats:
    """Return the predictions of all folds, float32 (n, K), filled in batch by batch.

    Of thousands of classes they take gigabytes: batches that are joined would be held twice.
    """
    predictions: Floats | None = None
    start = 0
    for fold in folds:
        for part in extended(fold.journal, partial(_probabilities, fold)):
            batch = part["probabilities"]
            if predictions is None:
                predictions = np.empty((count, batch.shape[1]), batch.dtype)
            predictions[start : start + len(batch)] = batch
            start += len(batch)
    assert predictions is not None, "there are images to validate on"
    return predictions


def _probabilities(fold: LabelledPredictions, _done: int) -> Iterator[Arrays]:
    for batch in fold.predictions:
        yield {"probabilities": batch.probabilities}
