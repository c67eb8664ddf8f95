"""A frozen backbone: features kept for all epochs, and features computed in each.

    python -m benchmarks.frozen [--network resnet18] [--side 128] [--images 800] [--batch 16] ...

One run trains one network twice, from the same first weights on the same pictures of a store: with
features kept, and with every epoch reading all images and putting them through the backbone, as
without them. Both take turns, training by training. An epoch is all that it costs: its batches, its
validation, its checkpoint. What computing the features costs once is told beside it. The two
histories and all weights must be equal to the bit.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np
import torch

from benchmarks.harness import Goal, Report, Table, parser
from benchmarks.training import synthetic_store
from darkroom.models.build import build_network
from darkroom.params.train import FitConfig
from darkroom.store.loader import loader
from darkroom.store.store import Store
from darkroom.training import fit as fitting
from darkroom.training.callbacks import Callback
from darkroom.training.fit import FitResult, Objective, fit
from darkroom.training.frozen.features import keep_features
from darkroom.training.loop import Loop

CLASSES = 10
GOAL = 20.0  # times an epoch


@dataclass
class Epochs(Callback):
    """Notes the CPU seconds of each epoch, and of what comes before the first one.

    Attributes:
        before: Of computing the features.
        seconds: Of each epoch but the first, in which kernels are chosen.
    """

    before: float = 0.0
    seconds: list[float] = field(default_factory=list)
    _since: float = field(default_factory=time.process_time)

    def on_epoch_start(self, loop: Loop) -> None:
        """End the epoch before: its checkpoint is written by now."""
        self._lap(loop.epoch)

    def on_train_end(self, loop: Loop) -> None:
        """End the last one."""
        self._lap(loop.epoch)

    def _lap(self, epochs_done: int) -> None:
        now = time.process_time()
        if epochs_done == 0:
            self.before = now - self._since
        if epochs_done > 1:
            self.seconds.append(now - self._since)
        self._since = now


def train(
    network: str, store: Store, folder: Path, *, kept: bool, batch: int, epochs: int
) -> tuple[FitResult, Epochs]:
    """Train the head of a network, and return the result and what its epochs cost.

    Args:
        network: By name, of torchvision.
        store: A fifth of its pictures are for validation.
        folder: For the training.
        kept: Whether features are kept.
        batch: Pictures a step.
        epochs: All of them frozen.
    """
    net = build_network(network, outputs=CLASSES, seed=0)
    count = len(store)
    targets = (np.arange(count) % CLASSES).astype(np.int64)
    rows, epochs_of = range(count - count // 5), Epochs()
    keep = keep_features if kept else lambda *_, **__: None
    with mock.patch.object(fitting, "keep_features", keep):
        result = fit(
            net,
            loader(store, rows, targets, masks=False, batch_size=batch, seed=0),
            loader(
                store, range(len(rows), count), targets, masks=False, batch_size=batch, seed=None
            ),
            FitConfig(epochs=epochs, lr=1e-3, freeze="backbone", select="last", accelerator="cpu"),
            objective=Objective("multiclass"),
            seed=0,
            work_dir=folder,
            callbacks=[epochs_of],
            progress=False,
        )
    return result, epochs_of


def is_equal(one: FitResult, other: FitResult) -> bool:
    """Return whether two trainings have the same history and weights, to the bit."""
    pairs = zip(one.net.state_dict().values(), other.net.state_dict().values(), strict=True)
    return one.history == other.history and all(torch.equal(a, b) for a, b in pairs)


def measure(
    network: str, *, side: int, images: int, batch: int, epochs: int, rounds: int
) -> tuple[dict[bool, list[Epochs]], bool]:
    """Return what epochs cost with features kept and without, and whether the results are equal."""
    costs: dict[bool, list[Epochs]] = {True: [], False: []}
    equal = True
    with tempfile.TemporaryDirectory() as folder:
        store = synthetic_store(Path(folder) / "store", images, side, side)
        for number in range(rounds):
            results = {}
            for kept in (True, False) if number % 2 else (False, True):
                work = Path(folder) / f"{number}-{kept}"
                results[kept], cost = train(
                    network, store, work, kept=kept, batch=batch, epochs=epochs
                )
                costs[kept].append(cost)
            equal &= is_equal(results[True], results[False])
    return costs, equal


def report(title: str, costs: dict[bool, list[Epochs]], *, equal: bool) -> Report:
    """Return the table, and whether the goals are met."""
    kept, new = (median(s for cost in costs[key] for s in cost.seconds) for key in (True, False))
    once = median(cost.before for cost in costs[True]) - median(c.before for c in costs[False])
    result = Report(title)
    table = Table(["frozen backbone", "CPU s an epoch", "once, CPU s", "against recomputing"])
    table.rows = [
        ["recomputed each epoch", new, "", 1.0],
        ["features kept", kept, once, new / kept],
    ]
    result.tables.append(table)
    result.goals.append(Goal("an epoch with features kept", new / kept, GOAL))
    result.goals.append(Goal("weights and histories that are equal", float(equal), 1.0, unit=""))
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = parser("frozen", __doc__)
    choices.add_argument("--network", default="resnet18", help="torchvision's name")
    choices.add_argument("--side", type=int, default=128, help="of the pictures, px (default 128)")
    choices.add_argument("--images", type=int, default=800, help="with validation (default 800)")
    choices.add_argument("--batch", type=int, default=16, help="pictures a step (default 16)")
    choices.add_argument("--epochs", type=int, default=4, help="(default 4)")
    choices.add_argument("--rounds", type=int, default=1, help="(default 1)")
    options = choices.parse_args(arguments)
    torch.set_num_threads(
        1
    )  # with more, a feature's last digits may depend on its place in a batch
    sizes = {name: getattr(options, name) for name in ("side", "images", "batch", "epochs")}
    if options.quick:
        sizes = {"side": 32, "images": 20, "batch": 4, "epochs": 3}
    costs, equal = measure(options.network, **sizes, rounds=options.rounds)
    title = (
        f"{options.network}, {sizes['images']} pictures of {sizes['side']} px, "
        f"{sizes['batch']} a batch"
    )
    report(title, costs, equal=equal).finish(options)


if __name__ == "__main__":
    main()
