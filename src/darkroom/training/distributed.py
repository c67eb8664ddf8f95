"""The process group of a training: torchrun's ranks, what they exchange, and a rank that is lost.

One process is the usual case: without torchrun every function here returns its argument. With
torchrun the process group exists from `process_group()` on, and all ranks must make the same
calls in the same order.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from darkroom.errors import LostRankError

TIMEOUT = timedelta(minutes=10)  # a rank that is slower counts as lost

Value = TypeVar("Value")


def rank() -> int:
    """Return the number of this process among all of the training, from 0."""
    return distributed.get_rank() if _is_joined() else 0


def world_size() -> int:
    """Return how many processes train together, over all machines."""
    return distributed.get_world_size() if _is_joined() else 1


def local_rank() -> int:
    """Return the number of this process among those of this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if _is_joined() else 0


def local_world_size() -> int:
    """Return how many processes of this machine train together."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _is_joined() else 1


@contextmanager
def process_group() -> Iterator[None]:
    """Join the process group that torchrun's environment describes; none without torchrun.

    Raises:
        LostRankError: Another rank ended while this one waited for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        # A lost peer shows as a broken connection, in whatever the ranks were exchanging.
        if not _is_of_a_connection(error):
            raise
        raise LostRankError(
            f"rank {rank()} has lost another process of this training",
            found=str(error).splitlines()[0][:200],
            fix="see what the other process says; run again to go on from the last checkpoint",
        ) from error
    finally:
        distributed.destroy_process_group()


def any_rank(flag: bool) -> bool:
    """Return whether the flag is set on any rank."""
    return flag if world_size() == 1 else sum_over_ranks([float(flag)])[0] > 0


def sum_over_ranks(numbers: Sequence[float]) -> list[float]:
    """Return the sums over the ranks (all-reduce in float64)."""
    if world_size() == 1:
        return list(numbers)
    sums = torch.tensor(numbers, dtype=torch.float64)
    distributed.all_reduce(sums)
    return [float(number) for number in sums.tolist()]


def gather(value: Value) -> list[Value]:
    """Return the values that the ranks pass here, in the order of the ranks; they must pickle."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def broadcast(value: Value) -> Value:
    """Return the value that rank 0 passes here; it must pickle."""
    if world_size() == 1:
        return value
    values: list[Any] = [value]
    distributed.broadcast_object_list(values)
    first: Value = values[0]
    return first


def data_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a module whose gradients are averaged over the ranks; with one rank the module."""
    if world_size() == 1:
        return model
    return DistributedDataParallel(
        model, device_ids=[device.index] if device.type == "cuda" else None
    )


def synchronise_batch_norm(net: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with batch norm that sees the batch of all ranks, not its share of it."""
    if world_size() == 1:
        return net
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call, no-any-return]
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = CpuSyncBatchNorm
    return net


class CpuSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all ranks, where torch's own SyncBatchNorm needs a GPU."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input (N, C, ...), of its type."""
        if not self.training:
            return super().forward(input)
        axes, shape = [0, *range(2, input.dim())], [1, -1] + [1] * (input.dim() - 2)
        values = input.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums = _all_reduce(torch.cat([values.sum(axes), count]))
        total, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        centred = values - mean.view(shape)
        variance = _all_reduce(centred.square().sum(axes)) / total
        self._update_statistics(mean.detach(), variance.detach() * total / (total - 1))
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        return scaled.to(input.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


class _AllReduce(torch.autograd.Function):
    """Sums over the ranks, whose gradients are summed likewise."""

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return _sum(values)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


def _all_reduce(values: Tensor) -> Tensor:
    sums: Tensor = _AllReduce.apply(values)
    return sums


def _sum(values: Tensor) -> Tensor:
    sums = values.detach().clone()
    distributed.all_reduce(sums)
    return sums


def _is_joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _is_of_a_connection(error: RuntimeError) -> bool:
    words = str(error)
    signs = ("Connection", "connection", "Broken pipe", "NCCL", "timed out", "Timed out", "gloo")
    return isinstance(error, distributed.DistError) or any(sign in words for sign in signs)
