"""Which epoch's weights are kept, patience, and the line that an epoch gets."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from darkroom.models.build import build_network
from darkroom.params.train import FitConfig
from darkroom.store.loader import Batch
from darkroom.tasks.table import TASKS
from darkroom.training.callbacks import Progress, SelectedWeights, epoch_line
from darkroom.training.loop import Loop


def watch(task: str, values: list[tuple[float, float]], **config: Any) -> tuple[float, int, float]:
    """Show (metric, loss) epochs; return the kept epoch, the last one, and the weight restored."""
    metric = TASKS[task].monitor
    net = nn.Linear(2, 1)
    best = SelectedWeights(metric, FitConfig(**{"epochs": len(values), "lr": 1.0} | config))
    loop = cast(
        Loop, SimpleNamespace(history=[], should_stop=False, module=SimpleNamespace(net=net))
    )
    for epoch, (value, loss) in enumerate(values, start=1):
        with torch.no_grad():
            net.weight.fill_(epoch)
        loop.history.append({"epoch": epoch, f"{metric.name}/val": value, "loss/val": loss})
        best.on_epoch_end(loop)
        assert loop.selected is best.row
        if loop.should_stop:
            break
    best.restore(net)
    return best.row["epoch"], epoch, float(net.weight.detach()[0, 0])


@pytest.mark.parametrize(
    ("task", "values", "expected"),
    [
        ("multiclass", [(0.5, 1), (0.9, 1), (0.8, 1), (0.7, 1), (1.0, 1)], (2, 4)),
        ("regression", [(0.5, 1), (0.2, 1), (0.3, 1), (0.1, 1)], (4, 4)),
        # Of equal accuracy the lower loss; the same again is no better.
        ("multiclass", [(0.5, 1), (0.5, 0.8), (0.5, 0.8), (0.5, 0.9)], (2, 4)),
    ],
)
def test_best_epoch_and_patience(
    task: str, values: list[tuple[float, float]], expected: tuple[float, int]
) -> None:
    best, last, weight = watch(task, values, patience=2)
    assert (best, last) == expected
    assert weight == best


def test_patience_counts_from_the_epoch_of_unfreezing() -> None:
    values = [(0.9, 1.0), *[(0.5, 1.0)] * 8]
    assert watch("multiclass", values, patience=2)[1] == 3
    assert watch("multiclass", values, patience=2, unfreeze_epoch=6)[1] == 7
    later = [*values[:6], (1.0, 1.0), *values[1:6]]
    assert watch("multiclass", later, patience=2, unfreeze_epoch=6)[:2] == (7, 9)


def test_patience_counts_from_the_epoch_where_an_average_begins() -> None:
    values = [(0.9, 1.0), *[(0.5, 1.0)] * 11]
    assert watch("multiclass", values, patience=2, average=0.5)[1] == 8, "it begins in epoch 7"


# A lucky second epoch, a plateau to the ninth, and a worse last one.
NOISY = [0.5, 0.95, 0.6, 0.7, 0.75, 0.8, 0.84, 0.85, 0.83, 0.7]


@pytest.mark.parametrize(("select", "kept"), [("best", 2), ("smoothed", 9), ("last", 10)])
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_the_epoch_that_is_selected(task: str, select: str, kept: int) -> None:
    values = [(value if task == "multiclass" else 1 - value, 1.0) for value in NOISY]
    # Means of five epochs: 0.7, 0.76, 0.738, 0.788, 0.814, 0.804.
    assert watch(task, values, select=select) == (kept, 10, kept)


@pytest.mark.parametrize("select", ["best", "smoothed", "last"])
def test_the_epoch_that_is_selected_after_a_few(select: str) -> None:
    values = [(value, 1.0) for value in NOISY[:4]]
    assert watch("multiclass", values, select=select)[0] == (2 if select == "best" else 4)


def test_patience_of_each_choice() -> None:
    values = [(0.9, 1.0)] * 30
    assert watch("multiclass", values)[1] == 11
    assert watch("multiclass", values, select="smoothed")[1] == 5 + 10
    assert watch("multiclass", values, select="last")[1] == 30


def test_epoch_line() -> None:
    row = {"epoch": 3, "loss/train": 0.5, "loss/val": 0.25, "dice/train": 0.9, "dice/val": 0.8}
    line = epoch_line(row, 10, ["loss", "dice"])
    assert line == "epoch  3/10  loss 0.5000 val 0.2500  dice 0.9000 val 0.8000"


def test_best_weights_of_layers_that_count_their_versions() -> None:
    best = SelectedWeights(TASKS["multiclass"].monitor, FitConfig(epochs=1, lr=1.0))
    net = build_network("mnasnet0_5", outputs=2, seed=1)  # without its version it refuses weights
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    best.load_state_dict({"row": {"epoch": 1}, "weights": state})
    with torch.no_grad():
        next(net.parameters()).zero_()
    best.restore(net)
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


def test_the_speed_is_that_of_all_ranks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = iter([10.0, 11.0, 12.0, 105.0])
    monkeypatch.setattr("darkroom.training.callbacks.time.perf_counter", lambda: next(clock))
    row = {"epoch": 1, "loss/train": 0.5, "loss/val": 0.25, "accuracy/train": 1, "accuracy/val": 1}
    state = {"epoch": 0, "batch": 1, "batches": 1, "history": [row], "selected": row}
    train_loader = SimpleNamespace(rows_in_batch=lambda batch: [8, 6][batch])
    module = SimpleNamespace(task=TASKS["multiclass"], metric=None)
    config = SimpleNamespace(epochs=3, select="best")
    loop = SimpleNamespace(**state, train_loader=train_loader, module=module, config=config)
    batch = cast(Batch, SimpleNamespace(ids=["a", "b"]))  # of this rank
    progress = Progress()
    progress.on_epoch_start(cast(Loop, loop))
    progress.on_batch_end(cast(Loop, loop), batch)
    progress.on_validation_start(cast(Loop, loop))
    progress.on_epoch_end(cast(Loop, loop))
    assert capfd.readouterr().err.endswith("  1 min 35 s  4 img/s  best\n")


def test_a_long_epoch_prints_where_it_is_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 9.0, 11.0, 20.0, 23.0, 50.0, 0.0, 9.0])
    monkeypatch.setattr("darkroom.training.callbacks.time.perf_counter", lambda: next(clock))
    train_loader = SimpleNamespace(rows_in_batch=lambda _: 4)
    config = SimpleNamespace(epochs=3)
    loop = SimpleNamespace(epoch=1, batch=0, batches=4, train_loader=train_loader, config=config)
    progress, batch = Progress(), cast(Batch, None)
    progress.on_epoch_start(cast(Loop, loop))
    for number in range(1, 5):
        loop.batch = number
        progress.on_batch_end(cast(Loop, loop), batch)
    progress.on_validation_batch(cast(Loop, loop), batch, torch.empty(0))
    progress.on_epoch_start(cast(Loop, loop))
    progress.on_batch_end(cast(Loop, loop), batch)
    assert capfd.readouterr().err == (
        "epoch 2/3: batch 2 of 4, 11 s\n"
        "epoch 2/3: batch 4 of 4, 23 s\n"
        "epoch 2/3: validation, 50 s\n"
    )
