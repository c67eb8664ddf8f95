"""split.csv, the folds, and split.json beside it: how many rows, and the digest of the table."""

import hashlib
import io

import pandas as pd

from darkroom.errors import ArtifactError, ParamsError
from darkroom.project import files
from darkroom.project.checked_json import read_bytes, read_json, write_json
from darkroom.project.paths import ALL, PARAMS, Fold, Layout


def write_split(paths: Layout, folds: pd.DataFrame) -> None:
    """Write the folds, columns id (str) and fold (int), and their digest."""
    data = folds.to_csv(index=False, lineterminator="\n").encode()
    files.write(paths.split, data)
    digest = hashlib.sha256(data).hexdigest()
    write_json(paths.split_card, {"rows": len(folds), "sha256": digest})


def read_split(paths: Layout) -> tuple[pd.DataFrame, str]:
    """Return the split stage's table, columns id (str) and fold (int), and its sha256.

    Both come from the same bytes: the file may be another one a moment later.

    Raises:
        ArtifactError: It is absent, damaged, or not the one that the split stage wrote.
    """
    path, absent = paths.split, "it is not there"
    fix = f"run `dvc repro -sf split@{paths.name}`"
    data = read_bytes(path, absent=absent, fix=fix)
    sha256 = hashlib.sha256(data).hexdigest()
    expected = read_json(paths.split_card, absent=absent, fix=fix).get("sha256")
    if sha256 != expected:
        raise ArtifactError(
            "it is damaged or was edited: it is not what the split stage wrote",
            file=path,
            found=f"sha256 {sha256}",
            expected=f"sha256 {expected}, as {paths.split_card.name} says",
            fix=fix,
        )
    try:
        folds = pd.read_csv(io.BytesIO(data), dtype={"id": str, "fold": int}, keep_default_na=False)
        if folds.columns.tolist() != ["id", "fold"]:
            raise ValueError(f"columns {', '.join(folds.columns)}")
    except (ValueError, pd.errors.ParserError) as error:
        raise ArtifactError("it is damaged", file=path, found=error, fix=fix) from error
    return folds, sha256


def require_fold(folds: pd.Series, fold: Fold) -> None:
    """Raise ParamsError unless a fold has images to validate on, or is `all`.

    Args:
        folds: The fold of each image, int; -1: of none.
        fold: The fold.
    """
    numbers = sorted(set(folds.tolist()) - {-1})
    if fold != ALL and fold not in numbers:
        raise ParamsError(
            f"fold {fold} has no image to validate on",
            file=PARAMS,
            found=f"folds {', '.join(map(str, numbers))}",
            fix="edit folds in params.yaml",
        )
