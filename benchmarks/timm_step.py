"""A training step beside that of timm's own training script: the processor's seconds of both.

    python -m benchmarks.timm_step [--network resnet18d] [--side 96] [--batch 16] [--steps 40] ...

One run trains one network twice, from the same first weights, with the same pictures (in memory,
bytes), optimizer and layout: our loop as `darkroom train` runs it, and the body of
`train_one_epoch` in timm's train.py with timm's own parts. The two take turns with each batch, and
which is first changes. The first batches, in which kernels are chosen, are not timed. Both free
their gradients within their turn: what one leaves mapped costs the other a tenth of its time.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import AverageMeter
from torch import Tensor, nn

from benchmarks.training import WARM, synthetic_store
from darkroom.models.build import build_network, normalisation
from darkroom.models.device import AMP_DTYPES
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch, loader
from darkroom.training.callbacks import Callback
from darkroom.training.fit import Objective, fit
from darkroom.training.loop import Loop

CLASSES = 10


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


@dataclass
class Turns(Callback):
    """Lets another step learn from each batch too, and times both.

    Attributes:
        other: Timm's.
        seconds: Of ours and of the other, by batch after the first few.
    """

    other: TimmStep
    seconds: list[tuple[float, float]] = field(default_factory=list)
    _started: float = 0.0
    _theirs: float = 0.0

    def on_batch_start(self, loop: Loop, batch: Batch) -> None:
        """Let the other begin with every second batch."""
        if loop.batch % 2:
            self._theirs = self._time(batch)
        self._started = time.process_time()

    def on_batch_end(self, loop: Loop, batch: Batch) -> None:
        """Note the times, when both have learned."""
        ours = time.process_time() - self._started
        if loop.batch % 2:  # counted by now: it was even
            self._theirs = self._time(batch)
        if loop.batch > WARM:
            self.seconds.append((ours, self._theirs))

    def _time(self, batch: Batch) -> float:
        started = time.process_time()
        self.other(batch)
        return time.process_time() - started


def measure(
    backbone: str, config: FitConfig, *, side: int, batch: int, steps: int, folder: Path
) -> tuple[list[tuple[float, float]], nn.Module, nn.Module]:
    """Return the seconds of both steps by batch, and both networks after the last one.

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
    theirs = copy.deepcopy(net).to(memory_format=layout)
    turns = Turns(TimmStep(theirs, config, mean, std, WARM + steps))
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
    return turns.seconds, result.net, theirs


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18d", help="timm's name (default resnet18d)")
    parser.add_argument("--side", type=int, default=96, help="of the pictures, px (default 96)")
    parser.add_argument("--batch", type=int, default=16, help="pictures a step (default 16)")
    parser.add_argument("--steps", type=int, default=40, help="to time (default 40)")
    parser.add_argument("--optimizer", default="adamw", choices=["adamw", "sgd"])
    options = parser.parse_args(arguments)
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
    with tempfile.TemporaryDirectory() as folder:
        seconds, _, _ = measure(
            options.network,
            config,
            side=options.side,
            batch=options.batch,
            steps=options.steps,
            folder=Path(folder),
        )
    ours, theirs = (sum(each) / len(seconds) for each in zip(*seconds, strict=True))
    ratio = statistics.median(a / b for a, b in seconds)
    print(f"\n{options.network}, {options.side} px, {options.batch} pictures a step, float32\n")
    print("| | CPU ms a step | against timm's loop |\n|---|---|---|")
    print(f"| timm's loop | {1e3 * theirs:,.1f} | |")
    print(f"| darkroom | {1e3 * ours:,.1f} | {ours / theirs:.3f}x, by pairs {ratio:.3f}x |")


if __name__ == "__main__":
    main()
