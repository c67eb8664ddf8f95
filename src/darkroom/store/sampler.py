"""The order in which rows are read: a pure function of (seed, epoch)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Sampler


@dataclass(frozen=True)
class BatchRequest:
    """One batch to read: its rows and its epoch, all that a worker needs to know."""

    epoch: int
    rows: tuple[int, ...]


class EpochSampler(Sampler[BatchRequest]):
    """Yields the batches of an epoch, or the rest of it.

    Its only state is where to start, so a resumed run reads any batch of any epoch without reading
    those before it. The training loop calls `start` before each epoch.

    Args:
        rows: The rows to read.
        batch_size: Rows in a batch, over all ranks.
        seed: Of the shuffling; None reads the rows in the given order in every epoch.
        drop_last: Leave out a last batch that is not full.
    """

    def __init__(
        self, rows: Sequence[int], batch_size: int, *, seed: int | None, drop_last: bool = False
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
        self.rows = np.asarray(rows, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self._start = 0
        self._rank, self._world = 0, 1

    def start(self, epoch: int, batch: int = 0) -> None:
        """Let the next iteration begin at a batch of an epoch, both counted from 0."""
        self.epoch, self._start = epoch, batch

    def share(self, rank: int, world: int) -> None:
        """Divide each batch among ranks: read every `world`-th row, from the `rank`-th on.

        If shuffled, a last batch with fewer rows than ranks is left out, so that all ranks take
        the same number of steps. In the given order no row is left out: some ranks may read one
        batch less.
        """
        if world > self.batch_size:
            raise ValueError(f"{world} ranks share a batch of {self.batch_size}")
        self._rank, self._world = rank, world

    def rows_in_batch(self, batch: int) -> int:
        """Return the number of rows in a batch (counted from 0) over all ranks."""
        return min(self.batch_size, len(self.rows) - batch * self.batch_size)

    def __len__(self) -> int:
        full, rest = divmod(len(self.rows), self.batch_size)
        if self.seed is None:
            return full + (rest > self._rank and not self.drop_last)
        return full + (rest >= self._world and not self.drop_last)

    def __iter__(self) -> Iterator[BatchRequest]:
        epoch = self.epoch
        rows = self.rows
        if self.seed is not None:
            rows = np.random.default_rng([self.seed, epoch]).permutation(rows)
        for number in range(self._start, len(self)):
            start = number * self.batch_size
            mine = rows[start : start + self.batch_size][self._rank :: self._world]
            yield BatchRequest(epoch, tuple(mine.tolist()))
