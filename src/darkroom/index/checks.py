"""The rules of the index: what every later stage relies on."""

import json
import re
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute as pc
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.index.card import Card, counted, expect
from darkroom.params.section import is_writable

LARGEST = 1e15  # a target value: float32 must hold the squares of errors

_RLE = r"rle:(?:row|column)(?: [1-9][0-9]* [1-9][0-9]*)*"
_BLOCK_BYTES = 2**20


def check_rows(
    rows: pd.DataFrame, card: Card, names: Sequence[str], targets: Sequence[str]
) -> None:
    """Check the rows of an index.

    Args:
        rows: Of the index.
        card: Of the index.
        names: The columns that every index has.
        targets: The columns that follow.

    Raises:
        DataError: A rule is broken; the message names it and the first rows that break it.
    """
    _check_columns(rows, names, targets)
    _check_text(rows, names)
    _check_parts(rows)
    _check_official(rows)
    _check_ids(rows)
    if card.task == "segmentation":
        _check_masks(rows, card)
    else:
        _check_targets(rows, card)


def _check_columns(rows: pd.DataFrame, names: Sequence[str], targets: Sequence[str]) -> None:
    columns, expected = list(rows.columns), [*names, *targets]
    what = "the index has other columns than its card says"
    expect(columns == expected, what, counted(columns), counted(expected))
    for name in targets:
        kind = rows[name].dtype
        expect(kind == np.float64, f"target column {name} is not of floats", kind, "float64")


def _check_text(rows: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if _is_plain(rows[name]):
            continue
        odd = ~rows[name].map(is_writable).astype(bool)
        _refuse_rows(rows, odd, f"column {name} holds what is not a line of text", show=name)
    for name in ("id", "image"):
        _refuse_rows(rows, rows[name] == "", f"column {name} is empty", show="image")
    for name, pattern in (("digest", "[0-9a-f]{32}"), ("mask_digest", "(?:[0-9a-f]{32})?")):
        if _is_hexadecimal(rows[name], {32} if name == "digest" else {0, 32}):
            continue
        odd = ~rows[name].str.fullmatch(pattern)
        _refuse_rows(rows, odd, f"column {name} is not 32 hexadecimal digits", show=name)


def _is_plain(texts: "pd.Series[str]") -> bool:
    """Return whether all are texts without a control character; False: look at each."""
    if texts.dtype != "str" or texts.hasnans:
        return False
    for data in _bytes_of(texts):
        if ((data < ord(" ")) | (data == 0x7F) | (data == 0xC2)).any():  # 0xC2 begins U+0080 ...
            return False
    return True


def _is_hexadecimal(texts: "pd.Series[str]", lengths: Collection[int]) -> bool:
    """Return whether all are lower-case digits of some lengths; False: look at each."""
    if texts.dtype != "str" or texts.hasnans:
        return False
    if set(pc.unique(pc.binary_length(pyarrow.array(texts))).to_pylist()) - {*lengths}:
        return False
    is_digit = np.zeros(256, bool)
    is_digit[[*b"0123456789abcdef"]] = True
    return all(is_digit[data].all() for data in _bytes_of(texts))


def _bytes_of(texts: "pd.Series[str]") -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes that hold all texts, in blocks, perhaps with those of further texts."""
    array = pyarrow.array(texts)
    for chunk in array.chunks if isinstance(array, pyarrow.ChunkedArray) else [array]:
        data = np.frombuffer(chunk.buffers()[2] or b"", np.uint8)
        for start in range(0, len(data), _BLOCK_BYTES):
            yield data[start : start + _BLOCK_BYTES]


def _check_parts(rows: pd.DataFrame) -> None:
    _refuse_rows(
        rows, ~rows["part"].isin(["train", "test"]), 'a part is "train" or "test"', show="part"
    )
    for part in ("train", "test"):
        expected = "at least one image to train on and one to predict"
        some = bool((rows["part"] == part).any())
        expect(some, f"no image in part {part}", f"{len(rows)} rows", expected)
    ordered = rows["part"].is_monotonic_decreasing
    expect(ordered, "part train comes first, then part test", "the parts mixed")


def _check_official(rows: pd.DataFrame) -> None:
    if (rows["official"] == "").all():
        return
    test = rows["part"] == "test"
    legal = (test & (rows["official"] == "test")) | (
        ~test & rows["official"].isin(["train", "valid"])
    )
    what = 'official is "" everywhere, or else "train" or "valid" in part train and "test" in test'
    _refuse_rows(rows, ~legal, what, show="official")


def _check_ids(rows: pd.DataFrame) -> None:
    for part in ("train", "test"):
        ids = rows.loc[rows["part"] == part, "id"]
        if ids.nunique(dropna=False) == len(ids):
            continue
        _refuse_rows(
            rows.loc[ids.index], ids.duplicated(), f"an id comes twice in part {part}", show="id"
        )
    ids = rows.loc[rows["part"] == "train", "id"]
    texts = pyarrow.array(ids, pyarrow.large_string())  # whose order is that of Python
    is_ordered = bool(pc.all(pc.less_equal(texts[:-1], texts[1:]), min_count=0).as_py())
    expect(is_ordered, "part train is not in order of id", f"{ids.iloc[0]} first")


def _check_masks(rows: pd.DataFrame, card: Card) -> None:
    missing = (rows["part"] == "train") & (rows["mask"] == "")
    _refuse_rows(rows, missing, "training images without a mask", show="image")
    several = rows["mask"].str.startswith("[[")
    odd = rows["mask"].str.startswith("rle:") & ~rows["mask"].str.fullmatch(_RLE)
    what = 'an RLE mask reads "rle:row" or "rle:column" and pairs of a start (from 1) and a length'
    _refuse_rows(rows, odd, what, show="mask")
    planes = 1 if card.values else card.planes
    odd = pd.Series(
        [
            mask != "" and not _is_mask(mask, planes) if is_several else planes > 1 and mask != ""
            for mask, is_several in zip(rows["mask"], several, strict=True)
        ],
        rows.index,
        bool,
    )
    what = f"a mask is no JSON list of {planes} lists, one a class, of paths and run lengths"
    _refuse_rows(rows, odd, what, show="mask")


def _is_mask(text: str, planes: int) -> bool:
    """Return whether a text is a list, an entry a class, each a list of paths and run lengths."""
    try:
        classes = json.loads(text)
    except ValueError:
        return False
    return len(classes) == planes and all(
        isinstance(parts, list)
        and all(
            isinstance(part, str)
            and part != ""
            and (not part.startswith("rle:") or re.fullmatch(_RLE, part))
            for part in parts
        )
        for parts in classes
    )


def _check_targets(rows: pd.DataFrame, card: Card) -> None:
    train = rows["part"] == "train"
    for name in card.targets:
        values = rows[name]
        unknown = train & values.isna()
        if card.task == "multiclass":
            what = f"target {name} is unknown for training images"
            _refuse_rows(rows, unknown, what, show="image")
        elif unknown.sum() == train.sum():
            what = f"target {name} is unknown for all training images"
            _refuse_rows(rows, unknown, what, show="image")
        _refuse_rows(rows, np.isinf(values), f"target {name} is not finite", show=name)
        if card.task == "regression":
            _refuse_rows(rows, values.abs() > LARGEST, f"target {name} is beyond 1e15", show=name)
            continue
        if card.soft:
            odd = values.notna() & ~values.between(0, 1)
            _refuse_rows(rows, odd, f"target {name} is no share, 0 to 1", show=name)
            continue
        last = len(card.classes) - 1 if card.task == "multiclass" else 1
        is_legal = values.isin(range(last + 1)) if card.classes else values.between(0, 1)
        odd = values.notna() & ~is_legal  # a label may be a share, 0 to 1
        _refuse_rows(rows, odd, f"target {name} is not one of 0 to {last}", show=name)
        if card.task == "binary":  # of several labels a small sample may lack a rare one
            _check_trained(rows, name, card.label_values)
        if card.task == "multiclass":
            _check_trained(rows, name, card.classes, frozenset(card.answers))
    if card.soft:
        sums = rows[list(card.targets)].sum(axis=1, skipna=False)
        _refuse_rows(
            rows, (sums - 1).abs() > 1e-6, "the shares of the classes do not sum to 1", show="image"
        )


def _check_trained(
    rows: pd.DataFrame, target: str, labels: tuple[str, ...], answers: Collection[str] = ()
) -> None:
    """Raise for classes without a training image, unless the judge has a column for them."""
    train = rows[(rows["part"] == "train") & rows["official"].isin(["", "train"])]
    seen = set(train[target].dropna().round())
    absent = [label for number, label in enumerate(labels) if number not in seen]
    if absent := [label for label in absent if len(answers) < 2 or label not in answers]:
        raise DataError(
            f"classes of {target} without a training image: {', '.join(absent)}",
            found=f"training images of {', '.join(labels[int(n)] for n in sorted(seen))}",
            expected="at least one training image of every class",
            fix="add training images of them, or remove their rows from the other tables",
        )


def _refuse_rows(rows: pd.DataFrame, bad: "pd.Series[bool]", what: str, show: str) -> None:
    """Raise if rows are marked bad, showing what column `show` holds in the first ones."""
    if bad.any():
        some = rows[bad.to_numpy(bool)]
        raise DataError(
            f"{what}: {len(some)} of {len(rows)} rows",
            details=[
                f"{part} {id_!r}: {show} {value!r}"[:200]
                for part, id_, value in zip(some["part"], some["id"], some[show], strict=True)
            ],
        )
