"""A store with some rows of another behind its own: test images that are trained on, say."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels
from darkroom.store.shard import Shard, Texts, Views, remake
from darkroom.store.store import Store

_NO_MASK = np.empty(0, np.uint8)


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
        self.ids = Texts.joined([first.ids, second.ids.take(rows)])
        self.originals = np.concatenate([first.originals, second.originals[list(rows)]])
        self._added_masks = (
            None if masks is None else _read_masks(masks, first, self.ids[len(first) :])
        )
        has_masks = np.full(len(rows), masks is not None)
        if self._added_masks is not None:
            has_masks &= self._added_masks.sizes() > 0
        self.has_mask = np.concatenate([first.has_mask, has_masks])

    def stored_image(self, row: int) -> Pixels:
        """Return the stored bytes of an image, uint8 (n,), read-only."""
        first, second, rows, _ = self._parts
        if row < len(first):
            return first.stored_image(row)
        return second.stored_image(rows[row - len(first)])

    def stored_mask(self, row: int) -> Pixels:
        """Return the packed bits of a mask, uint8 (n,), read-only; empty where there is none."""
        first = self._parts[0]
        if row < len(first):
            return first.stored_mask(row)
        return _NO_MASK if self._added_masks is None else self._added_masks[row - len(first)]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return ExtendedStore, self._parts


def _read_masks(path: Path, first: Store, ids: Sequence[str]) -> Views:
    shard = Shard(path)
    if replace(shard.format, image=first.format.image) != first.format or shard.ids != ids:
        raise ArtifactError(
            "these masks are of other images, or of another format",
            file=path,
            found=f"{len(shard.ids)} masks, {shard.format}",
            expected=f"{len(ids)} masks, {first.format}",
        )
    return shard.masks
