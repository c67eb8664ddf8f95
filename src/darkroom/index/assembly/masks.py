"""The mask of each image: files, run lengths, one class or several, one part or several."""

import json
from collections.abc import Mapping, Sequence

from darkroom.errors import DataError, one_line
from darkroom.images.rle import Runs, normalise
from darkroom.index.assembly.gather import Gathered, label_cells
from darkroom.index.assembly.part import Part
from darkroom.index.assembly.pictures import nearest_file, path_template
from darkroom.params.data import Data, RunLengths
from darkroom.raw.archives import Archives
from darkroom.raw.masks import RLE_PREFIX
from darkroom.raw.tables import Table, refuse_rows
from darkroom.raw.templates import Template

EMPTY = ("", "-1", "-", "1 0")  # as judges write an empty mask


def mask_cells(
    archives: Archives, part: Part, gathered: Gathered, classes: Sequence[str], data: Data
) -> list[str]:
    """Return the mask of each image as the index holds it, "" where the part has none.

    Args:
        archives: The raw files.
        part: Its rows.
        gathered: Its images.
        classes: The mask classes in order; () for one.
        data: The section.

    Raises:
        DataError: A mask is not there, a cell is no run lengths, or names an unknown class.
    """
    rows = part.rows
    if rows.mask is None and rows.rle is None:
        return ["" for _ in gathered.ids]
    if isinstance(rows.mask, dict):
        return _files_by_class(archives, part, gathered, rows.mask, classes)
    if rows.rle is not None:
        texts = _run_lengths(part, rows.rle, rows.runs or data.runs)
        order = (rows.runs or data.runs).order
        cells = [[f"{RLE_PREFIX}{order} {text}".rstrip()] if text else [] for text in texts]
        empty = f"{RLE_PREFIX}{order}"
    else:
        cells = _mask_files(archives, part, str(rows.mask))
        empty = ""
    if rows.label is not None and classes:
        return _by_class(part, gathered, cells, classes)
    parts = [_united(part, cells, several) for several in gathered.places]
    if rows.rle is None and "*" in str(rows.mask) and not any(parts):
        raise DataError("no file is like the masks", found=rows.mask, expected="one or more")
    several = rows.mask is not None and "*" in rows.mask
    if several:
        part.counts[f"{part.key} masks that are not there"] += parts.count([])
    return [
        _json([each]) if len(each) > 1 or (several and not each) else (each[0] if each else empty)
        for each in parts
    ]


def _json(parts: Sequence[Sequence[str]]) -> str:
    return json.dumps(parts, ensure_ascii=False)


def _run_lengths(part: Part, column: int | str, runs: RunLengths) -> list[str]:
    """Return each row's run lengths, absolute from 1, "" for an empty mask."""
    dialect = Runs(runs.order, runs.start, runs.relative, runs.empty)
    texts, faults = [], []
    for place, cell in enumerate(part.table.column(column, f"data.{part.key}.rle")):
        try:
            texts.append("" if cell.strip() in EMPTY else normalise(cell.strip(), dialect))
        except DataError as error:
            texts.append("")
            faults.append((place, error))
    if faults:
        refuse_rows(
            part.table,
            [place for place, _ in faults],
            f"run lengths that can't be read: {one_line(faults[0][1])}",
            expected=f"pairs of a start (from {runs.start}) and a length: 1 3 10 2",
            fix="if they are written in another way, say so in data.runs (order, start, relative, "
            "empty)",
        )
    return texts


def _mask_files(archives: Archives, part: Part, text: str) -> list[list[str]]:
    """Return the files of each row's mask; [] for a row whose cell is empty."""
    key = f"data.{part.key}.mask"
    template = path_template(text, key, part.table)
    table = _with_id(part, template)
    wanted = template.fill_paths(table)
    if "*" in text:
        files = template.files(archives, wanted)
        _refuse_shared(part, table, files)
        _refuse_left_out(archives, part, template, wanted, files)
        return files
    paths = template.resolve(archives, wanted)
    absent = [place for place, path in enumerate(wanted) if path and not paths[place]]
    if absent:
        raise DataError(
            f"{len(absent)} rows without their mask",
            file=table.file,
            row=table.lines[absent[0]],
            details=[f"row {table.lines[place]}: {wanted[place]}" for place in absent],
            found=nearest_file(archives, wanted[absent[0]]),
            expected="a file at each mask's path",
            fix=f"correct {key} or the table; if an empty mask has no file, end it in .* for "
            "any suffix: such masks are counted",
        )
    return [[path] if path else [] for path in paths]


def _refuse_shared(part: Part, table: Table, files: Sequence[list[str]]) -> None:
    """Raise if a star takes one file for the masks of two images: 1_*.png is 1_2_a.png too."""
    owners: dict[str, int] = {}
    for place, several in enumerate(files):
        for file in several:
            other = owners.setdefault(file, place)
            if part.ids[other] != part.ids[place]:
                raise DataError(
                    "a mask of two images",
                    file=file,
                    found=f"{part.ids[other]} (row {table.lines[other]}) and {part.ids[place]} "
                    f"(row {table.lines[place]})",
                    expected="files of one image each",
                    fix=f"write more of the name into data.{part.key}.mask, so that * is less",
                )


def _refuse_left_out(
    archives: Archives,
    part: Part,
    template: Template,
    wanted: Sequence[str],
    files: Sequence[list[str]],
) -> None:
    """Raise if a star takes a file for a mask that is of a row which `where` leaves out."""
    others = part.left_out
    columns = {*others.header, *map(str, range(len(others.header)))}
    if not template.has_star or not others.rows or not {*template.fields} <= columns:
        return
    paths = sorted({*template.fill_paths(others)} - {*wanted})
    owners = {
        file: path
        for path, several in zip(paths, template.files(archives, paths), strict=True)
        for file in several
    }
    for place, several in enumerate(files):
        if taken := [file for file in several if file in owners]:
            raise DataError(
                "a mask of two images",
                file=taken[0],
                found=f"{part.ids[place]}, and a row that where leaves out: {owners[taken[0]]}",
                expected="files of one image each",
                fix=f"write more of the name into data.{part.key}.mask, so that * is less",
            )


def refuse_masks_of_two_parts(
    masks: Mapping[str, Sequence[str]], parts: Mapping[str, tuple[Part, Gathered]]
) -> None:
    """Raise if a star takes one file for masks of two parts, such as train and valid."""
    owners: dict[str, tuple[str, str]] = {}
    for key, (part, gathered) in parts.items():
        texts = part.rows.mask
        if "*" not in "".join(texts.values() if isinstance(texts, dict) else [texts or ""]):
            continue
        for image, cell in zip(gathered.ids, masks[key], strict=True):
            several = json.loads(cell) if cell.startswith("[[") else [[cell] if cell else []]
            for file in (file for each in several for file in each):
                other = owners.setdefault(file, (key, image))
                if other[0] != key:
                    raise DataError(
                        "a mask of images of two parts",
                        file=file,
                        found=f"{other[1]} of data.{other[0]}, and {image} of data.{key}",
                        expected="files of one image each",
                        fix=f"write more of the name into data.{key}.mask, so that * is less",
                    )


def _with_id(part: Part, template: Template) -> Table:
    """Return the part's table, with the ids as a column where a template needs them."""
    if "id" in template.fields and "id" not in part.table.header:
        return part.table.with_columns({"id": part.ids})
    return part.table


def _files_by_class(
    archives: Archives,
    part: Part,
    gathered: Gathered,
    masks: dict[str, str],
    classes: Sequence[str],
) -> list[str]:
    """Return masks of a file a class; a file that is not there is an empty mask, and counted."""
    if set(masks) != set(classes):
        raise DataError(
            f"data.{part.key}.mask names other classes than the training masks",
            found=", ".join(masks),
            expected=", ".join(classes) or "one template, as there is one class",
        )
    first = part.select([several[0] for several in gathered.places])
    by_class = []
    for name in classes:
        template = path_template(masks[name], f"data.{part.key}.mask.{name}", part.table)
        table = _with_id(first, template)
        files = template.files(archives, template.fill_paths(table))
        _refuse_shared(first, table, files)
        _refuse_left_out(archives, first, template, template.fill_paths(table), files)
        if not any(files):
            raise DataError(
                f"no file is like data.{part.key}.mask.{name}",
                found=masks[name],
                expected="one file or more",
                fix="correct the template",
            )
        part.counts[f"{part.key} masks that are not there"] += sum(not each for each in files)
        by_class.append(files)
    return [_json(list(each)) for each in zip(*by_class, strict=True)]


def _by_class(
    part: Part, gathered: Gathered, cells: Sequence[list[str]], classes: Sequence[str]
) -> list[str]:
    """Return masks of several classes from rows of an image and a class."""
    labels = label_cells(part, classes)
    numbers = {name: number for number, name in enumerate(classes)}
    masks = []
    for several in gathered.places:
        rows_of: list[list[int]] = [[] for _ in classes]
        for place in several:
            if place not in part.blank:
                rows_of[numbers[labels[place]]].append(place)
        part.counts[f"{part.key} images and labels without a row"] += rows_of.count([])
        masks.append(_json([_united(part, cells, places) for places in rows_of]))
    return masks


def _united(part: Part, cells: Sequence[list[str]], places: Sequence[int]) -> list[str]:
    """Return the parts of one mask from its rows; rows that repeat each other are taken once."""
    parts = list(dict.fromkeys(each for place in places for each in cells[place]))
    total = sum(len(cells[place]) for place in places)
    if total > len(parts):
        part.counts[f"{part.key} rows that repeat another"] += total - len(parts)
    empty = [place for place in places if not cells[place]]
    if parts and empty:
        refuse_rows(
            part.table,
            empty,
            "an empty mask beside other rows of the same mask",
            expected="one row of an empty mask, or rows of its parts",
        )
    return parts
