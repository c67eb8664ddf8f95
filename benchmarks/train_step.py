"""A training step beside a bare PyTorch loop's and timm's: the processor's seconds of all three.

    python -m benchmarks.train_step [--network resnet18d] [--side 96] [--batch 16] [--steps 40] ...

One run trains one network three times, from the same first weights, with the same pictures (in
memory, bytes), optimizer and layout: our loop as `darkroom train` runs it without TensorBoard, a
loop as PyTorch's tutorials write it, and the body of `train_one_epoch` in timm's train.py with
timm's own parts. They take turns with each batch, and which is first changes. The first batches, in
which kernels are chosen, are not timed. All free their gradients within their turn: what one leaves
mapped costs another a tenth of its time.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter
from torch import Tensor, nn

from benchmarks.harness import Goal, Report, Table, parser
from benchmarks.training import WARM, synthetic_store
from darkroom.models.build import build_network, normalisation
from darkroom.models.device import AMP_DTYPES
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, loader
from darkroom.training.callbacks import Callback
from darkroom.training.fit import Objective, fit
from darkroom.training.loop import Loop

CLASSES = 10
GOAL = 1.02  # a step against the bare loop's
Step = Callable[[Batch], object]
# Network, side, pictures a step: of long steps and of short ones.
CASES = (("resnet18d", 96, 16), ("convnext_atto", 96, 16), ("convnext_atto", 64, 8))


class BareStep:
    """What a plain PyTorch loop does with a batch.

    Args:
        net: With its first weights; it is trained.
        config: Optimizer, rate, decay, precision, layout.
        mean, std: Of the normalisation, in units of 255.
        steps: Of the training, for the schedule.
    """

    def __init__(
        self,
        net: nn.Module,
        config: FitConfig,
        mean: Sequence[float],
        std: Sequence[float],
        steps: int,
    ) -> None:
        self.net, self.config, self.loss = net.train(), config, nn.CrossEntropyLoss()
        self.mean = torch.tensor(mean).view(1, -1, 1, 1) * 255
        self.std = torch.tensor(std).view(1, -1, 1, 1) * 255
        kinds: dict[str, Any] = {
            "adamw": partial(torch.optim.AdamW, weight_decay=config.weight_decay),
            "sgd": partial(
                torch.optim.SGD,
                momentum=config.momentum,
                nesterov=True,
                weight_decay=config.weight_decay,
            ),
        }
        self.optimizer = kinds[config.optimizer](net.parameters(), lr=config.lr, fused=True)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)
        self.total = 0.0

    def __call__(self, batch: Batch) -> None:
        """Learn from a batch."""
        assert batch.targets is not None
        images = batch.images.float().sub_(self.mean).div_(self.std)
        dtype = AMP_DTYPES[self.config.precision]
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss: Tensor = self.loss(self.net(images), batch.targets)
        torch.autograd.backward(loss)
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        self.total += loss.item()


class TimmStep:
    """What timm's `train_one_epoch` does with a batch, on one device and without logging.

    Args:
        net: With its first weights; it is trained.
        config: Optimizer, rate, decay, precision, layout.
        mean, std: Of the normalisation, in units of 255; timm's loader does it on the device.
        steps: Of the training, for the schedule.
    """

    def __init__(
        self,
        net: nn.Module,
        config: FitConfig,
        mean: Sequence[float],
        std: Sequence[float],
        steps: int,
    ) -> None:
        self.net = net.train()
        self.config, self.loss = config, nn.CrossEntropyLoss()
        self.mean = torch.tensor([value * 255 for value in mean]).view(1, -1, 1, 1)
        self.std = torch.tensor([value * 255 for value in std]).view(1, -1, 1, 1)
        # With torch's fused kernel, as ours; timm's script leaves the choice to torch.
        self.optimizer = create_optimizer_v2(
            net, config.optimizer, lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
        self.schedule = CosineLRScheduler(self.optimizer, t_initial=steps, t_in_epochs=False)
        self.losses, self.updates = AverageMeter(), 0

    def __call__(self, batch: Batch) -> None:
        """Learn from a batch."""
        assert batch.targets is not None
        images = batch.images.float().sub_(self.mean).div_(self.std)
        if self.config.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        dtype = AMP_DTYPES[self.config.precision]
        with nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype):
            loss: Tensor = self.loss(self.net(images), batch.targets)
        self.losses.update(loss.item(), len(batch))
        torch.autograd.backward(loss)
        if self.config.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()  # timm's script does so before the next backward pass
        self.updates += 1
        self.schedule.step_update(num_updates=self.updates, metric=self.losses.avg)


PEERS: dict[str, type[BareStep] | type[TimmStep]] = {
    "a bare loop": BareStep,
    "timm's loop": TimmStep,
}


@dataclass
class Turns(Callback):
    """Lets other steps learn from each batch too, and times all.

    Attributes:
        others: By name.
        seconds: Of ours and of the others, by batch after the first few.
    """

    others: Mapping[str, Step]
    seconds: list[dict[str, float]] = field(default_factory=list)
    _started: float = 0.0
    _batch: dict[str, float] = field(default_factory=dict)

    def on_batch_start(self, loop: Loop, batch: Batch) -> None:
        """Let some others begin, all of them, or none: that changes with each batch."""
        self._batch = {}
        names = list(self.others)
        for name in names[: loop.batch % (len(names) + 1)]:
            self._time(name, batch)
        self._started = time.process_time()

    def on_batch_end(self, loop: Loop, batch: Batch) -> None:
        """Note the times, when all have learned."""
        self._batch["darkroom"] = time.process_time() - self._started
        for name in self.others:
            if name not in self._batch:
                self._time(name, batch)
        if loop.batch > WARM:
            self.seconds.append(self._batch)

    def _time(self, name: str, batch: Batch) -> None:
        started = time.process_time()
        self.others[name](batch)
        self._batch[name] = time.process_time() - started


def measure(
    backbone: str, config: FitConfig, *, side: int, batch: int, steps: int, folder: Path
) -> tuple[list[dict[str, float]], dict[str, nn.Module]]:
    """Return the seconds of all steps by batch, and the networks after the last one.

    Args:
        backbone: timm's name.
        config: Of one epoch.
        side: Height and width of the pictures, px.
        batch: Pictures a step.
        steps: To time.
        folder: For the drawn pictures.
    """
    count = batch * (WARM + steps)
    store = synthetic_store(folder / "store", count, side, side)
    targets = (np.arange(count) % CLASSES).astype(np.int64)
    arguments: dict[str, Any] = {"backbone": backbone, "size": (side, side)}
    net = build_network("timm", **arguments, outputs=CLASSES, seed=0)
    mean, std = normalisation("timm", **arguments)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    nets = {name: copy.deepcopy(net).to(memory_format=layout) for name in PEERS}
    others = {
        name: kind(nets[name], config, mean, std, WARM + steps) for name, kind in PEERS.items()
    }
    turns = Turns(others)
    rows = range(count)
    result = fit(
        net,
        loader(store, rows, targets, masks=False, batch_size=batch, seed=0),
        loader(store, rows[:batch], targets, masks=False, batch_size=batch, seed=None),
        config,
        objective=Objective("multiclass"),
        seed=0,
        work_dir=folder / "work",
        mean=mean,
        std=std,
        callbacks=[turns],
    )
    return turns.seconds, nets | {"darkroom": result.net}


def report(cases: Mapping[str, list[dict[str, float]]]) -> Report:
    """Return a table of all cases, and a goal for each."""
    result = Report("a training step, float32, one thread")
    table = Table(["network", "loop", "CPU ms a step", "Darkroom against it, by batches, median"])
    for title, seconds in cases.items():
        for name in (*PEERS, "darkroom"):
            ratio = statistics.median(each["darkroom"] / each[name] for each in seconds)
            mean = 1e3 * sum(each[name] for each in seconds) / len(seconds)
            is_own = name == "darkroom"
            table.rows.append([title, name, mean, None if is_own else f"{ratio:.3f}x"])
            if not is_own:
                result.goals.append(
                    Goal(f"{title}, against {name}", round(ratio, 3), GOAL, at_least=False)
                )
    result.tables.append(table)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("train_step", __doc__)
    choices.add_argument("--network", help="timm's name; without it three cases are measured")
    choices.add_argument("--side", type=int, default=96, help="of the pictures, px (default 96)")
    choices.add_argument("--batch", type=int, default=16, help="pictures a step (default 16)")
    choices.add_argument("--steps", type=int, default=40, help="to time (default 40)")
    choices.add_argument("--optimizer", default="adamw", choices=["adamw", "sgd"])
    options = choices.parse_args(arguments)
    config = FitConfig(
        epochs=1,
        lr=1e-4,
        weight_decay=0.05,
        optimizer=options.optimizer,
        schedule="cosine",
        warmup=0,
        accelerator="cpu",
        precision="float32",
    )
    cases = [(options.network, options.side, options.batch)] if options.network else list(CASES)
    if options.quick:
        cases = [("test_convnext", 32, 2)]
    measured = {}
    for network, side, batch in cases:
        with tempfile.TemporaryDirectory() as folder:
            seconds, _ = measure(
                network,
                config,
                side=side,
                batch=batch,
                steps=4 if options.quick else options.steps,
                folder=Path(folder),
            )
        measured[f"{network}, {batch} of {side} px"] = seconds
    report(measured).finish(options)


if __name__ == "__main__":
    main()
