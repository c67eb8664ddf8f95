"""Build the index of a competition from its raw files and its data section."""

import gc
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pandas as pd

from darkroom.errors import DataError
from darkroom.images.rle import Runs
from darkroom.index.assembly.answers import (
    named_as_answers,
    refuse_unclear_word,
    untrained_answers,
    written_as_sample,
)
from darkroom.index.assembly.class_names import class_names
from darkroom.index.assembly.counts import count_shared_files, declared_counts
from darkroom.index.assembly.gather import Gathered, gather, label_vocabulary
from darkroom.index.assembly.masks import mask_cells, refuse_masks_of_two_parts
from darkroom.index.assembly.part import Part, Tables, read_part
from darkroom.index.assembly.pictures import stems
from darkroom.index.assembly.rows import assemble_index, image_rows
from darkroom.index.assembly.sample import Sample, key_templates, read_sample
from darkroom.index.assembly.targets import (
    Targets,
    free_name,
    read_targets,
    target_labels,
    with_target_columns,
)
from darkroom.index.card import TAKEN_SUFFIX, Card
from darkroom.index.table import Index
from darkroom.params.data import Data, part_rows, target_columns
from darkroom.params.section import LABEL_KEY
from darkroom.raw.archives import Archives
from darkroom.raw.images.cells import PixelCells

Images = dict[str, tuple[Part, Gathered]]


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave the garbage collector off: it would walk millions of rows again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_no_collection()
def build_index(archives: Archives, data: Data) -> Index:
    """Return the index; every path is checked, every target read, what is left out counted.

    Raises:
        DataError: A file, table, row or cell does not fit; the message names it, what was
            expected and the nearest.
        ParamsError: Keys of the section do not fit the files.
    """
    rows = part_rows(data)
    tables: Tables = {}
    own = {"train": data.train, "valid": data.valid or data.train, "test": data.test}
    parts = {
        "train": read_part(
            archives, "train", rows["train"], own["train"].model_fields_set, tables=tables
        )
    }
    cells = parts["train"].pictures.cells
    if "valid" in rows:
        fields_set = own["valid"].model_fields_set
        parts["valid"] = read_part(
            archives, "valid", rows["valid"], fields_set, None, cells, tables
        )
    parts = _with_paths_as_ids(parts)
    parts = {
        key: _without_unknown(with_target_columns(part, data), data) for key, part in parts.items()
    }
    labels = _labels(data, parts["train"])
    sample = read_sample(archives, data, labels)
    if sample is not None and sample.labels:
        labels = sample.labels
    table = None if sample is None else sample.table
    test = read_part(
        archives, "test", rows["test"], data.test.model_fields_set, table, cells, tables
    )
    parts["test"] = with_target_columns(test, data)
    tables.clear()
    images = {key: (part, gather(part)) for key, part in parts.items()}
    if sample is not None:
        images["test"] = _in_order(*images["test"], sample)
    _check_ids(images)
    _check_files(images)
    return _assembled(archives, data, images, labels, sample)


def read_test_images(
    archives: Archives, data: Data, labels: Sequence[str], cells: PixelCells | None
) -> tuple[list[str], list[str]]:
    """Return the ids and images of the test part, as `build_index` has them, from its files alone.

    Nothing of training is read, nor any answer to a test image.

    Args:
        archives: The raw files.
        data: The section.
        labels: What {label} in a key of the sample submission may be.
        cells: The columns and shape of pixels in train, if they stand in tables.

    Raises:
        DataError: A file, table, row or cell of the part does not fit.
        ParamsError: Keys of the section do not fit the files.
    """
    sample = read_sample(archives, data, labels)
    table = None if sample is None else sample.table
    rows, fields_set = part_rows(data)["test"], data.test.model_fields_set
    part = read_part(archives, "test", rows, fields_set, table, cells)
    gathered = gather(part)
    if sample is not None:
        part, gathered = _in_order(part, gathered, sample)
    return gathered.ids, [part.images[place] for place in gathered.first]


def _assembled(
    archives: Archives, data: Data, images: Images, labels: Sequence[str], sample: Sample | None
) -> Index:
    keys = key_templates(data)
    header = tuple(data.header) if sample is None else sample.header
    masks: dict[str, list[str]] = {}
    if data.task == "segmentation":
        masks = {
            key: mask_cells(archives, part, gathered, labels, data)
            for key, (part, gathered) in images.items()
        }
        refuse_masks_of_two_parts(masks, images)
        targets = Targets(tuple(map(free_name, labels)), {})
    else:
        in_rows = labels if images["train"][0].rows.label is not None else ()
        targets = read_targets(data, images, in_rows, header[len(keys) :])
        targets = written_as_sample(data, targets, sample)
        if not any(LABEL_KEY in key for key in keys):
            refuse_unclear_word(data, targets, header[len(keys) :])
            targets = named_as_answers(data, targets, header[len(keys) :])
            if untrained := untrained_answers(targets, header[len(keys) :], sample):
                what = f"answer columns without a training image, such as {untrained[0]}"
                images["train"][0].counts[what[:200]] += len(untrained)
    header = _expanded(header, targets)
    frames = {
        key: image_rows(
            "test" if key == "test" else "train",
            ids=gathered.ids,
            images=[part.images[place] for place in gathered.first],
            masks=masks.get(key),
            groups=[part.groups[place] for place in gathered.first],
            official=key if "valid" in images else "",
            targets=_columns(targets, key),
        )
        for key, (part, gathered) in images.items()
    }
    train = [frame for key, frame in frames.items() if key != "test"]
    declared = {"train images": sum(map(len, train)), "test images": len(frames["test"])}
    declared |= declared_counts(data, images, targets, frames)
    card = _card(data, targets, header, sample, declared, images["train"][0])
    digests = {
        image: digest
        for part, _ in images.values()
        for image, digest in zip(part.pictures.images, part.pictures.digests, strict=False)
    }
    return assemble_index(archives, train, frames["test"], card, digests)


def _expanded(header: tuple[str, ...], targets: Targets) -> tuple[str, ...]:
    """Return a header with the names of all targets or classes in place of a star."""
    names = [name.removesuffix(TAKEN_SUFFIX) for name in targets.classes or targets.names]
    return tuple(each for name in header for each in (names if name == "*" else [name]))


def _columns(targets: Targets, key: str) -> pd.DataFrame | None:
    if not targets.numbers:
        return None
    return pd.DataFrame(targets.numbers[key], columns=list(targets.names), copy=False)


def _card(
    data: Data,
    targets: Targets,
    header: tuple[str, ...],
    sample: Sample | None,
    declared: dict[str, int],
    train: Part,
) -> Card:
    runs = data.runs
    values = {
        int(value): None if name is None else str(name)
        for value, name in data.values.items()
        if data.task == "segmentation"
    }
    return Card(
        task=data.task,
        targets=targets.names,
        classes=targets.classes,
        declared=declared,
        header=header,
        label_values=targets.label_values,
        metric=data.metric or "",
        weights={
            name if name in targets.classes else free_name(name): weight
            for name, weight in data.weights.items()
        },
        keys=key_templates(data),
        separator=data.separator or " ",
        runs=Runs(
            runs.order,
            runs.start,
            runs.relative,
            runs.empty,
            (runs.size[0], runs.size[1]) if runs.size else None,
        ),
        soft=targets.soft,
        values=tuple(values.items()),
        unknown=None in values.values(),
        pixels=train.pictures.cells,
        sample="" if sample is None else sample.digest,
        names=class_names(data, train, targets.classes),
    )


def _with_paths_as_ids(parts: dict[str, Part]) -> dict[str, Part]:
    """Return parts whose ids are whole paths, where they are files' names that come again."""
    by_name = {
        key: part
        for key, part in parts.items()
        if part.rows.id is None and part.ids == stems(part.images)
    }
    names = [name for part in by_name.values() for name in part.ids]
    if len(set(names)) == len(names):
        return parts
    pairs = {pair for part in by_name.values() for pair in zip(part.ids, part.images, strict=True)}
    if len({name for name, _ in pairs}) == len(pairs):
        return parts
    return parts | {key: replace(part, ids=part.images) for key, part in by_name.items()}


def _without_unknown(part: Part, data: Data) -> Part:
    """Return a part without the rows whose class is said to be unknown, and count these."""
    unknown = {str(text) for text, meaning in data.values.items() if meaning is None}
    targets = target_columns(part.rows)
    if data.task != "multiclass" or not unknown or len(targets) != 1:
        return part
    cells = part.table.column(targets[0])
    left = [place for place, cell in enumerate(cells) if cell not in unknown]
    part.counts[f"{part.key} rows of an unknown class"] += len(cells) - len(left)
    return part.select(left)


def _labels(data: Data, train: Part) -> tuple[str, ...]:
    """Return the labels that rows of training or of the submission may name."""
    if train.rows.label is not None:
        return label_vocabulary(train)
    named: Collection[object] = ()
    if data.task == "segmentation":
        named = train.rows.mask if isinstance(train.rows.mask, dict) else data.values.values()
    elif any(LABEL_KEY in key for key in key_templates(data)):
        named = target_labels(data, train)
    return tuple(dict.fromkeys(str(name) for name in named if name is not None))


def _in_order(part: Part, gathered: Gathered, sample: Sample) -> tuple[Part, Gathered]:
    """Return the test images in the order of the sample submission.

    Raises:
        DataError: The sample submission names an image that the test part does not have.
    """
    places = dict(zip(gathered.ids, gathered.places, strict=True))
    absent = [name for name in sample.ids if name not in places]
    if absent:
        raise DataError(
            f"{len(absent)} ids of the sample submission are not of data.test",
            file=sample.table.file,
            details=absent,
            found=f"ids of data.test such as {', '.join(gathered.ids[:3])}",
            expected="the same ids in both",
            fix="set data.test.id to what the submission names an image by"
            if len(absent) == len(sample.ids)
            else "see what leaves them out: data.test.table, where, or missing: skip",
        )
    if further := len(places) - len(sample.ids):
        part.counts["test images that the sample submission does not name"] += further
    return part, Gathered(list(sample.ids), [places[name] for name in sample.ids])


def _check_ids(images: Images) -> None:
    """Raise if an id or image of training comes again in the validation part."""
    if "valid" not in images:
        return
    part, gathered = images["valid"]
    trained = set(images["train"][1].ids)
    twice = [place for place in gathered.first if part.ids[place] in trained]
    if twice:
        raise DataError(
            f"{len(twice)} ids of the training table come again",
            file=part.table.file,
            row=part.table.lines[twice[0]],
            details=[part.ids[place] for place in twice],
            expected="an id once in all tables to train on",
        )
    trained = {images["train"][0].images[place] for place in images["train"][1].first}
    twice = [place for place in gathered.first if part.images[place] in trained]
    if twice:
        raise DataError(
            f"{len(twice)} images of data.valid are images of data.train, too",
            file=part.table.file,
            row=part.table.lines[twice[0]],
            details=[f"{part.ids[place]}: {part.images[place]}" for place in twice],
            expected="other images to validate on than to train on",
            fix="leave them out of one of the two by where, or by a template that says more",
        )


def _check_files(images: Images) -> None:
    """Count the training images that are test images, too, and those that share a file.

    Raises:
        DataError: A template of files matches them, which says nothing of the part.
    """
    part, gathered = images["test"]
    tested = {part.images[place] for place in gathered.first}
    for key, (part, gathered) in images.items():
        if key == "test":
            continue
        shared = [part.images[place] for place in gathered.first if part.images[place] in tested]
        if shared and part.rows.files is not None:
            raise DataError(
                f"data.{key}.files matches {len(shared)} images of data.test",
                details=shared,
                found=part.rows.files,
                expected="images to learn from alone",
                fix=f"write the folder of that part into data.{key}.files; if the parts share a "
                "folder, write table and image, so that a table names the rows",
            )
        part.counts["training images that are to be predicted, too"] += len(shared)
        what = f"{key} images that share a file with another, of no common group"
        part.counts[what] += count_shared_files(part, gathered)
