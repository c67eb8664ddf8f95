"""Any data set described by a table: columns by name or position, paths by template.

A path template contains `{}` once, where the cell goes: "train.zip/train/{}.png". A mask is a file,
or run lengths in a column; a row with run lengths left empty (or -1, as some judges write it)
has an empty mask, a row with a mask's name left empty has none.
"""

import fnmatch
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from darkroom.errors import DataError, ParamsError, one_line
from darkroom.index.card import TAKEN_SUFFIX, Card, Runs
from darkroom.index.formats import labels, templates
from darkroom.index.formats.labels import TargetCells
from darkroom.index.formats.rows import assemble_index, image_rows
from darkroom.index.table import COLUMNS, Index
from darkroom.params.data import CsvData, CsvTable
from darkroom.project.names import pick_name, summarise_names
from darkroom.raw import tables
from darkroom.raw.archives import Archives
from darkroom.raw.tables import Table

# Later tables add the fold and the facts of each image to the index's columns.
RESERVED_NAMES = (
    *COLUMNS,
    "fold",
    *("height", "width", "format", "mode", "bytes", "exif", "raw_low", "raw_high", "peak"),
    *("mask_pixels", "mask_values", "stored_mask_digest", "thumb"),
)

_RUNS = re.compile(r"([1-9][0-9]* [1-9][0-9]*)?( [1-9][0-9]* [1-9][0-9]*)*")


@dataclass(frozen=True)
class _TableContents:
    """The contents of a section's table: ids, paths of images and masks, groups, targets."""

    section: CsvTable
    table: Table
    ids: list[str]
    images: list[str]
    masks: list[str]
    groups: list[str]
    targets: list[list[str]]


def required_files(names: Collection[str], data: CsvData) -> list[str]:
    """Return the tables and the containers that the path templates begin with.

    All names, if a template leaves the container to the cells.
    """
    needed: set[str | None] = set()
    for key, section in _sections(data).items():
        needed.add(
            pick_name(names, section.table, suffixes=tables.SUFFIXES, key=f"data.{key}.table")
        )
        for path, template in _templates(section).items():
            needed.add(templates.template_container(names, f"data.{key}.{path}", template))
    return sorted(names) if None in needed else sorted(filter(None, needed))


def build_index(archives: Archives, data: CsvData) -> Index:
    """Return the index of what the tables list; every path is checked, every target read."""
    sections = _sections(data)
    contents = {key: _read_table(archives, key, section, data) for key, section in sections.items()}
    _check_ids([content for key, content in contents.items() if key != "test"])
    names = _target_names(contents["train"])
    for key, content in contents.items():
        _check_order(key, _target_names(content), names)
    cells = {
        key: TargetCells(p.table, p.targets, complete=key != "test") for key, p in contents.items()
    }
    coded = labels.encode_targets(data.task, names, cells)
    frames = {
        key: image_rows(
            "test" if key == "test" else "train",
            ids=content.ids,
            images=content.images,
            masks=content.masks,
            groups=content.groups,
            official=key if "valid" in contents else "",
            targets=dict(zip(names, coded.numbers[key], strict=True)),
        )
        for key, content in contents.items()
    }
    train = [frame for key, frame in frames.items() if key != "test"]
    card = Card(
        task=data.task,
        targets=names,
        classes=coded.classes,
        declared={"train images": sum(map(len, train)), "test images": len(frames["test"])},
        header=tuple(data.header),
        runs=Runs(data.rle_order),
        label_values=coded.label_values,
    )
    return assemble_index(archives, train, frames["test"], card)


def _sections(data: CsvData) -> dict[str, CsvTable]:
    """Return the sections that are set, checked against the task and each other."""
    optional = {"train": data.train, "valid": data.valid, "test": data.test}
    sections = {key: section for key, section in optional.items() if section is not None}
    for key, section in sections.items():
        _check_section(key, section, data.task)
    _check_widths(sections)
    return sections


def _templates(section: CsvTable) -> dict[str, str]:
    images = {"image_path": section.image_path}
    return images if section.mask is None else images | {"mask_path": section.mask_path}


def _check_section(key: str, section: CsvTable, task: str) -> None:
    """Raise if a section does not fit the task, before anything is read."""
    templates.check_table_name(f"data.{key}.table", section.table)
    for path, template in _templates(section).items():
        templates.check_template(f"data.{key}.{path}", template)
    masks = [name for name in ("mask", "rle") if getattr(section, name) is not None]
    columns = ", ".join([*masks, *map(str, section.targets)]) or "nothing"
    if task == "segmentation":
        legal = not section.targets and len(masks) in ((0, 1) if key == "test" else (1,))
        expected = "one of the keys mask and rle, and no targets"
    else:
        legal = not masks and (bool(section.targets) or key == "test")
        expected = "the key targets, and neither mask nor rle"
    if not legal:
        what = f"data.{key} does not fit the task {task}"
        raise ParamsError(what, found=columns, expected=expected)


def _check_widths(sections: dict[str, CsvTable]) -> None:
    """Raise if tables name more or fewer targets than the training table."""
    width = len(sections["train"].targets)
    for key, section in sections.items():
        if len(section.targets) not in ((0, width) if key == "test" else (width,)):
            raise ParamsError(
                f"data.{key}.targets has other targets than data.train.targets",
                found=f"{len(section.targets)}: {', '.join(map(str, section.targets))}",
                expected=f"{width}" + (", or none" if key == "test" else ""),
            )


def _read_table(archives: Archives, key: str, section: CsvTable, data: CsvData) -> _TableContents:
    table = tables.read_table(archives, section.table, delimiter=data.delimiter)
    if data.leave_out:
        table = _without_rows(table, section.image, data.leave_out, key)
    # With ids of their own, several rows may be of one image.
    cells = (table.unique_names if section.id is None else table.names)(section.image)
    if isinstance(section.image, int):
        templates.check_header(archives, table, section.image, section.image_path)
    images = templates.fill_template(table, cells, section.image_path, "image")
    templates.check_files_exist(archives, table, images, "image")
    return _TableContents(
        section,
        table,
        ids=cells if section.id is None else table.unique_names(section.id),
        images=images,
        masks=_masks(archives, section, table),
        groups=[""] * len(cells) if section.group is None else table.column(section.group),
        targets=[table.column(column) for column in section.targets],
    )


def _without_rows(table: Table, image: int | str, patterns: Sequence[str], key: str) -> Table:
    """Return a table without the rows whose image is like a pattern, and print how many those are.

    The pattern is of the whole cell or, where it has folders, of the file's name.
    """
    wanted = re.compile("|".join(f"(?:{fnmatch.translate(pattern)})" for pattern in patterns))
    cells = table.column(image)
    out = [
        bool(wanted.fullmatch(cell) or wanted.fullmatch(cell.rsplit("/", 1)[-1])) for cell in cells
    ]
    if all(out):
        raise ParamsError(
            f"data.leave_out leaves no row of data.{key}.table",
            found=", ".join(patterns),
            expected="patterns of files that are no images, such as .DS_Store",
        )
    examples = sorted({cell for cell, leaves in zip(cells, out, strict=True) if leaves})
    named = f": {one_line(summarise_names(examples))}" if examples else ""
    print(f"data.{key}.table: {sum(out)} of {len(out)} rows left out{named}", file=sys.stderr)
    return replace(
        table,
        rows=[row for row, leaves in zip(table.rows, out, strict=True) if not leaves],
        lines=[line for line, leaves in zip(table.lines, out, strict=True) if not leaves],
    )


def _masks(archives: Archives, section: CsvTable, table: Table) -> list[str]:
    """Return each row's mask: a path, run lengths, or nothing."""
    if section.rle is not None:
        runs = ["" if cell in ("", "-1") else cell.strip() for cell in table.column(section.rle)]
        odd = [place for place, run in enumerate(runs) if not _RUNS.fullmatch(run)]
        expected = "pairs of a start (from 1) and a length, separated by one blank: 1 3 10 2"
        tables.refuse_rows(table, odd, "run lengths that can't be read", expected=expected)
        return [f"rle:{section.rle_order} {run}".rstrip() for run in runs]
    if section.mask is None:
        return [""] * len(table.rows)
    masks = templates.fill_template(table, table.column(section.mask), section.mask_path, "mask")
    templates.check_files_exist(archives, table, masks, "mask")
    return masks


def _check_ids(contents: Sequence[_TableContents]) -> None:
    """Raise if an id of the training table comes again in the validation table."""
    seen: set[str] = set()
    for content in contents:
        if twice := sorted(seen.intersection(content.ids)):
            raise DataError(
                f"{len(twice)} ids of the training table come again",
                file=content.table.file,
                row=content.table.lines[content.ids.index(twice[0])],
                details=twice,
                expected="an id once in all tables to train on",
            )
        seen.update(content.ids)


def _target_names(content: _TableContents) -> tuple[str, ...]:
    """Return the targets' names: their headers, with a suffix where the name is reserved."""
    names = []
    for column in content.section.targets:
        place = content.table.position(column)
        name = content.table.header[place] or f"column_{place}"
        names.append(f"{name}{TAKEN_SUFFIX}" if name in RESERVED_NAMES else name)
    return tuple(names)


def _check_order(key: str, names: Sequence[str], train: Sequence[str]) -> None:
    """Raise if a table's targets are those of the training table, but at other positions.

    Targets are matched by position, since a table may name them otherwise.
    """
    moved = [name for name, other in zip(names, train, strict=False) if name != other]
    if set(moved) & set(train):
        raise ParamsError(
            f"data.{key}.targets are in another order than data.train.targets",
            found=", ".join(names),
            expected=", ".join(train),
            fix="list the same columns in the same order",
        )
