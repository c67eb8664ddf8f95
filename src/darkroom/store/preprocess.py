"""Decode, resize and store raw images and masks: one shard, a pure function of its rows.

Every image and mask is decoded, even after an error, so that a failed run reports all errors at
once. A shard that is complete has a record beside its facts, and is not made again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import ArtifactError, DataError, one_line
from darkroom.images import codec, geometry
from darkroom.images.geometry import cv2
from darkroom.project.checked_json import read_json, write_json
from darkroom.project.files import file_sha256
from darkroom.raw.archives import Archives, digest_of
from darkroom.raw.images.reader import ImageReader, RawImage
from darkroom.raw.masks import ONE_MASK, MaskForm, RawMasks, read_masks
from darkroom.store import store
from darkroom.store.facts import THUMB_PX, ImageFacts, write_facts
from darkroom.store.shard import ShardFormat

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class SourceImage:
    """The columns of an index row that lead to pixels."""

    id: str
    part: str
    image: str
    mask: str
    digest: str = ""
    mask_digest: str = ""


SOURCE_COLUMNS = [each.name for each in fields(SourceImage)]


@dataclass(frozen=True)
class PreprocessJob:
    """One shard to write.

    Attributes:
        path: Of the shard.
        facts: A file that keeps what is found about its images, for this run and one that goes on
            after it.
        archives: Of the raw files.
        rows: Its images and masks, an Arrow table of the columns of `SourceImage`.
        format: As stored.
        quality: Of a stored JPEG.
        masks: How they are read.
        reader: Of the images; None: of files in these archives, to three channels.
    """

    path: Path
    facts: Path
    archives: Archives
    rows: Any
    format: ShardFormat
    quality: int
    masks: MaskForm = ONE_MASK
    reader: ImageReader | None = None

    @property
    def record(self) -> Path:
        """Of a complete shard: the digests of shard and facts."""
        return self.facts.with_suffix(".json")


@dataclass
class ShardResult:
    """The outcome for a shard's rows.

    Attributes:
        images: How many were stored; their facts are in the job's file.
        errors: Of the others.
        sha256: Of the shard; "" if there is an error.
    """

    images: int = 0
    errors: list[str] = field(default_factory=list)
    sha256: str = ""


def preprocess_shard(job: PreprocessJob) -> ShardResult:
    """Write the shard of a job and its facts, unless one of its rows has an error.

    A shard that an earlier run completed is taken as it is, if it and its facts are undamaged.
    """
    result = _recorded(job)
    if result is not None:
        return result
    result = ShardResult()
    with write_facts(job.facts) as add_facts:
        store.write_shard(job.path, _stored_images(job, result, add_facts), job.format)
    if result.errors:
        job.path.unlink()
        job.facts.unlink()
        return result
    result.sha256 = file_sha256(job.path)
    digests = {"sha256": result.sha256, "facts_sha256": file_sha256(job.facts)}
    write_json(job.record, {"images": result.images, **digests})
    return result


def _recorded(job: PreprocessJob) -> ShardResult | None:
    """Return the result of an earlier run; None if it made no such shard, or that is damaged."""
    if not all(path.exists() for path in (job.record, job.facts, job.path)):
        return None
    try:
        record = read_json(job.record, absent="", fix="")
    except ArtifactError:
        return None
    digests = (file_sha256(job.path), file_sha256(job.facts))
    if digests != (record["sha256"], record["facts_sha256"]):
        return None
    return ShardResult(record["images"], [], record["sha256"])


def _stored_images(
    job: PreprocessJob, result: ShardResult, add_facts: Callable[[ImageFacts], None]
) -> Iterator[store.StoredImage]:
    for source in _sources(job.rows):
        try:
            row, facts = _preprocess_image(source, job)
        except DataError as error:
            result.errors.append(one_line(error))
            continue
        result.images += 1
        add_facts(facts)
        yield row


def _sources(rows: Any) -> Iterator[SourceImage]:
    for batch in rows.select(SOURCE_COLUMNS).to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = [column.to_pylist() for column in batch.columns]
        yield from map(SourceImage, *columns)


def read_fitted(
    reader: ImageReader, image: str, format: ShardFormat, *, digest: str = ""
) -> tuple[RawImage, codec.Pixels]:
    """Return a raw image, perhaps at a reduced size, and its pixels as they are to be stored.

    Args:
        reader: Of the images.
        image: As the index names it.
        format: The stored size and fit; the pixels are uint8 (H, W, C) of that size.
        digest: As the index has it; "": none is compared.

    Raises:
        DataError: See `ImageReader.read`.
    """
    to, fit = (format.height, format.width), format.fit
    raw = reader.read(
        image,
        digest=digest,
        sufficient=lambda height, width: geometry.sufficient_size(height, width, *to, fit),
    )
    size = (raw.header.height, raw.header.width)
    return raw, geometry.fit_image(raw.pixels, *to, fit, original=size)


def _preprocess_image(
    source: SourceImage, job: PreprocessJob
) -> tuple[store.StoredImage, ImageFacts]:
    reader = job.reader or ImageReader(job.archives)
    raw, pixels = read_fitted(reader, source.image, job.format, digest=source.digest)
    header = raw.header
    mask = _read_mask(source, job, header.height, header.width) if source.mask else None
    packed = store.pack_mask(None if mask is None else _fit_planes(mask, job))
    row = store.StoredImage(
        id=source.id,
        image=store.pack_image(pixels, job.format.image, job.quality),
        mask=packed,
        height=header.height,
        width=header.width,
    )
    facts = ImageFacts(
        id=source.id,
        part=source.part,
        height=header.height,
        width=header.width,
        format=header.format,
        mode=header.mode,
        bytes=raw.bytes,
        exif=header.exif,
        raw_low=raw.low,
        raw_high=raw.high,
        peak=int(raw.pixels.max()),
        mask_pixels="-1" if mask is None else _pixels(mask),
        mask_values="" if mask is None else "|".join(mask.values),
        stored_mask_digest=digest_of(packed) if packed else "",
        thumb=_thumb(pixels),
    )
    return row, facts


def _read_mask(source: SourceImage, job: PreprocessJob, height: int, width: int) -> RawMasks:
    return read_masks(
        job.archives,
        source.mask,
        height,
        width,
        form=job.masks,
        name=source.image,
        digest=source.mask_digest,
    )


def _fit_planes(mask: RawMasks, job: PreprocessJob) -> codec.Pixels:
    """Return the planes of a mask at the stored size, uint8 (K, H, W)."""
    to, fit = (job.format.height, job.format.width), job.format.fit
    if job.masks.values is not None:
        return geometry.fit_classes(mask.stored(), *to, fit)
    return np.stack([geometry.fit_mask(plane, *to, fit) for plane in mask.planes])


def _pixels(mask: RawMasks) -> str:
    """Return how many pixels each plane has: see `ImageFacts.mask_pixels`."""
    return " ".join(str(np.count_nonzero(plane)) for plane in mask.stored())


def _thumb(pixels: codec.Pixels) -> bytes:
    """Return 16 x 16 grey levels, for the search for near duplicates."""
    if pixels.shape[2] == geometry.RGB:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    else:
        grey = np.rint(pixels.mean(axis=2)).astype(np.uint8)
    small = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8).tobytes()
