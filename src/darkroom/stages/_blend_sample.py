"""Read from the members' predictions what a blend is fitted to."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.index.card import Card
from darkroom.params.evaluate import Evaluate
from darkroom.prediction.blending.labels import LabelSample, sample_rows
from darkroom.prediction.blending.masks import MaskSample, choose_images, choose_pixels
from darkroom.prediction.blending.sampling import collect, same_size
from darkroom.prediction.deciding import OutOfFold, count_grades
from darkroom.prediction.predictions import Prediction, Predictions, to_bytes
from darkroom.prediction.thresholds import Floats
from darkroom.stages._evaluation import Validation, mask_rules
from darkroom.stages._inputs import outputs_of
from darkroom.stages._predictions import FoldT
from darkroom.tasks.metrics.specs import column_weights, get_metric

Members = Mapping[FoldT, Sequence[Predictions]]
"""By fold, the predictions of each member."""


def sources_of(members: Members[FoldT]) -> dict[FoldT, list[Iterable[Prediction]]]:
    """Return the predictions of each fold and member, at the stored size of the first member."""
    return {
        fold: [same_size(each, each.header, files[0].header) for each in files]
        for fold, files in members.items()
    }


def read_sample(
    data: Validation, members: Members[int], choice: Evaluate
) -> tuple[LabelSample | MaskSample, NDArray[np.int64]]:
    """Return what a blend is fitted to, and the number of each of its images in its fold.

    Args:
        data: The validation images, with their truth.
        members: Their predictions.
        choice: How the first member decides.
    """
    train = data.train
    rows = pd.concat([train[train["fold"] == fold] for fold in members])
    places = np.concatenate([np.arange((train["fold"] == fold).sum()) for fold in members])
    if data.card.task == "segmentation":
        sample = choose_images(rows["fold"].tolist())
        return _mask_sample(data, members, choice, rows, sample), places[sample]
    is_known = rows[list(data.card.targets)].notna().any(axis=1).to_numpy()
    numbers = np.flatnonzero(is_known)
    sample = numbers[sample_rows(rows["fold"].to_numpy()[numbers].tolist(), outputs_of(data.card))]
    return _label_sample(data, members, choice, rows, sample), places[sample]


def _label_sample(
    data: Validation,
    members: Members[int],
    choice: Evaluate,
    rows: pd.DataFrame,
    sample: NDArray[np.int64],
) -> LabelSample:
    card, targets = data.card, list(data.card.targets)
    spec = get_metric(card.metric, card.task)
    truth = rows[targets].to_numpy(np.float64)[sample]
    if card.task == "multiclass" and not card.soft:
        truth = truth[:, 0].astype(np.int64)
    values = collect(sources_of(members), sample)
    weights = column_weights(spec, card.outputs, card.weights)
    out_of_fold = OutOfFold(spec, card.task, truth, values[0], weights)
    training = data.train[targets].to_numpy(np.float64)
    return LabelSample(
        spec,
        card.task,
        truth,
        values,
        rows["fold"].to_numpy(np.int64)[sample],
        weights,
        choice.threshold,
        count_grades(out_of_fold, card, training),
    )


def _mask_sample(
    data: Validation,
    members: Members[int],
    choice: Evaluate,
    rows: pd.DataFrame,
    sample: NDArray[np.int64],
) -> MaskSample:
    shards, rules = data.shards, mask_rules(data.card, choice)
    window = choose_pixels(len(sample), rules.planes, shards.height, shards.width)

    def take(values: Floats) -> NDArray[np.uint8]:
        return to_bytes(values[..., *window]).reshape(*values.shape[:2], -1)

    # The rows of the index are numbered as the store's.
    stored = [shards.masks([row])[0][..., *window] for row in rows.index[sample].tolist()]
    planes = np.stack(stored).reshape(len(sample), shards.planes, -1)
    truth = planes[:, : rules.planes]
    return MaskSample(
        rules.spec.name,
        truth,
        collect(sources_of(members), sample, take),
        _known_pixels(data.card, planes),
        rows["fold"].to_numpy(np.int64)[sample],
        rules.classes,
        rules.fixed,
    )


def _known_pixels(card: Card, planes: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return which pixels (n, P) count, of stored planes (n, K or K + 1, P); None: all do."""
    is_known = None if planes.shape[1] == card.planes else planes[:, card.planes] == 0
    if card.exclusive and not card.background:
        # What padding has added is of no class.
        of_a_class = planes[:, : card.planes].any(axis=1)
        is_known = of_a_class if is_known is None else is_known & of_a_class
    return is_known
