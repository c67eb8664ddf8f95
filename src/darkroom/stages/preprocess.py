"""preprocess: raw images and masks -> shards, and facts about each of them."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from darkroom.errors import DataError
from darkroom.index.table import read_index
from darkroom.params.preprocess import Preprocess
from darkroom.project import files, processes
from darkroom.raw.archives import Archives
from darkroom.stages._context import Context, require
from darkroom.store import store
from darkroom.store.preprocess import Developed, Exposure, Finish, ShardJob, develop


def run(context: Context) -> None:
    """Decode, resize and store every image and mask of a competition."""
    name, paths = context.name, context.paths
    choice: Preprocess = context.section.preprocess
    finish = Finish(choice.height, choice.width, choice.fit, choice.store, choice.quality)

    rows = read_index(paths.index, paths.card).rows
    archives = Archives(require(paths.raw, "fetch", name), paths.unpacked)
    with files.replacing_folder(paths.processed) as folder:
        jobs = list(_jobs(rows, folder, archives, finish))
        developed = _all_developed(jobs, total=len(rows), name=name)
        facts = [told.as_row() for shard in developed for told in shard.facts]
        table = pd.DataFrame(facts).to_csv(index=False, lineterminator="\n")
        files.write(folder / paths.facts.name, table)

    shutil.rmtree(paths.unpacked, ignore_errors=True)
    print(f"{name}: {len(rows)} images in {len(jobs)} shards, {choice.height} x {choice.width} px")


def _jobs(
    rows: pd.DataFrame, folder: Path, archives: Archives, finish: Finish
) -> Iterator[ShardJob]:
    """Yield a job a shard: the rows of each part in order, so many a shard."""
    for part, of_part in rows.groupby("part", sort=False):
        exposures = [
            Exposure(*row)
            for row in of_part[["id", "part", "image", "mask"]].itertuples(index=False, name=None)
        ]
        size = store.rows_per_shard(len(exposures))
        for number, start in enumerate(range(0, len(exposures), size)):
            path = folder / store.shard_name(str(part), number)
            yield ShardJob(path, archives, tuple(exposures[start : start + size]), finish)


def _all_developed(jobs: list[ShardJob], *, total: int, name: str) -> list[Developed]:
    """Return what became of every job, or raise with every fault of every image."""
    workers = min(processes.cores(), len(jobs))
    results = processes.pool(develop, jobs, workers) if workers > 1 else map(develop, jobs)
    developed = []
    with tqdm(
        total=total, desc=f"preprocess {name}", unit="img", file=sys.stderr, disable=None
    ) as bar:
        for result in results:
            developed.append(result)
            bar.update(len(result.facts) + len(result.faults))
    faults = [fault for result in developed for fault in result.faults]
    if faults:
        raise DataError(
            f"{len(faults)} of {total} images or masks are not what they must be",
            details=faults,
            fix="mend or replace these files, then run the fetch stage again",
        )
    return developed
