"""The index: one row an image, with the same columns for every competition.

All stages after the index read this table and its card, and nothing else, to know what to learn.
Ids are always text: "000001.jpg", "007", "NA" and "1e5" are kept as they are.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc
import pyarrow.csv
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.index.card import (
    Card,
    card_values,
    check_card,
    parse_card,
)
from darkroom.index.checks import check_rows
from darkroom.project import files
from darkroom.project.checked_json import open_artifact, read_bytes, write_json

COLUMNS = ("id", "part", "image", "mask", "group", "official", "digest", "mask_digest")
# Later tables add the fold and the facts of each image to the index's columns.
RESERVED_NAMES = (
    *COLUMNS,
    "fold",
    *("height", "width", "format", "mode", "bytes", "exif", "raw_low", "raw_high", "peak"),
    *("mask_pixels", "mask_values", "stored_mask_digest", "thumb"),
)

_ROWS_AT_ONCE = 4096
_BLOCK_BYTES = 2**22
_NO_ROWS = pyarrow.table({name: pyarrow.array([], pyarrow.large_string()) for name in COLUMNS})


@dataclass(frozen=True)
class Index:
    """The table and its card.

    Attributes:
        rows: Text columns `COLUMNS`, then one float64 column a target (NaN where unknown;
            multiclass: the class number). Part train in order of id, then part test in the
            order that the submission expects.
        card: The meaning of the rows.
        sha256: Of the card's file, which holds the table's; "" if they were not read from files.
    """

    rows: pd.DataFrame
    card: Card
    sha256: str = ""


def check_index(index: Index) -> None:
    """Check an index against every rule that later stages rely on.

    Raises:
        DataError: A rule is broken; the message names it and the first rows that break it.
    """
    check_card(index.card, COLUMNS)
    check_rows(index.rows, index.card, COLUMNS, _target_columns(index.card))


def write_index(index: Index, table: Path, card: Path) -> None:
    """Check an index and write it, with the table's sha256 in the card; bytes are reproducible.

    Raises:
        DataError: See `check_index`.
    """
    check_index(index)
    sha256 = hashlib.sha256()
    with files.atomic_write(table) as part, part.open("wb") as file:
        for lines in _as_csv(index.rows, _target_columns(index.card)):
            file.write(lines)
            sha256.update(lines)
    facts: dict[str, Any] = card_values(index.card)
    facts |= {"rows": len(index.rows), "sha256": sha256.hexdigest()}
    write_json(card, facts)


def _as_csv(rows: pd.DataFrame, targets: Sequence[str]) -> Iterator[bytes]:
    """Yield the table as CSV, some lines at a time, targets last.

    pyarrow joins the cells: pandas makes an object of each, which takes minutes of a thousand
    labels.
    """
    yield rows.head(0).to_csv(index=False, lineterminator="\n").encode()
    whole = {name for name in targets if _is_whole(rows[name])}
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        some = rows.iloc[start : start + _ROWS_AT_ONCE]
        cells = [_quoted(pyarrow.array(some[name], pyarrow.large_string())) for name in COLUMNS]
        cells += [_number_cells(some[name], whole=name in whole) for name in targets]
        cells = [each.cast(pyarrow.large_string()) for each in cells]
        lines = pc.binary_join_element_wise(*cells, pyarrow.scalar(",", pyarrow.large_string()))
        yield "\n".join([*lines.to_pylist(), ""]).encode()


def _quoted(texts: pyarrow.Array) -> pyarrow.Array:
    """Return cells as CSV has them: those with a comma or a quote in quotes. None has two lines."""
    is_odd = pc.match_substring_regex(texts, '[,"]')
    if not pc.any(is_odd).as_py():
        return texts
    doubled = pc.replace_substring(texts, '"', '""')
    quote, none = (pyarrow.scalar(each, pyarrow.large_string()) for each in ('"', ""))
    return pc.if_else(is_odd, pc.binary_join_element_wise(quote, doubled, quote, none), texts)


def _is_whole(values: "pd.Series[float]") -> bool:
    values = values.dropna()
    return bool((values == np.round(values)).all() and (values.abs() < 2**53).all())


def _number_cells(values: "pd.Series[float]", *, whole: bool) -> pyarrow.Array:
    """Return numbers as text, 1 instead of 1.0 where all are whole; "" where unknown."""
    if whole:
        numbers = pyarrow.array(values.to_numpy(), from_pandas=True).cast(pyarrow.int64())
        return numbers.cast(pyarrow.string()).fill_null("")
    return pyarrow.array(["" if each != each else repr(each) for each in values.tolist()])


def read_index(
    table: Path, card: Path, columns: Collection[str] = COLUMNS, *, targets: bool = True
) -> Index:
    """Read what `write_index` wrote, a block at a time, so that only what is asked for is held.

    Args:
        table: The file of the rows.
        card: The file of their meaning.
        columns: Those of `COLUMNS` that `rows` is to have, one or more.
        targets: Whether it is to have the targets, too.

    Raises:
        ArtifactError: A file is absent or damaged, or the two do not belong together.
    """
    fix = _rerun(card)
    card_data = read_bytes(card, fix=fix)
    expected, sha256, count = parse_card(card_data, card, COLUMNS, fix=fix)
    texts = [name for name in COLUMNS if name in columns]
    names = _target_columns(expected)
    numbers = np.full((len(names) if targets else 0, count), np.nan)
    hasher, start = hashlib.sha256(), 0
    parts: list[pyarrow.Table] = []
    fault: ValueError | None = None
    with open_artifact(table, fix=fix) as file:
        for lines in _lines(file):
            hasher.update(lines)
            if not start and not parts:
                lines = lines[lines.find(b"\n") + 1 :]  # the header
            try:
                some, digits = _from_csv(lines, names, texts, targets=targets)
                numbers[:, start : start + len(some)] = digits
                parts.append(some)
                start += len(some)
            except ValueError as error:  # read on: the file is not what its card describes
                fault = error
    if hasher.hexdigest() != sha256:
        raise ArtifactError(
            "the index is not the one that its card describes",
            file=table,
            found=f"sha256 {hasher.hexdigest()}",
            expected=f"sha256 {sha256} ({count} rows), as {card.name} says",
            fix=fix,
        )
    if fault is not None:
        raise fault
    rows: pd.DataFrame = pyarrow.concat_tables(parts).to_pandas()
    if targets:
        labels = pd.DataFrame(numbers.T, rows.index, [*names], copy=False)
        rows = pd.concat([rows, labels], axis=1) if names else rows
    return Index(rows, expected, hashlib.sha256(card_data).hexdigest())


def read_card(path: Path) -> Card:
    """Return the card of an index, without its table.

    Raises:
        ArtifactError: It is absent or damaged.
    """
    fix = _rerun(path)
    data = read_bytes(path, fix=fix)
    return parse_card(data, path, COLUMNS, fix=fix)[0]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines, about `_BLOCK_BYTES` at a time; no cell holds a line break."""
    pieces: list[bytes] = []
    while block := file.read(_BLOCK_BYTES):
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join([*pieces, block[:end]])
            pieces = []
        pieces.append(block[end:])
    if any(pieces):
        yield b"".join(pieces)


def _from_csv(
    lines: bytes, names: Sequence[str], texts: Sequence[str], *, targets: bool
) -> tuple[pyarrow.Table, NDArray[np.float64]]:
    """Return some columns of lines that `_as_csv` wrote, and their targets, (K, n)."""
    head, digits = _split_digits(lines, len(names)) or (lines, None)
    wanted = [*names] if targets and digits is None else []
    if not head:
        return _NO_ROWS.select(texts), np.empty((len(names) if targets else 0, 0))
    rows = pyarrow.csv.read_csv(
        pyarrow.BufferReader(head),
        # One block: run lengths of a mask may exceed the default of one megabyte.
        read_options=pyarrow.csv.ReadOptions(
            block_size=len(head) + 1,
            use_threads=False,
            column_names=[*COLUMNS, *(names if digits is None else ())],
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pyarrow.large_string())
            | dict.fromkeys(names, pyarrow.float64()),
            null_values=[""],
            strings_can_be_null=False,  # an id may be "NA"
            include_columns=[*texts, *wanted],
        ),
    )
    if not targets:
        return rows, np.empty((0, len(rows)))
    if digits is None:
        digits = np.array([rows[name].to_numpy() for name in wanted]).reshape(-1, len(rows))
    return rows.select(texts), digits


def _split_digits(lines: bytes, count: int) -> tuple[bytes, NDArray[np.float64]] | None:
    """Return lines without their targets, and these, (K, n); None: they are read like any number.

    Of labels, a row's targets are one digit each, or all empty: they stand at known places from
    the line's end. A thousand columns are read so in a tenth of the time.
    """
    if count < 2:
        return None
    heads, places, texts = [], [], []
    each = lines.split(b"\n")[:-1]
    for place, line in enumerate(each):
        is_empty = line.endswith(b"," * count)
        width = count if is_empty else 2 * count
        heads.append(line[:-width])
        if not is_empty:
            places.append(place)
            texts.append(line[-width:])
    cells = np.frombuffer(b"".join(texts), np.uint8)
    if cells.size != len(texts) * 2 * count:
        return None
    pairs = cells.reshape(-1, count, 2)
    values = pairs[:, :, 1] - np.uint8(ord("0"))
    if (pairs[:, :, 0] != ord(",")).any() or (values > 9).any():
        return None
    digits = np.full((count, len(each)), np.nan)
    digits[:, places] = values.T
    return b"\n".join([*heads, b""]), digits


def hard_labels(rows: pd.DataFrame, card: Card) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return rows whose soft labels are hard ones, and their columns; () for masks.

    Of shares of classes it is the number of the class with the greatest, in the first class's
    column; of a label it is 1 above 0.5, else 0. NaN stays NaN.

    Args:
        rows: Of an index.
        card: Its card.

    Example:
        >>> rows = pd.DataFrame({"a": [0.7, 0.2], "b": [0.3, 0.8]})
        >>> card = Card(task="multiclass", targets=("a", "b"), classes=("a", "b"), soft=True)
        >>> hard_labels(rows, card)[0]["a"].tolist()
        [0.0, 1.0]
    """
    if card.task == "segmentation":
        return rows, ()
    if card.task in ("multilabel", "binary"):
        values = rows[[*card.targets]]
        return rows.assign(**(values > 0.5).astype(np.float64).where(values.notna())), card.targets
    if not card.soft:
        return rows, card.targets
    shares = rows[[*card.targets]].to_numpy(np.float64)
    classes = np.where(np.isnan(shares).any(axis=1), np.nan, shares.argmax(axis=1))
    return rows.assign(**{card.targets[0]: classes}), card.targets[:1]


def shown_classes(rows: pd.DataFrame, card: Card) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return rows with a column of 0 and 1 for each of several mask classes, and these columns.

    A class counts as shown where it has run lengths or a file. Of pictures whose values are the
    classes the index can't tell; then there are no columns, as for one class.

    Args:
        rows: Of an index, training rows.
        card: Its card.

    Example:
        >>> rows = pd.DataFrame({"mask": ['[["rle:column 1 3"], []]', '[[], ["a.png"]]']})
        >>> card = Card(task="segmentation", targets=("road", "car"))
        >>> shown_classes(rows, card)[0]["car"].tolist()
        [0.0, 1.0]
    """
    if card.task != "segmentation" or card.planes == 1 or card.values:
        return rows, ()
    shown = [[float(bool(parts)) for parts in json.loads(mask)] for mask in rows["mask"]]
    columns = pd.DataFrame(shown, rows.index, list(card.targets))
    return pd.concat([rows, columns], axis=1), card.targets


def _target_columns(card: Card) -> tuple[str, ...]:
    """Return the columns of targets; those of mask classes are in `mask`."""
    return () if card.task == "segmentation" else card.targets


def _rerun(card: Path) -> str:
    """Return what to do for the index of a card, which is named after its competition."""
    return f"run the index stage: `dvc repro -sf index@{card.stem}`"
