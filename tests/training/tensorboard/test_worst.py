"""The worst images: the right ones, in the right order, and no more of them than are drawn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from darkroom.tasks.table import TASKS, Task
from darkroom.training.tensorboard import examples
from darkroom.training.tensorboard.worst import Worst, badness
from tests.training.tensorboard.rig import batch, loop, read, validate, writer


@pytest.mark.parametrize(
    ("task", "found", "truth", "expected"),
    [
        ("multiclass", [[0.25, 0.75], [0.5, 0.5]], [1, 0], [0.25, 0.5]),
        ("multilabel", [[1.0, 0.5], [0.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]], [0.25, 1]),
        ("regression", [[1.0, 5.0], [2.0, 2.0]], [[2.0, 2.0], [2.0, 2.0]], [2, 0]),
        # Half of the truth found and nothing else: Dice 2/3; all found: 1.
        ("segmentation", [[[[0.9, 0.1]]], [[[0.9, 0.9]]]], [[[[1, 1]]], [[[1, 1]]]], [1 / 3, 0]),
    ],
)
def test_badness(task: str, found: Any, truth: Any, expected: list[float]) -> None:
    faults = badness(TASKS[task], torch.tensor(found), torch.tensor(truth))
    assert faults.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("sizes", [[40], [7, 7, 7, 7, 7, 5], [1] * 40])
def test_the_worst_of_all_batches_the_worst_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    torch.manual_seed(5)
    sure = torch.rand(40)
    found, truth = torch.stack([sure, 1 - sure], dim=1), torch.zeros(40, dtype=torch.int64)
    expected = [f"{number:03d}" for number in sure.argsort()[:5].tolist()]
    shown: list[list[str]] = []
    drawn = examples.page

    def noted(task: Task, worst: list[examples.Example], names: Any) -> Any:
        shown.append([one.id for one in worst])
        assert [int(one.image[0, 0, 0]) for one in worst] == [int(one.id) for one in worst]
        return drawn(task, worst, names)

    monkeypatch.setattr(examples, "page", noted)
    log, first, data = writer(tmp_path), 0, []
    for size in sizes:
        part = slice(first, first + size)
        data.append((batch(truth[part], first=first), found[part]))
        first += size
    validate(Worst(log, 5), loop("multiclass"), *data)
    assert shown == [expected]
    assert [event.step for event in read(log).Images("worst")] == [7]


def test_a_picture_is_taken_only_if_it_is_among_the_worst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    take = examples.take

    def noted(images: Any, found: Tensor, place: int) -> examples.Example:
        taken.append(images.ids[place])
        return take(images, found, place)

    monkeypatch.setattr(examples, "take", noted)
    found = torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.8, 0.2], [0.0, 1.0], [0.95, 0.05]])
    worst = Worst(writer(tmp_path), 2)
    validate(
        worst,
        loop("multiclass"),
        *((batch(torch.zeros(1, dtype=torch.int64), first=i), found[i : i + 1]) for i in range(5)),
    )
    assert taken == ["000", "001", "002", "003"], "the last one is better than the worst two"
    assert worst._heap == []
    read(worst.events)
