"""Training on an NVIDIA GPU: images a second, and the share of time that the device waits.

    python -m benchmarks.cuda [--batch 16] [--steps 30] [--workers 4]

The classic U-Net (31 million parameters) at 640 x 959, and timm's convnext_tiny at 224 x 224, each
in bf16 with and without torch.compile, as `darkroom train` runs them: drawn pictures come from
shards through the loader. The first batches, in which kernels are chosen and layers compiled, are
not timed. Then torch's profiler watches as many steps again: the device waits while none of its
kernels or copies runs. Watching costs time of its own, so that the share is an upper limit.
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.training import WARM, synthetic_store
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, loader
from darkroom.training.callbacks import Callback
from darkroom.training.fit import Objective, fit
from darkroom.training.loop import Loop


@dataclass(frozen=True)
class Case:
    """What is trained.

    Attributes:
        title: Of its rows in the table.
        network: Arguments of `build_network`, but for outputs and seed.
        height, width: Of the pictures, px.
        classes: Of the pictures; None: masks are learned.
    """

    title: str
    network: dict[str, Any]
    height: int
    width: int
    classes: int | None = None


CASES = (
    Case("U-Net, 31 M, 640 x 959", {"name": "unet"}, 640, 959),
    Case(
        "convnext_tiny, 224 x 224",
        {"name": "timm", "backbone": "convnext_tiny", "size": (224, 224)},
        224,
        224,
        classes=10,
    ),
)


@dataclass
class Watch(Callback):
    """Times some steps after the first few, and profiles as many after these.

    Attributes:
        steps: To time, and to profile.
        images: Of the timed steps.
        seconds: That they took.
        waiting: Share of the profiled steps' time in which the device does nothing; None: without
            a GPU nobody can say.
    """

    steps: int
    images: int = 0
    seconds: float = 0.0
    waiting: float | None = None
    _started: float = 0.0
    _profiler: profile | None = field(default=None, repr=False)

    def on_batch_end(self, loop: Loop, batch: Batch) -> None:
        """Start and stop both, between two batches: waiting for the next one counts."""
        on_gpu = batch.images.is_cuda
        if WARM < loop.batch <= WARM + self.steps:
            self.images += len(batch)
        if loop.batch in (WARM, WARM + self.steps):
            now = _now(on_gpu)
            self.seconds, self._started = now - self._started, now
        if on_gpu and loop.batch == WARM + self.steps:
            self._profiler = profile(activities=[ProfilerActivity.CUDA])
            self._profiler.start()
            self._started = _now(on_gpu)
        if self._profiler is not None and loop.batch == WARM + 2 * self.steps:
            seconds = _now(on_gpu) - self._started
            self._profiler.stop()
            events = self._profiler.events() or []  # type: ignore[no-untyped-call]
            busy = union(
                (event.time_range.start / 1e6, event.time_range.end / 1e6)
                for event in events
                if event.device_type == DeviceType.CUDA
            )
            self.waiting = max(0.0, 1 - busy / seconds)


def union(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the length of what intervals (start, end) cover together.

    Example:
        >>> union([(0.0, 2.0), (5.0, 6.0), (1.0, 3.0)])
        4.0
    """
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(
    case: Case, config: FitConfig, *, batch: int, steps: int, workers: int, folder: Path
) -> Watch:
    """Train one epoch of a case, and return what was measured.

    Args:
        case: What is trained.
        config: Of one epoch.
        batch: Images a step.
        steps: To time, and to profile.
        workers: Processes of the loader.
        folder: For the drawn pictures and the training.
    """
    count = batch * (WARM + 2 * steps)
    store = synthetic_store(folder / "store", count, case.height, case.width)
    masks = case.classes is None
    targets = None if case.classes is None else (np.arange(count) % case.classes).astype(np.int64)
    watch = Watch(steps)
    options: dict[str, Any] = {"masks": masks, "batch_size": batch}
    fit(
        build_network(**case.network, outputs=case.classes or 1, seed=0),
        loader(store, range(count), targets, seed=0, workers=workers, **options),
        loader(store, range(batch), targets, seed=None, **options),
        config,
        objective=Objective("segmentation" if masks else "multiclass"),
        seed=0,
        work_dir=folder / "work",
        callbacks=[watch],
    )
    return watch


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16, help="images a step (default 16)")
    parser.add_argument("--steps", type=int, default=30, help="to time (default 30)")
    parser.add_argument("--workers", type=int, default=4, help="of the loader (default 4)")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        parser.exit(2, "benchmarks.cuda needs CUDA, and torch finds no NVIDIA GPU here\n")
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bf16, {options.batch} a step"
    )
    print("\n| | img/s | device waits |\n|---|---|---|", flush=True)
    for case in CASES:
        for compiled in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                watch = measure(
                    case,
                    FitConfig(
                        epochs=1, lr=1e-4, accelerator="cuda", precision="bf16", compile=compiled
                    ),
                    batch=options.batch,
                    steps=options.steps,
                    workers=options.workers,
                    folder=Path(folder),
                )
            title = f"{case.title}{', compiled' if compiled else ''}"
            rate = watch.images / watch.seconds
            print(f"| {title} | {rate:,.1f} | {watch.waiting:.1%} |", flush=True)


if __name__ == "__main__":
    main()
