"""On an NVIDIA GPU: images a second, and the share of time that the device waits.

    python -m benchmarks.cuda [--batch 16] [--steps 30] [--workers 4]

The classic U-Net (31 million parameters) at 640 x 959, and timm's convnext_tiny at 224 x 224.
Trained in bf16 with and without torch.compile, as `darkroom train` runs them, and predicted as
`darkroom predict` does: drawn pictures come from shards through the loader. Beside them a plain
loop that learns from one batch, which is on the device already: in float32, in bf16 by autocast
alone, and in bf16 with channels last, as ours. The first batches, in which kernels are chosen and
layers compiled, are not timed. Then torch's profiler watches as many steps again: the device waits
while none of its kernels or copies runs. Watching costs time of its own, so that the share is an
upper limit.

`--quick` runs tiny networks, on a CPU too, where nobody can say what a device waits.
"""

import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.harness import Goal, Report, Table, parser
from benchmarks.training import WARM, synthetic_store
from darkroom.models.build import MEAN, STD, build_network, normalise
from darkroom.params.train import FitConfig
from darkroom.prediction.networks.predict import predict
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

    @property
    def task(self) -> str:
        """The name of its task."""
        return "segmentation" if self.classes is None else "multiclass"

    def build(self) -> nn.Module:
        """Return the network with its first weights."""
        return build_network(**self.network, outputs=self.classes or 1, seed=0)

    def targets(self, count: int) -> NDArray[np.int64] | None:
        """Return the classes of so many pictures; None for masks."""
        return None if self.classes is None else (np.arange(count) % self.classes).astype(np.int64)


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
TINY = (
    Case("unet", {"name": "unet", "width": 2, "depth": 1}, 16, 24),
    Case("timm", {"name": "timm", "backbone": "test_convnext", "size": (32, 32)}, 32, 32, 3),
)
GOAL = 0.98  # of the plain loop's rate


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
            self.waiting = waiting_share(self._profiler, seconds)


def waiting_share(profiler: profile, seconds: float) -> float:
    """Return the share of some seconds in which a device did nothing that a profiler saw."""
    events = profiler.events() or []  # type: ignore[no-untyped-call]
    busy = union(
        (event.time_range.start / 1e6, event.time_range.end / 1e6)
        for event in events
        if event.device_type == DeviceType.CUDA
    )
    return max(0.0, 1 - busy / seconds)


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
    watch = Watch(steps)
    options: dict[str, Any] = {"masks": case.classes is None, "batch_size": batch}
    targets = case.targets(count)
    fit(
        case.build(),
        loader(store, range(count), targets, seed=0, workers=workers, **options),
        loader(store, range(batch), targets, seed=None, **options),
        config,
        objective=Objective(case.task),
        seed=0,
        work_dir=folder / "work",
        callbacks=[watch],
    )
    return watch


def plain_rate(
    case: Case, device: torch.device, dtype: torch.dtype, *, last: bool, batch: int, steps: int
) -> float:
    """Return the images a second of a plain loop, which learns from one batch on the device.

    Args:
        case: What is trained.
        device: Where.
        dtype: Of autocast; float32: without.
        last: Whether a pixel's channels lie side by side.
        batch: Images a step.
        steps: To time.
    """
    layout = torch.channels_last if last else torch.contiguous_format
    net = case.build().train().to(device).to(memory_format=layout)
    loss_of = Objective(case.task).loss_module()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    shape = (batch, 3, case.height, case.width)
    bytes_ = torch.randint(0, 256, shape, dtype=torch.uint8).to(device, memory_format=layout)
    classes = case.targets(batch)
    targets: Tensor = torch.zeros((batch, 1, *shape[2:]), dtype=torch.uint8)
    targets = (targets if classes is None else torch.from_numpy(classes)).to(device)
    started = 0.0
    for number in range(WARM + steps):
        if number == WARM:
            started = _now(device.type == "cuda")
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = loss_of(net(normalise(bytes_, MEAN, STD)), targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return batch * steps / (_now(device.type == "cuda") - started)


def predicting_rate(
    case: Case, device: torch.device, *, batch: int, steps: int, workers: int, folder: Path
) -> tuple[float, float | None]:
    """Return the images a second that are predicted in bf16, and the share of waiting.

    Args:
        case: Whose network predicts.
        device: Where.
        batch: Images at once.
        steps: Batches to time, and to profile.
        workers: Processes of the loader.
        folder: For the drawn pictures.
    """
    count = batch * (WARM + 2 * steps)
    store = synthetic_store(folder / "predicted", count, case.height, case.width)
    source = loader(
        store, range(count), None, masks=False, batch_size=batch, seed=None, workers=workers
    )
    dtypes = [torch.bfloat16]
    on_gpu = device.type == "cuda"
    started, rate, waiting = 0.0, 0.0, None
    watched = profile(activities=[ProfilerActivity.CUDA]) if on_gpu else None
    batches = predict([case.build()], source, case.task, device, dtypes=dtypes)
    for done, _ in enumerate(batches, 1):
        if done in (WARM, WARM + steps):
            now = _now(on_gpu)
            rate, started = batch * steps / (now - started), now
        if done == WARM + steps and watched is not None:
            watched.start()
            started = _now(on_gpu)
    if watched is not None:
        seconds = _now(on_gpu) - started
        watched.stop()
        waiting = waiting_share(watched, seconds)
    return rate, waiting


def measure_case(case: Case, device: torch.device, batch: int, steps: int, workers: int) -> Report:
    """Return the table of a case, and whether the training keeps up with the plain loop."""
    report = Report(case.title)
    table = Table(["", "img/s", "against float32", "device waits"])
    half, rows = torch.bfloat16, dict[str, tuple[float, float | None]]()
    accelerator: Literal["cpu", "cuda"] = "cuda" if device.type == "cuda" else "cpu"
    forms = {
        "a plain loop, float32": (torch.float32, False),
        "a plain loop, bf16 by autocast": (half, False),
        "a plain loop, bf16, channels last": (half, True),
    }
    for name, (dtype, last) in forms.items():
        rows[name] = plain_rate(case, device, dtype, last=last, batch=batch, steps=steps), None
    for compiled in (False, True) if device.type == "cuda" else (False,):
        config = FitConfig(
            epochs=1, lr=1e-4, accelerator=accelerator, precision="bf16", compile=compiled
        )
        with tempfile.TemporaryDirectory() as folder:
            watch = measure(
                case, config, batch=batch, steps=steps, workers=workers, folder=Path(folder)
            )
        name = f"darkroom train{', compiled' if compiled else ''}"
        rows[name] = watch.images / watch.seconds, watch.waiting
    with tempfile.TemporaryDirectory() as folder:
        rows["darkroom predict"] = predicting_rate(
            case, device, batch=batch, steps=steps, workers=workers, folder=Path(folder)
        )
    first, *_, bare = (rows[name][0] for name in forms)
    for name, (rate, waiting) in rows.items():
        share = None if waiting is None else f"{waiting:.1%}"
        table.rows.append([name, rate, rate / first if "predict" not in name else None, share])
    report.tables.append(table)
    report.goals.append(
        Goal(
            f"{case.title}: darkroom train, of the plain loop from memory",
            rows["darkroom train"][0] / bare,
            GOAL,
        )
    )
    return report


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("cuda", __doc__)
    choices.add_argument("--batch", type=int, default=16, help="images a step (default 16)")
    choices.add_argument("--steps", type=int, default=30, help="to time (default 30)")
    choices.add_argument("--workers", type=int, default=4, help="of the loader (default 4)")
    options = choices.parse_args(arguments)
    if not torch.cuda.is_available() and not options.quick:
        choices.exit(2, "benchmarks.cuda needs CUDA, and torch finds no NVIDIA GPU here\n")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "a CPU"
    sizes = (2, 2, 0) if options.quick else (options.batch, options.steps, options.workers)
    whole = Report(f"{name}, torch {torch.__version__}, {sizes[0]} images a step")
    for case in TINY if options.quick else CASES:
        part = measure_case(case, device, *sizes)
        part.tables[0].title = case.title
        whole.tables += part.tables
        whole.goals += part.goals
    whole.finish(options)


if __name__ == "__main__":
    main()
