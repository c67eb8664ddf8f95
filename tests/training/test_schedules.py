"""Rates held against torch's own schedules and against hand-drawn curves, and put back exactly."""

import json
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from darkroom.errors import ParamsError
from darkroom.training.optimizers import build_optimizer
from darkroom.training.schedules import SHAPES, build_schedule


def optimizer(kind: Any = AdamW, **options: Any) -> Optimizer:
    return kind([nn.Parameter(torch.zeros(1))], lr=0.1, **options)  # type: ignore[no-any-return]


def rates(name: str, steps: int, **options: Any) -> list[float]:
    """Return the rates of a number of steps of a schedule whose peak is 0.1."""
    held = optimizer()
    plan = build_schedule(held, name, lr=0.1, **options)
    found = []
    for _ in range(steps):
        assert held.param_groups[0]["lr"] == plan.lr
        found.append(plan.lr)
        plan.step_batch()
    return found


@pytest.mark.parametrize("total", [1, 2, 3, 7, 10, 48, 1000])
@pytest.mark.parametrize("warmup", [0.3, 0.05, 0.77, 0.0])
def test_one_cycle_has_the_bits_of_torch(total: int, warmup: float) -> None:
    mine, theirs = optimizer(), optimizer()
    plan = build_schedule(mine, "one_cycle", lr=0.02, total_steps=total, warmup=warmup)
    other = OneCycleLR(theirs, 0.02, total_steps=max(2, total), pct_start=warmup)
    for _ in range(total):
        for key in ("lr", "betas"):
            assert mine.param_groups[0][key] == theirs.param_groups[0][key]
        theirs.step()
        plan.step_batch()
        other.step()
    # Also what an epoch's row says after the last step.
    assert mine.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]


def test_one_cycle_is_three_tenths_of_warm_up_by_default() -> None:
    assert rates("one_cycle", 9, total_steps=20) == rates(
        "one_cycle", 9, total_steps=20, warmup=0.3
    )


@pytest.mark.parametrize("kind", [SGD, RMSprop])
def test_one_cycle_moves_momentum_as_torch_does(kind: Any) -> None:
    mine, theirs = optimizer(kind, momentum=0.9), optimizer(kind, momentum=0.9)
    plan = build_schedule(mine, "one_cycle", lr=0.1, total_steps=12)
    other = OneCycleLR(theirs, 0.1, total_steps=12)
    for _ in range(12):
        assert mine.param_groups[0]["momentum"] == theirs.param_groups[0]["momentum"]
        theirs.step()
        plan.step_batch()
        other.step()


def test_one_cycle_moves_both_momenta_of_muon() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    held = build_optimizer(net, "muon", lr=0.1, weight_decay=0.0)
    plan = build_schedule(held, "one_cycle", lr=0.1, total_steps=10)
    for _ in range(3):
        plan.step_batch()
    for group in held.param_groups:
        assert group["betas"][0] == group["momentum"] == pytest.approx(0.85, abs=0.01)


@pytest.mark.parametrize(("momentum", "highest", "lowest"), [(0.0, 0.0, 0.0), (0.8, 0.9, 0.7)])
def test_one_cycle_moves_momentum_about_what_is_asked_for(
    momentum: float, highest: float, lowest: float
) -> None:
    held = optimizer(SGD, momentum=momentum)
    plan = build_schedule(held, "one_cycle", lr=0.1, total_steps=10)
    seen = []
    for _ in range(10):
        seen.append(held.param_groups[0]["momentum"])
        plan.step_batch()
    assert (max(seen), min(seen)) == (pytest.approx(highest), pytest.approx(lowest))


@pytest.mark.parametrize("warmup", [0.1, 1.0])  # the turn falls on the first and the last of 10
def test_one_cycle_may_turn_at_an_edge(warmup: float) -> None:
    found = rates("one_cycle", 11, total_steps=10, warmup=warmup)
    assert found.index(max(found)) == (0 if warmup < 1 else 9)
    assert max(found) == pytest.approx(0.1)


def test_cosine_warms_up_and_falls_to_nothing() -> None:
    # Two of ten steps rise by thirds to the peak; then eight of half a cosine.
    down = [0.05 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]
    expected = [0.1 / 3, 0.2 / 3, *down, 0.0]
    assert rates("cosine", 11, total_steps=10, warmup=0.2) == pytest.approx(expected)


def test_cosine_warms_up_over_a_twentieth_by_default() -> None:
    found = rates("cosine", 40, total_steps=40)
    assert found[:3] == pytest.approx([0.1 / 3, 0.2 / 3, 0.1])
    assert found[3] < 0.1


def test_constant_is_constant() -> None:
    assert rates("constant", 5, total_steps=4) == [0.1] * 5
    assert rates("constant", 3, total_steps=4, warmup=0.25) == pytest.approx([0.05, 0.1, 0.1])


@pytest.mark.parametrize("best", ["max", "min"])
def test_plateau_falls_when_torch_says_so(best: Any) -> None:
    mine, theirs = optimizer(SGD), optimizer(SGD)
    plan = build_schedule(mine, "plateau", lr=0.1, total_steps=99, best=best)
    other = ReduceLROnPlateau(theirs, best, factor=0.1, patience=3, eps=0)
    for epoch in range(40):
        # Waves, then gains that are too small to count.
        gain = 0.05 * math.sin(epoch / 4) if epoch < 20 else 0.06 + 1e-6 * epoch
        metric = 0.9 + gain if best == "max" else 0.9 - gain
        plan.step_epoch(metric)
        other.step(metric)
        assert mine.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"])
    assert plan.drops >= 4


def test_plateau_waits_for_the_warm_up_to_end() -> None:
    held = optimizer()
    plan = build_schedule(held, "plateau", lr=0.1, total_steps=10, warmup=0.5)
    for _ in range(9):
        plan.step_epoch(0.5)
    assert plan.best_metric is None
    for _ in range(5):
        plan.step_batch()
    for _ in range(5):
        plan.step_epoch(0.5)
    assert held.param_groups[0]["lr"] == pytest.approx(0.01)


def test_plateau_takes_no_number_for_no_gain() -> None:
    plan = build_schedule(optimizer(), "plateau", lr=0.1, total_steps=10)
    for _ in range(4):
        plan.step_epoch(math.nan)
    assert plan.lr == pytest.approx(0.01)


def test_others_do_not_look_at_the_metric() -> None:
    plan = build_schedule(optimizer(), "cosine", lr=0.1, total_steps=10, warmup=0.0)
    for _ in range(9):
        plan.step_epoch(0.5)
    assert plan.lr == 0.1


def test_groups_have_their_share_of_the_rate() -> None:
    head, body = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    held = AdamW([{"params": [body], "factor": 0.1}, {"params": [head], "factor": 1.0}], lr=9.0)
    plan = build_schedule(held, "one_cycle", lr=0.5, total_steps=8)
    for _ in range(8):
        assert held.param_groups[1]["lr"] == plan.lr
        assert held.param_groups[0]["lr"] == pytest.approx(plan.lr / 10)
        plan.step_batch()


@pytest.mark.parametrize("name", list(SHAPES))
def test_a_restored_schedule_has_the_same_rates(name: str) -> None:
    def run(stop: int | None) -> list[float]:
        found = []
        held = optimizer()
        plan = build_schedule(held, name, lr=0.1, total_steps=30, warmup=0.2)
        for step in range(30):
            if step == stop:
                state = json.loads(json.dumps(plan.state_dict()))
                held = optimizer()
                plan = build_schedule(held, name, lr=0.1, total_steps=30, warmup=0.2)
                plan.load_state_dict(state)
            found.append(held.param_groups[0]["lr"])
            held.step()
            plan.step_batch()
            plan.step_epoch(0.5)
        return found

    undisturbed = run(None)
    assert len(set(undisturbed)) > 1
    for stop in (1, 9, 17):
        assert run(stop) == undisturbed


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ParamsError, match="there is no schedule of this name") as caught:
        rates("linear", 1, total_steps=1)
    assert "found: linear\n  expected: one_cycle, cosine, plateau, constant" in str(caught.value)
