"""Several processes of one machine that share every batch of a training.

Rank 0 is the process that began; it starts the others, which run the same function with the same
arguments and write nothing. What they exchange is few and plain: gradients and batch-norm
statistics once a step, sums of metrics once an epoch, and whether to stop.
"""

import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from darkroom.errors import DarkroomError, ResourceError

_PATIENCE = timedelta(minutes=10)  # for a rank that reads slower; then it counts as lost
_LEAVING_S = 30

Result = TypeVar("Result")


@dataclass(frozen=True)
class Team:
    """One process among those that share every batch.

    All ranks must make the same calls in the same order. Alone, none does anything.

    Args:
        rank: From 0.
        world: How many there are.
    """

    rank: int = 0
    world: int = 1

    def any(self, flag: bool) -> bool:
        """Return whether any rank says yes."""
        return flag if self.world == 1 else self.total([float(flag)])[0] > 0

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Return the sums over the ranks of some numbers."""
        if self.world == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(sums)
        return [float(number) for number in sums.tolist()]

    def add_gradients(self, net: nn.Module) -> None:
        """Replace every gradient by its sum over the ranks."""
        self._sum([p.grad for p in net.parameters() if p.grad is not None])

    def average_buffers(self, net: nn.Module) -> None:
        """Replace floating buffers, as batch norm's statistics, by their mean over the ranks."""
        floats = [b for b in net.buffers() if b.is_floating_point()]
        self._sum(floats)
        for buffer in floats if self.world > 1 else ():
            buffer.div_(self.world)

    def _sum(self, tensors: Sequence[Tensor]) -> None:
        """Add up tensors over the ranks, in place: one transfer for all of a type."""
        if self.world == 1:
            return
        for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.flatten() for tensor in alike])
            distributed.all_reduce(flat)
            parts = torch.split(flat, [tensor.numel() for tensor in alike])
            for tensor, part in zip(alike, parts, strict=True):
                tensor.copy_(part.view_as(tensor))


ALONE = Team()


def together(world: int, work: Callable[[Team], Result]) -> Result:
    """Run `work` in so many processes; return what it returned here, on rank 0.

    Args:
        world: How many; with 1 it is just called.
        work: Pickles, as a `functools.partial` of a module's function does: the other ranks
            get a copy. What they return is dropped.

    Raises:
        DarkroomError: As raised by rank 0, or by the first other rank that raised one.
        ResourceError: A rank was lost without a word.
    """
    if world == 1:
        return work(ALONE)
    threads = torch.get_num_threads()
    context = get_context("spawn")
    words = context.SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="darkroom-") as folder:
        meeting = (Path(folder) / "ranks").as_uri()
        share = max(1, threads // world)
        # Pickled here: multiprocessing would let the processes share the memory of tensors.
        told = pickle.dumps(work)
        others = [
            context.Process(target=_follow, args=(rank, world, meeting, share, told, words))
            for rank in range(1, world)
        ]
        torch.set_num_threads(share)
        try:
            for other in others:
                other.start()
            with _joined(Team(0, world), meeting) as team:
                result = work(team)
            for other in others:
                other.join(_LEAVING_S)
            return result
        except RuntimeError as error:
            # Rank 0 hears of another's end as a broken connection: what it said counts.
            raise _told_by(others, words, error) from error
        finally:
            torch.set_num_threads(threads)
            _end(others)


def _follow(rank: int, world: int, meeting: str, threads: int, told: bytes, words: Any) -> None:
    """Be one of the other ranks, in a process of its own."""
    torch.set_num_threads(threads)
    try:
        work = pickle.loads(told)
        with _joined(Team(rank, world), meeting) as team:
            work(team)
    except DarkroomError as error:
        words.put(error)
    except RuntimeError as error:
        words.put(f"rank {rank}: {error}")


@contextmanager
def _joined(team: Team, meeting: str) -> Iterator[Team]:
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(min(team.rank, torch.cuda.device_count() - 1))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        init_method=meeting,
        rank=team.rank,
        world_size=team.world,
        timeout=_PATIENCE,
    )
    try:
        yield team
    finally:
        distributed.destroy_process_group()


def _told_by(others: Sequence[BaseProcess], words: Any, heard: RuntimeError) -> Exception:
    """Return what another rank said at its end, or what rank 0 heard."""
    for other in others:
        other.join(1)
    said = [] if words.empty() else [words.get()]
    if said and isinstance(said[0], DarkroomError):
        return said[0]
    lost = [rank for rank, other in enumerate(others, 1) if other.exitcode not in (None, 0)]
    if not lost:
        return heard
    return ResourceError(
        f"process {lost[0]} of {len(others) + 1} that train together has ended",
        found=f"exit code {others[lost[0] - 1].exitcode}",
        fix="run again: training goes on from its last checkpoint; or set train.devices to 1",
    )


def _end(others: Sequence[BaseProcess]) -> None:
    for other in others:
        if other.is_alive():
            other.terminate()
            other.join(_LEAVING_S)
        if other.is_alive():
            other.kill()
