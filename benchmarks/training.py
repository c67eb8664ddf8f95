"""Training speed: what channels_last, half precision and compilation bring; what a step costs.

    python -m benchmarks.training [--accelerator cuda] [--network encoder_unet] [--batch 8] ...
    python -m benchmarks.training --costs

Each way trains the same network on the same drawn pictures from first weights, for one short
epoch; the ways take turns, so that a busy machine is unfair to none, and the median of the
rounds counts. The first batches of an epoch, in which kernels are chosen and layers compiled,
are not timed. Rates are of steps alone: loading is `benchmarks.loader`.

`--costs` times what was taken out of a training's steps, beside what is left, on this CPU.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._C._nn import upsample_bilinear2d
from torch._decomp.decompositions import _upsample_linear_vec

from darkroom.models.build import MEAN, STD, _per_channel, build_network
from darkroom.models.device import choose_device
from darkroom.models.layer_groups import put_frozen_in_eval_mode
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, loader
from darkroom.store.shard import ShardFormat
from darkroom.store.store import Store, StoredImage, pack_image, pack_mask, shard_name, write_shard
from darkroom.tasks.table import TASKS
from darkroom.training.callbacks import Callback
from darkroom.training.device import deterministic
from darkroom.training.fit import Objective, fit
from darkroom.training.loop import Loop
from darkroom.training.tensorboard.confusion import count

Action = Callable[[], object]

WARM = 3  # batches
ROUNDS = 3
TURNS = 15  # of `--costs`, the quickest of which counts


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
        objective=Objective("segmentation"),
        seed=0,
        work_dir=work,
        callbacks=[clock],
    )
    return clock.images / clock.seconds


def costs() -> dict[str, tuple[Action, Action]]:
    """Return what a step or a validation batch did before and does now, by name."""
    task, labels = TASKS["multiclass"], torch.arange(64) % 10_000
    scores = torch.rand(64, 10_000)
    image = torch.rand(8, 32, 64, 64, requires_grad=True)

    def filled(fill: bool) -> Action:
        net = build_network("unet", outputs=1, seed=0, width=16)
        images = torch.rand(4, 3, 128, 128)

        def step() -> None:
            with deterministic(torch.device("cpu")):
                torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
                torch.autograd.backward(net(images).square().mean())

        return step

    large = build_network("efficientnet_v2_l", outputs=2, seed=0)
    nothing: Action = lambda: None  # noqa: E731
    return {
        "looking for frozen modules (efficientnet_v2_l)": (
            lambda: put_frozen_in_eval_mode(large),
            nothing,
        ),
        "a step of a unet, memory filled before use": (filled(True), filled(False)),
        "counting a batch's confusion of 10,000 classes": (
            lambda: count(task, scores, labels),
            nothing,
        ),
        "normalisation's constants": (
            lambda: [torch.tensor(values) * 255 for values in (MEAN, STD)],
            lambda: [_per_channel(values, torch.device("cpu")) for values in (MEAN, STD)],
        ),
        "bilinear upsampling: the deterministic way of CUDA, and `deterministic: false`": (
            lambda: upsampled(image, _upsample_linear_vec),
            lambda: upsampled(image, upsample_bilinear2d),
        ),
    }


def upsampled(image: Tensor, function: Callable[..., Tensor]) -> None:
    """Upsample to twice the size, and back through the gradient."""
    torch.autograd.backward(function(image, None, False, [2.0, 2.0]).sum())


def print_costs() -> None:
    print("| | before, ms | now, ms | now against before |\n|---|---|---|---|")
    for name, ways in costs().items():
        times: list[list[float]] = [[], []]
        for number in range(1 + TURNS):
            for way, seconds in zip(ways, times, strict=True):
                # Of the processor: others of a busy machine do not count.
                started = time.process_time()
                way()
                if number:  # the first one chooses kernels
                    seconds.append(time.process_time() - started)
        before, now = (1e3 * min(seconds) for seconds in times)
        print(f"| {name} | {before:,.3f} | {now:,.3f} | {now / before:.2f}x |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--accelerator", default="auto")
    parser.add_argument("--network", default="encoder_unet", help="of masks (default encoder_unet)")
    parser.add_argument("--height", type=int, default=512)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=30, help="of an epoch (default 30)")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--costs", action="store_true", help="what was taken out of a step")
    options = parser.parse_args(arguments)
    if options.costs:
        print_costs()
        return
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
