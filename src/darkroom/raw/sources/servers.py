"""Where raw files come from when no folder holds them: Kaggle, or a list of addresses."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from darkroom.errors import ParamsError, RemoteError, ResourceError
from darkroom.params.data import KAGGLE, Data, Url
from darkroom.project.names import MissingFileError, nearest, shown
from darkroom.raw.sources import bundle, cache, files
from darkroom.raw.sources import folder as gathering
from darkroom.raw.sources.bundle import Bundled
from darkroom.raw.sources.files import FolderedError, Offer, Order, Sizes
from darkroom.remote import https
from darkroom.remote.kaggle import api
from darkroom.remote.retry import RetryPolicy, public_address, retry

_BROWSER = "download all in a browser, unpack it, and set data.source to it"

Fetched = tuple[Path, list[str]]


def fetched(data: Data, order: Order) -> Fetched:
    """Return a folder of the download cache, and the wanted names that lie in it, whole.

    Raises:
        ParamsError: The cache lies in the folder of raw files.
        RemoteError: The server refuses, can't be reached, or lacks a wanted file.
        DataError: What came as one bundle can't be taken apart, or holds a wanted file deeper.
        ResourceError: The disk has no room for it.
    """
    _refuse_cache_within(order.raw)
    if data.source == KAGGLE and data.kaggle is not None:
        ref = data.kaggle
        return _data_set(ref, order) if "/" in ref else _competition(ref, order)
    return _addresses(data.urls, order)


def _refuse_cache_within(raw: Path) -> None:
    """Refuse a cache that would be thrown away with the raw files of an earlier run."""
    if cache.root().resolve().is_relative_to(raw.resolve()):
        raise ParamsError(
            "the download cache lies in the folder of raw files, which is replaced",
            found=cache.root(),
            fix="name a folder elsewhere in the environment variable DARKROOM_CACHE",
        )


def _competition(slug: str, order: Order) -> Fetched:
    offer = Offer(
        where=api.page_url(slug),
        folder=cache.competition(slug),
        ask=partial(_listed, slug, order.policy),
        open=partial(api.competition_file_opener, slug),
    )
    try:
        return _filled(offer, order, f"is {slug} the right competition? data.kaggle names it")
    except FolderedError as error:
        foldered = error
    return _everything(slug, foldered, order)


def _everything(slug: str, foldered: FolderedError, order: Order) -> Fetched:
    """Fetch a competition whose files lie in folders as one archive."""
    folder = cache.competition(slug)
    everything = Bundled(
        where=api.page_url(slug),
        folder=folder / cache.APART,
        size=lambda: foldered.size,
        open=api.competition_bundle_opener(slug),
        wanted=foldered.wanted,
    )
    try:
        return everything.folder, bundle.fill(everything, order)
    except MissingFileError as missing:
        raise RemoteError(
            f"Kaggle lists {missing.wanted[0]}, and the archive of all files lacks it",
            file=everything.where,
            found=shown(files.offered(_names(everything.folder))),
            fix=f"delete {everything.folder}, and run it again: the archive is fetched anew; if it "
            f"stays so, {_BROWSER}",
        ) from missing
    except ResourceError:
        files.doubt(folder)  # its sizes may be old
        raise


def _listed(slug: str, policy: RetryPolicy) -> Sizes:
    with tqdm(desc="listing", unit=" pages", delay=2, leave=False, disable=None) as bar:

        def page_by(ask: api.FetchPage) -> api.JsonObject:
            told = retry(ask, policy, what=files.LIST)
            bar.update()
            return told

        return api.list_competition_files(slug, page_by)


def _data_set(ref: str, order: Order) -> Fetched:
    told: list[int | None] = []
    full = cache.pinned(ref)
    if full is None:
        full, size = retry(
            lambda: api.dataset_version(ref), order.policy, what="the data set's version"
        )
        told.append(size)
    data_set = Bundled(
        where=f"{api.page_url(full)}/versions/{full.rpartition('/')[2]}",
        folder=cache.dataset(full),
        size=lambda: told[0] if told else api.dataset_version(full)[1],
        open=api.dataset_bundle_opener(full),
    )
    try:
        names = bundle.fill(data_set, order)
    except MissingFileError as missing:
        gathering.refuse_deeper(data_set.folder, missing.wanted)
        fix = f"is {ref} the right data set? data.kaggle names it"
        raise _lacking(missing, data_set.where, data_set.folder, fix) from missing
    if told:
        cache.pin(full)  # not before it has come whole: another version may be the mended one
    return data_set.folder, names


def _addresses(urls: Sequence[Url], order: Order) -> Fetched:
    by_name = {each.name: each for each in urls}
    offer = Offer(
        where=", ".join(sorted({urlsplit(each.url).hostname or "" for each in urls})),
        folder=cache.addresses([(each.name, each.url, each.sha256) for each in urls]),
        ask=lambda: dict.fromkeys(by_name),
        open=lambda name: https.opener(by_name[name].url),
        sha256={each.name: each.sha256 for each in urls if each.sha256},
        addresses={each.name: public_address(each.url) for each in urls},
    )
    return _filled(offer, order, "mend data.urls: it names the files that are fetched")


def _filled(offer: Offer, order: Order, fix: str) -> Fetched:
    try:
        return offer.folder, files.fill(offer, order)
    except MissingFileError as missing:
        raise _lacking(missing, offer.where, offer.folder, fix) from missing


def _lacking(missing: MissingFileError, where: str, folder: Path, fix: str) -> RemoteError:
    listed = _names(folder)
    names = files.offered(listed)
    near = nearest(missing.wanted[0], names)
    inside = [name for name in listed if "/" in name]
    deeper = [name for name in inside if name.rpartition("/")[2] in missing.wanted]
    if files.RESERVED & set(missing.wanted):
        fix = f"the download cache keeps that name for itself: {_BROWSER}"
    elif deeper:
        fix = f"{_BROWSER}, to the folder of that file"
    elif near:
        fix += f"; the nearest name there is {near}"
    return RemoteError(
        f"{missing.wanted[0]} is needed, and is not there",
        file=where,
        found=f"deeper: {deeper[0]}" if deeper else shown(names),
        expected=" or ".join(missing.wanted),
        fix=fix,
    )


def _names(folder: Path) -> list[str]:
    listing = cache.read(folder)
    return sorted(listing.sizes) if listing else []
