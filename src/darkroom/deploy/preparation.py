"""A picture as a network learned it: read, fitted, stored and read back, all in memory."""

import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from darkroom.errors import DataError, ResourceError
from darkroom.images.codec import Pixels
from darkroom.images.geometry import RGB, fit_image
from darkroom.images.levels import Levels
from darkroom.project.names import read_errors
from darkroom.raw import limits
from darkroom.raw.archives import Archives
from darkroom.raw.images.cells import PixelCells
from darkroom.raw.images.reader import ImageReader, paths_of, plan_channels
from darkroom.raw.large import LargeFile
from darkroom.store.loader import Batch
from darkroom.store.preprocess import read_fitted
from darkroom.store.shard import ShardFormat
from darkroom.store.store import pack_image, unpack_image


def path_kind(path: Path) -> str:
    """Return what a path leads to: file, folder or device; "" nothing; unknown: it is closed to us.

    Unlike `Path.is_file`, it does not raise for a name that is too long, or has a zero byte.
    """
    try:
        mode = path.stat().st_mode
    except PermissionError:
        return "unknown"
    except (OSError, ValueError):
        return ""
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "device"


class LooseFiles(Archives):
    """Files by their absolute paths, each looked at as it is read; their folders are not listed."""

    def __init__(self) -> None:
        super().__init__(Path(), Path(), errors={})

    def read_image(self, path: str, *, digest: str = "") -> bytes | LargeFile:
        """Return a file's bytes, or a large TIFF unread; see `Archives.read_image`.

        Raises:
            DataError: It is absent, a folder, or a member of an archive; or it is too large.
        """
        file = Path(path)
        kind = path_kind(file)
        if kind not in ("file", "unknown"):
            fix = "correct the path"
            if kind == "folder":
                fix = "list its files, or run `darkroom predict --images`"
            elif any(path_kind(parent) == "file" for parent in file.parents):
                fix = "unpack the archive, or run `darkroom predict --images`"
            raise DataError(
                f"a {kind}, not a picture" if kind else "no such file",
                file=file,
                expected="the path of a picture",
                fix=fix,
            )
        with read_errors(file):
            if file.stat().st_size <= limits.MAX_MEMBER_BYTES:
                return file.read_bytes()
        return Archives(file.parent, file.parent, errors={}).read_image(file.name, digest=digest)


class PreparedImage(NamedTuple):
    """An image as a network takes it.

    Attributes:
        name: Of the image, for messages and results.
        pixels: uint8 (h, w, C), of the stored size.
        height: Of the original, px.
        width: Of the original, px.
    """

    name: str
    pixels: Pixels
    height: int
    width: int


@dataclass(frozen=True)
class Preparation:
    """How images are stored before a network sees them.

    Attributes:
        format: The stored size in px, the fit, the channels, and whether as JPEG.
        quality: Of a stored JPEG, 50 to 100.
        levels: How samples of more than 8 bits become bytes.
    """

    format: ShardFormat
    quality: int = 90
    levels: Levels = None

    def prepare(self, picture: NDArray[Any], name: str) -> PreparedImage:
        """Return a picture in memory as the network takes it.

        Args:
            picture: uint8 (H, W) or (H, W, C), of any size; RGB where C is 3.
            name: Of the picture.

        Raises:
            DataError: It is no such array, or has another number of channels than the network.
        """
        if not isinstance(picture, np.ndarray):
            raise DataError(
                "not a picture that this network takes",
                file=name,
                found=type(picture).__name__,
                expected="an array of numpy",
                fix="pass numpy.asarray(picture), or its path",
            )
        pixels = picture[:, :, None] if picture.ndim == 2 else picture
        channels = self.format.channels
        if pixels.ndim == 3 and (pixels.shape[2], channels) == (1, RGB):
            pixels = np.repeat(pixels, RGB, axis=2)
        is_alike = pixels.ndim == 3 and pixels.shape[2] == channels and pixels.size > 0
        if pixels.dtype != np.uint8 or not is_alike:
            raise DataError(
                "not a picture that this network takes",
                file=name,
                found=f"{picture.dtype} {picture.shape}",
                expected=f"uint8 (height, width, {channels})",
                fix="pass RGB, values 0 to 255, without alpha" if channels == RGB else None,
            )
        form = self.format
        fitted = fit_image(np.ascontiguousarray(pixels), form.height, form.width, form.fit)
        return PreparedImage(name, self._stored(fitted, name), *picture.shape[:2])

    def reader(
        self, archives: Archives, images: Sequence[str], cells: PixelCells | None = None
    ) -> ImageReader:
        """Return the reader of images, all to the channels that the network takes.

        Args:
            archives: The containers that their files lie in.
            images: As an index has them, of one kind.
            cells: Where pixels are, if they stand in tables.
        """
        channels = self._file_channels(archives, images, cells)
        return ImageReader(archives, channels, self.levels, cells)

    def _file_channels(
        self, archives: Archives, images: Sequence[str], cells: PixelCells | None
    ) -> tuple[int, ...]:
        """Return how many channels each file of an image has.

        Training images decided on it, and these may look otherwise: all in grey, say. So what the
        network takes comes first, and only where that leaves a choice the images themselves.
        """
        channels = self.format.channels
        files = max(1, len(paths_of(images[0]))) if images else 1
        if files == 1:
            return (channels,)
        for each in (1, RGB):
            if files * each == channels:
                return (each,) * files
        return plan_channels(archives, images, self.levels, cells)

    def read(self, reader: ImageReader, image: str, name: str) -> PreparedImage:
        """Return an image file as the network takes it.

        Args:
            reader: Of `reader`.
            image: As an index names it: the path of a member, say.
            name: Of the image.

        Raises:
            DataError: It is absent, broken, or of other channels than the network takes.
        """
        raw, fitted = read_fitted(reader, image, self.format)
        pixels = self._stored(fitted, name)
        return PreparedImage(name, pixels, raw.header.height, raw.header.width)

    def _stored(self, fitted: Pixels, name: str) -> Pixels:
        """Return fitted pixels as shards give them back: through a JPEG, if they hold these."""
        if self.format.image == "raw":
            return fitted
        data = np.frombuffer(pack_image(fitted, self.format.image, self.quality), np.uint8)
        pixels = np.empty_like(fitted)
        unpack_image(data, self.format.image, pixels, name=name)
        return pixels


def try_reading(
    preparations: Sequence[Preparation], readers: Sequence[ImageReader], image: str, name: str
) -> tuple[PreparedImage, ...] | DataError:
    """Return an image file as each network takes it, or why not: others may be read none the less.

    Args:
        preparations: Of the networks.
        readers: One for each of them.
        image: As an index names it.
        name: Of the image.
    """
    pairs = zip(preparations, readers, strict=True)
    try:
        return tuple(each.read(reader, image, name) for each, reader in pairs)
    except DataError as error:
        return error
    except ResourceError as error:
        if not isinstance(error.__cause__, PermissionError):
            raise
        return DataError("it may not be read", file=name, fix="change its permissions")


def batches_of(images: Iterable[PreparedImage], size: int) -> Iterator[Batch]:
    """Yield images in batches of `size`, the last perhaps smaller, as a loader makes them."""
    waiting = iter(images)
    while some := list(islice(waiting, size)):
        block = np.stack([image.pixels for image in some])
        originals = [(image.height, image.width) for image in some]
        yield Batch(
            ids=[image.name for image in some],
            images=torch.from_numpy(block).permute(0, 3, 1, 2),
            targets=None,
            originals=torch.tensor(originals, dtype=torch.int64),
        )
