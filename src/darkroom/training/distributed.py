"""The process group of a training: the ranks that torchrun starts, and what they exchange.

Without torchrun there is one process, and every function returns its argument. With torchrun the
process group exists within `process_group()`; all ranks must make the same calls in the same
order, or they wait for each other until the timeout.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from darkroom.errors import LostRankError
from darkroom.project import processes

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
    if not processes.is_under_torchrun() or os.environ["WORLD_SIZE"] == "1":
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
    """Return a module whose gradients are averaged over the ranks; with one rank the module."""
    if world_size() == 1:
        return model
    # Some encoders have layers that no decoder uses: their weights get no gradient.
    return DistributedDataParallel(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        find_unused_parameters=True,
    )


def synchronise_batch_norm(net: nn.Module, device: torch.device) -> nn.Module:
    """Return the network for a GPU whose batch norm sees the batch of all ranks.

    On a CPU it is returned as it is: `batch_norm_over_ranks` does so there.
    """
    if world_size() == 1 or device.type != "cuda":
        return net
    # torch's own converter would drop the activation of timm's batch norm.
    from timm.layers.norm_act import convert_sync_batchnorm  # noqa: PLC0415

    converted: nn.Module = convert_sync_batchnorm(net)
    return converted


class BatchNormOverRanks(TorchFunctionMode):
    """Within it, batch norm in training takes its statistics over all ranks, on a CPU.

    torch's SyncBatchNorm needs a GPU. At the functional level, any class of batch norm is covered.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is not F.batch_norm:
            return func(*args, **(kwargs or {}))
        return _batch_norm(*args, **(kwargs or {}))


def batch_norm_over_ranks(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context for the forward pass of a training batch."""
    return BatchNormOverRanks() if world_size() > 1 and device.type == "cpu" else nullcontext()


def _batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what `torch.nn.functional.batch_norm` returns for the batch of all ranks."""
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    # Two passes, the mean first: E[x²] - E[x]² loses digits where the mean is large.
    axes, shape = [0, *range(2, input.dim())], [1, -1] + [1] * (input.dim() - 2)
    values = input.float()
    count = values.new_tensor([values.numel() / values.shape[1]])
    sums = _all_reduce(torch.cat([values.sum(axes), count]))
    total, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
    centred = values - mean.view(shape)
    variance = _all_reduce(centred.square().sum(axes)) / total
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.detach(), momentum)
        running_var.lerp_(variance.detach() * total / (total - 1), momentum)
    scaled = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        scaled = scaled * weight.view(shape) + bias.view(shape)
    return scaled.to(input.dtype)


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
