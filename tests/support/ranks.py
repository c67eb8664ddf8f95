"""Functions to run in several ranks under torchrun, and how to start them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from darkroom.training import distributed
from tests.support.interrupted import network, outcome, train


def run_ranks(count: int, function: str, folder: Path, *arguments: str) -> Any:
    """Run a function of this module in so many ranks; return what rank 0 returned, as JSON."""
    result = folder / f"{function}-{count}.json"
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}")
    command = [sys.executable, *torchrun, "-m", __name__, function, str(result), *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(result.read_text())


def exchange() -> dict[str, Any]:
    """Return the results of all exchanges between the ranks."""
    rank = distributed.rank()
    return {
        "sums": distributed.sum_over_ranks([rank, 2.0**60, 0.5]),
        "any": [distributed.any_rank(rank == 1), distributed.any_rank(False)],
        "gathered": distributed.gather({"rank": rank}),
        "broadcast": distributed.broadcast(f"of rank {rank}"),
        "world": [distributed.world_size(), distributed.local_world_size()],
    }


def batch_norm() -> dict[str, Any]:
    """Return the greatest differences of batch norm over ranks from that over the whole batch."""
    torch.manual_seed(1)
    images, targets = torch.randn(6, 3, 5, 4) * 3 + 2, torch.randn(6, 3, 5, 4)
    whole, shared = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    for layer in (whole, shared):
        nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(2))
    share = slice(0, 2) if distributed.rank() == 0 else slice(2, 6)  # of unequal sizes
    all_images = images.clone().requires_grad_()
    own_images = images[share].clone().requires_grad_()
    (whole(all_images) - targets).square().sum().backward()
    model = DistributedDataParallel(nn.Sequential(shared))
    with distributed.batch_norm_over_ranks(torch.device("cpu")):
        outputs = model(own_images)
    loss = (outputs - targets[share]).square().sum() * distributed.world_size()
    loss.backward()
    activated = BatchNormAct2d(3)
    whole_activated = activated(images)[share]
    with distributed.batch_norm_over_ranks(torch.device("cpu")):
        own_activated = activated(images[share])
    assert all_images.grad is not None
    assert own_images.grad is not None
    assert whole.weight.grad is not None
    assert shared.weight.grad is not None
    expected = all_images.grad[share] * distributed.world_size()
    return {
        "input gradient": float((own_images.grad - expected).abs().max()),
        "weight gradient": float((shared.weight.grad - whole.weight.grad).abs().max()),
        "mean": float((shared.running_mean - whole.running_mean).abs().max()),  # type: ignore[operator]
        "variance": float((shared.running_var - whole.running_var).abs().max()),  # type: ignore[operator]
        "with an activation": float((own_activated - whole_activated).abs().max()),
        "scale": float(expected.abs().max()),
    }


class PartlyUsed(nn.Module):
    """A network with a layer that is never used, as some encoders have below a decoder."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.unused, self.net = nn.Linear(2, 2), net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.net(images)
        return outputs


def training(folder: str) -> dict[str, Any]:
    """Return the outcome of a training without dropout and Mixup, which each rank draws itself."""
    net = PartlyUsed(network(1, dropout=0.0))
    place = Path(folder, str(distributed.rank()))  # each rank draws its own copy of the images
    # Not Adam: a bias before batch norm has no gradient but rounding, of which it makes full steps.
    config = {"epochs": 2, "lr": 0.05, "optimizer": "sgd"}
    result = train(place, net=net, mixup=None, images=20, config=config)
    weights = {name: t.double().flatten().tolist() for name, t in result.net.state_dict().items()}
    return outcome(result) | {"rows": result.history, "weights": weights}


if __name__ == "__main__":
    name, path, *words = sys.argv[1:]
    with distributed.process_group():
        returned = globals()[name](*words)
        if distributed.rank() == 0:
            Path(path).write_text(json.dumps(returned))
