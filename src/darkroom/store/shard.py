"""A shard: an Arrow IPC file of images and masks, read through a checked memory map.

Standard tools can read it (`pyarrow.ipc.open_file`). Columns: `id` utf8; `image` large_binary, a
JPEG or raw uint8 (H, W, C), RGB where C is 3; `mask` large_binary, the bits of K planes (K, H, W)
as `np.packbits` packs them, or empty where there is none; `height` and `width` int32 of the
original image. The schema's metadata holds `version`, `image` ("jpeg" or "raw"), `height`, `width`
(stored size), `fit`, `channels` where they are not 3, and `planes` where they are not 1. A JPEG of
other than 3 channels is grey, its channels one below the other.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels
from darkroom.images.geometry import FITS, RGB, Fit

ImageKind = Literal["jpeg", "raw"]
KINDS: tuple[ImageKind, ...] = ("jpeg", "raw")
VERSION = "1"
COLUMNS = (
    pa.field("id", pa.string()),
    pa.field("image", pa.large_binary()),
    pa.field("mask", pa.large_binary()),
    pa.field("height", pa.int32()),
    pa.field("width", pa.int32()),
)


@dataclass(frozen=True)
class ShardFormat:
    """What all shards of a folder share: stored size in px, fit, encoding, channels, planes.

    Planes are those of a mask: one a class, and one of unknown pixels where there are any.
    """

    height: int
    width: int
    fit: Fit
    image: ImageKind
    channels: int = RGB
    planes: int = 1

    def image_bytes(self) -> int:
        """Return the bytes of a raw image."""
        return self.height * self.width * self.channels

    def mask_bytes(self) -> int:
        """Return the bytes of a stored mask."""
        return -(-self.planes * self.height * self.width // 8)

    def metadata(self) -> dict[str, str]:
        """Return the schema's metadata."""
        channels = {"channels": str(self.channels)} if self.channels != RGB else {}
        planes = {"planes": str(self.planes)} if self.planes != 1 else {}
        return (
            channels
            | planes
            | {
                "version": VERSION,
                "image": self.image,
                "height": str(self.height),
                "width": str(self.width),
                "fit": self.fit,
            }
        )


class Shard:
    """One shard, memory-mapped and checked.

    Attributes:
        format: Stored size, fit and encoding.
        ids: Of the rows.
        images: A view of each image's bytes, uint8 (n,).
        masks: A view of each mask's packed bits, uint8 (n,); empty where there is none.
        originals: int32 (rows, 2), height and width of the original images, px.

    Raises:
        ArtifactError: It is damaged, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ids: list[str] = []
        self.images: list[Pixels] = []
        self.masks: list[Pixels] = []
        originals: list[NDArray[np.int32]] = []
        try:
            with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
                self.format = _read_format(reader.schema, path)
                # The mapping outlives the file object for as long as a view needs it.
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    batch.validate(full=True)  # offsets and sizes lie within the file
                    self.ids += _ids(batch.column(0))
                    self.images += _views(batch.column(1))
                    self.masks += _views(batch.column(2))
                    originals.append(_sizes(batch))
        except (OSError, pa.ArrowException, ValueError) as fault:
            raise _damaged(path, str(fault).splitlines()[0]) from None
        self.originals = np.concatenate([np.empty((0, 2), np.int32), *originals])
        self._check()

    def _check(self) -> None:
        image_bytes, mask_bytes = self.format.image_bytes(), self.format.mask_bytes()
        if self.format.image == "raw" and any(view.size != image_bytes for view in self.images):
            raise _damaged(self.path, f"an image has not {image_bytes} bytes")
        if any(view.size not in (0, mask_bytes) for view in self.masks):
            raise _damaged(self.path, f"a mask has not {mask_bytes} bytes")
        if (self.originals < 1).any():
            raise _damaged(self.path, "an original has no size")


def remake(folder: Path) -> str:
    """Return what to do about the shards of a folder, which has the competition's name."""
    return f"run the preprocess stage: `dvc repro -sf preprocess@{folder.name}`"


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"the shard is damaged: {reason}", file=path, fix=remake(path.parent))


def _read_format(schema: Any, path: Path) -> ShardFormat:
    metadata = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if schema.remove_metadata() != pa.schema(COLUMNS) or metadata.get("version") != VERSION:
        raise ArtifactError(
            "not a shard of this version of Darkroom",
            file=path,
            found=f"version {metadata.get('version')}, columns {', '.join(schema.names)}",
            expected=f"version {VERSION}, columns {', '.join(f.name for f in COLUMNS)}",
            fix=remake(path.parent),
        )
    fit, image = metadata.get("fit"), metadata.get("image")
    if fit not in FITS or image not in KINDS:
        raise _damaged(path, f"fit {fit!r}, image {image!r}")
    height, width = int(metadata.get("height", "")), int(metadata.get("width", ""))
    if height < 1 or width < 1:
        raise _damaged(path, f"stored size {height} x {width}")
    channels, planes = int(metadata.get("channels", RGB)), int(metadata.get("planes", 1))
    if channels < 1 or planes < 1:
        raise _damaged(path, f"{channels} channels, masks of {planes} planes")
    return ShardFormat(height, width, cast(Fit, fit), cast(ImageKind, image), channels, planes)


def _ids(column: Any) -> list[str]:
    ids = cast("list[str | None]", column.to_pylist())
    if None in ids:
        raise ValueError("an id is missing")
    return cast("list[str]", ids)


def _views(column: Any) -> list[Pixels]:
    """Return a view uint8 (bytes,) of each value of a large_binary column."""
    if column.null_count:
        raise ValueError("a value is missing")
    if not len(column):
        return []
    _, offset_buffer, data_buffer = column.buffers()
    if data_buffer is None or offset_buffer.size < 8 * (len(column) + 1):
        raise ValueError("a column is truncated")
    offsets = np.frombuffer(offset_buffer, np.int64, count=len(column) + 1)
    data = np.frombuffer(data_buffer, np.uint8)
    if offsets[0] < 0 or offsets[-1] > data.size or (np.diff(offsets) < 0).any():
        raise ValueError("offsets point outside the file")
    return [data[start:end] for start, end in itertools.pairwise(offsets.tolist())]


def _sizes(batch: Any) -> NDArray[np.int32]:
    height, width = batch.column(3), batch.column(4)
    if height.null_count or width.null_count:
        raise ValueError("a size is missing")
    return np.stack([height.to_numpy(), width.to_numpy()], axis=1).astype(np.int32, copy=False)
