"""The judge's sample submission: header, ids, their order, and the labels or class columns."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from darkroom.errors import DataError
from darkroom.index.assembly.part import SAMPLE_ID
from darkroom.index.card import CellsDigest
from darkroom.params.data import Data, part_rows
from darkroom.params.section import ID_KEY, LABEL_KEY, is_writable
from darkroom.project.names import nearest_name
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table, read_table, refuse_rows
from darkroom.raw.templates import Template


@dataclass(frozen=True)
class Sample:
    """A sample submission.

    Attributes:
        table: One row an image, in the order of the file, with its id in `SAMPLE_ID`, and in `id`
            unless that is a column of answers, or of cells that data.test.cells takes apart, or a
            field of theirs.
        header: Of the submission.
        ids: Of the images, in the order of their first rows.
        labels: In the order of the first image's rows; () if a row is of all labels.
        digest: The `CellsDigest` of the whole file.
    """

    table: Table
    header: tuple[str, ...]
    ids: list[str]
    labels: tuple[str, ...]
    digest: str


def key_templates(data: Data) -> tuple[str, ...]:
    """Return a template for each key column of the submission."""
    return (data.row,) if isinstance(data.row, str) else tuple(data.row)


def read_sample(archives: Archives, data: Data, labels: Collection[str]) -> Sample | None:
    """Return the sample submission, if `data.like` names it.

    Args:
        archives: The raw files.
        data: The section.
        labels: What {label} in a key may be: the labels of training.

    Raises:
        DataError: A key does not fit `data.row`, names an unknown label, or comes twice; or an
            image lacks a label.
    """
    if data.like is None:
        return None
    table = read_table(archives, data.like)
    keys = key_templates(data)
    if len(table.header) <= len(keys):
        raise DataError(
            "the sample submission has no columns for answers",
            file=table.file,
            row=1,
            found=f"{len(table.header)} columns: {', '.join(table.header)}",
            expected=f"{len(keys)} for the key, as data.row says, and those of the answers",
        )
    if odd := [name for name in table.header if not is_writable(name)]:
        raise DataError(
            "a column's name is no line of text",
            file=table.file,
            row=1,
            found=repr(odd[0])[:200],
            expected="a name that the submission can repeat",
            fix="is it the right file? Check the quotes",
        )
    cells = [[row[place] for row in table.rows] for place in range(len(keys))]
    for place, column in enumerate(cells):
        what = f"column {table.header[place]} is empty"
        refuse_rows(table, [row for row, cell in enumerate(column) if not cell], what)
    is_long = any(LABEL_KEY in key for key in keys)
    ids, named = _read_keys(table, keys, cells, labels, data)
    first: dict[str, int] = {}
    for place, name in enumerate(ids):
        first.setdefault(name, place)
    order: tuple[str, ...] = ()
    if is_long:
        order = _check_pairs(table, ids, named, labels)
    elif len(first) < len(ids) and data.task != "segmentation":  # there, a row an object
        twice = [place for place, name in enumerate(ids) if first[name] != place]
        fix = f"is {table.header[0]} the column of ids? If the ids come later, write data.header "
        fix += "in place of data.like, ids first: judges find columns by their names"
        refuse_rows(table, twice, "ids that come again", expected="one row an image", fix=fix)
    header, digest = table.header, CellsDigest()
    for row in (header, *table.rows):
        digest.add(row)
    table = _with_ids(table.select(list(first.values())), list(first), data)
    return Sample(table, tuple(header), list(first), order, digest.text)


def _with_ids(table: Table, ids: list[str], data: Data) -> Table:
    """Return a table with the id of each row, for the paths of test images."""
    apart = part_rows(data)["test"].cells
    if "id" in table.header[: len(key_templates(data))] and "id" not in apart:
        # {id} of a path means the id that data.row takes from this column's cells.
        table = replace(table, header=tuple("" if name == "id" else name for name in table.header))
    taken = {*table.header}
    for column, text in apart.items():
        taken.update(Template(text).fields if column in table.header else ())
    return table.with_columns({SAMPLE_ID: ids} | ({} if "id" in taken else {"id": ids}))


def _read_keys(
    table: Table,
    keys: Sequence[str],
    cells: Sequence[list[str]],
    labels: Collection[str],
    data: Data,
) -> tuple[list[str], list[str]]:
    """Return the id and the label of each row, "" where the keys have no label."""
    # One text of all key columns, so that each field has one place: a line break parts them.
    pattern = re.compile(_pattern("\n".join(keys), labels))
    joined = ["\n".join(row) for row in zip(*cells, strict=True)]
    matches = [pattern.fullmatch(text) for text in joined]
    odd = [place for place, match in enumerate(matches) if match is None]
    if odd:
        key_text = joined[odd[0]].replace("\n", ", ")
        near = (
            nearest_name(
                key_text,
                [
                    key.replace(ID_KEY, "").replace(LABEL_KEY, each)
                    for key in keys
                    for each in labels
                ],
            )
            if labels
            else None
        )
        hint = f", {{label}} being one of {', '.join(sorted(labels))[:200]}" if labels else ""
        fix = "correct data.row, or the labels of training"
        fix += f": the nearest is {near}" if near else ""
        if labels and data.train.where:
            fix += "; or data.train.where, if it leaves out every row of that label"
        raise DataError(
            f"{len(odd)} of {len(joined)} rows whose key is not like data.row",
            file=table.file,
            row=table.lines[odd[0]],
            found=repr(key_text),
            expected=f"{', '.join(keys)}{hint}",
            fix=fix,
        )
    readings = [match.groupdict() for match in matches if match is not None]
    _refuse_two_readings(table, keys, joined, readings, labels)
    return [each["id"] for each in readings], [each.get("label") or "" for each in readings]


def _pattern(text: str, labels: Collection[str]) -> str:
    """Return the regular expression of key templates, whose label is one of `labels`."""
    choices = "|".join(
        re.escape(label) for label in sorted(labels, key=lambda each: (-len(each), each))
    )
    fields = {"id": "[^\n]+", "label": choices or "[^\n]+"}
    seen: set[str] = set()
    parts = []
    for piece in re.split(r"(\{id\}|\{label\})", text):
        name = piece[1:-1] if piece in (ID_KEY, LABEL_KEY) else ""
        if not name:
            parts.append(re.escape(piece))
        elif name in seen:
            parts.append(f"(?P={name})")
        else:
            seen.add(name)
            parts.append(f"(?P<{name}>{fields[name]})")
    return "".join(parts)


def _refuse_two_readings(
    table: Table,
    keys: Sequence[str],
    joined: Sequence[str],
    readings: Sequence[dict[str, str]],
    labels: Collection[str],
) -> None:
    """Raise if a key can be read with two labels, such as "a_b" and "b"."""
    ends = [
        (one, other)
        for one in labels
        for other in labels
        if one != other
        and any(a.endswith(b) or a.startswith(b) for a, b in ((one, other), (other, one)))
    ]
    places_of: dict[str | None, list[int]] = {}
    for place, reading in enumerate(readings):
        places_of.setdefault(reading.get("label"), []).append(place)
    for one, other in ends:
        pattern = re.compile(_pattern("\n".join(keys), [other]))
        for place in places_of.get(one, []):
            if match := pattern.fullmatch(joined[place]):
                own = readings[place]["id"]
                raise DataError(
                    "a key that can be read in two ways",
                    file=table.file,
                    row=table.lines[place],
                    found=f"id {own!r} with {one!r}, or {match['id']!r} with {other!r}",
                    expected="one reading of data.row",
                    fix="rename one of the labels in the tables",
                )


def _check_pairs(
    table: Table, ids: Sequence[str], named: Sequence[str], labels: Collection[str]
) -> tuple[str, ...]:
    """Return the labels in order, if each image has each label once."""
    pairs: dict[tuple[str, str], int] = {}
    for place, pair in enumerate(zip(ids, named, strict=True)):
        if pair in pairs:
            raise DataError(
                "an image and label come twice",
                file=table.file,
                row=table.lines[place],
                found=f"{' and '.join(pair)}, as in row {table.lines[pairs[pair]]}",
                expected="one row each",
            )
        pairs[pair] = place
    order = tuple(dict.fromkeys(named))
    if unnamed := sorted(set(labels) - set(order)):
        raise DataError(
            "labels of training that the sample submission lacks",
            file=table.file,
            found=", ".join(order)[:300],
            expected=", ".join(unnamed)[:300],
            fix="leave their rows out by data.train.where, if the judge does not count them",
        )
    if len(pairs) != len(order) * len(set(ids)):
        name, label = next(
            (name, label) for name in ids for label in order if (name, label) not in pairs
        )
        raise DataError(
            "an image lacks a label in the sample submission",
            file=table.file,
            found=f"no row of {name} and {label}",
            expected=f"{len(order)} rows an image: {', '.join(order)[:200]}",
        )
    return order
