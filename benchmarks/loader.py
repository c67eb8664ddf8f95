"""How fast images and masks are read for training, beside other loaders and beside the decoder.

    python -m benchmarks.loader [--data FOLDER] [--faces FOLDER] [--choices] [--quick] [--json FILE]

Carvana pictures and masks at 959x640, and faces at 80x96 without masks, shuffled, read in this
process and in two. Ours is the loader that training uses. The usual data set decodes and resizes
each item in full with Pillow. Other libraries (`benchmarks.peers`; those that are installed) read
the same stored JPEGs from files of their own, with our decoder, and must give the same pixels. The
limit is that decoder alone, or the copy of raw pixels alone. All take turns in one run; ratios are
of CPU seconds an image, child processes included.
"""

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset

from benchmarks import REALDATA
from benchmarks.harness import Goal, Rate, Report, Table, parser, take_turns
from benchmarks.peers import (
    PEERS,
    Batches,
    Choices,
    Decoder,
    Sample,
    digest_by_id,
    installed,
    offline,
)
from benchmarks.scale import pictures
from darkroom.images import codec, geometry
from darkroom.images.codec import Pixels, decode_jpeg_fast
from darkroom.images.geometry import cv2
from darkroom.store.loader import Loader, loader
from darkroom.store.shard import ImageKind, ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, write_shard

HEIGHT, WIDTH = 640, 959
QUALITY = 90  # of the JPEG shards: the default of params.yaml
BATCH_SIZE = 4
DATA = REALDATA / "carvana"
FACES = "img_align_celeba.zip"
USUAL, DECODE, COPY = "usual data set", "bare JPEG decode", "bare copy"
AGAINST_USUAL, LIMITS = 25, {DECODE: 1.1, COPY: 1.3}


@dataclass(frozen=True)
class Raw:
    """A JPEG of 1918x1280 and its mask, a GIF."""

    image: bytes
    mask: bytes


class UsualDataset(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """What the most used open U-Net repository does in `__getitem__`, operation by operation.

    Open, decode in full, resize (bicubic; nearest for the mask), scale to 0..1 in double
    precision, copy, make float and long tensors. Its search for the file by pattern is left out.
    """

    def __init__(self, files: list[tuple[Path, Path]]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image_path, mask_path = self.files[index]
        with Image.open(image_path) as picture, Image.open(mask_path) as labels:
            image = np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
            mask = np.asarray(labels.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
        scaled = image.transpose(2, 0, 1) / 255
        return (
            torch.as_tensor(scaled.copy()).float().contiguous(),
            torch.as_tensor(mask.copy()).long().contiguous(),
        )


def real_pictures(folder: Path, count: int) -> list[Raw]:
    """Return the first pictures of `train.zip` with their masks of `train_masks.zip`."""
    with (
        zipfile.ZipFile(folder / "train.zip") as cars,
        zipfile.ZipFile(folder / "train_masks.zip") as masks,
    ):
        names = sorted(name for name in cars.namelist() if name.endswith(".jpg"))[:count]
        mask_names = {Path(name).stem: name for name in masks.namelist()}
        return [
            Raw(cars.read(name), masks.read(mask_names[f"{Path(name).stem}_mask"]))
            for name in names
        ]


def drawn_pictures(count: int) -> list[Raw]:
    """Return stand-ins of the same size: blobs in grainy light."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        coarse = rng.integers(40, 220, (40, 60, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, (1918, 1280), interpolation=cv2.INTER_CUBIC)
        grain = rng.integers(0, 12, pixels.shape, dtype=np.uint8)
        mask = np.zeros((1280, 1918), np.uint8)
        centre = (int(rng.integers(700, 1200)), int(rng.integers(500, 800)))
        cv2.ellipse(mask, centre, (600, 300), 0, 0, 360, 1, -1)
        file = io.BytesIO()
        Image.fromarray(mask, "P").save(file, "GIF")
        pictures.append(Raw(codec.encode_jpeg(cv2.add(pixels, grain), 85), file.getvalue()))
    return pictures


def unpack(pictures: list[Raw], folder: Path) -> list[tuple[Path, Path]]:
    """Write the files in the layout of the usual data set."""
    files = []
    for number, raw in enumerate(pictures):
        image, mask = folder / f"{number:03d}.jpg", folder / f"{number:03d}.gif"
        image.write_bytes(raw.image)
        mask.write_bytes(raw.mask)
        files.append((image, mask))
    return files


def shard(pictures: list[Raw], folder: Path, kind: ImageKind) -> Store:
    """Write one shard as `preprocess` does, and open it."""
    folder.mkdir()
    format = ShardFormat(HEIGHT, WIDTH, "stretch", kind)
    write_shard(folder / "train-00000.arrow", _rows(pictures, kind), format)
    return Store(folder, "train")


def _rows(pictures: list[Raw], kind: ImageKind) -> Iterator[StoredImage]:
    for number, raw in enumerate(pictures):
        header = codec.read_header(raw.image)
        original = (header.height, header.width)
        pixels = codec.decode_image(raw.image, at_least=(HEIGHT, WIDTH))
        pixels = geometry.fit_image(pixels, HEIGHT, WIDTH, "stretch", original=original)
        mask = geometry.fit_mask(codec.decode_mask(raw.mask)[0], HEIGHT, WIDTH, "stretch")
        image, packed = pack_image(pixels, kind, QUALITY), pack_mask(mask)
        yield StoredImage(f"{number:03d}", image, packed, *original)


def bare_decode(samples: list[Sample], height: int, width: int) -> int:
    """Decode stored JPEGs, in full quality, to one place, and nothing else."""
    place = np.empty((height, width, 3), np.uint8)
    for sample in samples:
        decode_jpeg_fast(sample.image, name=sample.id, out=place)
    return len(samples)


def bare_copy(store: Store, masks: Pixels, batch: tuple[Pixels, Pixels]) -> int:
    """Copy raw images and masks to where a batch would lie, and nothing else."""
    for row in range(len(store)):
        np.copyto(batch[0][row % BATCH_SIZE], store.image(row))
        np.copyto(batch[1][row % BATCH_SIZE], masks[row])
    return len(store)


def read_all(batches: Iterable[Any]) -> int:
    """Read every batch, and return how many images they have."""
    return sum(len(batch["id"] if isinstance(batch, dict) else batch[0]) for batch in batches)


def read_ours(batches: Loader) -> int:
    return sum(len(batch) for batch in batches)


def samples_of(store: Store) -> list[Sample]:
    """Return what a store of JPEGs holds, for other libraries to store."""
    masks = store.has_mask
    return [
        Sample(
            name,
            bytes(store.stored_image(row)),
            pack_mask(store.masks([row])[0]) if masks[row] else b"",
        )
        for row, name in enumerate(store.ids)
    ]


def require_same_pixels(name: str, batches: Batches, ours: Loader) -> None:
    """Read both once.

    Raises:
        SystemExit: The pixels differ, or the other's are not shuffled.
    """
    order, digests = digest_by_id(batches)
    expected = digest_by_id(
        {"id": batch.ids, "image": batch.images.permute(0, 2, 3, 1)}
        | ({} if batch.targets is None else {"mask": batch.targets})
        for batch in ours
    )[1]
    if digests != expected or len(order) != len(expected):
        raise SystemExit(f"{name} reads other pixels than ours")
    if order == sorted(order):
        raise SystemExit(f"{name} does not shuffle")


def measure_jpegs(
    store: Store, folder: Path, workers: int, rounds: int, usual: Callable[[], int] | None
) -> dict[str, Rate]:
    """Return the rates of ours, of the usual, of each peer, and of the decoder alone."""
    samples, decoder = samples_of(store), Decoder(store.height, store.width)
    has_masks = bool(samples[0].mask)
    batch_size = BATCH_SIZE if has_masks else 64
    rows = list(range(len(store)))
    options: dict[str, Any] = {"masks": has_masks, "batch_size": batch_size, "seed": 0}
    ours = loader(store, rows, None, workers=workers, **options)
    contenders: dict[str, Callable[[], int]] = {} if usual is None else {USUAL: usual}
    contenders["Darkroom, JPEG"] = partial(read_ours, ours)
    for name, make in installed().items():
        place = folder / f"{make.__name__}-{store.height}"
        batches = make(samples, place, decoder, Choices(batch_size, workers))
        require_same_pixels(name, batches, ours)
        contenders[name] = partial(read_all, batches)
    contenders[DECODE] = partial(bare_decode, samples, store.height, store.width)
    rates = take_turns(contenders, rounds)
    ours.close()
    return rates


def measure_raw(store: Store, workers: int, rounds: int, passes: int) -> dict[str, Rate]:
    """Return the rates of ours, from raw pixels and masks, and of the copy alone."""
    batch = (
        np.zeros((BATCH_SIZE, HEIGHT, WIDTH, 3), np.uint8),
        np.zeros((BATCH_SIZE, 1, HEIGHT, WIDTH), np.uint8),
    )
    masks, rows = store.masks(range(len(store))), list(range(len(store))) * passes
    ours = loader(store, rows, None, masks=True, batch_size=BATCH_SIZE, seed=0, workers=workers)
    rates = take_turns(
        {
            "Darkroom, raw": partial(read_ours, ours),
            COPY: lambda: sum(bare_copy(store, masks, batch) for _ in range(passes)),
        },
        rounds,
    )
    ours.close()
    return rates


def tabulate(title: str, rates: Mapping[str, Rate]) -> Table:
    """Return the table of contenders of one run."""
    table = Table(["", "img/s", "img a CPU s", "against the usual", "CPU against the limit"])
    table.title = title
    limit = rates.get(DECODE) or rates[COPY]
    for name, rate in rates.items():
        against = rate.cpu / rates[USUAL].cpu if USUAL in rates else None
        table.rows.append([name, rate.wall, rate.cpu, against, limit.cpu / rate.cpu])
    return table


def goals_of(title: str, rates: Mapping[str, Rate]) -> list[Goal]:
    """Return the goals of one run: against the usual, each peer, and the limit."""
    ours = next(name for name in rates if name.startswith("Darkroom"))
    goals = []
    for name, rate in rates.items():
        ratio = rates[ours].cpu / rate.cpu
        if name in LIMITS:
            what, bound = f"{title}: {ours}, CPU against the {name}", LIMITS[name]
            goals.append(Goal(what, 1 / ratio, bound, at_least=False))
        elif name != ours:
            bound = AGAINST_USUAL if name == USUAL else 1.0
            goals.append(Goal(f"{title}: {ours} against {name}", ratio, bound))
    return goals


def jpeg_choices(pictures: list[Raw]) -> list[str]:
    """Return a table of what stored JPEGs may cost: quality, colour resolution, fast upsampling."""
    fitted = [codec.decode_image(raw.image, at_least=(HEIGHT, WIDTH)) for raw in pictures[:8]]
    lines = [
        "| JPEG | kB | decodes/s | PSNR dB | fast colour | PSNR dB | fast DCT | PSNR dB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for quality in (90, 95):
        for colours in ("444", "420"):
            encoded = [simplejpeg.encode_jpeg(pixels, quality, "RGB", colours) for pixels in fitted]
            kilobytes = sum(len(data) for data in encoded) / len(encoded) / 1000
            cells = [f"quality {quality}, {colours}", f"{kilobytes:.0f}"]
            for flags in ({}, {"fastupsample": True}, {"fastdct": True}):
                cells += _decode_cells(fitted, encoded, flags)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _decode_cells(fitted: list[Pixels], encoded: list[bytes], flags: dict[str, bool]) -> list[str]:
    def decode_all() -> int:
        for data in encoded:
            simplejpeg.decode_jpeg(data, "RGB", **flags)
        return len(encoded)

    rate = take_turns({"decode": decode_all}, 3)["decode"].cpu
    squares = [
        np.mean((simplejpeg.decode_jpeg(data, "RGB", **flags).astype(np.float32) - pixels) ** 2)
        for data, pixels in zip(encoded, fitted, strict=True)
    ]
    return [f"{rate:.0f}", f"{10 * np.log10(255**2 / np.mean(squares)):.1f}"]


def face_files(data: Path) -> tuple[list[bytes], str]:
    """Return CelebA's JPEGs from its zip, or drawn ones; and which."""
    if (data / FACES).is_file():
        with zipfile.ZipFile(data / FACES) as archive:
            names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")]
            return [archive.read(name) for name in names], "real faces"
    return list(pictures(60, 218, 178)), f"drawn faces: no {FACES} in {data}"


def face_store(data: Path, folder: Path, count: int, kind: ImageKind = "jpeg") -> Store:
    """Write a shard of faces at 96x80 without masks, and open it."""
    packed = []
    for file in face_files(data)[0]:
        pixels = codec.decode_image(file, at_least=(96, 80))
        fitted = geometry.fit_image(pixels, 96, 80, "crop", original=(218, 178))
        packed.append(pack_image(fitted, kind, QUALITY))
    folder.mkdir()
    rows = (
        StoredImage(f"{number:06}", packed[number % len(packed)], b"", 218, 178)
        for number in range(count)
    )
    write_shard(folder / "train-00000.arrow", rows, ShardFormat(96, 80, "crop", kind))
    return Store(folder, "train")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("loader", __doc__)
    choices.add_argument("--data", type=Path, default=DATA, help="folder of Carvana's zip files")
    choices.add_argument("--faces", type=Path, default=REALDATA / "celeba", help="of CelebA's zip")
    choices.add_argument("--choices", action="store_true", help="of stored JPEGs: show them alone")
    options = choices.parse_args(arguments)
    torch.set_num_threads(1)
    count, rounds = (4, 1) if options.quick else (64, 5)
    if (options.data / "train.zip").is_file():
        cars, kind = real_pictures(options.data, count), "real Carvana pictures"
    else:
        cars, kind = drawn_pictures(min(count, 16)), f"drawn: no train.zip in {options.data}"
    if options.choices:
        print("\n".join(jpeg_choices(cars)))
        return
    with tempfile.TemporaryDirectory() as folder, offline():
        report = measure(cars, options.faces, Path(folder), rounds, quick=options.quick)
    report.title = (
        f"{len(cars)} pictures ({kind}), JPEGs of quality {QUALITY}, medians of {rounds} rounds"
    )
    absent = [name for name in PEERS if name not in installed()]
    report.notes = [f"not installed, and left out: {', '.join(absent)}"] if absent else []
    report.finish(options)


def measure(cars: list[Raw], faces: Path, work: Path, rounds: int, *, quick: bool) -> Report:
    """Return all tables: Carvana's JPEGs and raw pixels, and faces, with 0 and 2 workers."""
    usual = UsualDataset(unpack(cars, work))
    jpegs = shard(cars * (1 if quick else 4), work / "jpeg", "jpeg")
    raws = shard(cars, work / "raw", "raw")
    small = face_store(faces, work / "faces", 128 if quick else 4096)
    report = Report("")
    for workers in (0, 2):
        items = usual if quick or workers else Subset(usual, range(16))
        batches = DataLoader(
            items, batch_size=BATCH_SIZE, num_workers=workers, persistent_workers=workers > 0
        )
        read_usual = partial(read_all, batches)
        runs = {
            "959x640": measure_jpegs(jpegs, work, workers, rounds, read_usual),
            "959x640 raw": measure_raw(raws, workers, rounds, 1 if quick else 4),
            "faces": measure_jpegs(small, work, workers, rounds, None),
        }
        for name, rates in runs.items():
            title = f"{name}, {workers} workers"
            report.tables.append(tabulate(title, rates))
            report.goals += goals_of(title, rates)
    return report


if __name__ == "__main__":
    main()
