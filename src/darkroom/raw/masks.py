"""Read raw masks: an index row names files or holds run lengths; they become planes of pixels.

The index's `mask` is one part (the path of a file, or `rle:row 1 3 ...`), or a JSON list with an
entry a class, each a list of parts: `[["a.png", "b.png"], ["rle:column 1 3"], []]`. A class is the
union of its parts. Or it is a path whose values are the classes.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError, one_line
from darkroom.images import rle
from darkroom.images.codec import decode_mask, decode_mask_values
from darkroom.images.labels import labels_from_levels, planes_from_values
from darkroom.images.objects import find_objects
from darkroom.raw.archives import Archives, digest_of, joined_digest
from darkroom.raw.images import npy

RLE_PREFIX = "rle:"
RUN_LENGTHS = "run lengths"


@dataclass(frozen=True)
class MaskForm:
    """How the masks of a competition are read, of its card.

    Attributes:
        planes: The number of classes, K.
        values: Of a file whose values are classes: the plane of each value, from 0, or None for
            pixels that are unknown. None: a file holds one mask.
    """

    planes: int = 1
    values: Mapping[int, int | None] | None = None

    @property
    def unknown(self) -> bool:
        """Whether some pixels are unknown."""
        return self.values is not None and None in self.values.values()

    @property
    def stored_planes(self) -> int:
        """The number of planes in a store: the classes, and the unknown pixels if there are any."""
        return self.planes + self.unknown


ONE_MASK = MaskForm()


@dataclass(frozen=True)
class RawMasks:
    """The masks of an image at its original size.

    Attributes:
        planes: uint8 (K, H, W) of 0 and 1.
        unknown: uint8 (H, W), 1 where nobody knows; None where the form has no such pixels.
        values: What stood for 0 and 1 in each part of the raw data, once each: grey levels, "0/1",
            "0/255" or "0" (a file with no foreground); colours of a palette, "#000000/#ff0000";
            "run lengths"; or "values 0 1 255" of a file whose values are classes.
    """

    planes: NDArray[np.uint8]
    unknown: NDArray[np.uint8] | None
    values: tuple[str, ...]

    def stored(self) -> NDArray[np.uint8]:
        """Return the planes as a store holds them, uint8 (K or K + 1, H, W): unknown comes last."""
        if self.unknown is None:
            return self.planes
        return np.concatenate([self.planes, self.unknown[None]])


def read_masks(
    archives: Archives,
    mask: str,
    height: int,
    width: int,
    *,
    form: MaskForm = ONE_MASK,
    name: str,
    digest: str = "",
) -> RawMasks:
    """Return the masks of an image of size (height, width).

    Args:
        archives: The containers that mask files lie in.
        mask: The index row's `mask`, see above; run lengths have starts from 1, along the rows
            ("rle:row") or down the columns.
        height: Of the image, px.
        width: Of the image, px.
        form: How many classes there are, and how files hold them.
        name: Of the image, for messages.
        digest: Of the mask's file, as the index has it; of several, `joined_digest` of them; "":
            none is compared.

    Raises:
        DataError: A file is absent, broken, not the one that was indexed, of another size than its
            image, or has other values.

    Example:
        >>> from pathlib import Path
        >>> archives = Archives(Path("raw"), Path("unpacked"))  # run lengths need no file
        >>> read_masks(archives, "rle:row 2 2", 1, 4, name="a.jpg").planes.tolist()
        [[[0, 1, 1, 0]]]
    """
    if form.values is not None:
        return _read_values(archives, mask, height, width, form, name, digest)
    planes, values = [], dict[str, None]()
    for parts in _read_parts(archives, mask, height, width, form, name, digest):
        united: NDArray[np.uint8] | None = None
        for pixels, meaning in parts:
            united = pixels if united is None else united | pixels
            values[meaning] = None
        planes.append(np.zeros((height, width), np.uint8) if united is None else united)
    stacked = planes[0][None] if len(planes) == 1 else np.stack(planes)
    return RawMasks(stacked, None, tuple(values) or (RUN_LENGTHS,))


def read_objects(
    archives: Archives,
    mask: str,
    height: int,
    width: int,
    *,
    form: MaskForm = ONE_MASK,
    name: str,
    digest: str = "",
) -> NDArray[np.int32]:
    """Return the numbers of the objects of each class, int32 (K, H, W); 0 is background.

    Each part is an object of its own, so that objects that touch stay apart; of a pixel in two
    parts the first has it. A class that is a single file may hold many: there they are what hangs
    together, diagonals included. Arguments and errors are those of `read_masks`.
    """
    numbers = np.zeros((form.planes, height, width), np.int32)
    if form.values is not None:
        masks = _read_values(archives, mask, height, width, form, name, digest)
        return np.stack([find_objects(plane) for plane in masks.planes])
    by_class = _read_parts(archives, mask, height, width, form, name, digest)
    for labels, parts in zip(numbers, by_class, strict=True):
        several = list(parts)
        if len(several) == 1 and several[0][1] != RUN_LENGTHS:
            labels[:] = find_objects(several[0][0])
            continue
        for number, (pixels, _) in enumerate(several, 1):
            labels[(pixels > 0) & (labels == 0)] = number
    return numbers


def mask_parts(mask: str) -> list[list[str]]:
    """Return the parts of each class that the index's `mask` holds.

    Example:
        >>> mask_parts("masks.zip/a.png"), mask_parts('[["rle:row 1 3", "a.png"], []]')
        ([['masks.zip/a.png']], [['rle:row 1 3', 'a.png'], []])
    """
    if not mask.startswith("["):
        return [[mask]]
    parts: list[list[str]] = json.loads(mask)
    return parts


Part = tuple[NDArray[np.uint8], str]
"""The pixels of a part of a mask, and what stood for 0 and 1."""


def _read_parts(
    archives: Archives, mask: str, height: int, width: int, form: MaskForm, name: str, digest: str
) -> Iterator[Iterator[Part]]:
    """Yield the parts of each class, to be read in turn; at the end digests are compared."""
    by_class = mask_parts(mask)
    if len(by_class) != form.planes:
        raise DataError(
            "its mask has another number of classes",
            file=name,
            found=len(by_class),
            expected=form.planes,
            fix="run the index stage again",
        )
    # A single file is compared as it is read, so that its own name stands in the message.
    several = sum(not part.startswith(RLE_PREFIX) for parts in by_class for part in parts) > 1
    digests: list[str] = []

    def read_part(part: str) -> Part:
        if part.startswith(RLE_PREFIX):
            return _decode_runs(part, height, width, name), RUN_LENGTHS
        data = archives.read(part, digest="" if several else digest)
        if several and digest:
            digests.append(digest_of(data))
        if npy.is_array(data):
            pixels, values = labels_from_levels(npy.read_values(data, name=part), part)
        else:
            pixels, values = decode_mask(data, name=part)
        _check_size(pixels, height, width, part, name)
        return pixels, values

    for parts in by_class:
        yield map(read_part, parts)
    if digests and joined_digest(digests) != digest:
        raise DataError(
            "not the mask files that were indexed",
            file=name,
            found=f"{len(digests)} files whose sha256 together are {joined_digest(digests)}…",
            expected=f"{digest}…, as the index says",
            fix="run the fetch and index stages again if they were replaced on purpose",
        )


def _read_values(
    archives: Archives, mask: str, height: int, width: int, form: MaskForm, name: str, digest: str
) -> RawMasks:
    """Return the masks of a file whose values are classes."""
    assert form.values is not None
    parts = [part for parts in mask_parts(mask) for part in parts]
    if len(parts) != 1 or parts[0].startswith(RLE_PREFIX):
        raise DataError(
            "data.values is for masks that are one picture each",
            file=name,
            found=", ".join(parts)[:200] or "no picture",
            expected="one picture whose values are the classes",
        )
    data = archives.read(parts[0], digest=digest)
    read = npy.read_values if npy.is_array(data) else decode_mask_values
    samples = read(data, name=parts[0])
    _check_size(samples, height, width, parts[0], name)
    planes, unknown = planes_from_values(samples, form.values, form.planes, parts[0])
    used = " ".join(map(str, np.unique(samples).tolist()))
    return RawMasks(planes, unknown if form.unknown else None, (f"values {used}",))


def _decode_runs(part: str, height: int, width: int, name: str) -> NDArray[np.uint8]:
    order, _, pairs = part.removeprefix(RLE_PREFIX).partition(" ")
    try:
        return rle.decode(pairs, height, width, "row" if order == "row" else "column")
    except DataError as error:
        raise DataError(f"its mask can't be decoded: {one_line(error)}", file=name) from error


def _check_size(
    pixels: NDArray[np.unsignedinteger], height: int, width: int, part: str, name: str
) -> None:
    if pixels.shape != (height, width):
        raise DataError(
            "the mask's size is not its image's",
            file=part,
            found=f"{pixels.shape[1]} x {pixels.shape[0]} px",
            expected=f"{width} x {height} px, as {name} has",
        )


def refuse_opposite_masks(masks: Iterable[tuple[str, Iterable[str]]]) -> None:
    """Refuse masks of one data set in which a colour is foreground here and background there.

    Args:
        masks: The name of each image, and what stood for 0 and 1: `RawMasks.values`.

    Raises:
        DataError: Two masks contradict each other; the message names them.
    """
    first: dict[str, tuple[int, str]] = {}
    for name, several in masks:
        for label, colour in (pair for values in several for pair in enumerate(_colours(values))):
            meaning, other = first.setdefault(colour, (label, name))
            if colour and meaning != label:
                back, front = (other, name) if label else (name, other)
                raise DataError(
                    "masks of opposite meaning",
                    found=f"{colour} is background in the mask of {back}, and foreground in that "
                    f"of {front}",
                    expected="each colour to mean the same in all of them",
                    fix="store the masks in grey, without a palette: 0 for background, 255 for "
                    "foreground",
                )


def _colours(values: str) -> list[str]:
    """Return the colours of 0 and 1, "" where none is known: the levels 0 and 1 are labels."""
    if values.startswith(("#", "/#")):
        colours = values.split("/")
        return colours if colours[0] != colours[1] else []
    levels = values.split("/")
    if not all(map(str.isdecimal, levels)) or levels[-1] == "1":
        return []
    return [f"#{int(level):02x}{int(level):02x}{int(level):02x}" for level in levels]
