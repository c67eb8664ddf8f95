"""How fast images and masks are read for training: `python -m benchmarks.loader`.

Carvana pictures and masks at 959x640, one process, one thread. Ours, from JPEG and from raw
shards through the loader that training uses, against the usual data set, which decodes and
resizes each item in full with Pillow. All contenders take turns in one run, so that a busy
machine slows all of them alike; the medians of the rounds are printed.
"""

import argparse
import io
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image
from torch.utils.data import Dataset

from benchmarks import REALDATA
from darkroom.images import codec, geometry
from darkroom.images.codec import Pixels
from darkroom.images.geometry import cv2
from darkroom.store.loader import Loader, loader
from darkroom.store.shard import ImageKind, ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, write_shard

HEIGHT, WIDTH = 640, 959
QUALITY = 90  # of the JPEG shards: the default of params.yaml
BATCH_SIZE = 4
DATA = REALDATA / "carvana"
TARGETS = {"jpeg shards": 25, "raw shards": 200}


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


def read_usual(data: UsualDataset, count: int) -> int:
    for index in range(count):
        data[index % len(data)]
    return count


def read_ours(batches: Loader) -> int:
    return sum(len(batch) for batch in batches)


def bare_decode(encoded: list[bytes]) -> int:
    """Decode the JPEGs of the shards, in full quality, to one place, and nothing else."""
    place = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    for data in encoded:
        simplejpeg.decode_jpeg(data, "RGB", buffer=place)
    return len(encoded)


def bare_copy(store: Store, masks: Pixels, batch: tuple[Pixels, Pixels]) -> int:
    """Copy raw images and masks to where a batch would lie, and nothing else."""
    for row in range(len(store)):
        np.copyto(batch[0][row % BATCH_SIZE], store.image(row))
        np.copyto(batch[1][row % BATCH_SIZE], masks[row])
    return len(store)


def measure(contenders: dict[str, Callable[[], int]], rounds: int) -> dict[str, float]:
    """Return the median rate of each, in images a second; a first round warms up."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, work in contenders.items():
            start = time.perf_counter()
            count = work()
            rate = count / (time.perf_counter() - start)
            if number:
                rates[name].append(rate)
    return {name: statistics.median(values) for name, values in rates.items()}


def contenders(pictures: list[Raw], folder: Path, *, quick: bool) -> dict[str, Callable[[], int]]:
    """Return what is measured: the baseline, ours, and the limit of each of ours."""
    usual = UsualDataset(unpack(pictures, folder))
    jpeg, raw = shard(pictures, folder / "jpeg", "jpeg"), shard(pictures, folder / "raw", "raw")
    encoded = [bytes(jpeg.stored_image(row)) for row in range(len(jpeg))]
    batch = (
        np.zeros((BATCH_SIZE, HEIGHT, WIDTH, 3), np.uint8),
        np.zeros((BATCH_SIZE, 1, HEIGHT, WIDTH), np.uint8),
    )
    masks = raw.masks(range(len(raw)))
    passes = 1 if quick else 4
    rows = list(range(len(pictures)))
    options: dict[str, Any] = {"masks": True, "batch_size": BATCH_SIZE, "seed": 0}
    from_jpeg = loader(jpeg, rows, None, **options)
    from_raw = loader(raw, rows * passes, None, **options)
    return {
        "usual data set": lambda: read_usual(usual, 2 if quick else 16),
        "jpeg shards": lambda: read_ours(from_jpeg),
        "bare JPEG decode": lambda: bare_decode(encoded),
        "raw shards": lambda: read_ours(from_raw),
        "bare copy": lambda: sum(bare_copy(raw, masks, batch) for _ in range(passes)),
    }


def report(rates: dict[str, float]) -> list[str]:
    """Return the table, line by line."""
    base = rates["usual data set"]
    limits = {"jpeg shards": "bare JPEG decode", "raw shards": "bare copy"}
    lines = [
        "| image and mask, 959x640 | img/s | against the usual | to reach | of its limit |",
        "|---|---|---|---|---|",
    ]
    for name, rate in rates.items():
        target = f"{TARGETS[name]}x" if name in TARGETS else ""
        share = f"{rate / rates[limits[name]]:.0%}" if name in limits else ""
        lines.append(f"| {name} | {rate:,.1f} | {rate / base:.1f}x | {target} | {share} |")
    return lines


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

    rate = measure({"decode": decode_all}, 3)["decode"]
    squares = [
        np.mean((simplejpeg.decode_jpeg(data, "RGB", **flags).astype(np.float32) - pixels) ** 2)
        for data, pixels in zip(encoded, fitted, strict=True)
    ]
    return [f"{rate:.0f}", f"{10 * np.log10(255**2 / np.mean(squares)):.1f}"]


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of Carvana's zip files")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    count, rounds = (4, 1) if options.quick else (64, 7)
    if (options.data / "train.zip").is_file():
        pictures, kind = real_pictures(options.data, count), "real Carvana pictures"
    else:
        pictures, kind = drawn_pictures(min(count, 16)), f"drawn: no train.zip in {options.data}"
    with tempfile.TemporaryDirectory() as folder:
        rates = measure(contenders(pictures, Path(folder), quick=options.quick), rounds)
    print(
        f"{len(pictures)} pictures ({kind}), JPEG shards of quality {QUALITY}, batches of "
        f"{BATCH_SIZE}, median of {rounds} rounds, one thread\n"
    )
    print("\n".join(report(rates)))
    if not options.quick:
        print("\n" + "\n".join(jpeg_choices(pictures)))


if __name__ == "__main__":
    main()
