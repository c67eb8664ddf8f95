"""preprocess: raw images and masks -> shards, and facts about each of them."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from darkroom.errors import DataError
from darkroom.images.levels import levels_of
from darkroom.index.card import Card
from darkroom.index.table import Index, read_index
from darkroom.params.preprocess import Preprocess
from darkroom.project import files, processes
from darkroom.project.fingerprint import stage_fingerprint
from darkroom.project.results import note_result, share_result
from darkroom.raw.archives import Archives
from darkroom.raw.images.reader import ImageReader, plan_channels
from darkroom.raw.masks import refuse_opposite_masks
from darkroom.stages._context import Context, require
from darkroom.stages._inputs import mask_form
from darkroom.store import store
from darkroom.store.manifest import write_manifest
from darkroom.store.preprocess import PreprocessJob, ShardResult, SourceImage, preprocess_shard
from darkroom.store.shard import ShardFormat

STAGE = "preprocess"
SOURCE_COLUMNS = ["id", "part", "image", "mask", "digest", "mask_digest"]
RECORDS = ".finished"  # in the unfinished folder: the results of its complete shards


def run(context: Context) -> None:
    """Decode, resize and store every image and mask of a competition."""
    name, paths = context.name, context.paths
    choices: Preprocess = context.section.preprocess

    index = read_index(paths.index, paths.card)
    rows = index.rows
    archives = Archives(require(paths.raw, "fetch", name), paths.unpacked)
    work = _fingerprint(context, index)
    _tell_unfinished(paths.processed, work, name)
    with files.atomic_folder(paths.processed, resume=work) as folder:
        shared = share_result(STAGE, work, folder, section=name)
        if shared:
            digests = shared.digests
        else:
            jobs = list(_jobs(rows, folder, archives, choices, index.card))
            digests = _make(jobs, folder / paths.facts.name, name)
        write_manifest(folder, digests)
        shutil.rmtree(folder / RECORDS, ignore_errors=True)
    note_result(STAGE, paths.processed, work, digests)

    shutil.rmtree(paths.unpacked, ignore_errors=True)
    size = f"{choices.height} x {choices.width} px"
    origin = f", shared with {shared.section}" if shared else ""
    print(f"{name}: {len(rows)} images in {len(digests) - 1} shards, {size}{origin}")


def _make(jobs: list[PreprocessJob], table: Path, name: str) -> dict[str, str]:
    """Write the shards and the table of facts; return the sha256 of each file, by name."""
    results = _run_jobs(jobs, total=sum(len(job.rows) for job in jobs), name=name)
    refuse_opposite_masks(
        (fact.id, fact.mask_values.split("|")) for result in results for fact in result.facts
    )
    facts = pd.DataFrame([fact.as_row() for result in results for fact in result.facts])
    files.write(table, facts.to_csv(index=False, lineterminator="\n"))
    digests = {job.path.name: result.sha256 for job, result in zip(jobs, results, strict=True)}
    return digests | {table.name: files.file_sha256(table)}


def _jobs(
    rows: pd.DataFrame, folder: Path, archives: Archives, choices: Preprocess, card: Card
) -> Iterator[PreprocessJob]:
    """Yield one job a shard, over the rows of each part in order."""
    reader, masks = _reader(rows, archives, choices, card), mask_form(card)
    format = ShardFormat(
        choices.height,
        choices.width,
        choices.fit,
        choices.store,
        channels=sum(reader.channels),
        planes=masks.stored_planes,
    )
    for part, part_rows in rows.groupby("part", sort=False):
        columns = part_rows[SOURCE_COLUMNS]
        sources = [SourceImage(*row) for row in columns.itertuples(index=False, name=None)]
        size = store.rows_per_shard(len(sources))
        for number, start in enumerate(range(0, len(sources), size)):
            path = folder / store.shard_name(str(part), number)
            yield PreprocessJob(
                path,
                archives,
                tuple(sources[start : start + size]),
                format,
                choices.quality,
                folder / RECORDS / f"{path.stem}.json",
                masks=masks,
                reader=reader,
            )


def _reader(rows: pd.DataFrame, archives: Archives, choices: Preprocess, card: Card) -> ImageReader:
    """Return what reads the images, after a look at a few of them."""
    levels = levels_of(choices.levels)
    channels = plan_channels(archives, rows["image"].tolist(), levels, card.pixels)
    return ImageReader(archives, channels, levels, card.pixels)


def _fingerprint(context: Context, index: Index) -> str:
    """Return the fingerprint of the stage's result: the index has the digests of raw files.

    What else the index holds, such as targets and the metric, may differ between sections that
    share their shards.
    """
    card = index.card
    choices = context.section.preprocess.model_dump()
    form = {
        "pixels": card.pixels and asdict(card.pixels),
        "masks": [card.planes, card.value_planes],
    }
    table = index.rows[SOURCE_COLUMNS].to_csv(index=False).encode()
    digests = {"rows": hashlib.sha256(table).hexdigest()}
    return stage_fingerprint(STAGE, choices | form, [], digests)


def _tell_unfinished(folder: Path, work: str, name: str) -> None:
    """Say what becomes of the shards that an ended run left."""
    for unfinished in files.unfinished_folders(folder):
        count = len(files.matching_files(unfinished / RECORDS, "*.json"))
        if work[:16] in unfinished.name:
            print(f"{name}: goes on after {count} shards of an ended run")
        else:
            print(f"{name}: {count} shards of an ended run are dropped: it had other inputs")


def _run_jobs(jobs: list[PreprocessJob], *, total: int, name: str) -> list[ShardResult]:
    """Return the result of every job.

    Raises:
        DataError: Images or masks could not be read; the message lists all of them.
    """
    workers = min(processes.cores(), len(jobs))
    if workers > 1:
        running = processes.pool(preprocess_shard, jobs, workers)
    else:
        running = map(preprocess_shard, jobs)
    results = []
    with tqdm(total=total, desc=f"preprocess {name}", unit="img", disable=None) as bar:
        for result in running:
            results.append(result)
            bar.update(len(result.facts) + len(result.errors))
    errors = [error for result in results for error in result.errors]
    if errors:
        raise DataError(
            f"{len(errors)} of {total} images or masks cannot be used",
            details=errors,
            fix="correct or replace these files, then run the fetch stage again",
        )
    return results
