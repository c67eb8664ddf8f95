"""A store with some rows of another behind its own: test images that are trained on, say."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels
from darkroom.store.shard import Shard, remake
from darkroom.store.store import Store


class ExtendedStore(Store):
    """The rows of a store, then chosen rows of another of the same format.

    Args:
        first: Whose rows keep their numbers.
        second: Whose images follow.
        rows: The numbers of those in `second`.
        masks: A shard of masks alone, one for each of `rows`, in their order; None: without masks.

    Attributes:
        digests: Those of both stores.

    Raises:
        ArtifactError: The stores differ in format, or the masks are damaged or of other images.
    """

    def __init__(
        self, first: Store, second: Store, rows: Sequence[int], masks: Path | None = None
    ) -> None:
        self._parts = (first, second, list(rows), masks)
        if first.format != second.format:
            raise ArtifactError(
                f"the images of {second.part} are stored in another format than those of "
                f"{first.part}",
                file=first.folder,
                found=second.format,
                expected=first.format,
                fix=remake(first.folder),
            )
        self.folder, self.part, self.paths = first.folder, first.part, first.paths
        self.digests = first.digests | second.digests
        self.format = first.format
        self.height, self.width, self.fit = first.height, first.width, first.fit
        self.channels, self.planes = first.channels, first.planes
        added = [second.ids[row] for row in rows]
        self.ids = [*first.ids, *added]
        self.originals = np.concatenate([first.originals, second.originals[list(rows)]])
        self._images = [*first._images, *(second._images[row] for row in rows)]
        no_mask = np.empty(0, np.uint8)
        of_added = [no_mask] * len(added) if masks is None else _read_masks(masks, first, added)
        self._masks = [*first._masks, *of_added]
        self.has_mask = np.array([view.size > 0 for view in self._masks], dtype=bool)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return ExtendedStore, self._parts


def _read_masks(path: Path, first: Store, ids: Sequence[str]) -> list[Pixels]:
    shard = Shard(path)
    if replace(shard.format, image=first.format.image) != first.format or shard.ids != list(ids):
        raise ArtifactError(
            "these masks are of other images, or of another format",
            file=path,
            found=f"{len(shard.ids)} masks, {shard.format}",
            expected=f"{len(ids)} masks, {first.format}",
        )
    return shard.masks
