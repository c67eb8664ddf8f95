"""Write and read stores: the images and masks of a part in a few large, memory-mapped shards.

A shard is a pure function of its rows: the same rows give the same bytes. See
`darkroom.store.shard` for the file format.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels, decode_jpeg_fast, encode_jpeg
from darkroom.images.geometry import RGB
from darkroom.project import files
from darkroom.store.jpeg_planes import decode_planes, encode_planes
from darkroom.store.manifest import compare_digests
from darkroom.store.shard import COLUMNS, ImageKind, Shard, ShardFormat, Texts, Views, remake

_BATCH_BYTES = 32 * 2**20  # of a record batch, which the writer holds in memory
_MOST_SHARDS, _FEWEST_ROWS = 64, 32


@dataclass(frozen=True)
class StoredImage:
    """One row of a shard, its image and mask already packed.

    Attributes:
        id: As in the index.
        image: Packed by `pack_image`.
        mask: Packed by `pack_mask`; empty where there is none.
        height: Of the original picture, in pixels.
        width: Of the original picture, in pixels.
    """

    id: str
    image: bytes
    mask: bytes
    height: int
    width: int


def rows_per_shard(rows: int) -> int:
    """Return how many rows each shard of a part holds; the last may hold fewer.

    It depends on the number of rows alone, so that shards are the same on every machine: up to 64
    shards, enough for the cores of one machine, each of at least 32 rows except the last.

    Example:
        >>> [rows_per_shard(rows) for rows in (64, 5088)]
        [32, 80]
    """
    return max(_FEWEST_ROWS, -(-rows // _MOST_SHARDS))


def shard_name(part: str, number: int) -> str:
    """Return a shard's file name, such as `train-00003.arrow`."""
    return f"{part}-{number:05d}.arrow"


def pack_image(pixels: Pixels, image: ImageKind, quality: int) -> bytes:
    """Return uint8 (H, W, C) pixels, RGB where C is 3, as bytes for a store of this kind.

    Args:
        pixels: The picture, of the stored size.
        image: The kind of store.
        quality: Of a JPEG, 1 to 100; ignored for raw pixels.
    """
    if image == "raw":
        return pixels.tobytes()
    encode = encode_jpeg if pixels.shape[2] == RGB else encode_planes
    return encode(pixels, quality)


def unpack_image(data: Pixels, image: ImageKind, out: Pixels, *, name: str) -> None:
    """Write what `pack_image` packed into `out`.

    Args:
        data: uint8 (n,), the bytes.
        image: The kind of store.
        out: uint8 (H, W, C), contiguous.
        name: Of the image, for messages.

    Raises:
        ArtifactError: The JPEG is damaged, or not of the size of `out`.
    """
    if image == "raw":
        np.copyto(out, data.reshape(out.shape))
    elif out.shape[2] != RGB:
        decode_planes(data, name=name, out=out)
    else:
        decode_jpeg_fast(data, name=name, out=out)


def pack_mask(mask: Pixels | None) -> bytes:
    """Return a mask uint8 (K, H, W) of 0 and 1 as packed bits, eight pixels a byte; or b""."""
    return b"" if mask is None else np.packbits(mask).tobytes()


def write_shard(path: Path, rows: Iterable[StoredImage], format: ShardFormat) -> None:
    """Write rows as a shard, atomically.

    Memory use is about twice 32 MiB for a shard of any size.
    """
    schema = pa.schema(COLUMNS, metadata=format.metadata())
    with (
        files.atomic_write(path) as temporary,
        temporary.open("wb") as file,
        pa.ipc.new_file(file, schema) as writer,
    ):
        for batch in _batches(rows, format):
            writer.write_batch(_record_batch(batch, schema))


def _batches(rows: Iterable[StoredImage], format: ShardFormat) -> Iterator[list[StoredImage]]:
    batch: list[StoredImage] = []
    size = 0
    for row in rows:
        _check_row(row, format)
        row_bytes = len(row.image) + len(row.mask)
        if batch and size + row_bytes > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row_bytes
    if batch:
        yield batch


def _check_row(row: StoredImage, format: ShardFormat) -> None:
    if format.image == "raw" and len(row.image) != format.image_bytes():
        raise ValueError(f"{row.id}: {len(row.image)} bytes, not {format.image_bytes()}")
    if len(row.mask) not in (0, format.mask_bytes()):
        raise ValueError(f"{row.id}: a mask of {len(row.mask)} bytes, not {format.mask_bytes()}")


def _record_batch(rows: list[StoredImage], schema: Any) -> Any:
    columns = ("id", "image", "mask", "height", "width")
    arrays = [
        pa.array([getattr(row, name) for row in rows], type=schema.field(name).type)
        for name in columns
    ]
    return pa.record_batch(arrays, schema=schema)


class Store:
    """The images and masks of one part ("train" or "test") of a folder of shards.

    Pixels are read on demand and no file stays open; those of a raw store are views of the memory
    map. It pickles as its path, so worker processes map the files themselves.

    Args:
        folder: Of the shards.
        part: "train" or "test".
        verify: Whether to compare each shard with the digest that preprocess wrote.

    Attributes:
        paths: Of the shards, in order.
        digests: The sha256 of each shard, by name; empty unless they were compared.
        format: Stored size, fit and encoding of all shards.
        ids: Of the rows, in index order.
        height: Stored height, in pixels.
        width: Stored width, in pixels.
        channels: Of an image; 3 are RGB.
        fit: How originals were resized to it.
        planes: K, of each mask: the classes, then perhaps a plane of unknown pixels.
        originals: int32 (n, 2), height and width of the original pictures.
        has_mask: bool (n,).

    Raises:
        ArtifactError: Shards are absent, damaged, of another version, or differ in format.
    """

    def __init__(self, folder: Path, part: str, *, verify: bool = False) -> None:
        self.folder, self.part = folder, part
        self.paths = _shard_paths(folder, part)
        self.digests: dict[str, str] = {}
        if verify:
            names = [path.name for path in self.paths]
            self.digests = compare_digests(folder, names, prefix=f"{part}-")
        shards = [Shard(path) for path in self.paths]
        format = shards[0].format
        for shard in shards:
            if shard.format != format:
                raise ArtifactError(
                    "a shard has another format than the first",
                    file=shard.path,
                    found=shard.format,
                    expected=format,
                    fix=remake(folder),
                )
        self.format = format
        self.height, self.width, self.fit = format.height, format.width, format.fit
        self.channels, self.planes = format.channels, format.planes
        self.ids = Texts.joined([shard.ids for shard in shards])
        self.originals = np.concatenate([shard.originals for shard in shards])
        self._images = Views.joined([shard.images for shard in shards])
        self._masks = Views.joined([shard.masks for shard in shards])
        self.has_mask = self._masks.sizes() > 0

    def __reduce__(self) -> tuple[type["Store"], tuple[Path, str]]:
        return Store, (self.folder, self.part)

    def stored_image(self, row: int) -> Pixels:
        """Return the stored bytes of an image, uint8 (n,), read-only."""
        return self._images[row]

    def stored_mask(self, row: int) -> Pixels:
        """Return the packed bits of a mask, uint8 (n,), read-only; empty where there is none."""
        return self._masks[row]

    def __len__(self) -> int:
        return len(self.ids)

    def image(self, row: int) -> Pixels:
        """Return uint8 (H, W, C); of a raw store a read-only view of the file."""
        shape = (self.height, self.width, self.channels)
        if self.format.image == "raw":
            return self.stored_image(row).reshape(shape)
        pixels = np.empty(shape, np.uint8)
        self.read_image(row, pixels)
        return pixels

    def read_image(self, row: int, out: Pixels) -> None:
        """Decode an image into `out`, uint8 (H, W, C), contiguous."""
        unpack_image(self.stored_image(row), self.format.image, out, name=self._name(row))

    def mask(self, row: int) -> Pixels | None:
        """Return uint8 (K, H, W) of 0 and 1, or None."""
        return self.masks([row])[0] if self.has_mask[row] else None

    def masks(self, rows: Sequence[int]) -> Pixels:
        """Return uint8 (N, K, H, W) of 0 and 1 for N rows that have masks."""
        packed = np.stack([self.stored_mask(row) for row in rows])
        shape = (self.planes, self.height, self.width)
        return np.unpackbits(packed, axis=1, count=math.prod(shape)).reshape(len(rows), *shape)

    def _name(self, row: int) -> str:
        return f"{self.folder} ({self.part}, id {self.ids[row]})"


def _shard_paths(folder: Path, part: str) -> list[Path]:
    paths = files.matching_files(folder, f"{part}-*.arrow")
    expected = [folder / shard_name(part, number) for number in range(max(len(paths), 1))]
    if paths != expected:
        raise ArtifactError(
            f"shards of part {part!r} are missing",
            file=folder,
            found=", ".join(path.name for path in paths) or "none",
            expected=f"{expected[0].name} and so on, without gaps",
            fix=remake(folder),
        )
    return paths
