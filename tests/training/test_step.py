"""Optimizer steps: gradient accumulation, clipping, and a state that restores them."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from darkroom.params.train import FitConfig
from darkroom.training.step import OptimizerStep


def stepper(net: nn.Module, batches: int = 5, **choices: Any) -> OptimizerStep:
    plain: dict[str, Any] = {
        "epochs": 2,
        "lr": 0.1,
        "schedule": "constant",
        "optimizer": "sgd",
        "momentum": 0.0,
        "weight_decay": 0.0,
    }
    config = FitConfig(**(plain | choices))
    return OptimizerStep(net, config, batches=batches)


def norm(steps: OptimizerStep) -> float:
    value = steps.clip()
    assert value is not None
    return float(value)


def learn(
    steps: OptimizerStep, net: nn.Module, index: int, images: torch.Tensor
) -> dict[str, float]:
    steps.backward(net(images).square().mean() / len(steps.batches_of_step(index)))
    if not steps.is_due_after(index):
        return {}
    return {"gradient norm": norm(steps)} | steps.step()


def test_which_batches_end_a_step() -> None:
    steps = stepper(nn.Linear(1, 1), batches=5, accumulate=2)
    assert [steps.is_due_after(index) for index in range(5)] == [False, True, False, True, True]
    assert [list(steps.batches_of_step(index)) for index in (0, 1, 4)] == [[0, 1], [0, 1], [4]]
    assert steps.config.steps_per_epoch(5) == 3
    assert steps.schedule.total_steps == 6


def test_accumulated_batches_equal_one_large_batch() -> None:
    torch.manual_seed(1)
    one = nn.Linear(3, 1)
    several = copy.deepcopy(one)
    images = torch.randn(10, 3)
    at_once, in_parts = stepper(one, batches=2), stepper(several, batches=5, accumulate=3)
    for index, rows in enumerate((images[:6], images[6:])):
        learn(at_once, one, index, rows)
    for index, rows in enumerate(torch.split(images, 2)):
        learn(in_parts, several, index, rows)
    torch.testing.assert_close(several.weight, one.weight)


def test_a_gradient_is_clipped_and_its_unclipped_norm_returned() -> None:
    net = nn.Linear(2, 1, bias=False)
    nn.init.zeros_(net.weight)
    steps = stepper(net, clip=1.0)
    steps.backward((net(torch.tensor([[30.0, 40.0]])) - 0.5).square().sum())
    assert norm(steps) == pytest.approx(50)
    metrics = steps.step()
    assert metrics["learning rate/all"] == pytest.approx(0.1)
    assert net.weight.tolist()[0] == pytest.approx([0.06, 0.08], rel=1e-4)


def test_a_norm_that_nobody_logs_is_not_computed() -> None:
    net = nn.Linear(2, 1, bias=False)
    for clip in (None, 1.0):
        steps = stepper(net, clip=clip)
        steps.backward(net(torch.ones(1, 2)).square().sum())
        assert (steps.clip(is_logged=False) is None) == (clip is None)


def test_the_learning_rate_is_the_greatest_of_the_groups() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    assert stepper(net, rates={"backbone": 0.5}).learning_rate == pytest.approx(0.1)


@pytest.mark.parametrize("choices", [{}, {"optimizer": "adamw", "schedule": "one_cycle"}])
def test_a_restored_step_has_the_same_bits(choices: dict[str, Any]) -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    images = torch.randn(8, 5, 3)
    steps = stepper(net, batches=4, ema=0.9, **choices)
    for index in range(4):
        learn(steps, net, index, images[index])
    state = copy.deepcopy((net.state_dict(), steps.state_dict()))
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    again = stepper(other, batches=4, ema=0.9, **choices)
    other.load_state_dict(state[0])
    again.load_state_dict(state[1])
    for index in range(4):
        metrics = learn(steps, net, index, images[4 + index])
        assert metrics == learn(again, other, index, images[4 + index])
    for one in (steps, again):
        assert one.average is not None
        assert one.average.updates == 8
    with steps.averaged(), again.averaged():
        for ours, theirs in zip(
            net.state_dict().values(), other.state_dict().values(), strict=True
        ):
            assert torch.equal(ours, theirs)
