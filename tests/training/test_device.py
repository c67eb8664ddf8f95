"""Memory format and compilation: the network gets what is configured."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from tests.support.interrupted import network, train


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_is_the_configured_one(tmp_path: Path, channels_last: bool) -> None:
    orders = set()

    class Look(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            last = images.is_contiguous(memory_format=torch.channels_last)
            orders.add("last" if last else "first" if images.is_contiguous() else "neither")
            return images

    net = network(1)
    looking = nn.Sequential(Look(), net[0], Look(), *net[1:])
    train(tmp_path, net=looking, config={"channels_last": channels_last, "epochs": 1})
    assert orders == {"last" if channels_last else "first"}


@pytest.mark.slow
def test_each_batch_size_is_compiled_separately(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on sees the sizes in another order, and must have the same bits."""
    compile_, graphs = torch.compile, []

    def note(graph: fx.GraphModule, inputs: list[Any]) -> Any:
        graphs.append(any(isinstance(each, torch.SymInt) for each in inputs))
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda net, **how: compile_(net, backend=note, **how))
    train(tmp_path, config={"compile": True, "epochs": 2})
    assert len(graphs) >= 3, "batches of four and of two to learn from, of four to validate with"
    assert not any(graphs), "none is of any size"
