"""Libraries that read shuffled pictures from files of their own, each with its best settings.

All get the same stored bytes and one decoder, ours, which is the fastest at hand: what differs is
what surrounds it. A library that is not installed is left out: none is a requirement. Nothing
here uses the network, and what tries to is stopped.
"""

import importlib.util
import io
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate

from darkroom.images.codec import Pixels, decode_jpeg_fast

SEED = 7
_OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "LITDATA_DISABLE_VERSION_CHECK": "1"}


class Sample(NamedTuple):
    """What is stored of a picture: name, JPEG, and the bits of its mask, eight a byte, or b""."""

    id: str
    image: bytes
    mask: bytes


@dataclass(frozen=True)
class Decoder:
    """From stored bytes to arrays.

    Attributes:
        height, width: Of all pictures, px.
    """

    height: int
    width: int

    def __call__(self, name: str, image: bytes, mask: bytes) -> dict[str, Any]:
        """Return the id, the image uint8 (H, W, 3) and, if it has one, the mask uint8 (1, H, W)."""
        pixels = np.empty((self.height, self.width, 3), np.uint8)
        decode_jpeg_fast(np.frombuffer(image, np.uint8), name=name, out=pixels)
        item: dict[str, Any] = {"id": name, "image": torch.from_numpy(pixels)}
        if mask:
            bits = np.unpackbits(np.frombuffer(mask, np.uint8), count=self.height * self.width)
            item["mask"] = torch.from_numpy(bits.reshape(1, self.height, self.width))
        return item


@dataclass(frozen=True)
class Choices:
    """How a loader reads.

    Attributes:
        batch_size: Pictures.
        workers: Processes; 0: in this one.
    """

    batch_size: int
    workers: int

    @property
    def options(self) -> dict[str, Any]:
        """Of a DataLoader; its workers go on from pass to pass."""
        return {
            "batch_size": self.batch_size,
            "num_workers": self.workers,
            "persistent_workers": self.workers > 0,
        }


Batches = Iterable[dict[str, Any]]
MakeLoader = Callable[[Sequence[Sample], Path, Decoder, Choices], Batches]


def litdata(samples: Sequence[Sample], folder: Path, decode: Decoder, choices: Choices) -> Batches:
    """Chunks of 64 MB, shuffled by chunk and within."""
    import litdata as library  # noqa: PLC0415
    from litdata.streaming.writer import BinaryWriter  # noqa: PLC0415

    if not folder.is_dir():
        folder.mkdir()
        writer = BinaryWriter(str(folder), chunk_bytes="64MB")
        for number, sample in enumerate(samples):
            writer[number] = sample._asdict()
        writer.done()
        writer.merge()
    dataset = library.StreamingDataset(
        str(folder), shuffle=True, seed=SEED, transform=lambda item: decode(*item.values())
    )
    loader: Batches = library.StreamingDataLoader(dataset, **choices.options)
    return loader


def streaming(
    samples: Sequence[Sample], folder: Path, decode: Decoder, choices: Choices
) -> Batches:
    """MDS shards of 64 MB, uncompressed, shuffled across all of them."""
    from streaming import MDSWriter, StreamingDataset  # noqa: PLC0415
    from streaming.base.util import clean_stale_shared_memory  # noqa: PLC0415

    if not folder.is_dir():
        columns = {"id": "str", "image": "bytes", "mask": "bytes"}
        with MDSWriter(out=str(folder), columns=columns, size_limit=2**26) as writer:
            for sample in samples:
                writer.write(sample._asdict())
    clean_stale_shared_memory()

    class Decoded(StreamingDataset):  # type: ignore[misc]
        """Decodes what is read."""

        def __getitem__(self, at: Any) -> dict[str, Any]:
            item = super().__getitem__(at)
            return decode(item["id"], item["image"], item["mask"])

    dataset = Decoded(
        local=str(folder),
        shuffle=True,
        shuffle_algo="py1s",
        shuffle_seed=SEED,
        num_canonical_nodes=1,
        batch_size=choices.batch_size,
    )
    return DataLoader(dataset, **choices.options)


def webdataset(
    samples: Sequence[Sample], folder: Path, decode: Decoder, choices: Choices
) -> Batches:
    """Tar files read in sequence, one or more a worker, through a buffer of 1,000 pictures."""
    import webdataset as library  # noqa: PLC0415

    if not folder.is_dir():
        folder.mkdir()
        with (
            redirect_stdout(io.StringIO()),
            library.ShardWriter(f"{folder}/%04d.tar", maxcount=-(-len(samples) // 4)) as sink,
        ):
            for sample in samples:
                row = {"__key__": sample.id, "jpg": sample.image}
                sink.write(row | ({"bin": sample.mask} if sample.mask else {}))
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    dataset = (
        library.WebDataset(urls, shardshuffle=len(urls), seed=SEED, empty_check=False)
        .shuffle(1000)
        .map(lambda item: decode(item["__key__"], item["jpg"], item.get("bin", b"")))
        .batched(choices.batch_size, collation_fn=default_collate)
    )
    return DataLoader(dataset, **choices.options | {"batch_size": None})


def datasets(samples: Sequence[Sample], folder: Path, decode: Decoder, choices: Choices) -> Batches:
    """An Arrow file, memory-mapped, rows in random order, a batch at a time."""
    import datasets as library  # noqa: PLC0415

    library.disable_progress_bars()
    if not folder.is_dir():
        columns = {
            "id": [sample.id for sample in samples],
            "image": [sample.image for sample in samples],
            "mask": [sample.mask for sample in samples],
        }
        kinds = {"id": "string", "image": "large_binary", "mask": "large_binary"}
        features = library.Features({name: library.Value(kind) for name, kind in kinds.items()})
        library.Dataset.from_dict(columns, features=features).save_to_disk(str(folder))

    def decode_rows(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        items = [decode(*row) for row in zip(rows["id"], rows["image"], rows["mask"], strict=True)]
        return {name: [item[name] for item in items] for name in items[0]}

    dataset = library.load_from_disk(str(folder)).with_transform(decode_rows)
    generator = torch.Generator().manual_seed(SEED)
    return DataLoader(dataset, shuffle=True, generator=generator, **choices.options)


PEERS: dict[str, MakeLoader] = {
    "litdata": litdata,
    "mosaicml-streaming": streaming,
    "webdataset": webdataset,
    "Hugging Face datasets": datasets,
}


def installed() -> dict[str, MakeLoader]:
    """Return the peers that can be imported."""
    return {
        name: make
        for name, make in PEERS.items()
        if importlib.util.find_spec(make.__name__) is not None
    }


@contextmanager
def offline() -> Iterator[None]:
    """Refuse connections to other machines, also of processes forked within the block."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1"):
            raise ConnectionRefusedError(f"a benchmark wants to reach {address[0]}")
        connect(self, address)

    with mock.patch.dict(os.environ, _OFFLINE), mock.patch("socket.socket.connect", refuse):
        yield


def digest_by_id(batches: Batches) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Return the ids in the order read, and by id what was read: digests of image and mask."""
    order, digests = [], {}
    for batch in batches:
        masks = batch.get("mask", [None] * len(batch["id"]))
        for name, image, mask in zip(batch["id"], batch["image"], masks, strict=True):
            order.append(name)
            digests[name] = (_digest(image.numpy()), 0 if mask is None else _digest(mask.numpy()))
    return order, digests


def _digest(pixels: Pixels) -> int:
    return hash(np.ascontiguousarray(pixels).tobytes())
