"""preprocess: raw images and masks -> shards, and facts about each of them."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from tqdm import tqdm

from darkroom.errors import DataError
from darkroom.images.levels import levels_of
from darkroom.index.card import Card
from darkroom.index.table import read_index
from darkroom.params.preprocess import Preprocess
from darkroom.project import files, processes
from darkroom.project.fingerprint import stage_fingerprint
from darkroom.project.paths import Layout
from darkroom.project.results import note_result, share_result
from darkroom.raw.archives import Archives
from darkroom.raw.images.reader import ImageReader, plan_channels
from darkroom.raw.masks import refuse_opposite_masks
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import mask_form
from darkroom.store import store
from darkroom.store.facts import Facts, join_facts
from darkroom.store.manifest import write_manifest
from darkroom.store.preprocess import SOURCE_COLUMNS, PreprocessJob, preprocess_shard
from darkroom.store.shard import ShardFormat, Texts

STAGE = "preprocess"
RECORDS = ".finished"  # in the unfinished folder: what is found in its complete shards
_ROWS_AT_ONCE = 4096


def run(context: Context) -> None:
    """Decode, resize and store every image and mask of a competition."""
    name, paths = context.name, context.paths
    choices: Preprocess = context.section.preprocess

    rows, card = _sources(paths)
    archives = Archives(require(paths.raw, "fetch", name), paths.unpacked)
    work = _fingerprint(context, rows, card)
    _tell_unfinished(paths.processed, work, name)
    with files.atomic_folder(paths.processed, resume=work) as folder:
        shared = share_result(STAGE, work, folder, section=name)
        if shared:
            digests = shared.digests
        else:
            shards = _shards(rows)
            jobs = _jobs(shards, rows, folder, archives, choices, card)
            digests = _run_jobs(shards, jobs, total=len(rows), name=name)
            facts = folder / paths.facts.name
            _join_facts([_facts(folder, shard.name) for shard in shards], facts)
            digests |= {facts.name: files.file_sha256(facts)}
        write_manifest(folder, digests)
        shutil.rmtree(folder / RECORDS, ignore_errors=True)
    note_result(STAGE, paths.processed, work, digests)

    shutil.rmtree(paths.unpacked, ignore_errors=True)
    size = f"{choices.height} x {choices.width} px"
    origin = f", shared with {shared.section}" if shared else ""
    print(f"{name}: {len(rows)} images in {len(digests) - 1} shards, {size}{origin}")


def _sources(paths: Layout) -> tuple[Any, Card]:
    """Return what leads to pixels, an Arrow table of SOURCE_COLUMNS, and the card."""
    index = read_index(paths.index, paths.card, SOURCE_COLUMNS, targets=False)
    table = pa.Table.from_pandas(index.rows[SOURCE_COLUMNS], preserve_index=False)
    return table.replace_schema_metadata(None), index.card


class _Shard(NamedTuple):
    """A shard to write: its rows are from `start` to before `end`."""

    name: str
    start: int
    end: int


def _shards(rows: Any) -> list[_Shard]:
    """Return the shards of each part, over its rows in order; of an index, part train is first."""
    shards, start = [], 0
    for part in ("train", "test"):
        end = start + (pc.sum(pc.equal(rows["part"], part)).as_py() or 0)
        size = store.rows_per_shard(end - start)
        for number, first in enumerate(range(start, end, size)):
            name = store.shard_name(part, number)
            shards.append(_Shard(name, first, min(first + size, end)))
        start = end
    return shards


def _facts(folder: Path, shard: str) -> Path:
    """Return the facts of a shard, in the unfinished folder."""
    return folder / RECORDS / Path(shard).with_suffix(".arrow").name


def _jobs(
    shards: Sequence[_Shard],
    rows: Any,
    folder: Path,
    archives: Archives,
    choices: Preprocess,
    card: Card,
) -> Iterator[PreprocessJob]:
    """Yield one job a shard, with a copy of its rows."""
    reader, masks = _reader(rows, archives, choices, card), mask_form(card)
    format = ShardFormat(
        choices.height,
        choices.width,
        choices.fit,
        choices.store,
        channels=sum(reader.channels),
        planes=masks.stored_planes,
    )
    for shard in shards:
        yield PreprocessJob(
            folder / shard.name,
            _facts(folder, shard.name),
            archives,
            rows.take(np.arange(shard.start, shard.end)),  # a slice would pickle all rows
            format,
            choices.quality,
            masks=masks,
            reader=reader,
        )


def _reader(rows: Any, archives: Archives, choices: Preprocess, card: Card) -> ImageReader:
    """Return what reads the images, after a look at a few of them."""
    levels = levels_of(choices.levels)
    channels = plan_channels(archives, Texts(rows["image"]), levels, card.pixels)
    return ImageReader(archives, channels, levels, card.pixels)


def _fingerprint(context: Context, rows: Any, card: Card) -> str:
    """Return the fingerprint of the stage's result: the index has the digests of raw files.

    What else the index holds, such as targets and the metric, may differ between sections that
    share their shards.
    """
    choices = context.section.preprocess.model_dump()
    form = {
        "pixels": card.pixels and asdict(card.pixels),
        "masks": [card.planes, card.value_planes],
    }
    sha256 = hashlib.sha256()
    for batch in rows.to_batches(max_chunksize=_ROWS_AT_ONCE):
        lines = pa.BufferOutputStream()
        pa.csv.write_csv(batch, lines, pa.csv.WriteOptions(include_header=False))
        sha256.update(lines.getvalue())
    digests = {"rows": sha256.hexdigest()}
    return stage_fingerprint(STAGE, choices | form, [], digests)


def _tell_unfinished(folder: Path, work: str, name: str) -> None:
    """Say what becomes of the shards that an ended run left."""
    for unfinished in files.unfinished_folders(folder):
        count = len(files.matching_files(unfinished / RECORDS, "*.json"))
        if work[:16] in unfinished.name:
            print(f"{name}: goes on after {count} shards of an ended run")
        else:
            print(f"{name}: {count} shards of an ended run are dropped: it had other inputs")


def _run_jobs(
    shards: Sequence[_Shard], jobs: Iterator[PreprocessJob], *, total: int, name: str
) -> dict[str, str]:
    """Write the shards and return the sha256 of each, by name.

    Raises:
        DataError: Images or masks could not be read; the message lists all of them.
    """
    workers = min(processes.cores(), len(shards))
    if workers > 1:
        running = processes.pool(preprocess_shard, jobs, workers)
    else:
        running = map(preprocess_shard, jobs)
    digests: dict[str, str] = {}
    errors: list[str] = []
    with tqdm(total=total, desc=f"preprocess {name}", unit="img", disable=None) as bar:
        for shard, result in zip(shards, running, strict=True):
            digests[shard.name] = result.sha256
            errors += result.errors
            bar.update(result.images + len(result.errors))
    if errors:
        raise DataError(
            f"{len(errors)} of {total} images or masks cannot be used",
            details=errors,
            fix="correct or replace these files, then run the fetch stage again",
        )
    return digests


def _join_facts(parts: Sequence[Path], path: Path) -> None:
    """Write the table of facts from those of each shard, unless masks contradict each other."""
    refuse_opposite_masks(
        (name, values.split("|"))
        for part in parts
        for name, values in _different_masks(Facts(part).table(["id", "mask_values"]))
    )
    join_facts(parts, path)


def _different_masks(table: Any) -> list[tuple[str, str]]:
    """Return the first id and the raw values of masks that have other ones than those before."""
    first: dict[str, str] = {}
    for batch in table.to_batches():
        for name, values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            first.setdefault(values, name)
    return [(name, values) for values, name in first.items()]
