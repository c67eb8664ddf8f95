"""What all adapters share: match tables with files, and assemble the rows of the index."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
import pandas as pd

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.index.table import COLUMNS, Index, check_index
from darkroom.raw.archives import Archives, digest_of
from darkroom.raw.masks import RLE_PREFIX

_SHOWN = 5
_CHUNK = 64


def files_by_name(
    archives: Archives, container: str, key: Callable[[str], str] = str
) -> dict[str, str]:
    """Return the paths of a container's members by file name, at any depth of folders.

    Args:
        archives: The containers.
        container: The name of one.
        key: From a file name, what it is found by.

    Raises:
        DataError: Two folders of it hold files of one name.
    """
    paths: dict[str, str] = {}
    for path in archives.paths(container):
        name = key(path.rsplit("/", 1)[-1])
        if name in paths:
            raise DataError(
                "two files of one name",
                file=archives.root / container,
                found=f"{paths[name]} and {path}",
                expected="each file name once",
                fix="remove one of the two folders",
            )
        paths[name] = path
    return paths


def check_same_names(
    listed: Collection[str], present: Collection[str], *, listed_in: object, held_in: object
) -> None:
    """Raise unless the same names are listed and present.

    Args:
        listed: Names in a table (or of images, to be matched with masks).
        present: Names of files.
        listed_in: The table, for the message.
        held_in: The container, for the message.

    Raises:
        DataError: Some names are on one side only; the message lists the first of them.
    """
    absent, extra = sorted(set(listed) - set(present)), sorted(set(present) - set(listed))
    if absent or extra:
        raise DataError(
            f"its names are not those in {held_in}",
            file=listed_in,
            details=[
                f"{len(names)} {words}: {', '.join(names[:_SHOWN])}"
                + (", …" if len(names) > _SHOWN else "")
                for names, words in (
                    (absent, f"here and not in {held_in}"),
                    (extra, f"in {held_in} and not here"),
                )
                if names
            ],
            found=f"{len(set(listed))} here, {len(set(present))} in {held_in}",
            expected="the same names in both",
            fix="download both again, or remove what has no partner",
        )


def image_rows(
    part: str,
    *,
    ids: Sequence[str],
    images: Sequence[str],
    masks: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    official: str = "",
    targets: Mapping[str, Sequence[float] | np.ndarray] | None = None,
) -> pd.DataFrame:
    """Return index rows of one part ("train" or "test"), without digests."""
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
    numbers = {name: np.asarray(values, np.float64) for name, values in (targets or {}).items()}
    return pd.concat([frame, pd.DataFrame(numbers, index=frame.index)], axis=1)


def assemble_index(
    archives: Archives, train: Sequence[pd.DataFrame], test: pd.DataFrame, card: Card
) -> Index:
    """Return the checked index: training rows sorted by id, test rows in the given order.

    Raises:
        DataError: The rows break a rule of the index, or an image is absent, damaged or empty.
    """
    ordered = pd.concat(train).sort_values("id", kind="stable")
    together = pd.concat([ordered, test], ignore_index=True)
    together["digest"] = pd.Series(digests(archives, together["image"]), dtype="str")
    is_file = (together["mask"] != "") & ~together["mask"].str.startswith(RLE_PREFIX)
    together["mask_digest"] = ""
    together.loc[is_file, "mask_digest"] = digests(archives, together.loc[is_file, "mask"])
    together["mask_digest"] = together["mask_digest"].astype("str")
    index = Index(together[[*COLUMNS, *card.targets]], card)
    check_index(index)
    return index


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
    data = archives.read(path)
    if not data:
        raise DataError(
            "an empty file",
            file=archives.root / path,
            found="0 bytes",
            expected="a picture",
            fix="download it again, or remove it and its row",
        )
    return path, digest_of(data)
