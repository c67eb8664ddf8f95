"""split: the index's training rows -> the fold that each validates."""

from darkroom.index import split, table
from darkroom.params.data import Split
from darkroom.project import files
from darkroom.stages._context import Context


def run(context: Context) -> None:
    """Cut the training images of a competition into folds."""
    name, paths = context.name, context.paths
    choice: Split = context.section.split

    known = table.read(paths.index, paths.card)
    rows = known.rows[known.rows["part"] == "train"]
    folds = split.folds(
        rows,
        by=choice.by,
        count=choice.folds,
        seed=context.seed,
        task=known.card.task,
        targets=known.card.targets,
        classes=known.card.classes,
    )
    files.write(paths.split, folds.to_csv(index=False, lineterminator="\n"))

    sizes = folds["fold"].value_counts().sort_index()
    told = ", ".join(
        f"{count} never validated" if fold == split.NEVER_VALIDATED else f"fold {fold}: {count}"
        for fold, count in sizes.items()
    )
    print(f"{name}: {len(folds)} training images by {choice.by}: {told}")
