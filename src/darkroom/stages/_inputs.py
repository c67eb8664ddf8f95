"""Outputs of earlier stages, read and checked against each other."""

import hashlib
import io

import pandas as pd

from darkroom.errors import ArtifactError
from darkroom.index.table import Index
from darkroom.project.paths import Layout
from darkroom.stages._context import require
from darkroom.store.store import Store


def read_split(paths: Layout) -> tuple[pd.DataFrame, str]:
    """Return the split stage's table, columns id (str) and fold (int), and its sha256.

    Both come from the same bytes: the file may be another one a moment later.

    Raises:
        ArtifactError: It is absent or damaged.
    """
    path = require(paths.split, "split", paths.name)
    data = path.read_bytes()
    try:
        folds = pd.read_csv(io.BytesIO(data), dtype={"id": str, "fold": int}, keep_default_na=False)
        if folds.columns.tolist() != ["id", "fold"]:
            raise ValueError(f"columns {', '.join(folds.columns)}")
        return folds, hashlib.sha256(data).hexdigest()
    except (ValueError, pd.errors.ParserError) as error:
        raise ArtifactError(
            "it is damaged", file=path, found=error, fix=f"run `dvc repro -sf split@{paths.name}`"
        ) from error


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
    if shards.ids != rows["id"].tolist():
        raise ArtifactError(
            f"its {part} images are not those of the index",
            file=paths.processed,
            found=f"{len(shards)} images",
            expected=f"the {len(rows)} of {paths.index}, in its order",
            fix=f"run `dvc repro preprocess@{paths.name}`",
        )
    return shards, rows
