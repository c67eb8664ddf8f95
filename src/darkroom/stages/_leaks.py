"""Validation images that a network learned before its own training, through its first weights."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from darkroom.errors import ArtifactError, ParamsError
from darkroom.models import learned, saved
from darkroom.models.learned import Codes
from darkroom.project.checked_json import read_json
from darkroom.project.files import file_sha256
from darkroom.project.paths import PARAMS, Fold, Layout

ALLOW = "allow"
WEIGHTS, NOTE = "weights.safetensors", "transfer.json"
_FIX = (
    "take first weights by fold, `from: models/NAME`, so that fold k starts from fold k of a "
    "training with the same split; or write `leakage: allow` beside `from`, and the scores are "
    "marked"
)


def read_first_images(paths: Layout, fold: Fold) -> tuple[Codes, bool]:
    """Return the codes of what a fold's first weights learned from, and whether leaks are allowed.

    Raises:
        ArtifactError: The folder that transfer writes is absent or damaged.
    """
    folder = paths.first_weights(fold)
    fix = f"run `darkroom transfer {paths.name} --fold {fold}`"
    note = read_json(folder / NOTE, fix=fix)
    file = folder / WEIGHTS
    if not file.is_file() or note.get(WEIGHTS) != file_sha256(file):
        raise ArtifactError(
            f"it is damaged: {NOTE} was written with other weights", file=file, fix=fix
        )
    return learned.read_codes(file), note.get("leakage") == ALLOW


def check_training(
    rows: pd.DataFrame, train: Sequence[int], validation: Sequence[int], codes: Codes, allowed: bool
) -> None:
    """Refuse to train where validation images were learned before, unless that is allowed.

    Args:
        rows: Of the index: id, digest.
        train: The numbers of the rows to train on.
        validation: Of those to validate on.
        codes: Of what the first weights learned from.
        allowed: Whether params.yaml allows it.

    Raises:
        ParamsError: Naming the images.
    """
    digests = rows["digest"].to_numpy()
    positions = learned.leaked(digests[validation], codes, digests[train])
    if positions and not allowed:
        ids = rows["id"].to_numpy()[np.asarray(validation)[positions]]
        raise ParamsError(
            "the first weights have learned images of this fold's validation",
            file=PARAMS,
            found=f"{len(positions)} of {len(validation)}: {', '.join(map(str, ids[:8]))}",
            expected="first weights that never saw them: the score would tell nothing",
            fix=_FIX,
        )


def leaked_ids(
    paths: Layout, fold: Fold, scored: pd.DataFrame, trained_on: pd.DataFrame
) -> list[str]:
    """Return the ids of the images to score that a fold's network learned before its training.

    Args:
        paths: Where the competition's models lie.
        fold: The fold.
        scored: Rows of the index: id, digest.
        trained_on: The rows that its own training took.

    Raises:
        ArtifactError: There are some, and its training was not allowed to; or the model is damaged.
    """
    codes, leakage = saved.read_images(paths.model(fold))
    positions = learned.leaked(scored["digest"], codes, trained_on["digest"])
    ids = [str(scored["id"].iloc[position]) for position in positions]
    if ids and leakage != ALLOW:
        raise ArtifactError(
            "this model has learned images that it would be scored on",
            file=paths.model(fold),
            found=f"{len(ids)} of {len(scored)}: {', '.join(ids[:8])}",
            expected="a model that never saw them",
            fix=f"run `dvc repro train@{paths.name}-{fold}`; if its first weights learned them, "
            f"{_FIX}",
        )
    return ids
