"""The table of tasks: its names, monitored metrics and activations."""

import pytest
import torch

from darkroom.tasks.table import TASKS


def test_five_tasks_each_with_a_source() -> None:
    assert list(TASKS) == ["segmentation", "multilabel", "multiclass", "binary", "regression"]
    assert all(task.source and task.targets and task.answers for task in TASKS.values())
    assert {n: (t.monitor.name, t.monitor.best) for n, t in TASKS.items()} == {
        "segmentation": ("dice", "max"),
        "multilabel": ("accuracy", "max"),
        "multiclass": ("accuracy", "max"),
        "binary": ("accuracy", "max"),
        "regression": ("nrmse", "min"),
    }


@pytest.mark.parametrize("task", TASKS)
def test_half_precision_logits_give_single_precision(task: str) -> None:
    shape = (2, 1, 4, 4) if task == "segmentation" else (2, 3)
    logits = torch.zeros(shape, dtype=torch.bfloat16)
    found = TASKS[task].activate(logits)
    assert found.dtype == torch.float32
    assert found.shape == shape
