"""A part's stored pictures and its rows of the index, one beside the other."""

import pandas as pd

from darkroom.errors import ArtifactError
from darkroom.index import Index
from darkroom.layout import Layout
from darkroom.stages import setting
from darkroom.store import Store


def of(paths: Layout, known: Index, part: str) -> tuple[Store, pd.DataFrame]:
    """Return the store of a part, and the part's rows, numbered as the store numbers them.

    Raises:
        ArtifactError: The shards are absent or damaged, or were made from another index.
    """
    shards = Store(setting.require(paths.processed, "preprocess", paths.name), part)
    rows = known.rows[known.rows["part"] == part].reset_index(drop=True)
    if shards.ids != rows["id"].tolist():
        raise ArtifactError(
            f"its {part} images are not those of the index",
            file=paths.processed,
            found=f"{len(shards)} images",
            expected=f"the {len(rows)} of {paths.index}, in its order",
            fix=f"run `dvc repro preprocess@{paths.name}`",
        )
    return shards, rows
