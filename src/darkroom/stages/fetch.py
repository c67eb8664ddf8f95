"""fetch: the source -> the raw files, as delivered, and their manifest."""

import os
import sys
from pathlib import Path
from typing import Any

from darkroom.params.data import KAGGLE, SAMPLE, URLS, Data
from darkroom.project import files, processes
from darkroom.project.fingerprint import import_closure, parts_fingerprint
from darkroom.project.names import MissingFileError, list_names
from darkroom.project.results import note_result, share_result
from darkroom.raw.sample import draw_banknotes, draw_carvana, draw_celeba
from darkroom.raw.sources.folder import (
    copy_files,
    raw_paths,
    refuse_foreign_files,
    refuse_nested,
    refuse_overlap,
    source_folder,
    write_manifest,
)
from darkroom.raw.sources.plan import Selection
from darkroom.raw.sources.required import required_files
from darkroom.raw.sources.servers import UrlFile, fetch_kaggle, fetch_urls
from darkroom.remote.retry import RetryPolicy
from darkroom.stages._context import Context

DRAWN: dict[str, Any] = {
    "carvana": draw_carvana,
    "celeba": draw_celeba,
    "banknotes": draw_banknotes,
}
SAMPLE_CODE = "darkroom.raw.sample"
SAMPLE_SEED = 2017  # the year of the Carvana challenge; another seed would be another data set


def run(context: Context, *, policy: RetryPolicy = RetryPolicy()) -> None:  # noqa: B008  (it is frozen)
    """Draw a competition's sample, or take its raw files from Kaggle, addresses or a folder."""
    paths = context.paths
    data: Data = context.section.data

    refuse_foreign_files(paths.raw)
    source = None if data.source == SAMPLE else _fetch_source(data, paths.raw, policy)
    work = _fingerprint(data, source)
    with files.atomic_folder(paths.raw) as folder:
        shared = share_result("fetch", work, folder, section=context.name)
        if shared is None and source is None:
            _draw(str(data.sample), folder)
        elif shared is None and source is not None:
            copy_files(*source, folder)
        digests, size = write_manifest(folder, shared.digests if shared else None)
        if sys.platform != "win32":  # which has no such call
            os.sync()  # once for all: 5,000 copies of 20 kB take 0.2 s, and 21 s one by one
    note_result("fetch", paths.raw, work, digests)

    origin = f"{data.source}, shared with {shared.section}" if shared else data.source
    print(f"{context.name}: {len(digests)} raw files, {size / 1e6:.1f} MB, from {origin}")


def _fingerprint(data: Data, source: tuple[Path, list[str]] | None) -> str:
    """Return the fingerprint of the raw files.

    Of a sample the code that draws it counts; of files their place, names, sizes and times.
    """
    if source is None:
        code = {path.name: files.file_sha256(path) for path in import_closure(SAMPLE_CODE)}
        return parts_fingerprint({"sample": data.sample, "seed": SAMPLE_SEED, "code": code})
    folder, names = source
    listed = [
        (path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)
        for path in raw_paths(folder, names)
        if path.is_file()  # else it is refused, in words, when it is copied
        for status in [path.stat()]
    ]
    return parts_fingerprint({"folder": str(folder.resolve()), "files": listed})


def _fetch_source(data: Data, raw: Path, policy: RetryPolicy) -> tuple[Path, list[str]]:
    """Return the folder that holds the raw files, after a download if needed, and their names."""
    if data.source in (KAGGLE, URLS):
        selection = Selection(lambda names: required_files(names, data), raw, policy)
        if data.source == KAGGLE and data.kaggle is not None:
            return fetch_kaggle(data.kaggle, selection)
        urls = [UrlFile(each.name, each.url, each.sha256) for each in data.urls]
        return fetch_urls(urls, selection)
    source = source_folder(data.source)
    refuse_overlap(source, raw)
    try:
        return source, required_files(list_names(source), data)
    except MissingFileError as missing:
        refuse_nested(source, missing.wanted)
        raise


def _draw(sample: str, folder: Path) -> None:
    print(f"drawing the {sample} sample", file=sys.stderr)
    DRAWN[sample](folder, SAMPLE_SEED, workers=processes.cores())
