"""split: the index's training rows -> the fold that validates each of them."""

import numpy as np
import pandas as pd

from darkroom.index.split import NEVER_VALIDATED, assign_folds
from darkroom.index.table import Index, read_index
from darkroom.params.data import Split
from darkroom.stages._context import Context
from darkroom.stages._split import write_split


def run(context: Context) -> None:
    """Assign the training images of a competition to folds."""
    name, paths = context.name, context.paths
    choices: Split = context.section.split

    index = read_index(paths.index, paths.card)
    rows, targets = _training_targets(index)
    folds = assign_folds(
        rows,
        by=choices.by,
        count=choices.folds,
        seed=context.seed,
        task=index.card.task,
        targets=targets,
        classes=index.card.classes,
    )
    write_split(paths, folds)

    sizes = folds["fold"].value_counts().sort_index()
    summary = ", ".join(
        f"{count} never validated" if fold == NEVER_VALIDATED else f"fold {fold}: {count}"
        for fold, count in sizes.items()
    )
    print(f"{name}: {len(folds)} training images by {choices.by}: {summary}")


def _training_targets(index: Index) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the training rows, and the names of the targets that folds may balance.

    Of soft labels it is the class with the greatest share, or the nearest; masks have no column.
    """
    rows, card = index.rows[index.rows["part"] == "train"], index.card
    if card.task == "segmentation":
        return rows, ()
    if card.task == "binary":
        return rows.assign(**{card.targets[0]: rows[card.targets[0]].round()}), card.targets
    if not card.soft:
        return rows, card.targets
    first, shares = card.targets[0], rows[list(card.targets)].to_numpy(np.float64)
    return rows.assign(**{first: shares.argmax(axis=1).astype(np.float64)}), (first,)
