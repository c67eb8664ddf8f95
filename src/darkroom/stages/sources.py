"""Where raw files come from when no folder holds them: Kaggle, or a list of addresses."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from darkroom import gathering, kaggle
from darkroom.errors import ParamsError, RemoteError
from darkroom.members import MissingFileError, nearest, shown
from darkroom.params.data import Data, Url
from darkroom.remote import addresses, cache, filling, unbundling
from darkroom.remote.filling import Offer, Order
from darkroom.remote.unbundling import Bundled
from darkroom.remote.waits import again, safe_place

KAGGLE, URLS = "kaggle", "urls"

Fetched = tuple[Path, list[str]]


def fetched(data: Data, order: Order) -> Fetched:
    """Return a folder of the download cache, and the wanted names that lie in it, whole.

    Raises:
        ParamsError: The cache lies in the folder of raw files.
        RemoteError: The server refuses, can't be reached, or lacks a wanted file.
        DataError: What came as one bundle can't be taken apart.
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
    page_by = partial(again, waits=order.waits, what=filling.LIST)
    offer = Offer(
        where=kaggle.page(slug),
        folder=cache.competition(slug),
        ask=partial(kaggle.competition_files, slug, page_by),
        open=partial(kaggle.competition_file, slug),
    )
    fix = f"is {slug} the right competition? data.kaggle names it"
    try:
        return _filled(offer, order, fix)
    except filling.FolderedError as foldered:
        size = foldered.size
    everything = Bundled(
        where=offer.where,
        folder=offer.folder / cache.APART,
        size=lambda: size,
        open=kaggle.competition_bundle(slug),
    )
    return _taken_apart(everything, order, fix)


def _data_set(ref: str, order: Order) -> Fetched:
    told: list[int | None] = []
    full = cache.pinned(ref)
    if full is None:
        full, size = again(
            lambda: kaggle.dataset_version(ref), order.waits, what="the data set's version"
        )
        told.append(size)
    data_set = Bundled(
        where=f"{kaggle.page(full)}/versions/{full.rpartition('/')[2]}",
        folder=cache.dataset(full),
        size=lambda: told[0] if told else kaggle.dataset_version(full)[1],
        open=kaggle.dataset_bundle(full),
    )
    taken = _taken_apart(data_set, order, f"is {ref} the right data set? data.kaggle names it")
    if told:
        cache.pin(full)  # not before it has come whole: another version may be the mended one
    return taken


def _addresses(urls: Sequence[Url], order: Order) -> Fetched:
    by_name = {each.name: each for each in urls}
    offer = Offer(
        where=", ".join(sorted({urlsplit(each.url).hostname or "" for each in urls})),
        folder=cache.addresses([(each.name, each.url, each.sha256) for each in urls]),
        ask=lambda: dict.fromkeys(by_name),
        open=lambda name: addresses.opener(by_name[name].url),
        sha256={each.name: each.sha256 for each in urls if each.sha256},
        addresses={each.name: safe_place(each.url) for each in urls},
    )
    return _filled(offer, order, "mend data.urls: it names the files that are fetched")


def _filled(offer: Offer, order: Order, fix: str) -> Fetched:
    try:
        return offer.folder, filling.fill(offer, order)
    except MissingFileError as missing:
        raise _lacking(missing, offer.where, offer.folder, fix) from missing


def _taken_apart(bundled: Bundled, order: Order, fix: str) -> Fetched:
    try:
        return bundled.folder, unbundling.fill(bundled, order)
    except MissingFileError as missing:
        gathering.refuse_deeper(bundled.folder, missing.wanted)
        raise _lacking(missing, bundled.where, bundled.folder, fix) from missing


def _lacking(missing: MissingFileError, where: str, folder: Path, fix: str) -> RemoteError:
    listing = cache.read(folder)
    names = filling.offered(listing.sizes) if listing else []
    near = nearest(missing.wanted[0], names)
    inside = [name for name in (listing.sizes if listing else ()) if "/" in name]
    deeper = [name for name in sorted(inside) if name.rpartition("/")[2] in missing.wanted]
    if deeper:
        fix = "download all in a browser, unpack it, and set data.source to the folder of that file"
    elif near:
        fix += f"; the nearest name there is {near}"
    return RemoteError(
        f"{missing.wanted[0]} is needed, and is not there",
        file=where,
        found=f"deeper: {deeper[0]}" if deeper else shown(names),
        expected=" or ".join(missing.wanted),
        fix=fix,
    )
