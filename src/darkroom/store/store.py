"""Stores: a part's pictures and masks in a few large shards, read through memory maps.

A shard is a pure function of its rows: the same rows give the same bytes. See
`darkroom.store.shard` for the format.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels, decode_jpeg_fast, encode_jpeg
from darkroom.images.geometry import Fit
from darkroom.store.shard import COLUMNS, REMAKE, ImageKind, Layout, Shard

__all__ = [
    "ImageKind",
    "Row",
    "Store",
    "pack_image",
    "pack_mask",
    "rows_per_shard",
    "shard_name",
    "write_shard",
]

_BATCH_BYTES = 32 * 2**20  # a record batch: what a writer holds in memory
_MOST_SHARDS, _FEWEST_ROWS = 64, 32


@dataclass(frozen=True)
class Row:
    """One picture of a shard.

    Attributes:
        id: As in the index.
        image: As the store keeps it: see `pack_image`.
        mask: As the store keeps it: see `pack_mask`; empty where there is none.
        height: Of the original picture, in pixels.
        width: Of the original picture, in pixels.
    """

    id: str
    image: bytes
    mask: bytes
    height: int
    width: int


def rows_per_shard(rows: int) -> int:
    """Return how many rows each shard of a part holds, the last perhaps fewer.

    A function of the number of rows alone, so that shards don't depend on the machine: up to 64
    shards, enough for the cores of one machine, and none under 32 rows but the last.
    """
    return max(_FEWEST_ROWS, -(-rows // _MOST_SHARDS))


def shard_name(part: str, number: int) -> str:
    """Return a shard's file name, such as `train-00003.arrow`."""
    return f"{part}-{number:05d}.arrow"


def pack_image(pixels: Pixels, image: ImageKind, quality: int) -> bytes:
    """Return uint8 (H, W, 3) RGB pixels as a store of this kind keeps them.

    Args:
        pixels: The picture, of the stored size.
        image: The kind of store.
        quality: Of a JPEG, 1 to 100; raw pixels have no use for it.
    """
    return encode_jpeg(pixels, quality) if image == "jpeg" else pixels.tobytes()


def pack_mask(mask: Pixels | None) -> bytes:
    """Return a mask uint8 (H, W) of 0 and 1 as a store keeps it, eight pixels a byte."""
    return b"" if mask is None else np.packbits(mask).tobytes()


def write_shard(
    path: Path, rows: Iterable[Row], *, height: int, width: int, fit: Fit, image: ImageKind
) -> None:
    """Write the rows; the file has its name only when it is whole.

    Memory stays at about twice 32 MiB, however large the shard.
    """
    layout = Layout(height, width, fit, image)
    schema = pa.schema(COLUMNS, metadata=layout.metadata())
    half_written = path.with_name(f"{path.name}.part")
    with half_written.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            for batch in _batches(rows, layout):
                writer.write_batch(_record_batch(batch, schema))
        file.flush()
        os.fsync(file.fileno())
    half_written.replace(path)


def _batches(rows: Iterable[Row], layout: Layout) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        _check_row(row, layout)
        row_bytes = len(row.image) + len(row.mask)
        if batch and size + row_bytes > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_bytes
    if batch:
        yield batch


def _check_row(row: Row, layout: Layout) -> None:
    if layout.image == "raw" and len(row.image) != layout.image_bytes():
        raise ValueError(f"{row.id}: {len(row.image)} bytes, not {layout.image_bytes()}")
    if len(row.mask) not in (0, layout.mask_bytes()):
        raise ValueError(f"{row.id}: a mask of {len(row.mask)} bytes, not {layout.mask_bytes()}")


def _record_batch(rows: list[Row], schema: Any) -> Any:
    columns = ("id", "image", "mask", "height", "width")
    arrays = [
        pa.array([getattr(row, name) for row in rows], type=schema.field(name).type)
        for name in columns
    ]
    return pa.record_batch(arrays, schema=schema)


class Store:
    """The pictures of one part of a folder of shards.

    Nothing is read before it is asked for and no file stays open; pixels of a raw store are views
    of the memory map. It pickles as its path, so worker processes map the files themselves.

    Attributes:
        paths: Of the shards, in order.
        ids: Of the rows, in index order.
        height: Stored height, in pixels.
        width: Stored width, in pixels.
        fit: How originals were fitted to it.
        originals: int32 (n, 2), height and width of the original pictures.
        has_mask: bool (n,).

    Raises:
        ArtifactError: The shards are absent, damaged, of another make, or disagree.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self.folder, self.part = folder, part
        self.paths = _shard_paths(folder, part)
        shards = [Shard(path) for path in self.paths]
        layout = shards[0].layout
        for shard in shards:
            if shard.layout != layout:
                raise ArtifactError(
                    "a shard of another make lies between the others",
                    file=shard.path,
                    found=shard.layout,
                    expected=layout,
                    fix=REMAKE,
                )
        self.layout = layout
        self.height, self.width, self.fit = layout.height, layout.width, layout.fit
        self.ids = [row_id for shard in shards for row_id in shard.ids]
        self.originals = np.concatenate([shard.originals for shard in shards])
        self._images = [view for shard in shards for view in shard.images]
        self._masks = [view for shard in shards for view in shard.masks]
        self.has_mask = np.array([view.size > 0 for view in self._masks], dtype=bool)

    def __reduce__(self) -> tuple[type["Store"], tuple[Path, str]]:
        return Store, (self.folder, self.part)

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, row: int) -> Pixels:
        """Return uint8 (H, W, 3) RGB; of a raw store a read-only view of the file."""
        if self.layout.image == "raw":
            return self._images[row].reshape(self.height, self.width, 3)
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        self.read_image(row, pixels)
        return pixels

    def stored_image(self, row: int) -> Pixels:
        """Return the bytes of the picture as they lie in the shard, uint8 (n,), read-only."""
        return self._images[row]

    def read_image(self, row: int, out: Pixels) -> None:
        """Put the picture into `out`, uint8 (H, W, 3), contiguous."""
        if self.layout.image == "raw":
            np.copyto(out, self._images[row].reshape(out.shape))
        else:
            decode_jpeg_fast(self._images[row], name=self._name(row), out=out)

    def mask(self, row: int) -> Pixels | None:
        """Return uint8 (H, W) of 0 and 1, or None."""
        return self.masks([row])[0] if self.has_mask[row] else None

    def masks(self, rows: Sequence[int]) -> Pixels:
        """Return uint8 (N, H, W) of 0 and 1 for N rows that have masks."""
        packed = np.stack([self._masks[row] for row in rows])
        pixels = np.unpackbits(packed, axis=1, count=self.height * self.width)
        return pixels.reshape(len(rows), self.height, self.width)

    def _name(self, row: int) -> str:
        return f"{self.folder} ({self.part}, id {self.ids[row]})"


def _shard_paths(folder: Path, part: str) -> list[Path]:
    paths = sorted(folder.glob(f"{part}-*.arrow"))
    expected = [folder / shard_name(part, number) for number in range(max(len(paths), 1))]
    if paths != expected:
        raise ArtifactError(
            f"the shards of part {part!r} are not all there",
            file=folder,
            found=", ".join(path.name for path in paths) or "none",
            expected=f"{expected[0].name} and so on, without a gap",
            fix=REMAKE,
        )
    return paths
