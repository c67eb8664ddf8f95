"""Training speed: what channels_last, half precision and compilation bring.

    python -m benchmarks.training [--accelerator cuda] [--network encoder_unet] [--batch 8] ...

Each way trains the same network on the same drawn pictures from first weights, for one short
epoch; the ways take turns, so that a busy machine is unfair to none, and the median of the
rounds counts. The first batches of an epoch, in which kernels are chosen and layers compiled,
are not timed. Rates are of steps alone: loading is `benchmarks.loader`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darkroom.models.build import build_network
from darkroom.models.device import choose_device
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, loader
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard
from darkroom.training.callbacks import Callback
from darkroom.training.fit import fit
from darkroom.training.loop import Loop

WARM = 3  # batches
ROUNDS = 3


class Clock(Callback):
    """Times the batches of an epoch after the first few."""

    def __init__(self) -> None:
        self.images, self.seconds, self._started = 0, 0.0, 0.0

    def on_batch_start(self, loop: Loop, batch: Batch) -> None:
        """Start after the warm-up."""
        if loop.batch == WARM:
            self._started = _now()

    def on_batch_end(self, loop: Loop, batch: Batch) -> None:
        """Count, and stop with the last one."""
        if loop.batch > WARM:
            self.images += len(batch)
            self.seconds = _now() - self._started


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def configurations(accelerator: str, *, compiled: bool) -> dict[str, FitConfig]:
    """Return the configurations to compare, each with one option more than the one before."""
    plain: dict[str, Any] = {"epochs": 1, "lr": 1e-4, "accelerator": accelerator}
    plain |= {"precision": "float32"}
    configs = {
        "float32": FitConfig(**plain, channels_last=False),
        "float32, channels_last": FitConfig(**plain),
        "bf16, channels_last": FitConfig(**plain | {"precision": "bf16"}),
    }
    if choose_device(accelerator).type == "cuda":
        configs["fp16, channels_last"] = FitConfig(**plain | {"precision": "fp16"})
    if compiled:
        configs["bf16, channels_last, compiled"] = FitConfig(
            **plain | {"precision": "bf16"}, compile=True
        )
    return configs


def synthetic_store(folder: Path, count: int, height: int, width: int) -> Store:
    """Write and open a shard of noise, and of masks of half the image."""
    rng = np.random.default_rng(0)
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 1
    folder.mkdir()
    rows = [
        StoredImage(
            id=str(number),
            image=pack_image(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), "raw", 95),
            mask=pack_mask(mask),
            height=height,
            width=width,
        )
        for number in range(count)
    ]
    path = folder / shard_name("train", 0)
    write_shard(path, rows, ShardFormat(height, width, "stretch", "raw"))
    return Store(folder, "train")


def images_per_second(
    store: Store, config: FitConfig, network: dict[str, Any], batch: int, work: Path
) -> float:
    """Return images a second of one short epoch."""
    clock = Clock()
    rows = range(len(store))
    fit(
        build_network(**network, outputs=1, seed=0),
        loader(store, rows, None, masks=True, batch_size=batch, seed=0),
        loader(store, rows[:batch], None, masks=True, batch_size=batch, seed=None),
        config,
        task="segmentation",
        seed=0,
        work_dir=work,
        callbacks=[clock],
    )
    return clock.images / clock.seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--network", default="encoder_unet", help="of masks (default encoder_unet)")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=30, help="of an epoch (default 30)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    options = parser.parse_args(arguments)
    speeds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        count = options.batch * (WARM + options.batches)
        store = synthetic_store(place / "store", count, options.height, options.width)
        for number in range(ROUNDS):
            for name, config in configurations(
                options.accelerator, compiled=not options.no_compile
            ).items():
                work = place / f"{number}-{len(speeds)}-{name}"
                speeds.setdefault(name, []).append(
                    images_per_second(store, config, {"name": options.network}, options.batch, work)
                )
    first = statistics.median(next(iter(speeds.values())))
    print(
        f"\n{options.network}, {options.height}x{options.width}, {options.batch} images a batch\n"
    )
    print("| | img/s | against float32 |\n|---|---|---|")
    for name, rates in speeds.items():
        middle = statistics.median(rates)
        print(f"| {name} | {middle:,.1f} | {middle / first:.2f}x |")


if __name__ == "__main__":
    main()
