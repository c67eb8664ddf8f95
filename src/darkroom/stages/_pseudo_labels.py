"""Pseudo-labels on disk: which test images a fold trains on as well, and with which targets.

A folder with `labels.csv`, columns id and the targets, as the index has them; of masks also
`masks.arrow`, a shard of masks without images; and `pseudo_labels.json`, what all that comes from,
with the digests of both.
"""

from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.index.card import Card
from darkroom.index.table import Index
from darkroom.project import files
from darkroom.project.checked_json import read_bytes, read_json, write_json
from darkroom.project.files import file_sha256
from darkroom.project.paths import Fold
from darkroom.stages._context import Context
from darkroom.stages._inputs import read_part
from darkroom.store.extended import ExtendedStore
from darkroom.store.store import Store

LABELS, MASKS, NOTE = "labels.csv", "masks.arrow", "pseudo_labels.json"
ENTRY = "entry"  # of the note: that of params.yaml


def write_labels(
    folder: Path, ids: Iterable[str], targets: NDArray[Any], card: Card, note: Mapping[str, Any]
) -> None:
    """Write the table, and the note about it and about the masks that lie there.

    Args:
        folder: Of a fold's pseudo-labels.
        ids: Of n test images.
        targets: (n,) or (n, K), as `pseudo_labels.label_targets` returns them; (n, 0) for masks.
        card: Which names the targets.
        note: What else to say of them; JSON values.
    """
    table = pd.DataFrame({"id": list(ids)})
    columns = targets.reshape(len(table), -1)
    for name, values in zip(_columns(card), columns.T, strict=True):
        # A float32 as a float64 is written with all its digits.
        table[name] = values if values.dtype.kind == "i" else values.astype(np.float64)
    files.write(folder / LABELS, table.to_csv(index=False, lineterminator="\n"))
    digests = {name: file_sha256(folder / name) for name in _files(card)}
    write_json(folder / NOTE, {**note, "digests": digests})


def read_note(
    context: Context, fold: Fold, index: Index, split_sha256: str
) -> dict[str, Any] | None:
    """Return the note about a fold's pseudo-labels; None where params.yaml asks for none.

    Raises:
        ArtifactError: They are absent, damaged, left over, or of another entry, index,
            split or fold.
    """
    folder, entry = context.paths.pseudo_labels(fold), context.pseudo_labels
    if entry is None:
        if folder.exists():
            raise ArtifactError(
                "here are pseudo-labels, but params.yaml has no entry for them",
                file=folder,
                fix="run `darkroom params`, which puts them aside",
            )
        return None
    fix = f"run `darkroom pseudo {context.name} --fold {fold}`"
    note = read_json(folder / NOTE, fix=fix)
    expected = {
        ENTRY: entry.model_dump(mode="json", by_alias=True),
        "index": index.sha256,
        "split": split_sha256,
        "fold": fold,  # those of another one come from networks that saw what this one validates
    }
    for key, value in expected.items():
        if note.get(key) != value:
            raise ArtifactError(
                f"these pseudo-labels are of another {key}",
                file=folder,
                found=note.get(key),
                expected=value,
                fix=fix,
            )
    for name, digest in note["digests"].items():
        if not (folder / name).is_file() or file_sha256(folder / name) != digest:
            raise ArtifactError(
                f"it is damaged: {NOTE} was written with another one", file=folder / name, fix=fix
            )
    return note


def extended(
    context: Context, fold: Fold, index: Index, shards: Store, targets: NDArray[Any] | None
) -> tuple[Store, NDArray[Any] | None, list[int]]:
    """Return the training images with those that have pseudo-labels behind them.

    Args:
        context: The competition.
        fold: Whose pseudo-labels have been looked at by `read_note`.
        index: What the images are.
        shards: The training images.
        targets: Theirs; None for masks.

    Returns:
        All images; their targets; the numbers of those with pseudo-labels.

    Raises:
        ArtifactError: Test images or pseudo-labels are absent or damaged.
    """
    folder, card = context.paths.pseudo_labels(fold), index.card
    test_shards, rows = read_part(context.paths, index, "test")
    table = _read_table(folder / LABELS, card)
    numbers = pd.Index(rows["id"]).get_indexer(table["id"])
    if (numbers < 0).any():
        raise ArtifactError("its images are no test images", file=folder / LABELS)
    masks = folder / MASKS if targets is None else None
    whole = ExtendedStore(shards, test_shards, numbers.tolist(), masks)
    if targets is not None:
        added = table[list(_columns(card))].to_numpy(targets.dtype)
        targets = np.concatenate([targets, added.reshape(len(added), *targets.shape[1:])])
    return whole, targets, list(range(len(shards), len(whole)))


def _read_table(path: Path, card: Card) -> pd.DataFrame:
    fix = "run the stage pseudo again"
    data = read_bytes(path, fix=fix)
    columns = list(_columns(card))
    try:
        table = pd.read_csv(BytesIO(data), dtype=str, keep_default_na=False)
        if table.columns.tolist() != ["id", *columns]:
            raise ValueError(f"columns {', '.join(table.columns)}")
        for name in columns:  # an empty cell is an unknown target; pandas refuses the word nan
            table[name] = pd.to_numeric(table[name].mask(table[name] == ""))
    except (ValueError, pd.errors.ParserError) as error:
        raise ArtifactError("it is damaged", file=path, found=error, fix=fix) from error
    return table


def _columns(card: Card) -> tuple[str, ...]:
    return () if card.task == "segmentation" else card.targets


def _files(card: Card) -> tuple[str, ...]:
    return (LABELS, MASKS) if card.task == "segmentation" else (LABELS,)
