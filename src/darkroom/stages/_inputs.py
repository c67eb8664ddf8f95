"""Outputs of earlier stages, read and checked against each other."""

import pandas as pd

from darkroom.errors import ArtifactError
from darkroom.index.card import Card
from darkroom.index.split import check_split
from darkroom.index.table import Index
from darkroom.project.paths import Layout
from darkroom.raw.masks import MaskForm
from darkroom.stages._context import Context, require
from darkroom.stages._split import read_split
from darkroom.store.store import Store
from darkroom.tasks.planes import MaskClasses


def mask_form(card: Card) -> MaskForm:
    """Return how the raw masks of a competition are read."""
    return MaskForm(card.planes, card.value_planes)


def mask_classes(card: Card) -> MaskClasses:
    """Return how mask classes share the pixels."""
    return MaskClasses(card.exclusive, card.background)


def outputs_of(card: Card) -> int:
    """Return K, the number of probabilities or values of a prediction, a pixel's for masks."""
    if card.task == "segmentation":
        return card.planes
    return len(card.classes) if card.task == "multiclass" else len(card.targets)


def has_answers(card: Card, test: pd.DataFrame) -> bool:
    """Return whether the answers to all test images are known, labels or values."""
    if card.task == "segmentation" or not card.targets:
        return False
    return bool(test[list(card.targets)].notna().all(axis=None))


def read_train(paths: Layout, index: Index) -> tuple[pd.DataFrame, str]:
    """Return the training rows of the index, numbered from 0, with their fold; the split's sha256.

    Raises:
        ArtifactError: The split is absent or damaged, or of another index.
    """
    train = index.rows[index.rows["part"] == "train"].reset_index(drop=True)
    folds, sha256 = read_split(paths)
    check_split(train, folds)
    train["fold"] = train["id"].map(folds.set_index("id")["fold"])
    return train, sha256


def read_part(paths: Layout, index: Index, part: str) -> tuple[Store, pd.DataFrame]:
    """Return the stored images of a part, and its rows of the index, numbered alike.

    The shards are compared with the digests that preprocess wrote.

    Args:
        paths: Where the competition's files lie.
        index: Its whole index.
        part: "train" or "test".

    Raises:
        ArtifactError: The shards are absent or damaged, or were made from another index.
    """
    shards = Store(require(paths.processed, "preprocess", paths.name), part, verify=True)
    rows = index.rows[index.rows["part"] == part].reset_index(drop=True)
    if shards.ids != rows["id"]:
        raise ArtifactError(
            f"its {part} images are not those of the index",
            file=paths.processed,
            found=f"{len(shards)} images",
            expected=f"the {len(rows)} of {paths.index}, in its order",
            fix=f"run `dvc repro preprocess@{paths.name}`",
        )
    return shards, rows


def require_same_store(context: Context, shards: Store) -> None:
    """Refuse images that are stored otherwise than params.yaml says, before anything learns them.

    DVC makes them anew; who types a command sees here that they are of an earlier choice. Of
    `levels` and `quality` the shards keep no trace.

    Raises:
        ArtifactError: They have another size, fit or encoding.
    """
    choices, name = context.section.preprocess, context.name
    stored = {
        "height": shards.height,
        "width": shards.width,
        "fit": shards.fit,
        "store": shards.format.image,
    }
    differences = [
        f"{name}.preprocess.{key}: {value} in the shards, {getattr(choices, key)} in params.yaml"
        for key, value in stored.items()
        if value != getattr(choices, key)
    ]
    if differences:
        raise ArtifactError(
            "the images are stored as an earlier params.yaml said",
            file=context.paths.processed,
            details=differences,
            fix=f"run `dvc repro preprocess@{name}`",
        )
