"""evaluate: kept predictions of validation images -> scores, the decision, plots, a page.

It asks no network, and imports none: an edited threshold asks none again.
"""

from dataclasses import replace

from darkroom.index.card import with_names
from darkroom.index.table import read_index
from darkroom.stages._context import Context
from darkroom.stages._evaluation import Validation, evaluate_predictions
from darkroom.stages._inputs import read_part, read_train
from darkroom.stages._predictions import read_predictions


def run(context: Context) -> None:
    """Score a competition's folds, out of fold, and choose the decision threshold."""
    paths = context.paths
    index = read_index(paths.index, paths.card)
    shards, _ = read_part(paths, index, "train")
    train, split_sha256 = read_train(paths, index)
    index = replace(index, card=with_names(index.card, paths.class_names))
    data = Validation(index, shards, train, split_sha256)
    ids = data.ids(context.validated_folds)
    predictions = read_predictions(context, "valid", index, ids, split_sha256=split_sha256)
    evaluate_predictions(context, data, predictions, context.section.evaluate, paths)
