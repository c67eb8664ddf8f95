"""fetch: the source -> the raw files, as delivered, and their manifest."""

import sys
from pathlib import Path
from typing import Any

from darkroom import executors, files, gathering
from darkroom.competitions.sample import draw_banknotes, draw_carvana, draw_celeba
from darkroom.errors import ParamsError
from darkroom.members import MissingFileError, listing
from darkroom.params.data import Data
from darkroom.stages import adapter, setting

SAMPLE = "sample"
DRAWN: dict[str, Any] = {
    "carvana": draw_carvana,
    "celeba": draw_celeba,
    "banknotes": draw_banknotes,
}
SAMPLE_SEED = 2017  # the year of the Carvana challenge; another seed would be another data set


def run(name: str) -> None:
    """Draw a competition's sample, or take its raw files from their folder."""
    here = setting.read(name)
    paths, data = here.paths, here.section.data

    gathering.refuse_foreign(paths.raw)
    with files.replacing_folder(paths.raw) as folder:
        if data.source == SAMPLE:
            _draw(data.format, folder)
        else:
            source = gathering.source_folder(data.source)
            gathering.refuse_overlap(source, paths.raw)
            _take(data, source, folder)
        count, size = gathering.write_manifest(folder)

    print(f"{name}: {count} raw files, {size / 1e6:.1f} MB, from {data.source}")


def _draw(format: str, folder: Path) -> None:
    if format not in DRAWN:
        raise ParamsError(
            f"there is no sample of the format {format}",
            found="data.source: sample",
            expected="the folder that holds the raw files",
        )
    print(f"drawing the {format} sample", file=sys.stderr)
    DRAWN[format](folder, SAMPLE_SEED, workers=executors.cores())


def _take(data: Data, source: Path, folder: Path) -> None:
    format, options = adapter.of(data)
    try:
        wanted = format.wanted(listing(source), options)
    except MissingFileError as missing:
        gathering.refuse_deeper(source, missing.wanted)
        raise
    gathering.gather(source, wanted, folder)
