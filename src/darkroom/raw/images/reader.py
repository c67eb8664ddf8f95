"""Read raw images: an index row names a file, several, or a row of a table; all become pixels."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.images import codec
from darkroom.images.codec import Header, Pixels
from darkroom.images.geometry import RGB
from darkroom.images.levels import ADVICE, Levels, to_bytes, value_range
from darkroom.raw.archives import Archives, digest_of, joined_digest
from darkroom.raw.images import npy, pictures
from darkroom.raw.images.cells import PixelCells, check_bytes, is_in_cells, read_cells
from darkroom.raw.images.pictures import Samples, Sufficient
from darkroom.raw.large import LargeFile

_TRIED = 16  # images that say how many channels all have
_TWELVE_BITS = 2**12

Files = Sequence[tuple[str, bytes | LargeFile]]


class _Deep(NamedTuple):
    """The samples of an array, or of a picture of more than 8 bits."""

    path: str
    values: NDArray[Any]
    has_high_byte: bool


@dataclass(frozen=True)
class RawImage:
    """An image as bytes.

    Attributes:
        pixels: uint8 (h, w, C); of a JPEG perhaps at a reduced size.
        header: Of the original; of several files the first's, with the format and the mode of
            each of them once.
        bytes: Of all its files; of cells, their values.
        low: The least sample before it was mapped to a byte.
        high: The greatest.
    """

    pixels: Pixels
    header: Header
    bytes: int
    low: float
    high: float


@dataclass(frozen=True)
class ImageReader:
    """Reads the images of a competition, all to the same channels.

    Attributes:
        archives: The containers that files lie in.
        channels: Of each file of an image, in order; see `plan_channels`.
        levels: How samples of more than 8 bits become bytes.
        cells: Where pixels are, if they stand in tables.
    """

    archives: Archives
    channels: tuple[int, ...] = (RGB,)
    levels: Levels = None
    cells: PixelCells | None = None

    def read(
        self, image: str, *, digest: str = "", sufficient: Sufficient | None = None
    ) -> RawImage:
        """Return an image.

        Args:
            image: The index row's `image`: the path of a member; a JSON list of paths, whose
                channels are stacked in order; or `pixels:train.csv#17`, row 17 of a table.
            digest: As the index has it; "": none is compared.
            sufficient: For a JPEG that need not be decoded in full.

        Raises:
            DataError: It is absent, broken, not what was indexed, of other channels than planned,
                or its files are of several sizes.
        """
        if is_in_cells(image):
            files, samples = self._read_cells(image, digest)
        else:
            files = _read_files(self.archives, image, digest)
            reduced = sufficient if len(files) == 1 else None
            samples = [
                pictures.read_samples(data, name=path, levels=self.levels, sufficient=reduced)
                for path, data in files
            ]
        _check_alike(files, samples, len(self.channels))
        mapped = pictures.map_samples(samples, self.levels, name=files[0][0])
        planes = [
            pictures.with_channels(pixels, channels, name=path)
            for pixels, channels, (path, _) in zip(mapped, self.channels, files, strict=True)
        ]
        ranges = [value_range(each.values) for each in samples]
        return RawImage(
            pixels=planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2),
            header=_joined([each.header for each in samples]),
            bytes=sum(len(data) for _, data in files),
            low=min(low for low, _ in ranges),
            high=max(high for _, high in ranges),
        )

    def _read_cells(self, image: str, digest: str) -> tuple[Files, list[Samples]]:
        values = read_cells(self.archives, image, self.cells)
        data = values.tobytes()
        _compare(digest_of(data), digest, image)
        height, width, _ = values.shape
        header = Header("cells", str(values.dtype), height, width, frames=1, exif=1)
        if self.levels is not None:  # of bytes too, which another table may not hold
            values = values.astype(np.float32)
        return [(image, data)], [Samples(values, header)]


def paths_of(image: str) -> list[str]:
    """Return the paths of an image's files; none of an image in the cells of a table.

    Raises:
        DataError: What begins like a JSON list is no list of texts.

    Example:
        >>> paths_of("a.png"), paths_of('["a_red.png", "a_green.png"]')
        (['a.png'], ['a_red.png', 'a_green.png'])
    """
    if is_in_cells(image):
        return []
    if not _is_list(image):
        return [image]
    try:
        paths = json.loads(image)
    except ValueError:
        paths = None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise DataError("not a list of paths", found=image, expected='such as ["a.png", "b.png"]')
    return paths


def plan_channels(
    archives: Archives, images: Sequence[str], levels: Levels, cells: PixelCells | None = None
) -> tuple[int, ...]:
    """Return how many channels each file of an image has, from a few images, evenly spaced.

    A single file has 3, in grey too, unless it is an array of several planes; likewise the cells
    of a table: the commonest number. Of a list of files, one has 1 where all its channels are equal
    in all images that are tried, else its own.

    Raises:
        DataError: There are no levels, and files or tables hold values that need them; or pictures
            of 16 bits use 12 of them or fewer: their high bytes, which would be stored, are
            nearly black.
    """
    if levels is None:
        check_bytes(archives, images, cells)
    places = np.linspace(0, len(images) - 1, min(_TRIED, len(images))).round().astype(int)
    counts: list[tuple[int, ...]] = []
    deep: list[_Deep] = []
    for image in dict.fromkeys(images[place] for place in places.tolist()):
        try:
            if is_in_cells(image):
                planes = read_cells(archives, image, cells).shape[2]
                counts.append((RGB if planes == 1 else planes,))
                continue
            files = _read_files(archives, image, "")
            counts.append(_count_channels(files, levels, is_list=_is_list(image)))
            if levels is None:
                deep += _deep_values(files)
        except DataError:  # preprocess reports those of all images together
            continue
    _check_deep(deep)
    alike = [each for each in counts if len(each) == len(counts[0])]
    if not alike:
        return (RGB,) * max(1, len(paths_of(images[0])))
    return tuple(map(_commonest, zip(*alike, strict=True)))


def _commonest(channels: Sequence[int]) -> int:
    """Return the commonest number of channels; 1 only if there is no other: a picture in grey."""
    counts = Counter(count for count in channels if count > 1)
    return max(counts, key=lambda count: (counts[count], count), default=1)


def _deep_values(files: Files) -> list[_Deep]:
    """Return the samples of arrays, and of pictures of more than 8 bits."""
    deep = []
    for path, data in files:
        if isinstance(data, LargeFile):
            continue  # of 8 bits, or refused
        if npy.is_array(data):
            deep.append(_Deep(path, pictures.read_samples(data, name=path).values, False))
        elif pictures.is_picture(data, path):
            values = codec.decode_deep(data, name=path)
            if values is not None:
                deep.append(_Deep(path, values, values.dtype == np.uint16))
    return deep


def _check_deep(deep: Sequence[_Deep]) -> None:
    """Refuse samples that need levels where there are none: see `plan_channels`."""
    peaks: list[tuple[float, str]] = []
    for each in deep:
        if each.has_high_byte:
            peaks.append((value_range(each.values)[1], each.path))
        else:
            to_bytes(each.values, None, name=each.path)
    if peaks and max(peaks)[0] < _TWELVE_BITS:
        peak, path = max(peaks)
        raise DataError(
            "pictures of 16 bits use 12 of them or fewer: their high bytes are nearly black",
            file=path,
            found=f"no value above {peak:g} in {len(peaks)} files",
            expected="values up to 65535, or levels",
            fix=ADVICE,
        )


def _count_channels(files: Files, levels: Levels, *, is_list: bool) -> tuple[int, ...]:
    if not is_list:
        return (pictures.count_channels(files[0][1], name=files[0][0]),)
    samples = [pictures.read_samples(data, name=path, levels=levels) for path, data in files]
    return tuple(
        1 if count == RGB and pictures.is_grey(each.values) else count
        for each in samples
        for count in each.values.shape[2:]
    )


def _is_list(image: str) -> bool:
    return image.startswith('["')


def _read_files(archives: Archives, image: str, digest: str) -> Files:
    """Return the paths and the bytes of an image's files, compared with its digest unless ""."""
    paths = paths_of(image)
    if len(paths) == 1:
        return [(paths[0], archives.read_image(paths[0], digest=digest))]
    files: Files = [(path, archives.read_image(path)) for path in paths]
    _compare(joined_digest([digest_of(data) for _, data in files]), digest, paths[0])
    return files


def _compare(actual: str, digest: str, name: str) -> None:
    """Raise DataError unless an image has the digest that the index has, or that is ""."""
    if digest and actual != digest:
        raise DataError(
            "not the image that was indexed",
            file=name,
            found=f"sha256 {actual}…",
            expected=f"sha256 {digest}…, as the index says",
            fix="run the fetch and index stages again if it was replaced on purpose",
        )


def _check_alike(files: Files, samples: Sequence[Samples], expected: int) -> None:
    """Refuse an image of another number of files than planned, or of several sizes."""
    if len(files) != expected:
        raise DataError(
            "an image of another number of files than the first ones have",
            file=files[0][0],
            found=len(files),
            expected=expected,
        )
    first = samples[0].header
    for each, (path, _) in zip(samples, files, strict=True):
        size = (each.header.width, each.header.height)
        if size != (first.width, first.height):
            raise DataError(
                "the files of one image have different sizes",
                file=path,
                found="{} x {} px".format(*size),
                expected=f"{first.width} x {first.height} px, as {files[0][0]} has",
            )


def _joined(headers: Sequence[Header]) -> Header:
    formats, modes = ({getattr(h, key): None for h in headers} for key in ("format", "mode"))
    return replace(headers[0], format=", ".join(formats), mode=", ".join(modes))
