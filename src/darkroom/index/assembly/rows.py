"""Assemble the rows of the index, with the digest of every file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import pandas as pd

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.index.table import COLUMNS, Index, check_index
from darkroom.raw.archives import Archives, digest_of, joined_digest
from darkroom.raw.images.reader import paths_of
from darkroom.raw.masks import RLE_PREFIX, mask_parts

_CHUNK = 64


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
        digests_of = _digests_of_files(archives, together[column], files_of, known_digests)
        together.insert(COLUMNS.index(name), name, pd.Series(digests_of, dtype="str"))
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
    cells: Iterable[str],
    files_of: Callable[[str], list[str]],
    known_digests: Mapping[str, str],
) -> list[str]:
    """Return the digest of each cell's file, of several that of their digests, "" of none."""
    files = [[] if cell in known_digests else files_of(cell) for cell in cells]
    named = [path for each in files for path in each]
    digest_by_path = dict(zip(named, digests(archives, named), strict=True))
    return [
        known_digests.get(cell) or joined_digest([digest_by_path[path] for path in each])
        for cell, each in zip(cells, files, strict=True)
    ]


def digests(archives: Archives, members: Iterable[str]) -> list[str]:
    """Return the first 32 hex digits of the sha256 of each file's bytes, in the order given.

    Reads in order of names, which is nearly always the archive's, on several threads: hashing
    and reading release the interpreter lock.

    Raises:
        DataError: A file is absent, damaged or empty.
    """
    paths = list(members)
    ordered = sorted(set(paths))
    chunks = [ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK)]
    with ThreadPoolExecutor(min(4, cpu_count() or 1)) as threads:
        digest_of = dict(
            pair
            for pairs in threads.map(lambda chunk: [_digest(archives, p) for p in chunk], chunks)
            for pair in pairs
        )
    return [digest_of[path] for path in paths]


def _digest(archives: Archives, path: str) -> tuple[str, str]:
    data = archives.read_image(path)
    if not data:
        raise DataError(
            "an empty file",
            file=archives.root / path,
            found="0 bytes",
            expected="a picture",
            fix="download it again, or remove it and its row",
        )
    return path, digest_of(data)
