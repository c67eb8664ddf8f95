"""Two processes that share every batch learn what one does."""

import os
import signal
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from darkroom.errors import DataError, ResourceError
from darkroom.training.distributed import ALONE, Team, together
from tests.support.interrupted import network, told, train


def test_alone_nothing_is_exchanged() -> None:
    assert ALONE.total([1.5, 2]) == [1.5, 2]
    assert ALONE.any(True)
    assert not ALONE.any(False)
    net = nn.BatchNorm1d(2)
    net.running_mean = torch.tensor([1.0, 3.0])
    ALONE.average_buffers(net)
    assert net.running_mean.tolist() == [1.0, 3.0]
    assert together(1, lambda team: team) is ALONE


def exchange(team: Team) -> dict[str, Any]:
    """Give the numbers that the test expects to meet."""
    layer, norm = nn.Linear(2, 1, bias=False), nn.BatchNorm1d(1)
    net = nn.Sequential(layer, norm)
    layer.weight.grad = torch.tensor([[1.0, 10.0]]) * (team.rank + 1)
    norm.running_mean = torch.tensor([float(team.rank)])
    team.add_gradients(net)
    team.average_buffers(net)
    return {
        "grad": layer.weight.grad.tolist(),
        "mean": norm.running_mean.tolist(),
        "total": team.total([team.rank, 2.0**60, 0.5]),
        "any": [team.any(team.rank == 1), team.any(False)],
    }


def fail(how: str, team: Team) -> None:
    """End rank 1, which rank 0 waits for."""
    if team.rank == 1 and how == "word":
        raise DataError("image 7 has no target")
    if team.rank == 1:
        os._exit(9)
    team.any(False)


@pytest.mark.slow
def test_two_exchange() -> None:
    assert together(2, exchange) == {
        "grad": [[3.0, 30.0]],
        "mean": [0.5],
        "total": [1.0, 2.0**61, 1.0],
        "any": [True, False],
    }


@pytest.mark.slow
def test_what_another_rank_says_at_its_end_is_raised() -> None:
    with pytest.raises(DataError, match="image 7 has no target"):
        together(2, partial(fail, "word"))


@pytest.mark.slow
def test_a_lost_rank_is_told() -> None:
    with pytest.raises(ResourceError, match="process 1 of 2 that train together has ended") as told:
        together(2, partial(fail, "silent"))
    assert "exit code 9" in str(told.value)


@pytest.mark.slow
def test_two_learn_what_one_learns(tmp_path: Path) -> None:
    # Neither batch norm nor dropout nor mixing: these see a rank's share, not the whole batch.
    plain: dict[str, Any] = {"mixing": None, "epochs": 2}
    nets = [network(1, normed=False, dropout=0.0) for _ in range(2)]
    one = train(tmp_path / "1", net=nets[0], **plain)
    two = train(tmp_path / "2", net=nets[1], running={"devices": 2}, **plain)
    assert len(one.history) == len(two.history) == 2
    for ours, theirs in zip(one.history, two.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for name, weight in one.net.state_dict().items():
        torch.testing.assert_close(two.net.state_dict()[name], weight, rtol=1e-4, atol=1e-6)
    assert told(one) != told(train(tmp_path / "3", net=network(2, normed=False), **plain))


@pytest.mark.slow
def test_two_stop_together_and_go_on(tmp_path: Path) -> None:
    whole = told(train(tmp_path / "a", running={"devices": 2}))
    timer = threading.Thread(target=_terminate_when_saved, args=(tmp_path / "b",))
    timer.start()
    with pytest.raises(SystemExit) as left:
        train(tmp_path / "b", running={"devices": 2})
    timer.join()
    assert left.value.code == 143
    assert told(train(tmp_path / "b", running={"devices": 2})) == whole


def _terminate_when_saved(folder: Path) -> None:
    while not (folder / "work/training.ckpt").is_file():
        pass
    os.kill(os.getpid(), signal.SIGTERM)
