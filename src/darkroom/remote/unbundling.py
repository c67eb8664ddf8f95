"""All of a data set or competition as one bundle: fetched once, taken apart, then let go."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from darkroom.remote import cache, filling, room
from darkroom.remote.bundle import Bundle
from darkroom.remote.cache import BUNDLE, Listing
from darkroom.remote.download import Opener, Remote, download
from darkroom.remote.filling import Order
from darkroom.remote.limits import plausible
from darkroom.remote.room import Need
from darkroom.remote.waits import again


@dataclass(frozen=True)
class Bundled:
    """What comes as one zip of everything: a version of a data set, or a competition.

    Attributes:
        where: Its page, for messages.
        folder: The folder of the cache that keeps it.
        size: Asks for its bytes, unpacked; None if that is not told.
        open: Opens the bundle.
        wanted: Bytes of what is wanted of it, unpacked, where that is known before it comes.
    """

    where: str
    folder: Path
    size: Callable[[], int | None]
    open: Opener
    wanted: int | None = None


def fill(bundled: Bundled, order: Order) -> list[str]:
    """Fetch and take apart what is wanted and not in the folder; return the names it has there.

    What its listing lacks is missing, and not looked for again. When it has to come anew, all
    that is wanted is taken out of it, for it may be of another day than what lies there.

    Raises:
        DataError: The bundle is damaged, or holds what is not safe. It is kept, and the message
            says that deleting it is what has it fetched anew.
        MissingFileError: It lacks a file.
        RemoteError: It can't be fetched.
        ResourceError: It does not fit on the disk; no body has been asked for.
    """
    folder = bundled.folder
    with cache.alone(folder):
        listing = cache.read(folder)
        names = [] if listing is None else _chosen(listing, order, bundled.where)
        if listing is None or _absent(folder, listing, names):
            known = None if _fetch(bundled, order) else listing
            names = _take_apart(bundled, known, order)
        else:
            filling.tell(bundled.where, folder, {}, 0)
            sizes = {name: (folder / name).stat().st_size for name in names}
            room.require([filling.to_copy(folder, order.raw, sizes)])
        (folder / BUNDLE).unlink(missing_ok=True)
        return names


def _fetch(bundled: Bundled, order: Order) -> bool:
    """Fetch the bundle if it is not here; return whether it was not."""
    folder = bundled.folder
    cache.refuse_folders(folder, [BUNDLE])
    if (folder / BUNDLE).exists():
        return False
    size = again(bundled.size, order.waits, what="the size of it all")
    if (size := plausible(size)) is None:
        size = filling.size_of(bundled.open, BUNDLE, order.waits)
    missing, most = {BUNDLE: size}, size or 0
    apart = most if bundled.wanted is None else bundled.wanted
    filling.tell(bundled.where, folder, missing, 0)
    room.require(
        [
            filling.to_fetch(folder, missing),
            Need(folder, apart, "to take it apart"),
            filling.to_copy(folder, order.raw, {BUNDLE: apart}),
        ]
    )
    with filling.bar("fetching", most, 0) as progress:
        remote = Remote(BUNDLE, bundled.open, bundled.where)
        download(remote, folder, waits=order.waits, bar=progress)
        progress.total = progress.n  # what is told is the size unpacked
    return True


def _take_apart(bundled: Bundled, known: Listing | None, order: Order) -> list[str]:
    """Take what is wanted and not there yet out of the bundle; return the names."""
    folder = bundled.folder
    with Bundle(folder / BUNDLE) as bundle:
        listing = Listing(bundle.sizes, known.kept if known else {})
        cache.write(folder, listing)
        names = _chosen(listing, order, bundled.where)
        absent = names if known is None else _absent(folder, listing, names)
        cache.refuse_folders(folder, absent)
        for name in absent:
            (folder / f"{name}.part").unlink(missing_ok=True)  # of a killed run
        wanted = {name: bundle.sizes[name] for name in names}
        most = sum(bundle.sizes[name] for name in absent)
        copies = filling.to_copy(folder, order.raw, wanted)
        room.require([Need(folder, most, "to take it apart"), copies])
        with filling.bar("taking apart", most, 0) as progress:
            bundle.split(absent, folder, progress.update)
    for name in absent:
        listing = cache.keep(folder, listing, name, folder / name)
    return names


def _chosen(listing: Listing, order: Order, where: str) -> list[str]:
    names = order.choose(filling.offered(listing.sizes))
    filling.refuse_long(names, where)
    return names


def _absent(folder: Path, listing: Listing, names: list[str]) -> list[str]:
    return [name for name in names if cache.here(folder, listing, name) != name]
