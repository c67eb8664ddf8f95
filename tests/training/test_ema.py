"""Averages known by hand, taken in and out without a trace, and saved."""

import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkroom.training.ema import Average


def net() -> nn.Module:
    torch.manual_seed(1)
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    return made.to(memory_format=torch.channels_last)


def drift(held: nn.Module, seed: int) -> None:
    """Change every weight, as a step of training would, by amounts that follow from the seed."""
    generator = torch.Generator().manual_seed(seed)
    for value in held.state_dict().values():
        if value.is_floating_point():
            value += torch.rand(value.shape, generator=generator)
        else:
            value += 1


def copied(held: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in held.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_average_is_the_one_written_down() -> None:
    held = nn.Linear(1, 1, bias=False)
    held.weight.data.fill_(8.0)
    average = Average(held, 0.2)
    expected = 8.0
    for value, kept in ((18.0, 1 / 10), (4.0, 2 / 11), (2.0, 0.2), (1.0, 0.2)):
        held.weight.data.fill_(value)
        average.update(held)
        expected = kept * expected + (1 - kept) * value
        assert float(average.weights["weight"]) == pytest.approx(expected, rel=1e-6)
    assert average.updates == 4


def test_the_plain_mean_of_the_last_updates() -> None:
    held = net()
    average = Average(held, None, skip=2)
    values = []
    for step in range(5):
        drift(held, step)
        average.update(held)
        values.append(copied(held))
        with average.swap(held):
            if step < 2:
                assert same(copied(held), values[-1]), "there is no average yet"
    for name, mean in average.weights.items():
        taken = torch.stack([value[name].double() for value in values[2:]])
        if mean.is_floating_point():
            torch.testing.assert_close(mean, taken.mean(dim=0).to(mean), rtol=1e-6, atol=0)
        else:
            assert mean == taken[-1], "a counter"
    with average.swap(held):
        assert same(copied(held), average.weights)


def test_the_warm_up_of_the_decay_ends() -> None:
    held = nn.Linear(1, 1, bias=False)
    held.weight.data.fill_(0.0)
    average = Average(held, 0.999)
    average.updates = 100_000
    held.weight.data.fill_(1.0)
    average.update(held)
    assert float(average.weights["weight"]) == pytest.approx(0.001)


def test_statistics_are_averaged_and_counters_copied() -> None:
    held = net()
    average = Average(held, 0.5)
    before = copied(held)
    drift(held, 1)
    average.update(held)  # keeps a tenth
    expected = before["1.running_mean"] * 0.1 + held.state_dict()["1.running_mean"] * 0.9
    assert torch.allclose(average.weights["1.running_mean"], expected)
    assert average.weights["1.num_batches_tracked"] == 1


def test_constant_weights_have_the_same_bits_as_their_average() -> None:
    held = net()
    average = Average(held, 0.9)
    for _ in range(20):
        average.update(held)
    assert same(average.weights, copied(held))


def test_swap_restores_the_weights() -> None:
    held = net()
    average = Average(held, 0.9)
    drift(held, 1)
    average.update(held)
    before, kept = copied(held), {k: v.clone() for k, v in average.weights.items()}
    tensors = [p.data_ptr() for p in held.parameters()]
    with average.swap(held):
        assert same(copied(held), kept)
        assert not same(copied(held), before)
    assert same(copied(held), before)
    assert same(average.weights, kept)
    assert [p.data_ptr() for p in held.parameters()] == tensors


def test_swap_restores_the_weights_after_an_error() -> None:
    held = net()
    average = Average(held, 0.9)
    drift(held, 1)
    before = copied(held)
    with pytest.raises(ZeroDivisionError), average.swap(held):
        raise ZeroDivisionError
    assert same(copied(held), before)


def test_a_restored_average_has_the_same_bits() -> None:
    def run(stop: int | None) -> dict[str, Tensor]:
        held = net()
        average = Average(held, 0.9)
        for step in range(8):
            if step == stop:
                file = io.BytesIO()
                torch.save(average.state_dict(), file)
                file.seek(0)
                state: Any = torch.load(file)
                average = Average(net(), 0.9)
                average.load_state_dict(state)
            drift(held, step)
            average.update(held)
        return average.weights

    undisturbed = run(None)
    assert same(run(3), undisturbed)
    assert same(run(7), undisturbed)
    # And the number of updates counts: without it the bits are others.
    held = net()
    average = Average(held, 0.9)
    for step in range(8):
        drift(held, step)
        average.updates = 0
        average.update(held)
    assert not same(average.weights, undisturbed)


def test_the_average_of_another_network_is_refused() -> None:
    average = Average(net(), 0.9)
    with pytest.raises(KeyError, match=r"of another network: 0\.bias"):
        average.load_state_dict(Average(nn.Linear(2, 2), 0.9).state_dict())
