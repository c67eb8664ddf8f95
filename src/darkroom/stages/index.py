"""index: raw tables and archive listings -> one row an image."""

import numpy as np

from darkroom.index.assembly.build import build_index
from darkroom.index.card import UNLIKE_ANSWERS, write_names
from darkroom.index.table import write_index
from darkroom.params.data import Data
from darkroom.params.section import is_own_metric
from darkroom.raw.archives import Archives
from darkroom.raw.tables import read_table
from darkroom.stages._context import Context, require
from darkroom.submission.cell_checks import training_limits
from darkroom.submission.form import cell_content
from darkroom.submission.sample import unlike_answers
from darkroom.tasks.metrics.domain import refuse_undefined
from darkroom.tasks.metrics.specs import column_weights, get_metric


def run(context: Context) -> None:
    """Write the index of a competition: its raw files as one table of images."""
    name, paths = context.name, context.paths
    data: Data = context.section.data

    archives = Archives(require(paths.raw, "fetch", name), paths.unpacked)
    index = build_index(archives, data)
    card = index.card
    # A metric of the user's own is no input of this stage, and changes none of its outputs: `fold`
    # looks again when its file changes.
    metric = get_metric(card.metric, card.task)
    content = cell_content(card, metric)
    if card.task != "segmentation":
        is_train = (index.rows["part"] == "train").to_numpy()
        refuse_undefined(
            metric,
            card.task,
            truth=index.rows.loc[is_train, [*card.targets]].to_numpy(np.float64),
            ids=index.rows.loc[is_train, "id"].tolist(),
            classes=card.classes,
            weights=column_weights(metric, card.outputs, card.weights),
        )
    if data.like is not None and not is_own_metric(card.metric):
        limits = training_limits(card, content, index.rows)
        if count := unlike_answers(card, metric, read_table(archives, data.like), limits):
            card.declared[UNLIKE_ANSWERS] = count
    write_index(index, paths.index, paths.card)
    write_names(paths.class_names, card)

    counts = index.rows["part"].value_counts()
    print(f"{name}: {index.card.task}, {counts['train']} training and {counts['test']} test images")
    for what, count in index.card.declared.items():
        if not what.endswith("images"):  # what was left out, or is not as usual
            print(f"{name}: {count} {what}")
