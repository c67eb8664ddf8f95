"""Tiny synthetic stores: discs with masks, and images whose colour is their class."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom.store.loader import Loader, loader
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard

SIDE = 32
COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))


def discs(folder: Path, count: int, *, side: int = SIDE) -> Store:
    """Return a store of bright discs on dark noise, and their masks."""
    rng = np.random.default_rng(1)
    ys, xs = np.mgrid[:side, :side]
    rows = []
    for i in range(count):
        (y, x), radius = rng.uniform(side * 0.3, side * 0.7, 2), rng.uniform(side / 8, side / 4)
        mask = ((ys - y) ** 2 + (xs - x) ** 2 < radius**2).astype(np.uint8)
        noise = rng.integers(0, 90, (side, side, 3))
        rows.append((noise + mask[..., None] * 120, mask))
        assert mask.any(), i
    return _store(folder, rows)


def colours(folder: Path, count: int, *, side: int = SIDE) -> Store:
    """Return a store of noisy pictures of class `row % 3`, by colour, without masks."""
    rng = np.random.default_rng(2)
    noise = rng.integers(-50, 50, (count, side, side, 3))
    return _store(folder, [(COLOURS[i % 3] + noise[i], None) for i in range(count)])


def batches(store: Store, targets: NDArray[Any] | None = None, **options: Any) -> Loader:
    """Return a loader of the whole store, by default in batches of four, in order."""
    rows = options.pop("rows", range(len(store)))
    masks = targets is None and bool(store.has_mask.all())
    defaults = {"masks": masks, "batch_size": 4, "seed": None}
    return loader(store, rows, targets, **(defaults | options))


def _store(folder: Path, pictures: list[tuple[NDArray[Any], NDArray[np.uint8] | None]]) -> Store:
    folder.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0][0].shape[:2]
    rows = [
        StoredImage(
            id=f"{i:03d}",
            image=pack_image(image.astype(np.uint8), "raw", 95),
            mask=pack_mask(mask),
            height=height,
            width=width,
        )
        for i, (image, mask) in enumerate(pictures)
    ]
    path = folder / shard_name("train", 0)
    write_shard(path, rows, ShardFormat(height, width, "stretch", "raw"))
    return Store(folder, "train")
