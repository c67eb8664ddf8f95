"""Assemble the rows of the index, with the digest of every file."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from darkroom.index.card import Card
from darkroom.index.table import COLUMNS, Index, check_index
from darkroom.raw.archives import Archives, joined_digest
from darkroom.raw.images.cells import PREFIX
from darkroom.raw.images.reader import paths_of
from darkroom.raw.masks import RLE_PREFIX, mask_parts

_NO_PATH = rf"^$|^\[|^{PREFIX}|^{RLE_PREFIX}"  # none, several, pixels in cells, run lengths


def image_rows(
    part: str,
    *,
    ids: Sequence[str],
    images: Sequence[str],
    masks: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    official: str = "",
    targets: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return index rows of one part ("train" or "test"), without digests.

    `targets` are float64 columns, a row an image.
    """
    blank = [""] * len(ids)
    columns: dict[str, object] = {
        "id": ids,
        "part": [part] * len(ids),
        "image": images,
        "mask": blank if masks is None else masks,
        "group": blank if groups is None else groups,
        "official": [official] * len(ids),
    }
    frame = pd.DataFrame(columns, dtype="str")
    return frame if targets is None else pd.concat([frame, targets], axis=1)


def assemble_index(
    archives: Archives,
    train: Sequence[pd.DataFrame],
    test: pd.DataFrame,
    card: Card,
    digests_of_cells: Mapping[str, str] | None = None,
) -> Index:
    """Return the checked index: training rows sorted by id, test rows in the given order.

    Args:
        archives: The raw files.
        train: Rows to learn from, by part.
        test: Rows to predict.
        card: Of the index.
        digests_of_cells: Of images whose pixels stand in the cells of a table.

    Raises:
        DataError: The rows break a rule of the index, or an image is absent, damaged or empty.
    """
    together = pd.concat([*train, test], ignore_index=True)
    ids = together["id"].tolist()[: len(together) - len(test)]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    if order != [*range(len(ids))]:  # a thousand labels of each image are not copied for nothing
        together = together.iloc[[*order, *range(len(ids), len(together))]]
        together = together.reset_index(drop=True)
    for name, column, files_of, known_digests in (
        ("digest", "image", paths_of, digests_of_cells or {}),
        ("mask_digest", "mask", mask_files, {}),
    ):
        digests = _digests_of_files(archives, together[column], files_of, known_digests)
        together.insert(COLUMNS.index(name), name, digests)
    index = Index(together, card)
    check_index(index)
    return index


def mask_files(mask: str) -> list[str]:
    """Return the files that a mask of the index names, in order.

    Example:
        >>> mask_files('[["a.png", "b.png"], ["rle:column 1 3"]]')
        ['a.png', 'b.png']
    """
    parts = [part for each in mask_parts(mask) for part in each]
    return [part for part in parts if part and not part.startswith(RLE_PREFIX)]


def _digests_of_files(
    archives: Archives,
    cells: "pd.Series[str]",
    files_of: Callable[[str], list[str]],
    known_digests: Mapping[str, str],
) -> "pd.Series[str]":
    """Return the digest of each cell's file, of several that of their digests, "" of none."""
    texts = pa.array(cells, pa.large_string())
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    if not known_digests and not pc.any(pc.match_substring_regex(texts, _NO_PATH)).as_py():
        return pd.Series(archives.digests(texts), dtype="str")
    if pc.all(pc.equal(texts, "")).as_py():
        return pd.Series([""] * len(texts), dtype="str")
    files = [[] if cell in known_digests else files_of(cell) for cell in cells]
    named = [path for each in files for path in each]
    digests = archives.digests(pa.array(named, pa.large_string()))
    digest_by_path = dict(zip(named, digests.to_pylist(), strict=True))
    joined = [
        known_digests.get(cell) or joined_digest([digest_by_path[path] for path in each])
        for cell, each in zip(cells, files, strict=True)
    ]
    return pd.Series(joined, dtype="str")
