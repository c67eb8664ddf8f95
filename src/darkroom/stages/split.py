"""split: the index's training rows -> the fold that validates each of them."""

from dataclasses import replace

from darkroom.index.split import NEVER_VALIDATED, assign_folds
from darkroom.index.table import hard_labels, read_index, shown_classes
from darkroom.params.data import Split
from darkroom.prediction.masks.stacks import STACKED, refuse_parted_stacks
from darkroom.stages._context import Context
from darkroom.stages._split import write_split

_COLUMNS = ("id", "part", "mask", "group", "official", "digest")


def run(context: Context) -> None:
    """Assign the training images of a competition to folds."""
    name, paths = context.name, context.paths
    choices: Split = context.section.split

    index = read_index(paths.index, paths.card, _COLUMNS)
    train = index.rows[index.rows["part"] == "train"]
    index = replace(index, rows=train)  # the other rows are not held
    balanced = shown_classes if index.card.task == "segmentation" else hard_labels
    rows, targets = balanced(train, index.card)  # soft labels can't be balanced
    folds = assign_folds(
        rows,
        by=choices.by,
        count=choices.folds,
        seed=context.seed,
        task=index.card.task,
        targets=targets,
        classes=index.card.classes,
    )
    if index.card.metric == STACKED:
        refuse_parted_stacks([part["id"].tolist() for _, part in folds.groupby("fold")])
    write_split(paths, folds)

    sizes = folds["fold"].value_counts().sort_index()
    summary = ", ".join(
        f"{count} never validated" if fold == NEVER_VALIDATED else f"fold {fold}: {count}"
        for fold, count in sizes.items()
    )
    print(f"{name}: {len(folds)} training images by {choices.by}: {summary}")
