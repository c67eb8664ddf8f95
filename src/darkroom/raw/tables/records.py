"""Tables in JSON: a list of records, or COCO's lists of images, annotations and categories.

Numbers keep the text that they have in the file. A list of plain values becomes one cell, separated
by blanks; what is nested deeper (polygons, say) is left out.

Source:
    COCO's data format, https://cocodataset.org/#format-data
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from darkroom.errors import DataError
from darkroom.raw import limits
from darkroom.raw.tables.table import Columns, Table, check_header

Record = Mapping[str, str | list[Any] | None]
"""The cells of a record by column; None for what is nested, which is no cell. A list becomes text
last, if its column is wanted: it may be an image's pixels."""

_WHOLE = re.compile(r"(-?[0-9]+)\.0+")  # pandas writes ids so, once one of a column was missing

_SHAPES = ("segmentation", "bbox", "keypoints")  # of objects, which are not our targets
_IDS = ("id", "image_id"), ("id", "category_id")  # some call an image's own id "image_id"
_LISTS = "a list of records, or COCO's images, annotations and categories"


def read_json_table(data: bytes, file: str, choice: Columns) -> Table:
    """Read a table in JSON, UTF-8, UTF-16 or else Latin-1; see `darkroom.raw.tables.read_table`.

    COCO's images are joined to their annotations, and these to their categories: one row an
    annotation, or one for an image that has none. Columns are the keys of images; those of
    annotations, `id` as annotation_id; those of categories, `name` as category_name.

    Raises:
        DataError: It is no JSON, or no list of records; an image or a category comes twice; an
            annotation is of an image or a category that is not listed; records share so few
            columns that most cells would be empty.
    """
    text, encoding = _decoded(data)
    try:
        # As text, a number keeps its digits, and an id of 5,000 of them takes no time.
        content = json.loads(text, parse_int=str, parse_float=str, parse_constant=lambda _: None)
    except ValueError as error:
        raise DataError(
            "can't be read",
            file=file,
            row=getattr(error, "lineno", None),
            found=error,
            expected="JSON",
            fix="download it again",
        ) from error
    except RecursionError as error:
        raise DataError("nested too deeply", file=file, expected=_LISTS) from error
    if isinstance(content, dict) and "images" in content:
        records = _joined(content, file)
    else:
        records = _records(content, file)
    return _table(records, file, choice, encoding, len(data))


def _decoded(data: bytes) -> tuple[str, str]:
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding), encoding.removesuffix("-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1"), "latin-1"


def _records(content: Any, file: str) -> list[Record]:
    """Return the only list of records of a file."""
    lists = {"": content}
    if isinstance(content, dict):
        lists = {name: value for name, value in content.items() if _is_records(value)}
    if len(lists) == 1 and _is_records(next(iter(lists.values()))):
        return _cells(next(iter(lists.values())))
    kind = type(content).__name__
    if isinstance(content, dict):
        kind = f"the keys {', '.join(content)[:200]}" if content else "no keys"
    raise DataError(
        f"{len(lists)} lists of records" if len(lists) > 1 else "no table in JSON",
        file=file,
        found=kind,
        expected=_LISTS,
        fix="save the list of images as a table: CSV, Parquet, or JSON that is one list of objects",
    )


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _cells(records: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return the cells of records: each value becomes text once, however often it is joined."""
    return [
        {key: value if type(value) is str else _cell(value) for key, value in record.items()}
        for record in records
    ]


def _cell(value: Any) -> str | list[Any] | None:
    """Return the text of a value, or a list of plain values; None if it is nested."""
    if value is None:
        return ""
    if isinstance(value, list):
        return None if any(isinstance(each, (list, dict)) for each in value) else value
    return None if isinstance(value, dict) else str(value)


def _text(cell: str | list[Any] | None) -> str:
    if isinstance(cell, list):
        return " ".join(["" if each is None else str(each) for each in cell])
    return cell or ""


def _joined(content: Mapping[str, Any], file: str) -> list[Record]:
    """Return COCO's images, each with its annotations and their categories."""
    lists = {}
    for name in ("images", "annotations", "categories"):
        records = content.get(name) or []
        if records and not _is_records(records):
            raise DataError(
                f"{name} is no list of records",
                file=file,
                found=type(records).__name__,
                expected=_LISTS,
            )
        lists[name] = _cells(records)
    images = _by_id(lists["images"], _IDS[0], "images", file)
    categories = _by_id(lists["categories"], _IDS[1], "categories", file)
    if not images:
        raise DataError("no images", file=file, found="an empty list", expected=_LISTS)
    taken = {key for image in images.values() for key in image}
    columns = {name: _category_columns(category) for name, category in categories.items()}
    several: dict[str, list[Record]] = {name: [] for name in images}
    for number, annotation in enumerate(lists["annotations"], 1):
        name = _id(annotation, "image_id")
        if name not in several:
            raise _unknown(file, number, "image_id", name, "images")
        several[name].append(_annotation(annotation, columns, taken, file, number))
    return [
        {**image, **annotation}
        for name, image in images.items()
        for annotation in several[name] or [{}]
    ]


def _id(record: Record, key: str) -> str:
    """Return an id of a record; a whole number has no point."""
    text = str(record.get(key))
    whole = _WHOLE.fullmatch(text) if "." in text else None
    return whole[1] if whole else text


def _by_id(
    records: Iterable[Record], keys: Sequence[str], what: str, file: str
) -> dict[str, Record]:
    """Return records by their own id."""
    by_id: dict[str, Record] = {}
    for number, record in enumerate(records, 1):
        key = next((key for key in keys if key in record), "")
        name = _id(record, key)
        if not key or name in by_id:
            raise DataError(
                f"{what} have an id twice" if key else f"one of {what} has no id",
                file=file,
                found=f"{name}, at number {number}" if key else f"number {number}: {record}",
                expected=f"{' or '.join(keys)}, each once",
            )
        by_id[name] = record
    return by_id


def _category_columns(category: Record) -> Record:
    """Return the columns of a category, its id left out: that of an annotation says it."""
    return {
        f"category_{key.removeprefix('category_')}": cell
        for key, cell in category.items()
        if key not in _IDS[1]
    }


def _annotation(
    annotation: Record, categories: Mapping[str, Record], taken: set[str], file: str, number: int
) -> Record:
    """Return the columns of an annotation and its category."""
    columns = {
        f"annotation_{key}" if key == "id" or key in taken else key: cell
        for key, cell in annotation.items()
        if key != "image_id" and key not in _SHAPES
    }
    if categories and "category_id" in annotation:
        name = _id(annotation, "category_id")
        if name not in categories:
            raise _unknown(file, number, "category_id", name, "categories")
        columns.update(categories[name])
        columns["annotation_category_id" if "category_id" in taken else "category_id"] = name
    return columns


def _unknown(file: str, number: int, key: str, name: str, what: str) -> DataError:
    return DataError(
        f"an annotation of none of {what}",
        file=file,
        found=f"{key} {name}, of annotation number {number}",
        expected=f"an id of {what}",
        fix="download it again, or remove the annotation",
    )


def _table(
    records: Sequence[Record], file: str, choice: Columns, encoding: str, size: int
) -> Table:
    keys = dict.fromkeys(key for shape in dict.fromkeys(map(tuple, records)) for key in shape)
    nested = {key for record in records for key, cell in record.items() if cell is None}
    header = tuple(key for key in keys if key not in nested)
    check_header(header, file)
    limits.refuse_empty_cells(len(records), len(header), size, file)
    places = choice.places(header)
    names = header if places is None else [header[place] for place in places]
    rows = [[_text(record.get(name)) for name in names] for record in records]
    lines = list(range(1, len(rows) + 1))
    return choice.table(
        file, header, rows, lines, encoding=encoding, no_cells=tuple(sorted(nested))
    )
