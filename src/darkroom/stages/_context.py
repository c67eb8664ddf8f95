"""What every stage begins with: the parameters of one competition, and its paths."""

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from darkroom.errors import ArtifactError, ParamsError
from darkroom.index.table import Index
from darkroom.params import file
from darkroom.params.competition import Competition
from darkroom.project.paths import PARAMS, Layout
from darkroom.store.store import Store


@dataclass(frozen=True)
class Setting:
    """The choices for one competition, and where its files lie."""

    seed: int
    folds: tuple[int, ...]
    section: Competition
    paths: Layout
    transfer: str | None = None  # what the first weights come from, if that is named


def read(name: str) -> Setting:
    """Return the setting of a competition in the current folder's params.yaml.

    Raises:
        ParamsError: The file is at fault, or has no section of that name.
    """
    params = file.read(Path(PARAMS))
    if name not in params.sections:
        near = get_close_matches(name, params.sections, n=1)
        raise ParamsError(
            f"there is no competition {name!r}",
            file=PARAMS,
            expected=f"one of {', '.join(params.sections)}",
            fix=f"did you mean {near[0]!r}?" if near else None,
        )
    given = params.transfer(name)
    return Setting(
        seed=params.seed,
        folds=tuple(params.folds),
        section=params.section(name),
        paths=Layout(name),
        transfer=given.source if given else None,
    )


def require(path: Path, stage: str, name: str) -> Path:
    """Return an earlier stage's output, or raise ArtifactError saying which stage makes it."""
    if not path.exists():
        raise ArtifactError(
            "it is not there", file=path, fix=f"run `dvc repro {stage}@{name}` first"
        )
    return path


def given(path: str, key: str) -> Path:
    """Return a file or folder that params.yaml names, or raise ParamsError if it is not there."""
    found = Path(os.path.expanduser(path))  # noqa: PTH111  (Path's raises for unknown users)
    if not found.exists():
        raise ParamsError(f"{key}: there is no such file or folder", file=PARAMS, found=path)
    return found


def read_split(paths: Layout, name: str) -> pd.DataFrame:
    """Return the split stage's table: columns id (str) and fold (int)."""
    path = require(paths.split, "split", name)
    try:
        folds = pd.read_csv(path, dtype={"id": str, "fold": int}, keep_default_na=False)
        if folds.columns.tolist() != ["id", "fold"]:
            raise ValueError(f"columns {', '.join(folds.columns)}")
        return folds
    except (ValueError, pd.errors.ParserError) as error:
        raise ArtifactError(
            "it is damaged", file=path, found=error, fix=f"run `dvc repro -sf split@{name}`"
        ) from error


def of(paths: Layout, known: Index, part: str) -> tuple[Store, pd.DataFrame]:
    """Return the store of a part, and the part's rows, numbered as the store numbers them.

    Raises:
        ArtifactError: The shards are absent or damaged, or were made from another index.
    """
    shards = Store(require(paths.processed, "preprocess", paths.name), part)
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
