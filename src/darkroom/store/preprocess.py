"""Decode, resize and store raw images and masks: one shard, a pure function of its rows.

Every image and mask is decoded, even after an error, so that a failed run reports all errors at
once. A shard that is complete has a record beside it, and is not made again.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

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
from darkroom.store.shard import ShardFormat

THUMB_PX = 16


@dataclass(frozen=True)
class SourceImage:
    """The columns of an index row that lead to pixels."""

    id: str
    part: str
    image: str
    mask: str
    digest: str = ""
    mask_digest: str = ""


@dataclass(frozen=True)
class PreprocessJob:
    """One shard to write.

    Attributes:
        path: Of the shard.
        archives: Of the raw files.
        rows: Its images and masks.
        format: As stored.
        quality: Of a stored JPEG.
        record: A file that keeps the result for a run that goes on after this one; or None.
        masks: How they are read.
        reader: Of the images; None: of files in these archives, to three channels.
    """

    path: Path
    archives: Archives
    rows: tuple[SourceImage, ...]
    format: ShardFormat
    quality: int
    record: Path | None = None
    masks: MaskForm = ONE_MASK
    reader: ImageReader | None = None


@dataclass(frozen=True)
class ImageFacts:
    """What decoding found about one image: a row of facts.csv.

    Attributes:
        id: As in the index.
        part: "train" or "test".
        height: Of the original, px.
        width: Of the original, px.
        format: "JPEG", "PNG", "NPY", "DICOM", ...
        mode: Of the samples: Pillow's name, such as "RGB" or "L"; or "float16 x 6" ...
        bytes: The size of its files.
        exif: EXIF orientation, 1 to 8 (never applied).
        raw_low: The least sample of any channel, before levels map it to a byte and before resizing
            (but after a JPEG is decoded at a reduced size).
        raw_high: The greatest.
        peak: The largest byte, 0 to 255, likewise before resizing.
        mask_pixels: How many pixels of the original are in the mask; -1 where there is no mask. Of
            several classes one number a class, blanks between; unknown pixels come last.
        mask_values: The raw values of the mask: see `darkroom.raw.masks.RawMasks`, "|" between
            those of its parts; "" without one.
        stored_mask_digest: Of the bits of the stored mask; "" without one.
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
    raw_low: float
    raw_high: float
    peak: int
    mask_pixels: int | str
    mask_values: str
    stored_mask_digest: str
    thumb: str

    def as_row(self) -> dict[str, object]:
        """Return the fields by name."""
        return asdict(self)


@dataclass
class ShardResult:
    """The outcome for a shard's rows: facts of those that were decoded, errors of the others.

    Attributes:
        facts: In order.
        errors: Of those that could not be stored.
        sha256: Of the shard; "" if there is an error.
    """

    facts: list[ImageFacts] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    sha256: str = ""


def preprocess_shard(job: PreprocessJob) -> ShardResult:
    """Write the shard of a job, unless one of its rows has an error; return facts and errors.

    A shard that an earlier run completed is taken as it is, if it is undamaged.
    """
    result = _recorded(job)
    if result is not None:
        return result
    result = ShardResult()
    store.write_shard(job.path, _stored_images(job, result), job.format)
    if result.errors:
        job.path.unlink()
        return result
    result.sha256 = file_sha256(job.path)
    if job.record is not None:
        write_json(job.record, asdict(result))
    return result


def _recorded(job: PreprocessJob) -> ShardResult | None:
    """Return the result of an earlier run; None if it made no such shard, or that is damaged."""
    if job.record is None or not job.record.exists() or not job.path.exists():
        return None
    try:
        record = read_json(job.record, absent="", fix="")
    except ArtifactError:
        return None
    if file_sha256(job.path) != record["sha256"]:
        return None
    return ShardResult([ImageFacts(**fact) for fact in record["facts"]], [], record["sha256"])


def _stored_images(job: PreprocessJob, result: ShardResult) -> Iterator[store.StoredImage]:
    for source in job.rows:
        try:
            row, facts = _preprocess_image(source, job)
        except DataError as error:
            result.errors.append(one_line(error))
            continue
        result.facts.append(facts)
        yield row


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
        mask_pixels=-1 if mask is None else _pixels(mask),
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


def _pixels(mask: RawMasks) -> int | str:
    """Return how many pixels each plane has: see `ImageFacts.mask_pixels`."""
    counts = [int(np.count_nonzero(plane)) for plane in mask.stored()]
    return counts[0] if len(counts) == 1 else " ".join(map(str, counts))


def _thumb(pixels: codec.Pixels) -> str:
    """Return 16 x 16 grey levels as hexadecimal, for the search for near duplicates."""
    if pixels.shape[2] == geometry.RGB:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    else:
        grey = np.rint(pixels.mean(axis=2)).astype(np.uint8)
    small = cv2.resize(grey, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8).tobytes().hex()
