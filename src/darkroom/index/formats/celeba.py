"""CelebA: 40 attributes of aligned faces, from the official files or the Kaggle mirror.

The two tables come in several dialects. The official ones are columns of text with CRLF, a count
on the first line, and no name for the column of files; the mirror's are CSVs. Other copies have
0/1 for -1/1, no count, or another or no name for the first column. All are accepted.
"""

import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darkroom.errors import DataError
from darkroom.index.card import Card
from darkroom.index.formats.rows import assemble_index, check_same_names, files_by_name, image_rows
from darkroom.index.table import Index
from darkroom.params.data import CelebaData
from darkroom.project.names import list_names, pick_name
from darkroom.raw import tables
from darkroom.raw.archives import Archives
from darkroom.raw.tables.delimited import read_records
from darkroom.raw.tables.reading import read_bytes
from darkroom.raw.tables.text import check_text

IMAGES = "img_align_celeba"
ATTRIBUTES = "list_attr_celeba"
PARTITION = "list_eval_partition"
ATTRIBUTE_COUNT = 40

_SUFFIXES = (".csv", ".txt", ".csv.zip", ".txt.zip", ".csv.gz", ".txt.gz")
_ID_NAMES = ("", "image_id", "id", "image", "filename", "file_name", "img")
_VALUES = {"-1": 0, "0": 0, "1": 1}
_OFFICIAL = {"0": "train", "1": "valid", "2": "test"}
_COUNT = re.compile("[0-9]{1,9}")  # of images; str.isdigit() would accept "²" too
_DOWNLOAD = "download the file again"

Record = tuple[int, list[str]]


@dataclass(frozen=True)
class Attributes:
    """The table of attributes.

    Attributes:
        file: For messages.
        names: The 40 names.
        ids: One file name a row.
        values: uint8 (rows, 40), 1 where the attribute is present.
        count: The number of images that the file claims, if it does.
    """

    file: str
    names: tuple[str, ...]
    ids: list[str]
    values: np.ndarray
    count: int | None


def required_files(names: Collection[str], data: CelebaData) -> list[str]:  # noqa: ARG001
    """Return the images' container and the two tables."""
    stems = [pick_name(names, stem, suffixes=_SUFFIXES) for stem in (ATTRIBUTES, PARTITION)]
    return sorted([pick_name(names, IMAGES), *stems])


def build_index(archives: Archives, data: CelebaData) -> Index:  # noqa: ARG001
    """Return the index by the official partition: 0 trains, 1 validates, 2 is the test."""
    raw, container = archives.root, archives.find(IMAGES)
    images = files_by_name(archives, container)
    attributes = read_attributes(raw)
    file, partition = read_partition(raw)
    check_same_names(attributes.ids, partition, listed_in=attributes.file, held_in=file)
    check_same_names(attributes.ids, images, listed_in=attributes.file, held_in=container)
    codes = np.array([partition[name] for name in attributes.ids])
    frames = {}
    for code, official in _OFFICIAL.items():
        chosen = np.flatnonzero(codes == code)
        ids = [attributes.ids[place] for place in chosen]
        frames[official] = image_rows(
            "test" if official == "test" else "train",
            ids=ids,
            images=[images[name] for name in ids],
            official=official,
            targets={
                name: attributes.values[chosen, column]
                for column, name in enumerate(attributes.names)
            },
        )
    card = Card(
        task="multilabel",
        targets=attributes.names,
        declared={
            "train images": len(frames["train"]) + len(frames["valid"]),
            "test images": len(frames["test"]),
        }
        | ({} if attributes.count is None else {"images": attributes.count}),
        header=("image_id", *attributes.names),
        label_values=("-1", "1"),
    )
    return assemble_index(archives, [frames["train"], frames["valid"]], frames["test"], card)


def read_attributes(raw: Path) -> Attributes:
    """Read list_attr_celeba, .txt or .csv, in any of its dialects.

    Raises:
        DataError: It has no names, other than 40, a row of another length, a value other than
            -1 (or 0) and 1, a repeated id, or fewer rows than it declares.
    """
    file, records = _records(raw, ATTRIBUTES)
    line, cells = next(records)
    count = None
    if len(cells) == 1 and _COUNT.fullmatch(cells[0]):
        count = int(cells[0])
        line, cells = next(records, (line + 1, []))
    names = _attribute_names(file, line, cells)
    ids, lines, values, absent = [], [], [], set()
    for line, cells in records:
        tables.check_width(cells, 1 + len(names), file, line)
        try:
            values.append(bytes([_VALUES[cell] for cell in cells[1:]]))
        except KeyError as error:
            raise _bad_value(file, line, names, cells) from error
        absent |= {"0", "-1"}.intersection(cells[1:])
        ids.append(cells[0])
        lines.append(line)
    if len(absent) == 2:
        raise DataError(
            "absent is written in two ways",
            file=file,
            found="0 and -1",
            expected="one of the two",
            fix=_DOWNLOAD,
        )
    tables.check_unique(ids, lines, file)
    _check_count(file, count, len(ids))
    table = np.frombuffer(b"".join(values), np.uint8).reshape(len(ids), len(names))
    return Attributes(file, names, ids, table, count)


def read_partition(raw: Path) -> tuple[str, dict[str, str]]:
    """Return the partition's file, for messages, and "0", "1" or "2" by image.

    Raises:
        DataError: A row is not a file name and 0, 1 or 2; a file comes twice.
    """
    file, rows = _records(raw, PARTITION)
    records = list(rows)
    if records[0][1][0].lower() in _ID_NAMES:
        records = records[1:]
    for line, cells in records:
        if len(cells) != 2 or cells[1] not in _OFFICIAL:
            raise DataError(
                "not a file name and its partition",
                file=file,
                row=line,
                found=" ".join(cells)[:100],
                expected="0 (train), 1 (valid) or 2 (test) after the name: 000001.jpg 0",
                fix=_DOWNLOAD,
            )
    tables.check_unique([cells[0] for _, cells in records], [line for line, _ in records], file)
    return file, {cells[0]: cells[1] for _, cells in records}


def _records(raw: Path, stem: str) -> tuple[str, Iterator[Record]]:
    """Return a table's rows with their lines, cells separated by commas or else by blanks."""
    entry = pick_name(list_names(raw), stem, suffixes=_SUFFIXES, file=raw)
    file, data = read_bytes(Archives(raw, raw), entry)
    check_text(data, file)
    text = data.decode("utf-8-sig")
    if any("," in line for line in text.split("\n", 2)[:2]):  # the first may be a count
        rows = read_records(data, file)
        return file, ((line, [cell.strip() for cell in cells]) for line, cells in rows)
    split = ((line, row.split()) for line, row in enumerate(io.StringIO(text), 1))
    return file, ((line, cells) for line, cells in split if cells)


def _attribute_names(file: str, line: int, cells: Sequence[str]) -> tuple[str, ...]:
    names = cells[1:] if cells and cells[0].lower() in _ID_NAMES else cells
    if len(names) != ATTRIBUTE_COUNT or len(set(names)) != len(names):
        raise DataError(
            "not the line of attribute names",
            file=file,
            row=line,
            found=f"{len(set(names))} different names: {' '.join(cells)[:100]}",
            expected=f"{ATTRIBUTE_COUNT} different names, with or without one for the image",
            fix=_DOWNLOAD,
        )
    return tuple(names)


def _check_count(file: str, count: int | None, rows: int) -> None:
    """Raise if there are fewer rows than declared: the file may be cut short after a row.

    More rows than declared are accepted; the audit reports both numbers.
    """
    if rows == 0 or (count is not None and rows < count):
        raise DataError(
            "fewer rows than the file declares",
            file=file,
            found=f"{rows:,} rows",
            expected=f"{count:,} rows, as its first line says" if count else "one row an image",
            fix="download the file again; if rows were left out on purpose, correct the first line",
        )


def _bad_value(file: str, line: int, names: Sequence[str], cells: Sequence[str]) -> DataError:
    place = next(place for place, cell in enumerate(cells[1:]) if cell not in _VALUES)
    return DataError(
        f"not a value of {names[place]}",
        file=file,
        row=line,
        found=repr(cells[1 + place]),
        expected="-1 (or 0) and 1",
        fix=_DOWNLOAD,
    )
