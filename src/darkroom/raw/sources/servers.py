"""Fetch raw files from servers, by way of the download cache: Kaggle, or a list of addresses."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tqdm import tqdm

from darkroom.errors import ParamsError, RemoteError, ResourceError
from darkroom.project.names import MissingFileError, nearest_name, summarise_names
from darkroom.raw.sources import cache, plan
from darkroom.raw.sources.bundle import Bundle, fetch_bundle
from darkroom.raw.sources.files import FILE_LIST, FilesInFoldersError, FileSource, fetch_files
from darkroom.raw.sources.folder import refuse_nested
from darkroom.raw.sources.plan import Selection, Sizes
from darkroom.remote import https
from darkroom.remote.kaggle import api
from darkroom.remote.retry import RetryPolicy, public_address, retry

_BY_HAND = "download all in a browser, unpack it, and set data.source to it"

Fetched = tuple[Path, list[str]]
"""A folder of the cache, and the names of the selected files in it, all of them complete."""


class UrlFile(NamedTuple):
    """A file at an https address, with its sha256 if that is known."""

    name: str
    url: str
    sha256: str | None = None


def fetch_kaggle(ref: str, selection: Selection) -> Fetched:
    """Fetch files of a competition ("slug") or a data set ("owner/name[/versions/2]").

    Raises:
        ParamsError: The cache lies in the folder of raw files.
        RemoteError: Kaggle refuses, can't be reached, or lacks a file.
        DataError: A bundle can't be split, or has a file only inside a folder.
        ResourceError: The files do not fit on the disk.
    """
    _refuse_cache_within(selection.raw)
    return _fetch_dataset(ref, selection) if "/" in ref else _fetch_competition(ref, selection)


def fetch_urls(urls: Sequence[UrlFile], selection: Selection) -> Fetched:
    """Fetch files at addresses; see `fetch_kaggle` for what it raises."""
    _refuse_cache_within(selection.raw)
    by_name = {each.name: each for each in urls}
    source = FileSource(
        origin=", ".join(sorted({urlsplit(each.url).hostname or "" for each in urls})),
        folder=cache.urls_folder([(each.name, each.url, each.sha256) for each in urls]),
        list_files=lambda: dict.fromkeys(by_name),
        open=lambda name: https.opener(by_name[name].url),
        sha256={each.name: each.sha256 for each in urls if each.sha256},
        addresses={each.name: public_address(each.url) for each in urls},
    )
    fix = "correct data.urls: it names the files that are fetched"
    return _fetch_single_files(source, selection, fix)


def _refuse_cache_within(raw: Path) -> None:
    """Refuse a cache that would be removed with the raw files of an earlier run."""
    if cache.cache_root().resolve().is_relative_to(raw.resolve()):
        raise ParamsError(
            "the download cache lies in the folder of raw files, which is replaced",
            found=cache.cache_root(),
            fix="name a folder elsewhere in the environment variable DARKROOM_CACHE",
        )


def _fetch_competition(slug: str, selection: Selection) -> Fetched:
    source = FileSource(
        origin=api.page_url(slug),
        folder=cache.competition_folder(slug),
        list_files=partial(_list_files, slug, selection.policy),
        open=partial(api.competition_file_opener, slug),
    )
    fix = f"is {slug} the right competition? data.kaggle names it"
    try:
        return _fetch_single_files(source, selection, fix)
    except FilesInFoldersError as error:
        in_folders = error
    return _fetch_competition_bundle(slug, in_folders, selection)


def _fetch_competition_bundle(
    slug: str, in_folders: FilesInFoldersError, selection: Selection
) -> Fetched:
    """Fetch a competition whose files lie in folders as one archive."""
    folder = cache.competition_folder(slug)
    bundle = Bundle(
        origin=api.page_url(slug),
        folder=folder / cache.UNPACKED_FOLDER,
        request_size=lambda: in_folders.size,
        open=api.competition_bundle_opener(slug),
        wanted=in_folders.wanted,
    )
    try:
        return bundle.folder, fetch_bundle(bundle, selection)
    except MissingFileError as missing:
        raise RemoteError(
            f"Kaggle lists {missing.stem}, but the archive of all files lacks it",
            file=bundle.origin,
            found=summarise_names(plan.available_names(_listed_names(bundle.folder))),
            fix=f"delete {bundle.folder}, and run it again: the archive is then downloaded again; "
            f"if the error stays, {_BY_HAND}",
        ) from missing
    except ResourceError:
        cache.forget_sizes(folder)  # they may be out of date
        raise


def _list_files(slug: str, policy: RetryPolicy) -> Sizes:
    with tqdm(desc="listing", unit=" pages", delay=2, leave=False, disable=None) as bar:

        def retry_page(fetch_page: api.FetchPage) -> api.JsonObject:
            page = retry(fetch_page, policy, what=FILE_LIST)
            bar.update()
            return page

        return api.list_competition_files(slug, retry_page)


def _fetch_dataset(ref: str, selection: Selection) -> Fetched:
    sizes: list[int | None] = []
    full_ref = cache.pinned_version(ref)
    if full_ref is None:
        full_ref, size = retry(
            lambda: api.dataset_version(ref), selection.policy, what="the data set's version"
        )
        sizes.append(size)
    bundle = Bundle(
        origin=f"{api.page_url(full_ref)}/versions/{full_ref.rpartition('/')[2]}",
        folder=cache.dataset_folder(full_ref),
        request_size=lambda: sizes[0] if sizes else api.dataset_version(full_ref)[1],
        open=api.dataset_bundle_opener(full_ref),
    )
    try:
        names = fetch_bundle(bundle, selection)
    except MissingFileError as missing:
        refuse_nested(bundle.folder, missing.wanted)
        fix = f"is {ref} the right data set? data.kaggle names it"
        raise _missing_error(missing, bundle.origin, bundle.folder, fix) from missing
    if sizes:
        cache.pin_version(full_ref)  # only when complete: a newer version may correct this one
    return bundle.folder, names


def _fetch_single_files(source: FileSource, selection: Selection, fix: str) -> Fetched:
    try:
        return source.folder, fetch_files(source, selection)
    except MissingFileError as missing:
        raise _missing_error(missing, source.origin, source.folder, fix) from missing


def _missing_error(missing: MissingFileError, origin: str, folder: Path, fix: str) -> RemoteError:
    listed = _listed_names(folder)
    names = plan.available_names(listed)
    near = nearest_name(missing.wanted[0], names)
    nested = [name for name in listed if "/" in name and name.rpartition("/")[2] in missing.wanted]
    if plan.RESERVED_NAMES & set(missing.wanted):
        fix = f"the download cache uses that name itself: {_BY_HAND}"
    elif nested:
        fix = f"{_BY_HAND}, to the folder of that file"
    elif near:
        fix += f"; the nearest name there is {near}"
    return RemoteError(
        f"{missing.wanted[0]} is needed, and is not there",
        file=origin,
        found=f"deeper: {nested[0]}" if nested else summarise_names(names),
        expected=" or ".join(missing.wanted),
        fix=fix,
    )


def _listed_names(folder: Path) -> list[str]:
    record = cache.read_record(folder)
    return sorted(record.sizes) if record else []
