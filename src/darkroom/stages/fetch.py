"""fetch: the source -> the raw files, as delivered, and their manifest."""

import sys
from pathlib import Path
from typing import Any

from darkroom.errors import ParamsError
from darkroom.index.formats.adapter import configure_adapter
from darkroom.params.data import KAGGLE, SAMPLE, URLS, Data
from darkroom.project import files, processes
from darkroom.project.names import MissingFileError, listing
from darkroom.raw.sample import draw_banknotes, draw_carvana, draw_celeba
from darkroom.raw.sources import folder as gathering
from darkroom.raw.sources import servers
from darkroom.raw.sources.files import Order
from darkroom.remote.retry import RetryPolicy
from darkroom.stages._context import Context

DRAWN: dict[str, Any] = {
    "carvana": draw_carvana,
    "celeba": draw_celeba,
    "banknotes": draw_banknotes,
}
SAMPLE_SEED = 2017  # the year of the Carvana challenge; another seed would be another data set


def run(context: Context, *, policy: RetryPolicy = RetryPolicy()) -> None:  # noqa: B008  (it is frozen)
    """Draw a competition's sample, or take its raw files from Kaggle, addresses or a folder."""
    paths = context.paths
    data: Data = context.section.data

    gathering.refuse_foreign(paths.raw)
    taken = None if data.source == SAMPLE else _wanted(data, paths.raw, policy)
    with files.replacing_folder(paths.raw) as folder:
        if taken is None:
            _draw(data.format, folder)
        else:
            gathering.gather(*taken, folder)
        count, size = gathering.write_manifest(folder)

    print(f"{context.name}: {count} raw files, {size / 1e6:.1f} MB, from {data.source}")


def _wanted(data: Data, raw: Path, policy: RetryPolicy) -> tuple[Path, list[str]]:
    """Return the folder that the raw files lie in, fetched if need be, and their names."""
    adapter, options = configure_adapter(data)
    if data.source in (KAGGLE, URLS):
        order = Order(lambda names: adapter.required_files(names, options), raw, policy)
        return servers.fetched(data, order)
    source = gathering.source_folder(data.source)
    gathering.refuse_overlap(source, raw)
    try:
        return source, adapter.required_files(listing(source), options)
    except MissingFileError as missing:
        gathering.refuse_deeper(source, missing.wanted)
        raise


def _draw(format: str, folder: Path) -> None:
    if format not in DRAWN:
        raise ParamsError(
            f"there is no sample of the format {format}",
            found="data.source: sample",
            expected="the folder that holds the raw files",
        )
    print(f"drawing the {format} sample", file=sys.stderr)
    DRAWN[format](folder, SAMPLE_SEED, workers=processes.cores())
