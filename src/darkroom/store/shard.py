"""A shard: an Arrow IPC file of images and masks, read through a checked memory map.

Standard tools can read it (`pyarrow.ipc.open_file`). Columns: `id` utf8; `image` large_binary, a
JPEG or raw uint8 (H, W, C), RGB where C is 3; `mask` large_binary, the bits of K planes (K, H, W)
as `np.packbits` packs them, or empty where there is none; `height` and `width` int32 of the
original image. The schema's metadata holds `version`, `image` ("jpeg" or "raw"), `height`, `width`
(stored size), `fit`, `channels` where they are not 3, and `planes` where they are not 1. A JPEG of
other than 3 channels is grey, its channels one below the other.
"""

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, overload

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from darkroom.errors import ArtifactError
from darkroom.images.codec import Pixels
from darkroom.images.geometry import FITS, RGB, Fit

ImageKind = Literal["jpeg", "raw"]
KINDS: tuple[ImageKind, ...] = ("jpeg", "raw")
VERSION = "1"
_TEXTS_AT_ONCE = 4096
_NO_SIZES = np.empty(0, np.int64)
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


class Texts(Sequence[str]):
    """A column of texts as a sequence: no Python text lives longer than it is needed.

    Args:
        column: An Arrow array of texts, in chunks.
    """

    def __init__(self, column: Any) -> None:
        self.column = column

    @classmethod
    def joined(cls, several: Iterable["Texts"]) -> "Texts":
        """Return several columns as one."""
        return cls(
            pa.chunked_array([c for texts in several for c in texts.column.chunks], pa.string())
        )

    def take(self, rows: Sequence[int]) -> "Texts":
        """Return some of the texts, in the order of `rows`."""
        return Texts(self.column.take(pa.array(rows, pa.int64())))

    def __len__(self) -> int:
        return len(self.column)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        return cast("str", self.column[int(row)].as_py())

    def __iter__(self) -> Iterator[str]:
        for chunk in self.column.chunks:
            for start in range(0, len(chunk), _TEXTS_AT_ONCE):
                yield from chunk.slice(start, _TEXTS_AT_ONCE).to_pylist()

    def __eq__(self, other: object) -> bool:
        """Return whether another sequence, or a column of pandas, has the same texts."""
        if isinstance(other, pd.Series):
            other = Texts(pa.Table.from_pandas(other.to_frame(), preserve_index=False).column(0))
        if not isinstance(other, Sequence) or len(self) != len(other):
            return False
        if not isinstance(other, Texts):
            return all(one == two for one, two in zip(self, other, strict=True))
        return all(
            self._block(start).equals(other._block(start))
            for start in range(0, len(self), _TEXTS_AT_ONCE)
        )

    def _block(self, start: int) -> Any:
        block = self.column.slice(start, _TEXTS_AT_ONCE).cast(pa.large_string())
        return block.combine_chunks()

    __hash__ = None  # type: ignore[assignment]  # as a list


class Views:
    """The values of a column of bytes, each a view of the file.

    Args:
        parts: Of each record batch the offsets of its values, int64 (rows + 1,), and their bytes,
            uint8.
    """

    def __init__(self, parts: Sequence[tuple[NDArray[np.int64], Pixels]]) -> None:
        self._parts = list(parts)
        counts = [len(offsets) - 1 for offsets, _ in parts]
        self._starts = list(itertools.accumulate(counts, initial=0))

    @classmethod
    def joined(cls, several: Iterable["Views"]) -> "Views":
        """Return the values of several columns as one."""
        return cls([part for views in several for part in views._parts])

    def __len__(self) -> int:
        return self._starts[-1]

    def __getitem__(self, row: int) -> Pixels:
        """Return the bytes of a row, uint8 (n,), read-only."""
        number = bisect_right(self._starts, row) - 1
        offsets, data = self._parts[number]
        place = row - self._starts[number]
        return data[offsets[place] : offsets[place + 1]]

    def __iter__(self) -> Iterator[Pixels]:
        return map(self.__getitem__, range(len(self)))

    def sizes(self) -> NDArray[np.int64]:
        """Return the bytes of each value."""
        return np.concatenate([np.diff(offsets) for offsets, _ in self._parts] or [_NO_SIZES])


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
        ids: list[Any] = []
        images: list[tuple[NDArray[np.int64], Pixels]] = []
        masks: list[tuple[NDArray[np.int64], Pixels]] = []
        originals: list[NDArray[np.int32]] = []
        try:
            with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
                self.format = _read_format(reader.schema, path)
                # The mapping outlives the file object for as long as a view needs it.
                for number in range(reader.num_record_batches):
                    batch = reader.get_batch(number)
                    batch.validate(full=True)  # offsets and sizes lie within the file
                    ids.append(_ids(batch.column(0)))
                    images.append(_values(batch.column(1)))
                    masks.append(_values(batch.column(2)))
                    originals.append(_sizes(batch))
        except (OSError, pa.ArrowException, ValueError) as fault:
            raise _damaged(path, str(fault).splitlines()[0]) from None
        self.ids = Texts(pa.chunked_array(ids, pa.string()))
        self.images, self.masks = Views(images), Views(masks)
        self.originals = np.concatenate([np.empty((0, 2), np.int32), *originals])
        self._check()

    def _check(self) -> None:
        image_bytes, mask_bytes = self.format.image_bytes(), self.format.mask_bytes()
        if self.format.image == "raw" and (self.images.sizes() != image_bytes).any():
            raise _damaged(self.path, f"an image has not {image_bytes} bytes")
        if not np.isin(self.masks.sizes(), (0, mask_bytes)).all():
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


def _ids(column: Any) -> Any:
    if column.null_count:
        raise ValueError("an id is missing")
    return column


def _values(column: Any) -> tuple[NDArray[np.int64], Pixels]:
    """Return the offsets and the bytes of the values of a large_binary column: see `Views`."""
    if column.null_count:
        raise ValueError("a value is missing")
    if not len(column):
        return np.zeros(1, np.int64), np.empty(0, np.uint8)
    _, offset_buffer, data_buffer = column.buffers()
    if data_buffer is None or offset_buffer.size < 8 * (len(column) + 1):
        raise ValueError("a column is truncated")
    offsets = np.frombuffer(offset_buffer, np.int64, count=len(column) + 1)
    data = np.frombuffer(data_buffer, np.uint8)
    if offsets[0] < 0 or offsets[-1] > data.size or (np.diff(offsets) < 0).any():
        raise ValueError("offsets point outside the file")
    return offsets, data


def _sizes(batch: Any) -> NDArray[np.int32]:
    height, width = batch.column(3), batch.column(4)
    if height.null_count or width.null_count:
        raise ValueError("a size is missing")
    return np.stack([height.to_numpy(), width.to_numpy()], axis=1).astype(np.int32, copy=False)
