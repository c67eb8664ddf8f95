"""Raw images and masks, developed into one shard: a pure function of its rows.

Every image and mask of the rows is decoded, whatever happens to the others: a run that
fails tells all that is wrong, not the first of it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darkroom.errors import DataError
from darkroom.images import codec, geometry
from darkroom.images.geometry import Fit, cv2
from darkroom.raw.archives import Archives
from darkroom.raw.masks import read_mask
from darkroom.store import store
from darkroom.store.shard import ImageKind

Pixels = NDArray[np.uint8]

THUMB_PX = 16


@dataclass(frozen=True)
class Finish:
    """How pictures are stored: size in pixels, fit, kind of store, JPEG quality."""

    height: int
    width: int
    fit: Fit
    store: ImageKind
    quality: int


@dataclass(frozen=True)
class Exposure:
    """One row of the index, as far as pixels go."""

    id: str
    part: str
    image: str
    mask: str


@dataclass(frozen=True)
class ShardJob:
    """What one shard is made of, and where it goes."""

    path: Path
    archives: Archives
    rows: tuple[Exposure, ...]
    finish: Finish


@dataclass(frozen=True)
class Facts:
    """What decoding told of one image.

    Attributes:
        id: As in the index.
        part: "train" or "test".
        height: Of the original, px.
        width: Of the original, px.
        format: "JPEG", "PNG", ...
        mode: Pillow's name of the samples: "RGB", "L", ...
        bytes: The file's size.
        exif: EXIF orientation, 1 to 8 (never applied).
        peak: The largest value of any channel, 0 to 255, before resizing (except what a JPEG
            is reduced by while it is decoded).
        mask_pixels: Foreground pixels of the original mask; -1 where there is no mask.
        mask_values: What the mask's 0 and 1 were: see `darkroom.raw.masks.RawMask`; "" without one.
        thumb: The stored picture as 16 x 16 grey levels, in hexadecimal.
    """

    id: str
    part: str
    height: int
    width: int
    format: str
    mode: str
    bytes: int
    exif: int
    peak: int
    mask_pixels: int
    mask_values: str
    thumb: str

    def as_row(self) -> dict[str, object]:
        """Return it as a row of facts.csv."""
        return asdict(self)


@dataclass
class Developed:
    """What became of a shard's rows: facts of those that decoded, faults of the others."""

    facts: list[Facts] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def develop(job: ShardJob) -> Developed:
    """Write the shard of a job, unless one of its rows is at fault, and tell about every row."""
    told = Developed()
    store.write_shard(
        job.path,
        _developed_rows(job, told),
        height=job.finish.height,
        width=job.finish.width,
        fit=job.finish.fit,
        image=job.finish.store,
    )
    if told.faults:
        job.path.unlink()
    return told


def _developed_rows(job: ShardJob, told: Developed) -> Iterator[store.Row]:
    for exposure in job.rows:
        try:
            row, facts = _develop_row(exposure, job.archives, job.finish)
        except DataError as error:
            told.faults.append(str(error).replace("\n  ", "; "))
            continue
        told.facts.append(facts)
        yield row


def _develop_row(exposure: Exposure, archives: Archives, finish: Finish) -> tuple[store.Row, Facts]:
    data = archives.read(exposure.image)
    header = codec.read_header(data, name=exposure.image)
    size = (header.height, header.width)
    to, fit = (finish.height, finish.width), finish.fit
    enough = geometry.sufficient_size(*size, *to, fit)
    decoded = codec.decode_image(data, name=exposure.image, at_least=enough)
    pixels = geometry.fit_image(decoded, *to, fit, original=size)
    mask = read_mask(archives, exposure.mask, *size, name=exposure.image) if exposure.mask else None
    fitted = None if mask is None else geometry.fit_mask(mask.pixels, *to, fit)
    row = store.Row(
        id=exposure.id,
        image=store.pack_image(pixels, finish.store, finish.quality),
        mask=store.pack_mask(fitted),
        height=header.height,
        width=header.width,
    )
    facts = Facts(
        id=exposure.id,
        part=exposure.part,
        height=header.height,
        width=header.width,
        format=header.format,
        mode=header.mode,
        bytes=len(data),
        exif=header.exif,
        peak=int(decoded.max()),
        mask_pixels=-1 if mask is None else int(np.count_nonzero(mask.pixels)),
        mask_values="" if mask is None else mask.values,
        thumb=_thumb(pixels),
    )
    return row, facts


def _thumb(pixels: Pixels) -> str:
    """Return 16 x 16 grey levels as hexadecimal, to find near duplicates by."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8).tobytes().hex()
