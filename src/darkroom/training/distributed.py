"""The process group of a training: the ranks that torchrun starts, and what they exchange.

Without torchrun there is one process, and every function returns its argument. With torchrun the
process group exists within `process_group()`; all ranks must make the same calls in the same
order, or they wait for each other until the timeout.
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

TIMEOUT = timedelta(minutes=10)  # of an exchange: after it a rank counts as lost

Value = TypeVar("Value")


def rank() -> int:
    """Return the number of this process among all processes of the training, from 0."""
    return distributed.get_rank() if _is_joined() else 0


def world_size() -> int:
    """Return the number of processes that train together, on all machines."""
    return distributed.get_world_size() if _is_joined() else 1


def local_rank() -> int:
    """Return the number of this process among those on this machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0")) if _is_joined() else 0


def local_world_size() -> int:
    """Return the number of processes on this machine that train together."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _is_joined() else 1


@contextmanager
def process_group() -> Iterator[None]:
    """Return a context within the process group that torchrun's environment describes, if any.

    Raises:
        LostRankError: Another rank ended while this one waited for it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    # gloo too: totals and signals are exchanged from the CPU, without waiting for the GPU.
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    distributed.init_process_group(backend, timeout=TIMEOUT)
    try:
        yield
    except RuntimeError as error:
        # A lost process shows as a broken connection in whatever exchange came next.
        if not _is_of_a_connection(error):
            raise
        raise LostRankError(
            f"rank {rank()} has lost another process of this training",
            found=str(error).splitlines()[0][:200],
            fix="read the error of the other process; run again to resume from the last checkpoint",
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
    sums = torch.tensor(numbers, dtype=torch.float64)  # counts stay exact up to 2^53
    distributed.all_reduce(sums)
    return [float(number) for number in sums.tolist()]


def gather(value: Value) -> list[Value]:
    """Return every rank's value, in the order of the ranks; values must pickle."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values


def broadcast(value: Value) -> Value:
    """Return rank 0's value; it must pickle."""
    if world_size() == 1:
        return value
    values: list[Any] = [value]
    distributed.broadcast_object_list(values)
    first: Value = values[0]
    return first


def data_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """Return a module whose gradients are averaged over the ranks (all-reduce)."""
    if world_size() == 1:
        return model
    return DistributedDataParallel(
        model, device_ids=[device.index] if device.type == "cuda" else None
    )


def synchronise_batch_norm(net: nn.Module, device: torch.device) -> nn.Module:
    """Return the network with batch norm over the batch of all ranks, not this rank's share.

    Otherwise the result would depend on the number of ranks.
    """
    if world_size() == 1:
        return net
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(net)  # type: ignore[no-untyped-call, no-any-return]
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.__class__ = CpuSyncBatchNorm  # in place: the parameters stay the same objects
    return net


class CpuSyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the batch of all ranks on the CPU; torch's SyncBatchNorm needs a GPU."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised input (N, C, ...), of the same dtype."""
        if not self.training:
            return super().forward(input)
        # Two passes, the mean first: E[x²] - E[x]² loses digits where the mean is large.
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
    """A sum over the ranks, whose gradient is the sum of the ranks' gradients."""

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
